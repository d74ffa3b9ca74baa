package datachannel

import (
	"testing"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// newTestSession returns a session on a link that is not started, but behaves
// as if it had a channel: the test hands it what comes and takes what it sends.
func newTestSession(t *testing.T, optFns ...func(*Options)) *Session {
	t.Helper()
	s, err := newSession(ssmresume.New(ssmresume.Options{}), "ana-0a1b", nil, newOptions(optFns))
	if err != nil {
		t.Fatal(err)
	}
	s.link.up = true
	s.link.cancel = func() {}
	close(s.link.ended)
	return s
}

func outputFrame(number int64, data string) []byte {
	m := wire.Message{Type: wire.Output, Created: time.Now(), Number: number, ID: wire.NewID(), PayloadType: wire.Data, Payload: []byte(data)}
	return m.Append(nil)
}

// What comes when the state was taken is in nobody's hands any more: it must not
// be acknowledged, or the agent will not send it again.
func TestNothingIsAcknowledgedAfterDetach(t *testing.T) {
	s := newTestSession(t)
	s.link.handle(outputFrame(0, "read and in the state"))
	s.link.next(nil)
	if _, err := s.Detach(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.link.handle(outputFrame(1, "too late")); err == nil {
		t.Error("a message was taken after Detach")
	}
	if message, _ := s.link.next(nil); message != nil {
		t.Error("a message that is not in the State was acknowledged")
	}
}

// What was kept out of order was acknowledged, and will not come again: it is
// kept by the next holder, however little that one means to keep.
func TestStateIsRestoredBeyondMaxBuffered(t *testing.T) {
	s := newTestSession(t)
	for n := range int64(10) {
		s.link.handle(outputFrame(n+1, "x"))
	}
	state, err := s.Detach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s = newTestSession(t, func(o *Options) { o.MaxBuffered = 1 })
	if err := s.restore(state.reveal()); err != nil {
		t.Fatal(err)
	}
	s.link.up = false // else handle waits for the reader
	s.link.handle(outputFrame(0, "x"))
	p := make([]byte, 20)
	if n, err := s.Read(p); n != 11 || err != nil {
		t.Errorf("read %d bytes, %v; want 11", n, err)
	}
}

// A gateway that repeats for ever and takes nothing does not fill the memory
// with acknowledgements.
func TestAcknowledgementsAreBounded(t *testing.T) {
	s := newTestSession(t)
	frame := outputFrame(0, "x")
	for range 200_000 {
		s.link.handle(frame)
	}
	if n := len(s.link.acks); n > maxAcks {
		t.Errorf("%d acknowledgements wait to be sent", n)
	}
}

// The session begins with the lowest number that was seen, even if there was no
// room for it.
func TestAdoptsWhatItHadNoRoomFor(t *testing.T) {
	s := newTestSession(t, func(o *Options) { o.MaxBuffered = 1 })
	l := s.link
	l.up, l.inbox.adopting = false, true
	l.handle(outputFrame(5, "5"))
	l.handle(outputFrame(6, "6"))
	l.mu.Lock()
	l.adopt()
	l.mu.Unlock()
	for _, n := range []int64{6, 5, 6} { // 6 comes first, and is not yet due
		l.handle(outputFrame(n, string(rune('0'+n))))
	}
	p := make([]byte, 3)
	if n, _ := s.Read(p); string(p[:n]) != "56" {
		t.Errorf("read %q", p[:n])
	}
}
