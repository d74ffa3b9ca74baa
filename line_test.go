package ssmresume_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
// a second, to somebody who is 50 ms away.
func allows(calls *atomic.Int64) func(ssmresumetest.Request) *ssmresumetest.Response {
	const burst = 20
	var mu sync.Mutex
	tokens, last := float64(burst), time.Now()
	return func(ssmresumetest.Request) *ssmresumetest.Response {
		time.Sleep(50 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		calls.Add(1)
		tokens, last = min(burst, tokens+burst*time.Since(last).Seconds()), time.Now()
		if tokens < 1 {
			return ssmresumetest.Throttle()
		}
		tokens--
		return nil
	}
}

// TestNoHerdToItself: many sessions of one client lose their channels in one second.
// The last is back when the service can serve it, and few calls are made.
func TestNoHerdToItself(t *testing.T) {
	for sessions, calls := range map[int]float64{10: 1, 100: 2.5, 1000: 2.5, 3000: 2.5} {
		t.Run(fmt.Sprint(sessions), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, client, _ := outage(t)
				var made atomic.Int64
				srv.SetRespond(allows(&made))
				begin := time.Now()
				var wg sync.WaitGroup
				for i := range sessions {
					wg.Go(func() {
						time.Sleep(rand.N(time.Second))
						if _, err := ssmresume.NewReconnector(client, fmt.Sprint("ana-", i)).Resume(t.Context()); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				took, each := time.Since(begin), float64(made.Load())/float64(sessions)
				limit := time.Duration(sessions-20) * time.Second / 20
				t.Logf("%d sessions are back after %v, the service allows %v; %.2f calls each", sessions, took, limit, each)
				if longest := limit*115/100 + 2*time.Second; took > longest || each > calls {
					t.Errorf("want at most %v and %v calls each", longest, calls)
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
