package main

import (
	"bytes"
	"context"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// The herd: all sessions lose their channel within lossWindow, and the service
// answers so many calls a second for each account.
const (
	herdAccounts = 500
	herdLargest  = 5000 // sessions in each of the five largest accounts
	herdRate     = 20   // calls a second
	herdBurst    = 20
	lossWindow   = time.Second
	herdHorizon  = time.Hour // when a herd is no longer waited for
)

// accountSizes shares n sessions out over the accounts: five have the largest
// share, the others fall off by a power of their rank, so that most are small.
// For 100,000 sessions the five have 5,000 each.
func accountSizes(n int) []int {
	const top, whole = 5, 100_000
	share := func(exponent float64) []float64 {
		s := make([]float64, herdAccounts)
		for i := range s {
			s[i] = herdLargest * math.Pow(max(float64(i+1)/top, 1), -exponent)
		}
		return s
	}
	sum := func(v []float64) (s float64) {
		for _, x := range v {
			s += x
		}
		return s
	}
	low, high := 0.5, 3.0
	for range 60 {
		if mid := (low + high) / 2; sum(share(mid)) > whole {
			low = mid
		} else {
			high = mid
		}
	}
	// Rounding the running sum keeps the total.
	var sizes []int
	var running float64
	given := 0
	for _, x := range share(low) {
		running += x * float64(n) / whole
		sizes = append(sizes, int(math.Round(running))-given)
		given += sizes[len(sizes)-1]
	}
	return sizes
}

// quota is the service's token bucket for one account.
type quota struct {
	tokens float64
	last   time.Duration // since the herd's start
	calls  int
}

func newQuota() quota { return quota{tokens: herdBurst} }

// take counts a call and reports whether it is served.
func (q *quota) take(now time.Duration) bool {
	q.calls++
	q.tokens = min(herdBurst, q.tokens+herdRate*(now-q.last).Seconds())
	q.last = now
	if q.tokens < 1 {
		return false
	}
	q.tokens--
	return true
}

// account is an HTTPClient that answers from memory, as the service does for the
// sessions of one account.
type account struct {
	begin time.Time
	mu    sync.Mutex
	quota quota
}

func (a *account) take() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.quota.take(time.Since(a.begin))
}

var (
	answerHeader = http.Header{
		"Content-Type":     {"application/x-amz-json-1.1"},
		"X-Amzn-Requestid": {"74d66468-126a-5db3-b534-99287bbca9e0"},
	}
	resumedBody = []byte(`{"SessionId":"` + sessionID + `","StreamUrl":"wss://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/` + sessionID +
		`?role=publish_subscribe&cell-number=AAEAAVbT+saOnyvcUoNG/ifbv5r==","TokenValue":"` + strings.Repeat("AAEAAVbT+/", 70) + `"}`)
	throttledBody = []byte(`{"__type":"ThrottlingException","message":"Rate exceeded"}`)
)

func (a *account) Do(req *http.Request) (*http.Response, error) {
	status, body := http.StatusOK, resumedBody
	if !a.take() {
		status, body = http.StatusBadRequest, throttledBody
	}
	return &http.Response{
		StatusCode:    status,
		Header:        answerHeader,
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       req,
	}, nil
}

// herdResult is how a herd fared. Times count from the start of the second in
// which the channels are lost.
type herdResult struct {
	policy   string
	sessions int
	calls    int
	back     []time.Duration // sorted
	lost     int
	waiting  int           // at the horizon
	wall     time.Duration // what it cost here
	memory   uint64        // bytes of a session that waits, its client included; 0 if it was not measured
}

// backAt returns when the given share of all sessions was back.
func (h herdResult) backAt(share float64) (time.Duration, bool) {
	n := int(math.Ceil(share * float64(h.sessions)))
	if len(h.back) < n {
		return 0, false
	}
	return h.back[n-1], true
}

// A starter is called for an account, and what it returns for each of its sessions.
type starter func(aws.Config) func() call

// alone has each session have a client of its own, as in a program of its own.
func (p policy) alone(cfg aws.Config) func() call {
	return func() call {
		_, resume := p.start(cfg)
		return resume
	}
}

// runHerd runs a policy's real code for every session on a fake clock.
func runHerd(t *testing.T, r *rand.Rand, sizes []int, policy string, start starter) herdResult {
	res := herdResult{policy: policy}
	for _, n := range sizes {
		res.sessions += n
	}
	before := bytesInUse()
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), herdHorizon)
		defer cancel()
		begin := time.Now()
		var mu sync.Mutex
		var wg sync.WaitGroup
		var accounts []*account
		for _, n := range sizes {
			a := &account{begin: begin, quota: newQuota()}
			accounts = append(accounts, a)
			session := start(aws.Config{Region: "us-east-2", Credentials: aws.AnonymousCredentials{}, HTTPClient: a})
			for range n {
				resume := session()
				loss := time.Duration(r.Int64N(int64(lossWindow)))
				wg.Go(func() {
					time.Sleep(loss)
					err := resume(ctx)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						res.back = append(res.back, time.Since(begin))
					case ctx.Err() != nil:
						res.waiting++
					default:
						res.lost++
					}
				})
			}
		}
		time.Sleep(lossWindow)
		mu.Lock()
		if n := res.sessions - len(res.back) - res.lost; n >= enoughToMeasure {
			res.memory = (bytesInUse() - before) / uint64(n)
		}
		mu.Unlock()
		wg.Wait()
		for _, a := range accounts {
			res.calls += a.quota.calls
		}
	})
	res.wall = time.Since(began)
	slices.Sort(res.back)
	return res
}

// enoughToMeasure is how many sessions must wait for their memory to stand out.
const enoughToMeasure = 1000

func bytesInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
