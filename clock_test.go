package ssmresume_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// between is an HTTPClient that does something before and after each request.
func around(c aws.HTTPClient, before func(), after func(*http.Response)) aws.HTTPClient {
	return roundTrip(func(req *http.Request) (*http.Response, error) {
		before()
		resp, err := c.Do(req)
		if err == nil {
			after(resp)
		}
		return resp, err
	})
}

// handshakeAge is how old the signature of a handshake is as soon as it is made.
func handshakeAge(t *testing.T, c *ssmresume.Client) time.Duration {
	t.Helper()
	u, err := ssmresume.ParseStreamURL(streamURL)
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.HandshakeHeader(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := time.Parse("20060102T150405Z", h.Get("X-Amz-Date"))
	if err != nil {
		t.Fatal(err)
	}
	return time.Since(signed).Truncate(time.Minute)
}

// TestSuspended: the machine sleeps for an hour while a request is under way.
func TestSuspended(t *testing.T) {
	for name, want := range map[string]int{"before it is sent": 2, "before its answer is read": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := ssmresumetest.NewPipeServer()
				defer srv.Close()
				cfg := srv.Config()
				suspend := sync.OnceFunc(func() { time.Sleep(time.Hour) })
				before, after := suspend, func(*http.Response) {}
				if want == 1 {
					before, after = func() {}, func(*http.Response) { suspend() }
				}
				cfg.HTTPClient = around(cfg.HTTPClient, before, after)
				client := ssmresume.NewFromConfig(cfg, func(o *ssmresume.Options) { o.AttemptTimeout = -1 })
				if _, err := client.ResumeSession(t.Context(), input); err != nil || len(srv.Requests()) != want {
					t.Errorf("%v, %d requests, want %d", err, len(srv.Requests()), want)
				}
				if age := handshakeAge(t, client); age != 0 {
					t.Errorf("the next handshake is signed %v too early", age)
				}
			})
		})
	}
}

// TestDatesOfAProxy: one on the way puts a Date of its own into every other answer.
// No session is given up for it, however many there are.
func TestDatesOfAProxy(t *testing.T) {
	for _, sessions := range []int{1, 4, 32} {
		synctest.Test(t, func(t *testing.T) {
			srv := ssmresumetest.NewPipeServer()
			defer srv.Close()
			cfg := srv.Config()
			var n atomic.Int64
			cfg.HTTPClient = around(cfg.HTTPClient, func() {}, func(resp *http.Response) {
				if n.Add(1)%2 == 0 {
					resp.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
				}
			})
			client := ssmresume.NewFromConfig(cfg)
			var all sync.WaitGroup
			for range sessions {
				all.Go(func() {
					rc := ssmresume.NewReconnector(client, sessionID)
					for range 20 {
						if _, err := rc.Resume(t.Context()); err != nil {
							t.Errorf("%d sessions: %v", sessions, err)
							return
						}
						time.Sleep(time.Hour)
					}
				})
			}
			all.Wait()
		})
	}
}

// TestClockPerEndpoint: what one endpoint's clock says is that endpoint's.
func TestClockPerEndpoint(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	other := ssmresumetest.NewServer()
	defer other.Close()
	other.SetClockOffset(time.Hour)
	client := ssmresume.NewFromConfig(srv.Config())
	there := func(o *ssmresume.Options) { o.BaseEndpoint = aws.String(other.URL()) }
	for call, want := range []int{2, 3} {
		if _, err := client.ResumeSession(t.Context(), input, there); err != nil || len(other.Requests()) != want {
			t.Errorf("call %d there: %v, %d requests, want %d", call, err, len(other.Requests()), want)
		}
		if age := handshakeAge(t, client); age != 0 {
			t.Errorf("call %d there: the handshake here is signed for %v from now", call, -age)
		}
		if _, err := client.ResumeSession(t.Context(), input); err != nil || len(srv.Requests()) != call+1 {
			t.Errorf("call %d here: %v, %d requests", call, err, len(srv.Requests()))
		}
	}
}

// TestRenewedKeysAndClock: new keys are signed with by the clock that the answer
// about the old ones has put right.
func TestRenewedKeysAndClock(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	old := aws.Credentials{AccessKeyID: "ASIAOLD", SecretAccessKey: "old", SessionToken: "oldtoken"}
	good := aws.Credentials{AccessKeyID: "ASIANEW", SecretAccessKey: "new", SessionToken: "newtoken"}
	srv.SetCredentials(good, old)
	srv.ExpireCredentials(old.AccessKeyID)
	srv.SetClockOffset(10 * time.Minute)
	srv.SetRespond(first(1, ssmresumetest.Fail(403, "InvalidSignatureException", "Signature expired")))
	cfg := srv.Config()
	cfg.Credentials = &cache{current: old, next: good}
	if _, err := ssmresume.NewFromConfig(cfg).ResumeSession(t.Context(), input); err != nil || len(srv.Requests()) != 3 {
		t.Errorf("%v, %d requests, want 3: the clock, the keys, the answer", err, len(srv.Requests()))
	}
}

// TestDatesOfRefusals: only an answer that blames the time says what the time is. A
// refusal for another reason is not asked again for its Date, nor learned from.
func TestDatesOfRefusals(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, 2 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			srv := ssmresumetest.NewPipeServer()
			defer srv.Close()
			refusal := ssmresumetest.Fail(400, "ValidationException", "")
			refusal.Header.Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
			srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return refusal })
			client := ssmresume.NewFromConfig(srv.Config())
			if _, err := client.ResumeSession(t.Context(), input); err == nil || len(srv.Requests()) != 1 {
				t.Errorf("%v: %v, %d requests, want 1", ahead, err, len(srv.Requests()))
			}
			if age := handshakeAge(t, client); age != 0 {
				t.Errorf("%v: the next handshake is signed %v too early", ahead, age)
			}
		})
	}
}
