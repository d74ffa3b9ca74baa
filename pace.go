package ssmresume

import (
	"errors"
	"math/rand/v2"
	"time"
)

const (
	minNetworkWait = 50 * time.Millisecond
	// 0.25 s would bring a session back 0.2 s sooner (median) for four times the
	// connects; 5 s saves connects that cost next to nothing, and costs a second
	// (study/results/sweep.csv).
	defaultMaxNetworkWait = time.Second

	minServiceWait = time.Second
	// In a herd of 100,000 that is throttled, each with a client of its own, 10 s would
	// have all sessions back 4 % sooner for 1.7 times the calls, and a minute would save
	// a quarter of them and take 9 % longer. With 10 s, 10,000 sessions would be back
	// after 31 s, not 43 s, for 5 % more calls; but the more a service is overloaded, the
	// more calls count (study/results/sweep.csv). Why no limit is best for all herds:
	// study/README.md.
	defaultMaxServiceWait = 25 * time.Second

	maxRetryAfter  = time.Minute          // of what the service asks for
	longestMaxWait = 365 * 24 * time.Hour // so that no sum overflows
)

// A pace says how long a Reconnector waits before its next attempt, and why. It
// outlives Resume: what a ctx cuts off is still owed, and what passes outside
// Resume is not waited twice.
type pace struct {
	maxNetwork, maxService time.Duration

	answers  int           // since the backoff started over
	lasts    time.Duration // the backoff, counted from since
	failures int           // of the network, in a row

	// The wait that is owed.
	why     error
	since   time.Time // by the wall clock
	delay   time.Duration
	endable bool // by ReconnectorOptions.Wake
}

// ErrChannelDropped is [Wait].Err where an attempt is put off because the data
// channel was lost within 25 s of the last Resume (MaxServiceWait, if that is less).
// Now and then that happens to anybody. If it goes on, whoever dials the channel is at fault, or
// another client resumes the same session.
var ErrChannelDropped = errors.New("ssmresume: the data channel was lost soon after the session had been resumed")

// begin returns what is left of the wait that an earlier Resume owes.
func (p *pace) begin() time.Duration {
	p.failures = 0
	now := wallClock()
	if p.since.After(now) {
		p.since = now // the clock was set back
	}
	passed := now.Sub(p.since)
	if passed >= p.lasts {
		p.answers = 0
	}
	return max(p.delay-passed, 0)
}

// afterAnswer spares who gave an answer that was no success.
func (p *pace) afterAnswer(why error, asked time.Duration) time.Duration {
	return p.spread(why, p.maxService, min(asked, maxRetryAfter))
}

// afterThrottling has all sessions of the client rest, and returns what comes on top
// of that: the wait that the service has asked of this one, or that it has a long
// MaxServiceWait for, which the others may not have. There may be others who call, too:
// the rest is the shorter the more sessions wait, so that they ask as often as each
// would by itself.
func (p *pace) afterThrottling(why error, l *line, began time.Time, asked time.Duration) time.Duration {
	asked = min(asked, maxRetryAfter)
	limit := min(p.maxService, defaultMaxServiceWait)
	window := backoff(minServiceWait, 4, p.answers, p.maxService)
	refused := p.answers
	alone := p.afterAnswer(why, asked)
	l.refused(why, began, limit, func(share time.Duration, inARow int) time.Duration {
		shorter := backoff(minServiceWait, 4, min(refused, inARow), share)
		return time.Duration(float64(alone-asked) * float64(shorter) / float64(window))
	})
	if asked == 0 && window <= limit {
		return 0
	}
	return alone
}

// afterSuccess is for a channel that drops at once. A long MaxServiceWait, which is
// meant for a service in trouble, must not put off a session whose channel lived.
func (p *pace) afterSuccess() {
	p.spread(ErrChannelDropped, min(p.maxService, defaultMaxServiceWait), 0)
}

// spread keeps apart the callers that an answer has sent away together, but lets
// none of them come back at once, nor before the time it asked for.
func (p *pace) spread(why error, limit, asked time.Duration) time.Duration {
	window := backoff(minServiceWait, 4, p.answers, limit)
	p.answers++
	p.lasts = limit
	p.failures = 0
	return p.owe(why, window/4+rand.N(window-window/4)+asked, false)
}

// afterBadKeys spreads the sessions of a client over a quarter of the provider's
// rest: the first one asks, and the others see what became of it.
func (p *pace) afterBadKeys(why error, rest time.Duration) time.Duration {
	p.failures = 0
	return p.owe(why, rest+rand.N(rest/4+1), true)
}

// afterSilence counts from the start of the attempt: polling one's own network
// costs nobody anything.
func (p *pace) afterSilence(why error, took time.Duration) time.Duration {
	window := backoff(minNetworkWait, 2, p.failures, p.maxNetwork)
	p.failures++
	return p.owe(why, max(rand.N(window)-took, 0), true)
}

func (p *pace) owe(why error, delay time.Duration, endable bool) time.Duration {
	p.why, p.since, p.delay, p.endable = why, wallClock(), delay, endable
	return delay
}

// end says that nothing is owed any more.
func (p *pace) end() { p.delay = 0 }

// backoff returns first times factor to the n, at most limit.
func backoff(first time.Duration, factor, n int, limit time.Duration) time.Duration {
	d := min(first, limit)
	for ; n > 0 && d < limit; n-- {
		if d > limit/time.Duration(factor) {
			return limit
		}
		d *= time.Duration(factor)
	}
	return d
}

// wallClock goes on while the machine sleeps, unlike the monotonic clock.
func wallClock() time.Time { return time.Now().Round(0) }
