package datachannel

import (
	"bytes"

	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// An inbox puts the agent's output in order.
type inbox struct {
	next  int64           // the number whose turn it is
	early map[int64]early // those that came before their turn
	bytes int             // of them

	adopting bool  // next is not known yet: everything is early
	seen     bool  // while adopting: something has come
	lowest   int64 // of what has come, be it kept or refused
	unknown  bool  // next is the number of whatever comes first
}

type early struct {
	wire.Message
	frame []byte
}

// What became of a message.
type arrival int

const (
	refused  arrival = iota // there is no room for it: the agent will repeat it
	repeated                // its turn is over
	kept                    // it waits for its turn
	due                     // it is its turn; take returns it
)

// cost is what a message is taken to need, with what a map or a list of it does.
func cost(m wire.Message) int { return len(m.Payload) + 2*wire.Overhead }

// put takes a message, and a copy of its frame if it is early. room is how much
// may be kept; what is due is always taken, since all the rest waits for it.
func (b *inbox) put(m wire.Message, frame []byte, room int) arrival {
	if b.unknown {
		b.next, b.unknown = m.Number, false
	}
	if b.adopting && (!b.seen || m.Number < b.lowest) {
		b.lowest, b.seen = m.Number, true
	}
	switch _, known := b.early[m.Number]; {
	case m.Number < b.next && !b.adopting:
		return repeated
	case m.Number == b.next && !b.adopting:
		return due
	case known:
		return kept
	case b.bytes+cost(m) > room:
		return refused
	}
	frame = bytes.Clone(frame)
	m.Payload = frame[wire.Overhead:]
	if b.early == nil {
		b.early = map[int64]early{}
	}
	b.early[m.Number] = early{m, frame}
	b.bytes += cost(m)
	return kept
}

// highest returns the highest number that has come.
func (b *inbox) highest() int64 {
	highest := b.next - 1
	for number := range b.early {
		highest = max(highest, number)
	}
	return highest
}

// advance ends the turn of one message, and returns the next one if that is
// here already.
func (b *inbox) advance() (e early, ok bool) {
	b.next++
	e, ok = b.early[b.next]
	if ok {
		delete(b.early, b.next)
		b.bytes -= cost(e.Message)
		if len(b.early) == 0 {
			b.early = nil // a map keeps the room that it once needed
		}
	}
	return e, ok
}
