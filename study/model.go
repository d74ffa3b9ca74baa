package main

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"
)

// A herd of 100,000 sessions makes millions of calls, at 60 µs (ours) to 170 µs
// (the SDK's) each. The model makes them in a fraction of that: it knows only the
// waits of each policy after a ThrottlingException. TestHerdModel holds it to the
// real code.

// waits returns the wait after each throttled call, until the policy gives up.
type waits func() (wait time.Duration, goOn bool)

func upTo(r *rand.Rand, d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }

// reconnectorModel is spread in pace.go.
func reconnectorModel(maxServiceWait time.Duration) func(*rand.Rand) waits {
	const defaultMaxDelay, first, factor = 25 * time.Second, time.Second, 4
	if maxServiceWait == 0 {
		maxServiceWait = defaultMaxDelay
	}
	return func(r *rand.Rand) waits {
		window := min(first, maxServiceWait)
		return func() (time.Duration, bool) {
			wait := window/4 + upTo(r, window-window/4)
			window = min(factor*window, maxServiceWait)
			return wait, true
		}
	}
}

// The SDK's retry.Standard for throttling errors.
const (
	sdkTries      = 3
	sdkBase       = time.Second // doubles, and is multiplied by a random number below 1
	sdkTokens     = 500         // of a client
	sdkRetryPrice = 5           // given back only by a success
)

func sdkOnceModel(r *rand.Rand) waits {
	failures := 0
	return func() (time.Duration, bool) {
		failures++
		return upTo(r, sdkBase<<(failures-1)), failures < sdkTries
	}
}

func sdkTunedModel(r *rand.Rand) waits {
	failures, tokens := 0, sdkTokens
	return func() (time.Duration, bool) {
		failures++
		if failures == sdkTries || tokens < sdkRetryPrice {
			failures = 0
			return tunedPause, true
		}
		tokens -= sdkRetryPrice
		return upTo(r, sdkBase<<(failures-1)), true
	}
}

func plugin12Model(r *rand.Rand) waits {
	tries, betweenCalls := 0, plugin13Model(r)
	return func() (time.Duration, bool) {
		tries++
		if tries < pluginTries {
			return 1 << (tries - 1) * (pluginTryDelay + upTo(r, pluginTryJitter)), true
		}
		tries = 0
		return betweenCalls()
	}
}

func plugin13Model(r *rand.Rand) waits {
	calls, delay := 0, pluginFirstDelay+upTo(r, pluginFirstDelay)
	return func() (time.Duration, bool) {
		calls++
		wait := delay
		delay *= 2
		return wait, calls <= pluginRetries
	}
}

// modelHerd is runHerd by the policy's model.
func modelHerd(r *rand.Rand, sizes []int, p policy) herdResult {
	res := herdResult{policy: p.name}
	start := time.Now()
	for _, n := range sizes {
		res.sessions += n
		q := newQuota()
		var calls callQueue
		for range n {
			calls = append(calls, nextCall{upTo(r, lossWindow), p.model(r)})
		}
		heap.Init(&calls)
		for len(calls) > 0 {
			now := calls[0].at
			if now >= herdHorizon {
				res.waiting += len(calls)
				break
			}
			if q.take(now) {
				res.back = append(res.back, now)
				heap.Pop(&calls)
				continue
			}
			wait, goOn := calls[0].waits()
			if !goOn {
				res.lost++
				heap.Pop(&calls)
				continue
			}
			calls[0].at += wait
			heap.Fix(&calls, 0)
		}
		res.calls += q.calls
	}
	slices.Sort(res.back)
	res.wall = time.Since(start)
	return res
}

// nextCall is a session that has yet to come back.
type nextCall struct {
	at    time.Duration
	waits waits
}

// callQueue has the earliest call first.
type callQueue []nextCall

func (q callQueue) Len() int           { return len(q) }
func (q callQueue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q callQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *callQueue) Push(x any)        { *q = append(*q, x.(nextCall)) }
func (q *callQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
