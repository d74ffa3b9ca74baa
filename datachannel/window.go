package datachannel

import (
	"slices"
	"time"
)

const (
	firstRTO = 200 * time.Millisecond // as both real peers begin
	maxRTO   = 2 * time.Second

	// An agent before 3.2.1041.0 acknowledges no message twice. One that has been
	// sent so often on a channel, over some 11 s, while later ones were
	// acknowledged, has arrived: only its acknowledgement was lost.
	surelyArrived = 8
)

// A frame is one numbered message to the agent. Its bytes are kept as they were
// first sent: to number or encrypt a message anew would make it another one.
type frame struct {
	number  int64
	bytes   []byte
	sent    time.Time // last, on this channel; zero: not yet
	repeats int       // on this channel
	done    bool      // acknowledged, or given up
}

// A window holds what the agent has not acknowledged, and says what to send
// next. It knows no clock and no channel: the caller tells the time, and when
// the channel is another one.
type window struct {
	next    int64 // number of the next new message
	bytes   int   // of all that is not acknowledged
	pending map[int64]*frame
	all     queue // of pending, by number

	fresh    queue // not sent on this channel, by number
	lost     queue // to be sent again
	flight   queue // sent once on this channel, in that order
	repeated []*frame
	repeatAt time.Time // no message in repeated is due before

	reacks       bool // the agent is known to acknowledge what it gets twice
	highestAcked int64
	newestAcked  time.Time // when the latest message that is acknowledged was sent
	lastProgress time.Time // when the last acknowledgement came
	waitingSince time.Time // how long there has been something under way on this channel
	rtt          rtt
	backoff      int // doublings of the retransmission time-out since then
	repeats      int // ever, for Stats
}

func newWindow() *window {
	return &window{pending: map[int64]*frame{}, highestAcked: -1}
}

// add queues a new message. A number that is pending already is the same
// message: a client's own repeat.
func (w *window) add(number int64, bytes []byte) {
	w.next = max(w.next, number+1)
	if _, ok := w.pending[number]; ok {
		return
	}
	f := &frame{number: number, bytes: bytes}
	w.pending[number] = f
	w.bytes += len(bytes)
	w.all.push(f)
	w.fresh.push(f)
}

// rewind is called when there is another channel: all that is not acknowledged
// is to be sent on it, in order.
func (w *window) rewind() {
	all := w.unacknowledged()
	for _, f := range all {
		if !f.sent.IsZero() {
			w.repeats++
		}
		f.sent, f.repeats = time.Time{}, 0
	}
	w.fresh, w.lost, w.flight, w.repeated = queue{frames: all}, queue{}, queue{}, nil
	w.newestAcked, w.waitingSince, w.backoff = time.Time{}, time.Time{}, 0
}

// take returns the message to be sent now, or nil and how long there is none
// if no acknowledgement comes; negative means for ever.
func (w *window) take(now time.Time) (bytes []byte, wait time.Duration) {
	f := w.lost.pop()
	if f == nil {
		f = w.fresh.pop()
	}
	if f == nil {
		wait = w.expire(now)
		if f = w.lost.pop(); f == nil {
			return nil, wait
		}
	}
	if f.sent.IsZero() {
		w.flight.push(f)
	} else {
		f.repeats++
		w.repeats++
		w.repeated = append(w.repeated, f)
		if at := now.Add(w.patience(f.repeats)); at.Before(w.repeatAt) || len(w.repeated) == 1 {
			w.repeatAt = at
		}
	}
	f.sent = now
	if w.waitingSince.IsZero() {
		w.waitingSince = now
	}
	return f.bytes, 0
}

// expire moves to lost what has waited too long, and returns how long until
// there is more.
func (w *window) expire(now time.Time) (wait time.Duration) {
	wait = -1
	// due notes when something is due, and returns whether that is now.
	due := func(at time.Time) bool {
		d := at.Sub(now)
		if d > 0 && (wait < 0 || d < wait) {
			wait = d
		}
		return d <= 0
	}
	if len(w.repeated) > 0 && due(w.repeatAt) {
		w.repeated = slices.DeleteFunc(w.repeated, func(f *frame) bool {
			switch {
			case f.done:
				return true
			case !due(f.sent.Add(w.patience(f.repeats))):
				return false
			case !w.reacks && f.repeats >= surelyArrived && w.highestAcked > f.number && w.lastProgress.After(f.sent):
				w.settle(f)
				return true
			}
			w.lost.push(f)
			return true
		})
		w.repeatAt = now.Add(max(wait, 0))
	}
	// Of what was sent once, only the first is tried: the agent may be slow, and
	// if it has lost more, its acknowledgement of this one will show that.
	if f := w.flight.front(); f != nil {
		since := f.sent
		if w.lastProgress.After(since) {
			since = w.lastProgress
		}
		if due(since.Add(w.patience(w.backoff))) {
			w.backoff++
			w.lost.push(w.flight.pop())
		}
	}
	return wait
}

// patience is how long to wait for an acknowledgement after so many repeats.
func (w *window) patience(repeats int) time.Duration {
	return min(w.rtt.timeout()<<min(repeats, 8), maxRTO)
}

// acknowledge notes that the agent has a message, and finds what it has not:
// messages that were sent clearly before. It reports whether the message was
// waiting for that.
func (w *window) acknowledge(number int64, now time.Time) bool {
	f, ok := w.pending[number]
	if !ok {
		return false
	}
	w.settle(f)
	w.highestAcked = max(w.highestAcked, number)
	w.lastProgress, w.backoff = now, 0
	if f.sent.IsZero() {
		return true // the acknowledgement of an earlier channel's
	}
	took := now.Sub(f.sent)
	switch {
	case f.repeats == 0:
		w.rtt.sample(took)
	case took < w.rtt.least:
		return true // it answers an earlier repeat
	}
	if f.sent.After(w.newestAcked) {
		w.newestAcked = f.sent
	}
	for f := w.flight.front(); f != nil && w.newestAcked.Sub(f.sent) > w.rtt.reordering(); f = w.flight.front() {
		w.lost.push(w.flight.pop())
	}
	return true
}

// settle lets go of a message.
func (w *window) settle(f *frame) {
	f.done = true
	delete(w.pending, f.number)
	w.bytes -= len(f.bytes)
	f.bytes = nil
	if len(w.pending) == 0 {
		w.waitingSince = time.Time{}
	}
}

// late returns how long the agent has acknowledged nothing of what is under way
// on this channel.
func (w *window) late(now time.Time) time.Duration {
	since := w.waitingSince
	if since.IsZero() {
		return 0
	}
	if w.lastProgress.After(since) {
		since = w.lastProgress
	}
	return now.Sub(since)
}

// first returns the number of the first message that is not acknowledged; next
// if all are.
func (w *window) first() int64 {
	if f := w.all.front(); f != nil {
		return f.number
	}
	return w.next
}

// oldest returns when the message was sent that has waited longest on this
// channel; zero if none has.
func (w *window) oldest() time.Time {
	var oldest time.Time
	if f := w.flight.front(); f != nil {
		oldest = f.sent
	}
	for _, f := range w.repeated {
		if !f.done && (oldest.IsZero() || f.sent.Before(oldest)) {
			oldest = f.sent
		}
	}
	return oldest
}

// unacknowledged returns what is pending, by number.
func (w *window) unacknowledged() []*frame {
	return slices.DeleteFunc(slices.Clone(w.all.frames[w.all.head:]), func(f *frame) bool { return f == nil || f.done })
}

// A queue passes over frames that are done.
type queue struct {
	frames []*frame
	head   int
}

func (q *queue) push(f *frame) {
	if q.head > len(q.frames)/2 && q.head > 64 {
		q.frames = slices.Delete(q.frames, 0, q.head)
		q.head = 0
	}
	q.frames = append(q.frames, f)
}

func (q *queue) front() *frame {
	for ; q.head < len(q.frames); q.head++ {
		if f := q.frames[q.head]; !f.done {
			return f
		}
		q.frames[q.head] = nil
	}
	q.head = 0
	if q.frames = q.frames[:0]; cap(q.frames) > 1024 {
		q.frames = nil
	}
	return nil
}

func (q *queue) pop() *frame {
	f := q.front()
	if f != nil {
		q.frames[q.head] = nil
		q.head++
	}
	return f
}

// rtt estimates the round-trip time, as RFC 6298 says. Only messages sent once
// are samples (Karn).
type rtt struct {
	smoothed, variation, least time.Duration
}

func (r *rtt) sample(d time.Duration) {
	if r.smoothed == 0 {
		r.smoothed, r.variation, r.least = d, d/2, d
		return
	}
	r.least = min(r.least, d)
	r.variation += ((r.smoothed - d).Abs() - r.variation) / 4
	r.smoothed += (d - r.smoothed) / 8
}

// timeout is how long an acknowledgement may take.
func (r *rtt) timeout() time.Duration {
	if r.smoothed == 0 {
		return firstRTO
	}
	return min(max(r.smoothed+4*r.variation, firstRTO), maxRTO)
}

// reordering is how much later than another a message may have been sent that
// is acknowledged before it, without the other one being lost.
func (r *rtt) reordering() time.Duration { return max(r.smoothed/4, 10*time.Millisecond) }
