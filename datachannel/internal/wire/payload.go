package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// AppendAcknowledgement appends the message that acknowledges the message of
// type t with the given ID and number.
func AppendAcknowledgement(b []byte, t Type, id [16]byte, number int64) []byte {
	var buf [256]byte
	p := append(buf[:0], `{"AcknowledgedMessageType":"`...)
	p = append(p, t...)
	p = append(p, `","AcknowledgedMessageId":"`...)
	p = append(p, FormatID(id)...)
	p = append(p, `","AcknowledgedMessageSequenceNumber":`...)
	p = strconv.AppendInt(p, number, 10)
	p = append(p, `,"IsSequentialMessage":true}`...)
	m := Message{Type: Acknowledge, Created: time.Now(), Flags: SYN | FIN, ID: NewID(), Payload: p}
	return m.Append(b)
}

// ParseAcknowledgement reads the number from the payload of a message of type
// Acknowledge.
func ParseAcknowledgement(payload []byte) (number int64, err error) {
	// There is one for each message, and encoding/json takes as long for it as all
	// the rest does. So the form that both peers write is read by hand.
	if _, rest, found := bytes.Cut(payload, []byte(`,"AcknowledgedMessageSequenceNumber":`)); found {
		digits := 0
		for digits < len(rest) && digits < 18 && '0' <= rest[digits] && rest[digits] <= '9' {
			number = 10*number + int64(rest[digits]-'0')
			digits++
		}
		if digits > 0 && digits < len(rest) && (rest[digits] == ',' || rest[digits] == '}') {
			return number, nil
		}
	}
	var a struct {
		Number int64 `json:"AcknowledgedMessageSequenceNumber"`
	}
	if err := json.Unmarshal(payload, &a); err != nil {
		return 0, fmt.Errorf("an acknowledgement cannot be read: %w", err)
	}
	if a.Number < 0 {
		return 0, fmt.Errorf("an acknowledgement of the number %d", a.Number)
	}
	return a.Number, nil
}

// A Closed is the payload of a message of type ChannelClosed.
type Closed struct {
	MessageType   string
	MessageID     string `json:"MessageId"`
	DestinationID string `json:"DestinationId"`
	SessionID     string `json:"SessionId"`
	SchemaVersion int
	CreatedDate   string
	Output        string // why; empty where the session's command has ended
}

// A TerminalSize is the payload of type Size.
type TerminalSize struct {
	Columns uint32 `json:"cols"`
	Rows    uint32 `json:"rows"`
}

// A Handshake is the payload of type HandshakeRequest.
type Handshake struct {
	AgentVersion           string
	RequestedClientActions []RequestedAction
}

// A RequestedAction is one thing that the agent asks of the client.
type RequestedAction struct {
	ActionType       string          // ActionSessionType or ActionKMSEncryption
	ActionParameters json.RawMessage // SessionTypeParameters or KMSParameters
}

// Values of RequestedAction.ActionType.
const (
	ActionSessionType   = "SessionType"
	ActionKMSEncryption = "KMSEncryption"
)

// SessionTypeParameters are those of ActionSessionType.
type SessionTypeParameters struct {
	SessionType string
	Properties  json.RawMessage // PortProperties of a port; null of the others
}

// PortProperties are those of the session type Port, as the session's document
// has them: numbers are text.
type PortProperties struct {
	PortNumber          string `json:"portNumber"`
	LocalPortNumber     string `json:"localPortNumber"`
	Type                string `json:"type"`
	Host                string `json:"host"`
	LocalUnixSocket     string `json:"localUnixSocket"`
	LocalConnectionType string `json:"localConnectionType"`
}

// KMSParameters are those of ActionKMSEncryption.
type KMSParameters struct {
	KMSKeyID  string `json:"KMSKeyId"`
	Challenge string `json:",omitempty"` // of agents that want it in the encryption context
}

// A Response is the payload of type HandshakeResponse.
type Response struct {
	ClientVersion          string
	ProcessedClientActions []ProcessedAction
	Errors                 []string
}

// A ProcessedAction answers a RequestedAction.
type ProcessedAction struct {
	ActionType   string
	ActionStatus ActionStatus
	ActionResult any // nil or *KMSResult
	Error        string
}

// An ActionStatus says how an action went. The agent ends the session at any but
// ActionSuccess.
type ActionStatus int

const (
	ActionSuccess     ActionStatus = 1
	ActionFailed      ActionStatus = 2
	ActionUnsupported ActionStatus = 3
)

// KMSResult is the ActionResult of ActionKMSEncryption.
type KMSResult struct {
	KMSCipherTextKey         []byte
	KMSCipherTextHash        []byte
	ChallengeAcknowledgement bool `json:",omitempty"`
}

// A Complete is the payload of type HandshakeComplete.
type Complete struct {
	HandshakeTimeToComplete time.Duration
	CustomerMessage         string
}

// A Challenge is the payload of EncChallengeRequest and EncChallengeResponse.
type Challenge struct {
	Challenge []byte
}

// AppendFlag appends the payload of type Flag.
func AppendFlag(b []byte, flag uint32) []byte { return binary.BigEndian.AppendUint32(b, flag) }

// ParseFlag reads the payload of type Flag.
func ParseFlag(payload []byte) (uint32, error) {
	if len(payload) != 4 {
		return 0, fmt.Errorf("a flag of %d bytes", len(payload))
	}
	return binary.BigEndian.Uint32(payload), nil
}
