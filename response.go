package ssmresume

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyrand "github.com/aws/smithy-go/rand"
)

// maxBody bounds what is read of an answer. The service's are about 1 KiB.
const maxBody = 64 << 10

// ResumeSessionOutput is the answer of [Client.ResumeSession]. It can be
// printed and logged; its secrets do not print themselves.
type ResumeSessionOutput struct {
	// SessionID is the ID of the session, as the service returned it. It is
	// empty if the answer held none.
	SessionID string

	// TokenValue opens the data channel. It is never empty.
	TokenValue Token

	// StreamURL is where the data channel is dialled. It is zero if the answer
	// held none; if it held one that [ParseStreamURL] refuses, only DialURL is set.
	StreamURL StreamURL

	// RequestID is the service's ID of the request, for AWS Support.
	RequestID string
}

// clientVersion is the version of the data channel's protocol, as the client
// that Session Manager's own documentation installs names it.
const clientVersion = "1.2.764.0"

// OpenMessage returns the first message to send on the data channel, a text
// message that holds the token and so is a secret. clientID is a UUID that the
// caller makes once and keeps for all data channels of the session.
func (o *ResumeSessionOutput) OpenMessage(clientID string) ([]byte, error) {
	switch {
	case !isUUID(clientID):
		return nil, errors.New("ssmresume: clientID is not a UUID such as 74d66468-126a-5db3-b534-99287bbca9e0")
	case o.TokenValue.IsZero():
		return nil, errors.New("ssmresume: the output holds no token")
	}
	requestID, err := smithyrand.NewUUID(rand.Reader).GetUUID()
	if err != nil {
		return nil, fmt.Errorf("ssmresume: %w", err)
	}
	return json.Marshal(struct {
		MessageSchemaVersion, RequestId, TokenValue, ClientId, ClientVersion string
	}{"1.0", requestID, o.TokenValue.Reveal(), clientID, clientVersion})
}

// isUUID reports whether s has the form of RFC 9562, section 4.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		hex := '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
		if hyphen != (c == '-') || !hyphen && !hex {
			return false
		}
	}
	return true
}

const redacted = "[redacted]"

// A Token opens the data channel of a session for whoever holds it. It prints
// and encodes as "[redacted]" in every way; only [Token.Reveal] gives it out.
//
// Compare tokens with Equal or go-cmp: reflect.DeepEqual of two equal tokens is
// false. Hand a token to another program in its environment or on its standard
// input, never as an argument, which other users of the machine can read.
// Nothing here protects from who can read the process's memory.
type Token struct {
	reveal func() string // a func: neither fmt nor reflection can read it, and == does not compile
}

// NewToken returns a token that reveals s.
func NewToken(s string) Token {
	if s == "" {
		return Token{}
	}
	return Token{func() string { return s }}
}

// Reveal returns the secret. Call it where the token is sent and nowhere else.
func (t Token) Reveal() string {
	if t.reveal == nil {
		return ""
	}
	return t.reveal()
}

// IsZero reports whether the token is empty.
func (t Token) IsZero() bool { return t.reveal == nil }

// Equal reports whether both tokens reveal the same secret.
func (t Token) Equal(u Token) bool { return t.Reveal() == u.Reveal() }

// String returns "[redacted]".
func (Token) String() string { return redacted }

// Format prints "[redacted]", whatever the verb.
func (Token) Format(s fmt.State, _ rune) { io.WriteString(s, redacted) }

// LogValue returns "[redacted]".
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]", in encoding/json and encoding/xml too.
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText fails: a token does not print itself, so none can be read back.
func (*Token) UnmarshalText([]byte) error {
	return errors.New("ssmresume: a Token cannot be decoded from text; use NewToken")
}

// readBody reads at most one byte more than maxBody, which marks the body as
// too long.
func readBody(resp *http.Response) ([]byte, error) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, nil // net/http gives the bare connection, which no ctx ends
	}
	size := min(max(resp.ContentLength, 0), maxBody) // it is -1 if unknown
	buf := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	_, err := buf.ReadFrom(io.LimitReader(resp.Body, maxBody+1))
	return buf.Bytes(), err
}

// decodeResponse returns the output, or an error without the layer that holds
// the response.
func decodeResponse(resp *http.Response, body []byte, creds aws.Credentials) (*ResumeSessionOutput, error) {
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, decodeError(resp, body, creds)
	}
	answer, err := decodeAnswer(body)
	if err != nil {
		return nil, &smithy.DeserializationError{Err: err} // without a Snapshot of the body
	}
	id := requestID(resp.Header)
	if answer.TokenValue == "" {
		if id == "" {
			return nil, &smithy.DeserializationError{Err: errors.New("the answer holds no TokenValue and has no request ID, so it is not the service's")}
		}
		return nil, &SessionTimedOutError{smithy.GenericAPIError{
			Code:    "SessionTimedOut",
			Message: "the service returned no token: the session has ended and cannot be resumed",
			Fault:   smithy.FaultClient,
		}}
	}
	u, err := ParseStreamURL(answer.StreamURL)
	if err != nil && answer.StreamURL != "" {
		u = StreamURL{raw: func() string { return answer.StreamURL }}
	}
	return &ResumeSessionOutput{
		SessionID:  answer.SessionID,
		TokenValue: NewToken(answer.TokenValue),
		StreamURL:  u,
		RequestID:  id,
	}, nil
}

// answer is the service's answer as it is on the wire.
type answer struct{ SessionID, StreamURL, TokenValue string }

// decodeAnswer reads one JSON object. Names are matched to the letter, unknown
// ones are ignored, and null is as good as absent, as in the SDK. The errors hold
// nothing of the body, which may hold a token.
func decodeAnswer(body []byte) (*answer, error) {
	if len(body) > maxBody {
		return nil, fmt.Errorf("the body is longer than %d bytes", maxBody)
	}
	kind, members, rest := readJSON(string(body))
	var a answer
	var wrong string
	for _, m := range members {
		var field *string
		switch m.key {
		case "SessionId":
			field = &a.SessionID
		case "StreamUrl":
			field = &a.StreamURL
		case "TokenValue":
			field = &a.TokenValue
		default:
			continue
		}
		switch m.kind {
		case '"':
			*field = m.text
		case 'n':
		default:
			wrong = m.key
		}
	}
	switch {
	case kind != '{':
		return nil, errors.New("the body is not a JSON object")
	case strings.Trim(rest, " \t\r\n") != "": // what JSON calls white space
		return nil, errors.New("the body holds more than a JSON object")
	case wrong != "":
		return nil, fmt.Errorf("%s is not a JSON string", wrong)
	}
	return &a, nil
}
