package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume"
)

// A report tells what happens to a session's channel, and sums it up.
type report struct {
	*timeline

	mu       sync.Mutex
	outages  []*outage
	attempts int    // of the Resume that is running
	why      string // it failed last; used by its goroutine only
}

// outage is a time without a channel.
type outage struct {
	cause    string
	cut      time.Time // when the channel stopped working
	over     time.Time // when nothing was in its way any more; zero while something is
	noticed  time.Time // when the client knew that its channel was lost
	resumed  time.Time
	message  time.Time     // the first one after that
	done     chan struct{} // closed then
	attempts int
}

// begin says that an outage begins, which end will end.
func (r *report) begin(cause string) *outage {
	o := &outage{cause: cause, cut: time.Now(), done: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outages = append(r.outages, o)
	return o
}

func (r *report) end(o *outage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.over = time.Now()
}

// lost says that the client knows that its channel is lost.
func (r *report) lost(err error) {
	r.mark(func(c *cell) { c.open, c.lost = false, true })
	if closed := (websocket.CloseError{}); errors.As(err, &closed) {
		r.line("channel lost: closed by the service with %d %q", closed.Code, closed.Reason)
	} else {
		r.line("channel lost: %v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if n := len(r.outages); n == 0 || !r.outages[n-1].noticed.IsZero() { // nobody announced it
		r.outages = append(r.outages, &outage{cause: "other", cut: now, over: now, done: make(chan struct{})})
	}
	r.outages[len(r.outages)-1].noticed = now
}

// waits is an OnWait.
func (r *report) waits(w ssmresume.Wait) {
	r.mark(func(c *cell) { c.tried = true })
	r.mu.Lock()
	r.attempts = w.Attempt
	r.mu.Unlock()
	why := w.Err.Error()
	if opErr := (*net.OpError)(nil); errors.As(w.Err, &opErr) {
		why = opErr.Op + ": " + opErr.Err.Error()
	}
	switch {
	case w.Attempt == 0:
		r.line("waiting %v: %s", w.Delay.Round(time.Millisecond), why)
	case r.drawn && why == r.why: // the drawing shows it
	default:
		r.line("attempt %d failed, next in %v: %s", w.Attempt, w.Delay.Round(time.Millisecond), why)
	}
	r.why = why
}

func (r *report) resumed() {
	r.mark(func(c *cell) { c.back = true })
	r.mu.Lock()
	attempts := r.attempts + 1
	r.attempts = 0
	for _, o := range r.outages {
		if !o.noticed.IsZero() && o.message.IsZero() {
			o.resumed = time.Now()
			o.attempts += attempts
		}
	}
	r.mu.Unlock()
	r.why = ""
	r.line("resumed at attempt %d: a new token and stream URL", attempts)
}

func (r *report) opened() {
	r.mark(func(c *cell) { c.open = true })
	r.line("channel open")
}

// message says that one has come out of the channel.
func (r *report) message() {
	r.mark(func(c *cell) { c.messageNumber++ })
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.outages {
		if !o.noticed.IsZero() && o.message.IsZero() {
			o.message = time.Now()
			close(o.done)
		}
	}
}

func (r *report) printOutages(w io.Writer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "outage\tlength\tnoticed after\tresumed\tfirst message\tattempts")
	for _, o := range r.outages {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%d\n", o.cause, between(o.cut, o.over), between(o.cut, o.noticed),
			between(o.over, o.resumed), between(o.over, o.message), o.attempts)
	}
	tw.Flush()
	fmt.Fprintln(w, "(resumed and first message: counted from the outage's end)")
}

func between(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%.3f s", to.Sub(from).Seconds())
}
