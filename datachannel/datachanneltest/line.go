package datachanneltest

import (
	"sync"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// Bytes that wait for a side that does not read. For the agent it is more: while
// the gateway reads on, it answers a client's pings.
const (
	toClientRoom = 256 << 10
	toAgentRoom  = 8 << 20
	delayedRoom  = 64 << 20 // where there is a delay, since that much may be under way
)

// A parcel is one message on a line.
type parcel struct {
	frame   []byte
	message wire.Message // frame, read
	epoch   int64        // of the channel that it is for; see Session
	due     time.Time    // zero: at once
}

// A line carries messages in one direction between gateway and agent, in order,
// each after the same delay. The delay does not limit how many are under way.
type line struct {
	size    int          // bytes that it holds without a delay
	deliver func(parcel) // may block; called by one goroutine
	wake    chan struct{}

	mu     sync.Mutex
	room   *sync.Cond
	queue  []parcel
	bytes  int // of queue
	delay  time.Duration
	closed bool
}

func newLine(size int, deliver func(parcel)) *line {
	l := &line{size: size, deliver: deliver, wake: make(chan struct{}, 1)}
	l.room = sync.NewCond(&l.mu)
	return l
}

// push never blocks: it is called with locks held. See waitRoom.
func (l *line) push(p parcel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if l.delay > 0 {
		p.due = time.Now().Add(l.delay)
	}
	l.queue = append(l.queue, p)
	l.bytes += len(p.frame)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// waitRoom blocks while more is on the line than it holds.
func (l *line) waitRoom() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && l.bytes > l.size && (l.delay == 0 || l.bytes > delayedRoom) {
		l.room.Wait()
	}
}

func (l *line) setDelay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
	l.room.Broadcast()
}

func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.queue, l.bytes = nil, 0
	l.room.Broadcast()
}

// run delivers until done is closed.
func (l *line) run(done <-chan struct{}) {
	for {
		batch, wait := l.take()
		for i := range batch {
			l.deliver(batch[i])
			l.delivered(len(batch[i].frame))
			batch[i] = parcel{}
		}
		switch {
		case len(batch) > 0:
		case wait > 0:
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-done:
				timer.Stop()
				return
			}
		default:
			select {
			case <-l.wake:
			case <-done:
				return
			}
		}
	}
}

// take returns the parcels that are due and behind none that is not, or else how
// long it is until there is one.
func (l *line) take() ([]parcel, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	if l.queue != nil {
		now := time.Now()
		for n < len(l.queue) && !l.queue[n].due.After(now) {
			n++
		}
		if n == 0 {
			return nil, l.queue[0].due.Sub(now)
		}
	}
	batch := l.queue[:n:n]
	l.queue = l.queue[n:]
	if len(l.queue) == 0 {
		l.queue = nil
	}
	return batch, 0
}

func (l *line) delivered(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.bytes -= n
	l.room.Broadcast()
}
