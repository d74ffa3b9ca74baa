package ssmresume_test

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// TestLongMaxServiceWait: it is for a service in trouble, and does not put off a
// session that is healthy.
func TestLongMaxServiceWait(t *testing.T) {
	for _, longest := range []time.Duration{2 * time.Hour, 1000 * time.Hour, math.MaxInt64} {
		year := min(longest, 365*24*time.Hour) // more is as much
		synctest.Test(t, func(t *testing.T) {
			srv, client, n := outage(t)
			var waits []ssmresume.Wait
			rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
				o.MaxServiceWait, o.MaxNetworkWait = longest, longest
				o.OnWait = func(w ssmresume.Wait) { waits = append(waits, w) }
			})
			for range 48 {
				time.Sleep(time.Hour)
				if _, err := rc.Resume(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			same(t, "waits of a healthy session", 0, len(waits))

			busy := ssmresumetest.Throttle()
			busy.Header.Set("Retry-After", "3600")
			for _, trouble := range []string{"throttled", "refused"} {
				waits = nil
				if trouble == "throttled" {
					srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return busy })
				} else {
					n.set(trouble)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*year)
				if _, err := rc.Resume(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				cancel()
				for _, w := range waits {
					between(t, trouble, w.Delay, 0, math.MaxInt64)
				}
				if trouble == "throttled" {
					between(t, "the last wait", waits[len(waits)-1].Delay, year/4, year+time.Minute)
				}
			}
		})
	}
}

// TestBackoffOutlivesResume: a caller that gives each Resume little time does not
// have it start over while MaxServiceWait has not passed.
func TestBackoffOutlivesResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, _ := outage(t)
		srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return ssmresumetest.Throttle() })
		rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) { o.MaxServiceWait = 2 * time.Hour })
		for begin := time.Now(); time.Since(begin) < 12*time.Hour; {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			rc.Resume(ctx)
			cancel()
		}
		// 1 s, 4 s, ... 1024 s, 4096 s and 2 h, of each a quarter at least.
		if n := len(srv.Requests()); n > 7+24+1 {
			t.Errorf("%d requests in 12 hours", n)
		}
	})
}

// TestBackoffStartsOver once MaxServiceWait has passed since the last return, and
// not before.
func TestBackoffStartsOver(t *testing.T) {
	for lived, want := range map[time.Duration][2]time.Duration{
		24 * time.Second: {6250 * time.Millisecond, 25 * time.Second},
		25 * time.Second: {250 * time.Millisecond, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, client, _ := outage(t)
			rc := ssmresume.NewReconnector(client, sessionID)
			resume := func() time.Duration {
				begin := time.Now()
				if _, err := rc.Resume(t.Context()); err != nil {
					t.Fatal(err)
				}
				return time.Since(begin)
			}
			for range 3 {
				resume()
			}
			time.Sleep(lived)
			same(t, "the wait of a channel that lived", 0, resume())
			between(t, "the next wait", resume(), want[0], want[1])
		})
	}
}

// TestNetworkFailuresCountAnew after an answer: the network has been there.
func TestNetworkFailuresCountAnew(t *testing.T) {
	for name, answer := range map[string]*ssmresumetest.Response{
		"throttled":    ssmresumetest.Throttle(),
		"keys refused": ssmresumetest.Fail(400, "ExpiredTokenException", ""),
		"success":      nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			srv, client, n := outage(t)
			srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return answer })
			n.set("refused")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			failed, answered := 0, answer == nil
			var after time.Duration
			rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
				o.MaxNetworkWait = time.Hour
				o.OnWait = func(w ssmresume.Wait) {
					switch {
					case errors.Is(w.Err, ssmresume.ErrChannelDropped):
					case failed < 12:
						if failed++; failed == 12 {
							n.set("up")
						}
					case !answered:
						answered = true
						n.set("refused")
					default:
						after = w.Delay
						cancel()
					}
				}
			})
			if _, err := rc.Resume(ctx); answer == nil {
				if err != nil {
					t.Fatal(err)
				}
				n.set("refused")
				rc.Resume(ctx)
			}
			between(t, name+": the first wait for the network after an answer", after, 0, 50*time.Millisecond)
		})
	}
}

// TestOwedByTheWallClock, which goes on while the machine sleeps. (Within a bubble
// no time has a monotonic reading.)
func TestOwedByTheWallClock(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	rc := ssmresume.NewReconnector(ssmresume.NewFromConfig(srv.Config()), sessionID)
	if _, err := rc.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if since := ssmresume.OwedSince(rc); since != since.Round(0) {
		t.Errorf("%v has a monotonic reading", since)
	}
}

// TestNothingHangs: no bound for an attempt is none for a call only.
func TestNothingHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := ssmresumetest.NewPipeServer()
		defer srv.Close()
		srv.SetRespond(first(1, ssmresumetest.Hang()))
		client := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) { o.AttemptTimeout = -1 })
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begin := time.Now()
		if _, err := ssmresume.NewReconnector(client, sessionID).Resume(ctx); err != nil {
			t.Error(err)
		}
		between(t, "back", time.Since(begin), 10*time.Second, 11*time.Second)
	})
}

// TestWakeIsOneAttempt: each event makes one, at once, and none is lost while an
// attempt runs.
func TestWakeIsOneAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, n := outage(t)
		n.set("refused")
		wake := make(chan struct{}, 1)
		var attempts atomic.Int32
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
				o.MaxNetworkWait, o.Wake = 365*24*time.Hour, wake
				o.OnWait = func(w ssmresume.Wait) { attempts.Store(int32(w.Attempt)) }
			}).Resume(ctx)
		}()
		time.Sleep(365 * 24 * time.Hour) // until waits are long
		for range 5 {
			before := attempts.Load()
			wake <- struct{}{}
			synctest.Wait()
			same(t, "attempts of an event", int32(1), attempts.Load()-before)
		}
		n.set("silent") // an attempt hangs
		wake <- struct{}{}
		synctest.Wait()
		before := attempts.Load()
		n.set("refused")
		wake <- struct{}{}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		same(t, "attempts after one that hung and one for an event meanwhile", int32(2), attempts.Load()-before)
		cancel()
		<-done
	})
}
