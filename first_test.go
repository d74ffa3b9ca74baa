package ssmresume_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// TestFirst: what the session has already is returned once, without a call. What
// comes after it is as after an answer.
func TestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, _ := outage(t)
		first := output(t)
		var waits []ssmresume.Wait
		rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.First = first
			o.OnWait = func(w ssmresume.Wait) { waits = append(waits, w) }
		})
		first.SessionID = "changed later"

		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if out, err := rc.Resume(ended); out != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended ctx: %v, %v", out, err)
		}
		out, err := rc.Resume(t.Context())
		if diff := cmp.Diff(output(t), out); err != nil || diff != "" {
			t.Errorf("%v; output (-want +got):\n%s", err, diff)
		}
		if n := len(srv.Requests()); n != 0 {
			t.Errorf("%d requests for First", n)
		}

		// Lost at once: a wait, and then a call.
		next, err := rc.Resume(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := next.TokenValue.Reveal(); got != srv.LastToken(sessionID) {
			t.Error("the second Resume returns another token than the service's")
		}
		if len(waits) != 1 {
			t.Fatalf("waits: %v, want one", waits)
		}
		if !errors.Is(waits[0].Err, ssmresume.ErrChannelDropped) {
			t.Errorf("waits for %v, want ErrChannelDropped", waits[0].Err)
		}
		if d := waits[0].Delay; d < 250*time.Millisecond || d > time.Second {
			t.Errorf("waits %v, want a part of 1 s", d)
		}
	})
}

// TestFirstStreamURL is returned again where an answer holds none, with
// Options.StreamHost in it.
func TestFirstStreamURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := ssmresumetest.NewPipeServer()
		defer srv.Close()
		srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
			return ssmresumetest.Raw(200, nil, `{"TokenValue":"t"}`)
		})
		client := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) { o.StreamHost = viaEndpoint })
		rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) { o.First = output(t) })
		for range 2 {
			out, err := rc.Resume(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got, want := out.StreamURL.DialURL(), strings.Replace(streamURL, "ssmmessages.us-east-2.amazonaws.com", viaEndpoint, 1); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

func TestFirstIsRefused(t *testing.T) {
	unparsed, err := ssmresume.ParseStreamURL("wss://h/v1/data-channel/other")
	if err != nil {
		t.Fatal(err)
	}
	for want, edit := range map[string]func(*ssmresume.ResumeSessionOutput){
		`First is for session "other"`:             func(o *ssmresume.ResumeSessionOutput) { o.SessionID = "other" },
		`First's StreamUrl is for session "other"`: func(o *ssmresume.ResumeSessionOutput) { o.StreamURL = unparsed },
		"First holds no token, or no StreamURL":    func(o *ssmresume.ResumeSessionOutput) { o.TokenValue = ssmresume.Token{} },
		"First holds no token, or no StreamURL ":   func(o *ssmresume.ResumeSessionOutput) { o.StreamURL = ssmresume.StreamURL{} },
	} {
		srv := ssmresumetest.NewServer()
		first := output(t)
		edit(first)
		rc := ssmresume.NewReconnector(ssmresume.NewFromConfig(srv.Config()), sessionID, func(o *ssmresume.ReconnectorOptions) { o.First = first })
		for range 2 { // it is not forgotten
			if _, err := rc.Resume(t.Context()); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
				t.Errorf("%v, want %s", err, want)
			}
		}
		if n := len(srv.Requests()); n != 0 {
			t.Errorf("%d requests, %s", n, want)
		}
		srv.Close()
	}
}

// TestWake: what a value ends, and what it does not.
func TestWake(t *testing.T) {
	loginNeeded := func(o *ssmresume.Options) {
		lapsed := false
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			if lapsed {
				return aws.Credentials{}, errors.New("log in")
			}
			lapsed = true
			return oldKeys, nil
		})
	}
	for name, tc := range map[string]struct {
		network string
		options func(*ssmresume.Options)
		resp    *ssmresumetest.Response
		ends    bool
	}{
		"no network":      {"refused", nil, nil, true},
		"keys refused":    {"up", nil, ssmresumetest.Fail(400, "ExpiredTokenException", ""), true},
		"keys lapsed":     {"up", loginNeeded, ssmresumetest.Fail(400, "ExpiredTokenException", ""), true},
		"throttled":       {"up", nil, ssmresumetest.Throttle(), false},
		"a proxy's page":  {"up", nil, ssmresumetest.HTML(503), false},
		"service is down": {"up", nil, ssmresumetest.Fail(500, "InternalServerError", ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, client, n := outage(t)
				n.set(tc.network)
				srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return tc.resp })
				if tc.options != nil {
					client = ssmresume.NewFromConfig(srv.Config(), tc.options)
				}
				wake := make(chan struct{}, 1)
				var waits []ssmresume.Wait
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
					o.MaxNetworkWait, o.Wake = 10*time.Second, wake
					o.OnWait = func(w ssmresume.Wait) {
						waits = append(waits, w)
						if w.Delay > 600*time.Millisecond && len(wake) == 0 {
							time.AfterFunc(500*time.Millisecond, func() { wake <- struct{}{} })
						}
						if len(waits) == 20 {
							cancel()
						}
					}
				})
				if _, err := rc.Resume(ctx); !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				for i, w := range waits[:len(waits)-1] {
					took, want := waits[i+1].Elapsed-w.Elapsed, w.Delay
					if tc.ends && w.Delay > 600*time.Millisecond {
						want = 500 * time.Millisecond
					}
					if took != want {
						t.Errorf("wait %d of %v took %v, want %v", i, w.Delay, took, want)
					}
				}
			})
		})
	}
}

// TestWakeAfterReturn: a channel that dropped at once is put off, whoever wakes.
func TestWakeAfterReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, _ := outage(t)
		wake := make(chan struct{}, 1)
		wake <- struct{}{}
		var waits []ssmresume.Wait
		rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.First, o.Wake = output(t), wake
			o.OnWait = func(w ssmresume.Wait) { waits = append(waits, w) }
		})
		for range 2 {
			if _, err := rc.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if len(waits) != 1 || len(wake) != 1 {
			t.Errorf("%d waits, want 1; %d values left, want 1", len(waits), len(wake))
		}
	})
}

// TestWakeClosed is as no Wake at all, and no hot loop.
func TestWakeClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, n := outage(t)
		n.set("refused")
		wake := make(chan struct{})
		close(wake)
		waits := 0
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.Wake = wake
			o.OnWait = func(ssmresume.Wait) { waits++ }
		}).Resume(ctx)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if waits < 60 || waits > 300 { // of half a second each, but for the first
			t.Errorf("%d waits in a minute", waits)
		}
	})
}
