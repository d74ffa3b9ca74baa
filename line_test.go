package ssmresume_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// allows answers as the service does that allows an account 20 calls at once, and 20
// a second, to somebody who is away, and of whose connections some are lost.
func allows(calls *atomic.Int64, away time.Duration, lost float64) func(ssmresumetest.Request) *ssmresumetest.Response {
	const burst = 20
	var mu sync.Mutex
	tokens, last := float64(burst), time.Now()
	return func(ssmresumetest.Request) *ssmresumetest.Response {
		time.Sleep(away / 2)
		defer time.Sleep(away / 2)
		mu.Lock()
		defer mu.Unlock()
		calls.Add(1)
		tokens, last = min(burst, tokens+burst*time.Since(last).Seconds()), time.Now()
		switch {
		case rand.Float64() < lost:
			return ssmresumetest.Reset()
		case tokens < 1:
			return ssmresumetest.Throttle()
		}
		tokens--
		return nil
	}
}

// TestNoHerdToItself: many sessions of one client lose their channels in one second.
// The last is back when the service can serve it, and few calls are made.
func TestNoHerdToItself(t *testing.T) {
	for _, tc := range []struct {
		sessions int
		away     time.Duration // there and back
		lost     float64
		calls    float64 // of each session
	}{
		{10, 50 * time.Millisecond, 0, 1},
		{100, 50 * time.Millisecond, 0, 2.5},
		{1000, 50 * time.Millisecond, 0, 2.5},
		{3000, 50 * time.Millisecond, 0, 2.5},
		{1000, 500 * time.Millisecond, 0, 2.7},
		{1000, 2 * time.Second, 0, 3.3},
		{1000, 50 * time.Millisecond, 0.1, 2.5},
	} {
		t.Run(fmt.Sprint(tc.sessions, tc.away, tc.lost), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, client, _ := outage(t)
				var made atomic.Int64
				srv.SetRespond(allows(&made, tc.away, tc.lost))
				begin := time.Now()
				var wg sync.WaitGroup
				for i := range tc.sessions {
					wg.Go(func() {
						time.Sleep(rand.N(time.Second))
						if _, err := ssmresume.NewReconnector(client, fmt.Sprint("ana-", i)).Resume(t.Context()); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				took, each := time.Since(begin), float64(made.Load())/float64(tc.sessions)
				limit := time.Duration(tc.sessions-20) * time.Second / 20
				t.Logf("all are back after %v, the service allows %v; %.2f calls each", took, limit, each)
				if longest := limit*115/100 + 2*time.Second + 2*tc.away; took > longest || each > tc.calls {
					t.Errorf("want at most %v and %v calls each", longest, tc.calls)
				}
			})
		})
	}
}

// TestTurns: those who come while the client is throttled make no call before it is
// their turn, and are told why.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, _ := outage(t)
		var throttled atomic.Bool
		throttled.Store(true)
		srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
			if throttled.Load() {
				return ssmresumetest.Throttle()
			}
			return nil
		})
		var back sync.WaitGroup
		resume := func(session string, told func(ssmresume.Wait)) {
			back.Go(func() {
				rc := ssmresume.NewReconnector(client, session, func(o *ssmresume.ReconnectorOptions) { o.OnWait = told })
				if _, err := rc.Resume(t.Context()); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		resume("ana-first", nil)
		same(t, "calls of the first", 1, len(srv.Requests()))
		for i := range 20 {
			var waits int
			resume(fmt.Sprint("ana-", i), func(w ssmresume.Wait) {
				waits++
				var refused *ssmresume.ThrottlingError
				if waits == 1 && (!errors.As(w.Err, &refused) || w.Attempt != 0 || w.Delay <= 0) {
					t.Errorf("told of %+v", w)
				}
			})
			same(t, "waits of a later one", 1, waits)
		}
		same(t, "calls while all rest", 1, len(srv.Requests()))

		other := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) { o.Retryer = aws.NopRetryer{} })
		if _, err := other.ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: "ana-other"}); err == nil {
			t.Error("another client is not throttled")
		}
		same(t, "calls of another client", 2, len(srv.Requests()))

		throttled.Store(false)
		back.Wait()
		same(t, "calls in all", 2+21, len(srv.Requests()))
	})
}

// TestTurnsPassOn: whatever becomes of those whose turn it is, the others get theirs.
func TestTurnsPassOn(t *testing.T) {
	for range 30 {
		synctest.Test(t, func(t *testing.T) {
			srv, client, n := outage(t)
			var throttled atomic.Bool
			srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
				time.Sleep(rand.N(100 * time.Millisecond))
				switch k := rand.N(100); {
				case throttled.Load() && k < 70:
					return ssmresumetest.Throttle()
				case k < 5:
					return ssmresumetest.Fail(400, "DoesNotExistException", "")
				case k < 10:
					return ssmresumetest.Fail(500, "InternalServerError", "")
				case k < 15:
					return ssmresumetest.Reset()
				case k < 20:
					return ssmresumetest.Fail(400, "ExpiredTokenException", "")
				}
				return nil
			})
			throttled.Store(true)
			var wg sync.WaitGroup
			for i := range 60 {
				wg.Go(func() {
					rc := ssmresume.NewReconnector(client, fmt.Sprint("ana-", i))
					for range 5 {
						ctx, cancel := context.WithTimeout(t.Context(), rand.N(time.Minute))
						rc.Resume(ctx)
						cancel()
						time.Sleep(rand.N(time.Second))
					}
				})
			}
			for _, state := range []string{"refused", "up", "silent", "up"} {
				time.Sleep(rand.N(20 * time.Second))
				n.set(state)
			}
			wg.Wait()
			throttled.Store(false)
			srv.SetRespond(nil)
			time.Sleep(time.Minute)
			begin := time.Now()
			if _, err := ssmresume.NewReconnector(client, sessionID).Resume(t.Context()); err != nil || time.Since(begin) > 0 {
				t.Errorf("%v after %v: somebody's turn was lost", err, time.Since(begin))
			}
		})
	}
}

// TestTurnsGrow: once the client is throttled no more, or reaches nobody, those who
// wait are soon through.
func TestTurnsGrow(t *testing.T) {
	for name, then := range map[string]*ssmresumetest.Response{"answers": nil, "resets": ssmresumetest.Reset()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, client, _ := outage(t)
				var asked sync.Map
				var late atomic.Int64
				over := time.Now().Add(time.Minute)
				srv.SetRespond(func(r ssmresumetest.Request) *ssmresumetest.Response {
					time.Sleep(time.Second)
					switch {
					case time.Now().Before(over):
						return ssmresumetest.Throttle()
					case time.Since(over) > 12*time.Second:
						return nil
					}
					if _, again := asked.LoadOrStore(r.SessionID, true); !again && time.Since(over) > 8*time.Second {
						late.Add(1)
					}
					return then
				})
				var all sync.WaitGroup
				for i := range 500 {
					all.Go(func() {
						if _, err := ssmresume.NewReconnector(client, fmt.Sprint("ana-", i)).Resume(t.Context()); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
				same(t, "sessions that have not asked 8 s later", 0, late.Load())
			})
		})
	}
}

// TestTurnIsLost: the others wait neither for one that hangs in its turn, nor for one
// that never tells what came of it.
func TestTurnIsLost(t *testing.T) {
	for name, lose := range map[string]func(){
		"hangs": func() { time.Sleep(time.Hour) },
		"exits": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := ssmresumetest.NewPipeServer()
				defer srv.Close()
				cfg := srv.Config()
				var calls atomic.Int64
				client := ssmresume.NewFromConfig(cfg, func(o *ssmresume.Options) {
					o.AttemptTimeout = 2 * time.Hour
					o.HTTPClient = roundTrip(func(req *http.Request) (*http.Response, error) {
						if calls.Add(1) == 2 {
							lose()
						}
						return cfg.HTTPClient.Do(req)
					})
				})
				srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
					if calls.Load() == 1 {
						return ssmresumetest.Throttle()
					}
					return nil
				})
				begin := time.Now()
				var all sync.WaitGroup
				var back atomic.Int64
				for i := range 5 {
					all.Go(func() {
						if _, err := ssmresume.NewReconnector(client, fmt.Sprint("ana-", i)).Resume(t.Context()); err != nil {
							t.Error(err)
						}
						if back.Add(1) == 4 {
							between(t, "four of five are back after", time.Since(begin), 0, 26*time.Second)
						}
					})
					synctest.Wait()
				}
				all.Wait()
				if back.Load() < 4 {
					t.Errorf("%d are back", back.Load())
				}
			})
		})
	}
}

// TestOneIsThrottled: where the service throttles one session for ever, and not the
// account, the others do not wait for it.
func TestOneIsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, _ := outage(t)
		srv.SetRespond(func(r ssmresumetest.Request) *ssmresumetest.Response {
			if r.SessionID == "ana-throttled" {
				return ssmresumetest.Throttle()
			}
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		var one sync.WaitGroup
		one.Go(func() { ssmresume.NewReconnector(client, "ana-throttled").Resume(ctx) })
		var waited time.Duration
		for i := range 60 {
			time.Sleep(10 * time.Second)
			begin := time.Now()
			if _, err := ssmresume.NewReconnector(client, fmt.Sprint("ana-", i)).Resume(ctx); err != nil {
				t.Error(err)
			}
			waited += time.Since(begin)
		}
		between(t, "60 others have waited", waited, 0, 3*time.Minute) // one that comes right after a refusal has to
		cancel()
		one.Wait()
	})
}

// TestPatienceOfAnother: MaxServiceWait is for the session that has it.
func TestPatienceOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, _ := outage(t)
		var throttled atomic.Bool
		throttled.Store(true)
		srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
			if throttled.Load() {
				return ssmresumetest.Throttle()
			}
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		resume := func(session string, longest time.Duration) {
			all.Go(func() {
				_, err := ssmresume.NewReconnector(client, session, func(o *ssmresume.ReconnectorOptions) {
					o.MaxServiceWait = longest
					o.OnWait = func(w ssmresume.Wait) { between(t, session+"'s wait", w.Delay, 0, longest) }
				}).Resume(ctx)
				if (err != nil) != (session == "ana-patient") {
					t.Errorf("%s: %v", session, err)
				}
				cancel()
			})
		}
		resume("ana-patient", 365*24*time.Hour)
		time.Sleep(3 * 24 * time.Hour)
		if n := len(srv.Requests()); n > 12 {
			t.Errorf("the patient one has made %d calls", n)
		}
		resume("ana-usual", 25*time.Second)
		time.Sleep(time.Hour)
		throttled.Store(false)
		begin := time.Now()
		all.Wait()
		between(t, "back after", time.Since(begin), 0, 25*time.Second)
	})
}
