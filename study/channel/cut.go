package main

import (
	"errors"
	"sync"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// What of k messages is lost before the channel is cut.
const (
	lostInputs = "inputs"
	lostAcks   = "acknowledgements"
)

const (
	speedSpan  = 100 * time.Millisecond // in which a stream shows how fast it is
	speedShare = 0.8                    // of the speed before the cut, that counts as full
)

// A recovery is an upload whose channel is cut while messages are not acknowledged.
type recovery struct {
	subject, lost string
	roundTrip     time.Duration
	want          int           // messages that were to be unacknowledged
	messages      int           // that were
	before        float64       // speed, bytes a second
	away          time.Duration // from the cut to the next channel
	// From the next channel on:
	full   time.Duration // until the stream runs at full speed; -1: it did not
	closed time.Duration // until all of them have arrived; -1: they did not
	waited time.Duration // that it was watched
	got    float64       // share of them that had arrived by then
	err    error         // why it did not go on
}

// recovery measures one. rate is how many bytes a second the subject is given to
// carry, warm how many it carries before the cut, to see how fast it is, and limit
// how long to wait for the speed to be back.
func (l *lab) recovery(s subject, lost string, roundTrip time.Duration, messages int, rate float64, warm int64, limit time.Duration) (r recovery, err error) {
	r = recovery{subject: s.name, lost: lost, roundTrip: roundTrip, want: messages, full: -1, closed: -1}
	p, err := l.start(s, roundTrip, datachanneltest.Options{})
	if err != nil {
		return r, err
	}
	defer l.stop(p)
	near, far, err := p.dial()
	if err != nil {
		return r, err
	}
	got := newSink(far, p.exited)
	src := newSource(near)
	defer src.end()
	src.pace(warm, rate)
	if err := got.await(warm, l.stall); err != nil {
		return r, err
	}
	r.before = float64(warm-warm/4) / got.reached(warm).Sub(got.reached(warm/4)).Seconds()
	time.Sleep(roundTrip + 2*speedSpan) // the last acknowledgements

	// A few bytes more for each stream's frames make it about 1,024 a message.
	total := warm + int64(messages)*1000
	c := &counter{next: p.session.Stats().NextInput, lost: lost}
	p.session.SetFilter(c.filter)
	src.allow(total)
	r.messages = c.settle(2*roundTrip + 3*speedSpan)

	opened := p.session.Stats().Opened
	cut := time.Now()
	p.session.Cut()
	p.session.SetFilter(nil)
	for p.session.Stats().Opened == opened {
		if time.Since(cut) > l.stall {
			r.err = errHangs
			return r, nil
		}
		time.Sleep(speedSpan / 500)
	}
	back := time.Now()
	r.away = back.Sub(cut)
	src.pace(1<<50, rate)
	for (r.full < 0 || got.total() < total) && time.Since(back) < limit {
		time.Sleep(speedSpan / 5)
		if r.full >= 0 {
			continue
		}
		if full := got.atSpeed(back, speedSpan, int64(speedShare*r.before*speedSpan.Seconds())); !full.IsZero() {
			r.full = full.Sub(back)
		}
	}
	r.waited = time.Since(back)
	if closed := got.reached(total); !closed.IsZero() {
		r.closed = max(0, closed.Sub(back))
	}
	r.got = min(1, float64(got.total()-warm)/float64(total-warm))
	if r.full < 0 {
		r.err = got.failure(p)
	}
	return r, nil
}

// What becomes of a stream that is not carried to its end.
var (
	errEnds  = errors.New("ends")
	errHangs = errors.New("hangs")
	errSlow  = errors.New("goes on, slower")
)

// failure says why a stream does not go on.
func (s *sink) failure(p *process) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == errWrong {
		return s.err
	}
	select {
	case <-p.exited:
		return errEnds
	default:
	}
	if s.err != nil {
		return errEnds
	}
	if last := s.marks[len(s.marks)-1]; last.bytes > 0 && time.Since(last.at) < time.Second {
		return errSlow
	}
	return errHangs
}

// A counter loses inputs or their acknowledgements, and counts them.
type counter struct {
	lost string

	mu      sync.Mutex
	next    int64 // number of the next new one
	count   int
	changed time.Time
}

func (c *counter) filter(m datachanneltest.Message) datachanneltest.Action {
	input := m.From == datachanneltest.Client && m.Type == "input_stream_data"
	c.mu.Lock()
	if input && m.Number >= c.next {
		c.next = m.Number + 1
		c.count++
		c.changed = time.Now()
	}
	c.mu.Unlock()
	if input && c.lost == lostInputs || c.lost == lostAcks && m.From == datachanneltest.Agent && m.Type == "acknowledge" {
		return datachanneltest.Drop
	}
	return datachanneltest.Deliver
}

// settle returns how many there were, when there have been no new ones for a while.
func (c *counter) settle(quiet time.Duration) int {
	for {
		time.Sleep(quiet / 10)
		c.mu.Lock()
		count, changed := c.count, c.changed
		c.mu.Unlock()
		if count > 0 && time.Since(changed) > quiet {
			return count
		}
	}
}

// A passage is a transfer whose channel is cut several times.
type passage struct {
	subject, direction string
	roundTrip          time.Duration
	cuts               int // that were made
	bytes, arrived     int64
	took               time.Duration
	err                error // why not all arrived
}

func (l *lab) passage(s subject, direction string, roundTrip time.Duration, size int64, cuts int) (r passage, err error) {
	r = passage{subject: s.name, direction: direction, roundTrip: roundTrip, bytes: size}
	// Of output the agent repeats 10 messages a second, so that much may not be
	// under way. The real one never sends more.
	p, err := l.start(s, roundTrip, datachanneltest.Options{OutputPause: time.Millisecond})
	if err != nil {
		return r, err
	}
	defer l.stop(p)
	near, far, err := p.dial()
	if err != nil {
		return r, err
	}
	from, to := ends(direction, near, far)
	got := newSink(to, p.exited)
	src := newSource(from)
	defer src.end()
	begun := time.Now()
	src.allow(size)
	for err == nil && r.cuts < cuts {
		if err = got.await(size*int64(r.cuts+1)/int64(cuts+1), l.stall); err == nil {
			r.cuts++
			p.session.Cut()
		}
	}
	if err == nil {
		err = got.await(size, l.stall)
	}
	r.took, r.arrived = time.Since(begun), got.total()
	if err != nil {
		r.err = got.failure(p)
	}
	return r, nil
}

// A course is how a steady stream goes through an outage.
type course struct {
	subject, direction string
	roundTrip          time.Duration
	rate               float64 // bytes a second that are offered
	from, to           time.Duration
	points             []point // of what came as it was sent
	err                error   // why not all did
}

type point struct {
	after time.Duration // the stream's beginning
	bytes int64
}

func (c course) arrived() int64 { return c.points[len(c.points)-1].bytes }

// An outline says how the outage of a course is.
type outline struct {
	rate     float64
	begin    time.Duration // of the outage
	length   time.Duration
	whole    time.Duration
	interval time.Duration // of the points
}

func (l *lab) course(s subject, direction string, roundTrip time.Duration, o outline) (c course, err error) {
	c = course{subject: s.name, direction: direction, roundTrip: roundTrip, rate: o.rate, from: o.begin, to: o.begin + o.length}
	p, err := l.start(s, roundTrip, datachanneltest.Options{OutputPause: time.Millisecond})
	if err != nil {
		return c, err
	}
	defer l.stop(p)
	defer l.srv.SetNetwork(ssmresumetest.Up)
	near, far, err := p.dial()
	if err != nil {
		return c, err
	}
	from, to := ends(direction, near, far)
	got := newSink(to, p.exited)
	src := newSource(from)
	defer src.end()
	begun := time.Now()
	down, up := false, false
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for now := range tick.C {
		after := now.Sub(begun)
		src.allow(int64(o.rate * min(after, o.whole).Seconds()))
		switch {
		case !down && after >= c.from:
			down = true
			l.srv.SetNetwork(ssmresumetest.Refused)
		case !up && after >= c.to:
			up = true
			l.srv.SetNetwork(ssmresumetest.Up)
		}
		if after >= time.Duration(len(c.points))*o.interval {
			c.points = append(c.points, point{after, got.total()})
		}
		if after >= o.whole {
			break
		}
	}
	if offered := int64(o.rate * o.whole.Seconds()); c.arrived() < offered-int64(o.rate) { // a second behind
		c.err = got.failure(p)
	}
	return c, nil
}
