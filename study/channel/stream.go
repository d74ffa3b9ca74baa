package main

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// pattern is what all streams carry, again and again. Its length is odd, so that
// a message that is lost, doubled or out of order shows.
var pattern = func() []byte {
	b := make([]byte, 1<<20+7)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}()

const block = 32 << 10 // of a write

// at returns bytes of the stream from offset on, at most n of them.
func at(offset int64, n int) []byte {
	b := pattern[offset%int64(len(pattern)):]
	return b[:min(n, len(b))]
}

// A source writes the stream, up to a limit that can be raised.
type source struct {
	mu      sync.Mutex
	changed *sync.Cond
	limit   int64
	sent    int64
	ended   bool
}

func newSource(conn net.Conn) *source {
	s := &source{}
	s.changed = sync.NewCond(&s.mu)
	go s.run(conn)
	return s
}

func (s *source) run(conn net.Conn) {
	for {
		s.mu.Lock()
		for s.sent == s.limit && !s.ended {
			s.changed.Wait()
		}
		b := at(s.sent, int(min(block, s.limit-s.sent)))
		ended := s.ended
		s.mu.Unlock()
		if ended {
			return
		}
		n, err := conn.Write(b)
		s.mu.Lock()
		s.sent += int64(n)
		s.ended = s.ended || err != nil
		s.mu.Unlock()
	}
}

// allow raises the limit.
func (s *source) allow(limit int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit
	s.changed.Broadcast()
}

// pace raises the limit by so many bytes a second.
func (s *source) pace(limit int64, rate float64) {
	s.mu.Lock()
	from := s.limit
	s.mu.Unlock()
	begun := time.Now()
	go func() {
		for {
			time.Sleep(time.Millisecond)
			now := from + int64(rate*time.Since(begun).Seconds())
			s.mu.Lock()
			s.limit = max(s.limit, min(now, limit))
			s.changed.Broadcast()
			done := s.limit >= limit || s.ended
			s.mu.Unlock()
			if done {
				return
			}
		}
	}()
}

func (s *source) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.changed.Broadcast()
}

// A mark says how much had come by when.
type mark struct {
	at    time.Time
	bytes int64
}

// A sink reads the stream, and holds it to what was sent.
type sink struct {
	mu      sync.Mutex
	changed chan struct{} // closed at the next change
	bytes   int64         // that came as they should
	marks   []mark        // one for each millisecond in which something came
	err     error         // why nothing more comes
	exited  <-chan struct{}
}

// newSink reads from conn. exited is closed when the subject has ended.
func newSink(conn net.Conn, exited <-chan struct{}) *sink {
	s := &sink{changed: make(chan struct{}), exited: exited, marks: []mark{{at: time.Now()}}}
	go s.run(conn)
	return s
}

func (s *sink) run(conn net.Conn) {
	buf := make([]byte, block)
	for {
		n, err := conn.Read(buf)
		s.mu.Lock()
		for b := buf[:n]; len(b) > 0 && s.err == nil; {
			want := at(s.bytes, len(b))
			if !bytes.Equal(b[:len(want)], want) {
				s.err = errWrong
				break
			}
			s.bytes += int64(len(want))
			b = b[len(want):]
		}
		if s.err == nil {
			s.err = err
		}
		if now := time.Now(); now.Sub(s.marks[len(s.marks)-1].at) < time.Millisecond {
			s.marks[len(s.marks)-1].bytes = s.bytes
		} else {
			s.marks = append(s.marks, mark{now, s.bytes})
		}
		close(s.changed)
		s.changed = make(chan struct{})
		ended := s.err != nil
		s.mu.Unlock()
		if ended {
			return
		}
	}
}

var errWrong = errors.New("carries other bytes than were sent")

// await waits until so many bytes have come, and returns an error if the stream
// ends before, or nothing comes for stall.
func (s *sink) await(n int64, stall time.Duration) error {
	timer := time.NewTimer(stall)
	defer timer.Stop()
	for last := int64(-1); ; {
		s.mu.Lock()
		got, err, changed := s.bytes, s.err, s.changed
		s.mu.Unlock()
		switch {
		case got >= n:
			return nil
		case err != nil:
			return err
		case got > last:
			last = got
			timer.Reset(stall)
		}
		select {
		case <-changed:
		case <-s.exited:
			return errEnds
		case <-timer.C:
			return errStall
		}
	}
}

var errStall = errors.New("nothing more comes")

func (s *sink) total() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// reached returns when so many bytes had come; zero if they have not.
func (s *sink) reached(n int64) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.marks {
		if m.bytes >= n {
			return m.at
		}
	}
	return time.Time{}
}

// atSpeed returns when from then on, at the earliest after since, so many bytes
// came within a span; zero if they never did.
func (s *sink) atSpeed(since time.Time, span time.Duration, n int64) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, end := int64(0), 0
	for i, m := range s.marks {
		if m.at.Before(since) {
			before = m.bytes
			continue
		}
		for end = max(end, i); end+1 < len(s.marks) && s.marks[end+1].at.Sub(m.at) <= span; end++ {
		}
		if s.marks[end].bytes-before >= n {
			return m.at
		}
		before = m.bytes
	}
	return time.Time{}
}
