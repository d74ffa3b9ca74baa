package datachanneltest

import "github.com/ssmresume/ssmresume/datachannel/internal/wire"

// A Side is one end of a session.
type Side int

// The sides.
const (
	Client Side = iota + 1
	Agent
)

// A Message is what a filter sees of a message on its way through the gateway.
type Message struct {
	From Side
	// Type is "input_stream_data" (numbered, from the client),
	// "output_stream_data" (numbered, from the agent) or "acknowledge".
	Type string
	// Number is the message's own or, of an acknowledgement, that of the message
	// acknowledged.
	Number int64
	// PayloadType says what the payload is: 1 data, 3 a terminal's size, 5 to 9
	// the handshake, 10 a flag, 11 standard error, 12 an exit code.
	PayloadType int
	// Payload must not be changed.
	Payload []byte
}

// An Action is what becomes of a message.
type Action int

// The actions.
const (
	Deliver Action = iota
	Drop
	Twice // delivered, and delivered again at once
	Late  // delivered after the next message that goes the same way
)

// view returns what a filter sees of m; false if it sees none of it.
func view(from Side, m *wire.Message) (Message, bool) {
	v := Message{From: from, Type: string(m.Type), Number: m.Number, PayloadType: int(m.PayloadType), Payload: m.Payload}
	switch m.Type {
	case wire.Input, wire.Output:
		return v, true
	case wire.Acknowledge:
		number, err := wire.ParseAcknowledgement(m.Payload)
		v.Number = number
		return v, err == nil
	}
	return v, false
}
