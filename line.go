package ssmresume

import (
	"slices"
	"sync"
	"time"
)

// leastRest is the shortest limit of a rest, however many wait, and the shortest time
// until one more asks.
const leastRest = 100 * time.Millisecond

// A line is where the Reconnectors of a client wait that is throttled: the service
// counts an account's calls, and a thousand sessions that each ask for themselves
// are a herd to themselves. After a rest one of them asks. If it gets an answer, two
// more ask, and so on until the next refusal, which has all of them rest again. So
// they take what the service gives, whatever that is, and few calls more.
//
// Where answers are slow to come, one more asks, as often as all would by themselves:
// nobody waits for one that hangs, or that never tells what came of its turn.
type line struct {
	mu       sync.Mutex
	waiting  []chan struct{} // closed when it is that one's turn
	timer    *time.Timer     // runs while somebody waits: the next one's turn
	began    time.Time       // the last rest
	until    time.Time
	newcomer time.Time     // the last one that did not have to wait, or began
	limit    time.Duration // how long one would wait at most that is alone
	why      error         // the refusal
	refusals int           // rests in a row with one answer between them at most
	answers  int           // since the last rest
}

// An outcome is what became of an attempt that was not throttled.
type outcome int

const (
	unmade    outcome = iota // or ctx ended it
	unreached                // no answer
	answered
)

// closed returns how long the client rests and why, while others wait. Now and then
// it lets a newcomer pass: it may be that only one session is throttled.
func (l *line) closed(newcomer bool) (left time.Duration, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open() {
		return 0, nil
	}
	if newcomer && time.Since(l.newcomer) >= leastRest {
		l.newcomer = time.Now()
		return 0, nil
	}
	return l.rest(), l.why
}

// join returns what is closed when it is the caller's turn, or nil if it is now. Who
// had a turn has to tell what came of it.
func (l *line) join() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open() {
		return nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	return turn
}

// leave is for who does not wait for its turn any more.
func (l *line) leave(turn chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.waiting, turn); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	} else {
		l.next(1) // it had come
	}
}

// tell says what came of an attempt.
func (l *line) tell(o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch o {
	case unmade:
		l.next(1)
	case unreached:
		l.next(2) // or a connection lost now and then would have the herd ask
	case answered:
		l.answers++
		l.next(2)
	}
}

// refused begins a rest, unless one goes on, or the attempt was under way when the
// last one began. How long it is is made of the share of one that waits, and how
// often in a row they were refused.
func (l *line) refused(why error, asked time.Time, limit time.Duration, length func(share time.Duration, refusals int) time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.why, l.limit = why, limit
	if l.rest() > 0 || asked.Before(l.began) && len(l.waiting) > 0 {
		return
	}
	if l.answers > 1 {
		l.refusals = 0
	}
	rest := length(l.share(len(l.waiting)+1), l.refusals)
	l.began = time.Now()
	l.until, l.newcomer = l.began.Add(rest), l.began
	l.nextIn(rest)
	l.refusals++
	l.answers = 0
}

// The others are called with mu held.

func (l *line) rest() time.Duration { return max(time.Until(l.until), 0) }

func (l *line) open() bool { return l.rest() == 0 && len(l.waiting) == 0 }

// share is the time from one call to the next, if each of n that wait makes one
// within limit.
func (l *line) share(n int) time.Duration {
	return max(l.limit/time.Duration(n), min(leastRest, l.limit))
}

// next gives n their turn, unless all rest.
func (l *line) next(n int) {
	if l.rest() > 0 {
		return
	}
	n = min(n, len(l.waiting))
	for _, turn := range l.waiting[:n] {
		close(turn)
	}
	l.waiting = l.waiting[n:]
	if len(l.waiting) > 0 {
		l.nextIn(max(l.share(len(l.waiting)), leastRest))
	}
}

func (l *line) nextIn(d time.Duration) {
	if l.timer != nil {
		l.timer.Stop()
	}
	l.timer = time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.next(1)
	})
}
