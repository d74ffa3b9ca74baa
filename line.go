package ssmresume

import (
	"slices"
	"sync"
	"time"
)

// leastRest is the shortest limit of a rest, however many wait.
const leastRest = 100 * time.Millisecond

// A line is where the Reconnectors of a client wait that is throttled: the service
// counts an account's calls, and a thousand sessions that each ask for themselves
// are a herd to themselves. After a rest one of them asks. If it gets an answer, two
// more ask, and so on until the next refusal, which has all of them rest again. So
// they take what the service gives, whatever that is, and few calls more.
type line struct {
	mu       sync.Mutex
	waiting  []chan struct{} // closed when it is that one's turn
	rest     *time.Timer     // nil while nobody rests
	until    time.Time
	why      error // the refusal
	refusals int   // rests in a row with one answer between them at most
	answers  int   // since the last rest
}

// An outcome is what became of an attempt that was not throttled.
type outcome int

const (
	unmade    outcome = iota // or ctx ended it
	unreached                // no answer: each is better off by itself
	answered
)

// closed returns how long the client rests and why, while others wait.
func (l *line) closed() (left time.Duration, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rest == nil && len(l.waiting) == 0 {
		return 0, nil
	}
	return max(time.Until(l.until), 0), l.why
}

// join returns what is closed when it is the caller's turn, or nil if it is now. Who
// had a turn has to tell what came of it.
func (l *line) join() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rest == nil && len(l.waiting) == 0 {
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
	} else if l.rest == nil {
		l.next(1) // it had come
	}
}

// tell says what came of an attempt.
func (l *line) tell(o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o == answered {
		l.answers++
	}
	if l.rest != nil {
		return // the attempt was under way when the rest began
	}
	switch o {
	case unmade:
		l.next(1)
	case unreached:
		l.next(len(l.waiting))
	case answered:
		l.next(2)
	}
}

// refused begins a rest, unless one goes on. How long it is is made of how many wait,
// and how often in a row they were refused.
func (l *line) refused(why error, length func(waiting, refusals int) time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.why = why
	if l.rest != nil {
		return
	}
	if l.answers > 1 {
		l.refusals = 0
	}
	rest := length(len(l.waiting)+1, l.refusals)
	l.until = time.Now().Add(rest)
	l.rest = time.AfterFunc(rest, l.rested)
	l.refusals++
	l.answers = 0
}

func (l *line) rested() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = nil
	l.next(1)
}

// next gives n their turn.
func (l *line) next(n int) {
	for _, turn := range l.waiting[:min(n, len(l.waiting))] {
		close(turn)
	}
	l.waiting = l.waiting[min(n, len(l.waiting)):]
}
