package datachannel

import (
	"encoding/binary"
	"testing"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel/internal/recorded"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// FuzzHostilePeer gives a session whatever a gateway or an agent may send: in, a
// list of messages, each with its length before it. It must pass over them or end
// with an error, keep its bounds, and send only what is well formed.
func FuzzHostilePeer(f *testing.F) {
	for _, name := range recorded.Names() {
		lines, err := recorded.Load(name)
		if err != nil {
			f.Fatal(err)
		}
		var all []byte
		for _, l := range lines {
			if l.Frame == nil || l.From == "client" {
				continue
			}
			if len(all) > 8<<10 {
				break
			}
			all = binary.BigEndian.AppendUint16(all, uint16(len(l.Frame)))
			all = append(all, l.Frame...)
		}
		f.Add(all, true)
		f.Add(all, false)
	}
	f.Fuzz(func(t *testing.T, in []byte, session bool) {
		const maxBuffered = 8 << 10
		o := newOptions([]func(*Options){func(o *Options) { o.MaxBuffered = maxBuffered }})
		l, err := newLink(ssmresume.New(ssmresume.Options{}), "ana-0a1b", nil, o)
		if err != nil {
			t.Fatal(err)
		}
		s := &Session{link: l, handshake: make(chan wire.Message, 4), started: make(chan struct{}), exitCode: -1}
		l.receiver, l.autoAck = s, true
		if !session {
			l.receiver, l.autoAck = &Conn{link: l, pending: map[int64]*output{}}, false
		}
		for n := range int64(3) {
			l.window.add(n, probe(n, wire.Data))
		}
		for len(in) > 2 {
			n := min(int(binary.BigEndian.Uint16(in)), len(in)-2)
			frame := in[2 : 2+n]
			in = in[2+n:]
			if l.handle(frame) != nil {
				break
			}
			if l.inbox.bytes > maxBuffered {
				t.Fatalf("%d bytes are kept out of order", l.inbox.bytes)
			}
			// The user reads. (While l is not up, handle does not wait for that.)
			l.unread, s.output = 0, nil
			select {
			case m := <-s.handshake:
				if m.PayloadType == wire.HandshakeRequest {
					s.answer(t.Context(), m.Payload)
				} else if m.PayloadType == wire.EncChallengeRequest {
					s.answerChallenge(m.Payload)
				}
			default:
			}
		}
		l.reacks = l.recent
		for range 100 {
			message, _ := l.next(nil)
			if message == nil {
				break
			}
			if _, err := wire.Parse(message); err != nil {
				t.Fatalf("the client would send what cannot be read: %v", err)
			}
		}
	})
}

// FuzzParseState holds ParseState, and what goes on from its result, to any input.
func FuzzParseState(f *testing.F) {
	state := newState(savedState{Version: 1, SessionID: "ana-0a1b", Type: Shell, NextInput: 3, Unacknowledged: [][]byte{probe(2, wire.Data)}, DataKey: make([]byte, dataKeySize)})
	data, err := state.Reveal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		state, err := ParseState(data)
		if err != nil {
			return
		}
		again, err := state.Reveal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseState(again); err != nil {
			t.Fatalf("what was revealed is not a State: %v", err)
		}
		l, err := newLink(ssmresume.New(ssmresume.Options{}), state.SessionID(), nil, newOptions(nil))
		if err != nil {
			t.Fatal(err)
		}
		s := &Session{link: l}
		l.receiver = s
		_ = s.restore(state.reveal())
	})
}
