// Package wire holds the messages of Session Manager's data channel, as the
// agent and its clients exchange them, one to a binary WebSocket message.
//
// The layout is that of the message package of the public sources of
// session-manager-plugin and of amazon-ssm-agent.
package wire

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// A Type says what a message is for.
type Type string

const (
	Input            Type = "input_stream_data"   // client to agent, numbered
	Output           Type = "output_stream_data"  // agent to client, numbered
	Acknowledge      Type = "acknowledge"         // both ways, of one numbered message
	ChannelClosed    Type = "channel_closed"      // from the service: the session has ended
	StartPublication Type = "start_publication"   // from the service: the other side has a channel
	PausePublication Type = "pause_publication"   // from the service: the other side has none
	SessionState     Type = "agent_session_state" // agent to service
)

// A PayloadType says what the payload of a numbered message is.
type PayloadType uint32

const (
	Data                 PayloadType = 1 // of the shell, the command or the port, both ways
	ErrorText            PayloadType = 2
	Size                 PayloadType = 3 // of the terminal: TerminalSize
	Parameter            PayloadType = 4
	HandshakeRequest     PayloadType = 5 // from the agent, as the three with Request or Complete below
	HandshakeResponse    PayloadType = 6
	HandshakeComplete    PayloadType = 7
	EncChallengeRequest  PayloadType = 8
	EncChallengeResponse PayloadType = 9
	Flag                 PayloadType = 10 // four bytes: DisconnectToPort and so on
	StdErr               PayloadType = 11
	ExitCode             PayloadType = 12 // the text "EXIT_CODE: 3"
)

// Values of a payload of type Flag.
const (
	DisconnectToPort   uint32 = 1 // from the client: it has closed the one connection of a basic port session
	TerminateSession   uint32 = 2 // from the client
	ConnectToPortError uint32 = 3 // from the agent: the remote port cannot be reached
)

// Flags of a message. Neither peer looks at those of numbered messages; some
// agents want both on an acknowledgement.
const (
	SYN uint64 = 1
	FIN uint64 = 2
)

// A Message is one message of the data channel.
type Message struct {
	Type        Type
	Created     time.Time // sent in milliseconds
	Number      int64     // from 0, in each direction; 0 where the type is not numbered
	Flags       uint64
	ID          [16]byte // a UUID
	PayloadType PayloadType
	Payload     []byte
}

// Offsets of the fields. All integers are big-endian.
const (
	typeAt        = 4
	typeLen       = 32
	schemaAt      = 36
	createdAt     = 40
	numberAt      = 48
	flagsAt       = 56
	idAt          = 64
	digestAt      = 80
	payloadTypeAt = 112
	headerLen     = 116 // and so the offset of the payload's length
	payloadAt     = 120

	schemaVersion = 1
	spaces        = "                                " // typeLen of them
)

// Overhead is the length of a message without payload.
const Overhead = payloadAt

// Append appends m to b, as it is sent.
func (m *Message) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, headerLen)
	b = append(b, m.Type...)
	b = append(b, spaces[len(m.Type):]...)
	b = binary.BigEndian.AppendUint32(b, schemaVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Created.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(m.Number))
	b = binary.BigEndian.AppendUint64(b, m.Flags)
	b = append(b, m.ID[8:]...) // the halves of the UUID are swapped on the wire
	b = append(b, m.ID[:8]...)
	digest := sha256.Sum256(m.Payload)
	b = append(b, digest[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(m.PayloadType))
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.Payload)))
	return append(b, m.Payload...)
}

// ErrDigest reports a payload that is not the one that was sent.
var ErrDigest = errors.New("the payload's digest is wrong")

// Parse reads a message. The message's payload is part of frame.
//
// It refuses what the real client refuses: a frame that is too short, a header
// length, a schema version or a date of zero, a digest that does not fit the
// payload. Like that client it takes messages about publication by their type
// alone, and takes all that follows the header for the payload.
func Parse(frame []byte) (Message, error) {
	m, err := ParseUnverified(frame)
	if err != nil || m.Type == StartPublication || m.Type == PausePublication {
		return m, err
	}
	if binary.BigEndian.Uint32(frame[headerLen:]) != 0 && sha256.Sum256(m.Payload) != [sha256.Size]byte(frame[digestAt:]) {
		return Message{}, ErrDigest
	}
	return m, nil
}

// ParseUnverified is [Parse] without a look at the digest, which the real agent
// does not verify either.
func ParseUnverified(frame []byte) (Message, error) {
	if len(frame) < typeAt+typeLen {
		return Message{}, fmt.Errorf("a message of %d bytes is too short for a type", len(frame))
	}
	m := Message{Type: trimType(frame[typeAt : typeAt+typeLen])}
	publication := m.Type == StartPublication || m.Type == PausePublication
	if len(frame) < payloadAt {
		if publication {
			return m, nil
		}
		return Message{}, fmt.Errorf("a message of %d bytes is too short for a header", len(frame))
	}
	created, number := int64(binary.BigEndian.Uint64(frame[createdAt:])), int64(binary.BigEndian.Uint64(frame[numberAt:]))
	if !publication {
		switch n := binary.BigEndian.Uint32(frame); {
		case n != headerLen:
			return Message{}, fmt.Errorf("a header length of %d, not %d", n, headerLen)
		case m.Type == "":
			return Message{}, errors.New("a message without a type")
		case binary.BigEndian.Uint32(frame[schemaAt:]) == 0:
			return Message{}, errors.New("a message without a schema version")
		case created == 0:
			return Message{}, errors.New("a message without a date")
		case number < 0:
			return Message{}, fmt.Errorf("a message with the number %d", number)
		}
	}
	m.Created = time.UnixMilli(created)
	m.Number = number
	m.Flags = binary.BigEndian.Uint64(frame[flagsAt:])
	copy(m.ID[8:], frame[idAt:])
	copy(m.ID[:8], frame[idAt+8:])
	m.PayloadType = PayloadType(binary.BigEndian.Uint32(frame[payloadTypeAt:]))
	m.Payload = frame[payloadAt:]
	return m, nil
}

// trimType returns a type that is padded. The common ones take no new string.
func trimType(field []byte) Type {
	field = bytes.Trim(field, " \x00")
	for _, known := range [...]Type{Output, Acknowledge, Input} {
		if string(field) == string(known) {
			return known
		}
	}
	return Type(field)
}

// NewID returns a random UUID.
func NewID() (id [16]byte) {
	rand.Read(id[:]) // never fails
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// FormatID returns a UUID's text.
func FormatID(id [16]byte) string {
	var b [36]byte
	for i, at := range [...]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34} {
		hex.Encode(b[at:], id[i:i+1])
	}
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}
