package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"text/tabwriter"
	"time"

	"github.com/ssmresume/ssmresume/datachannel"
)

// A report tells what happens to a session's channel, and sums it up.
type report struct {
	*timeline

	// With timeline.mu held:
	outages []*outage
	why     string // the last wait was told to be
}

// outage is a time without a channel. What has not happened is zero.
type outage struct {
	cause  string
	cut    time.Time     // when the channel stopped working
	over   time.Time     // when nothing was in its way any more
	lost   time.Time     // when the client knew
	back   time.Time     // when it had another channel
	done   chan struct{} // closed then
	failed int           // attempts
}

func newReport(w io.Writer, total time.Duration) *report {
	return &report{timeline: newTimeline(w, total)}
}

// begin says that an outage begins, and returns what is closed at its end.
func (r *report) begin(cause string) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current().cut = true
	o := &outage{cause: cause, cut: time.Now(), done: make(chan struct{})}
	r.outages = append(r.outages, o)
	return o.done
}

// over says that nothing is in the way of a new channel any more.
func (r *report) over() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current().cut = false
	r.outages[len(r.outages)-1].over = time.Now()
}

// event is an OnEvent.
func (r *report) event(e datachannel.Event) {
	if text := r.note(e); text != "" {
		r.line("%s", text)
	}
}

// note notes an event, and returns what there is to say.
func (r *report) note(e datachannel.Event) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, cell := time.Now(), r.current()
	last := &outage{} // where there was none
	if n := len(r.outages); n > 0 {
		last = r.outages[n-1]
	}
	text := string(e.Kind)
	if e.Err != nil {
		text += ": " + why(e.Err)
	}
	switch e.Kind {
	case datachannel.Opened:
		cell.open, cell.back = true, true
	case datachannel.Lost:
		cell.open, cell.lost = false, true
		if len(r.outages) == 0 || !last.lost.IsZero() || !last.back.IsZero() { // nobody announced it
			last = &outage{cause: "other", cut: now, over: now, done: make(chan struct{})}
			r.outages = append(r.outages, last)
		}
		last.lost = now
		r.why = ""
	case datachannel.Waiting:
		if e.Wait.Attempt > 0 || e.Wait.Err == nil { // not a wait before the first
			cell.tried = true
			last.failed++
		}
		if text == r.why {
			return "" // the drawing shows it
		}
		r.why = text
	case datachannel.Resumed:
		cell.open, cell.back = true, true
		if last.back.IsZero() {
			last.back = now
			close(last.done)
		}
		text += fmt.Sprintf(" after %s without a channel", seconds(e.Away))
	case datachannel.Ended:
		cell.open = false
		switch {
		case errors.Is(e.Err, io.EOF):
			return "ended by itself"
		case errors.Is(e.Err, context.Canceled):
			return "left"
		}
	}
	return text
}

// why returns the part of an error that says what happened on the network,
// where there is one: the rest says whom the client wanted to reach.
func why(err error) string {
	if opErr := (*net.OpError)(nil); errors.As(err, &opErr) {
		return opErr.Error()
	}
	return err.Error()
}

// output says that something has come out of the session.
func (r *report) output() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current().lines++
}

func (r *report) printOutages() {
	r.mu.Lock()
	defer r.mu.Unlock()
	tw := tabwriter.NewWriter(r.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\noutage\tlength\tnoticed\tback\tfailed attempts")
	for _, o := range r.outages {
		length := between(o.cut, o.over)
		if o.over.IsZero() {
			length = between(o.cut, time.Now()) + " so far"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\n", o.cause, length, between(o.cut, o.lost), between(o.over, o.back), o.failed)
	}
	tw.Flush()
	fmt.Fprintln(r.w, "(back: counted from the outage's end)")
}

func between(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return "-"
	}
	return seconds(to.Sub(from))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }

// printLines prints what became of the lines, and reports whether each of them
// arrived once.
func (r *report) printLines(typed, printed counts) (ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tw := tabwriter.NewWriter(r.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\nlines\tsent\tsent again\tarrived\tunder way\tlost\ttwice")
	ok = true
	for _, c := range []struct {
		name string
		counts
	}{{"typed", typed}, {"printed", printed}} {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\t%d\t%d\n", c.name, c.sent, c.again, c.arrived, c.underWay(), c.lost, c.twice)
		ok = ok && c.arrived == c.sent && c.lost == 0 && c.twice == 0
	}
	tw.Flush()
	if typed.underWay()+printed.underWay() > 0 {
		fmt.Fprintln(r.w, "(under way: kept at its end until the session is back)")
	}
	return ok
}
