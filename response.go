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
	size := int64(1 << 10)
	if n := resp.ContentLength; n >= 0 && n <= maxBody {
		size = n
	}
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
		return nil, &smithy.DeserializationError{Err: err} // no Snapshot: the body may hold a token
	}
	id := requestID(resp.Header)
	if answer.TokenValue == "" {
		if id == "" {
			return nil, &smithy.DeserializationError{Err: errors.New("the answer holds no TokenValue and has no request ID, so it is not the service's")}
		}
		return nil, &SessionTimedOutError{}
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

// answer is the service's answer as it is on the wire. encoding/json takes
// "sessionId" for "SessionId" too, which neither the service nor the SDK does;
// of several fields that fit a spelling it takes the first, so the fields of
// type otherSpelling catch all but the right one.
type answer struct {
	A otherSpelling `json:"sessionid"`
	B otherSpelling `json:"streamurl"`
	C otherSpelling `json:"tokenvalue"`

	SessionID  string `json:"SessionId"`
	StreamURL  string `json:"StreamUrl"`
	TokenValue string `json:"TokenValue"`
}

type otherSpelling struct{}

func (*otherSpelling) UnmarshalJSON([]byte) error { return nil }

// decodeAnswer reads one JSON object. Its errors hold nothing of the body.
func decodeAnswer(body []byte) (*answer, error) {
	if len(body) > maxBody {
		return nil, fmt.Errorf("the body is longer than %d bytes", maxBody)
	}
	text := string(body)
	if a, ok := plainAnswer(text); ok {
		return a, nil
	}
	if !strings.HasPrefix(skipSpace(text), "{") {
		return nil, errors.New("the body is not a JSON object")
	}
	a := new(answer)
	err := json.Unmarshal(body, a)
	if typeErr := (*json.UnmarshalTypeError)(nil); errors.As(err, &typeErr) {
		return nil, fmt.Errorf("%s is not a JSON string", typeErr.Field)
	}
	if err != nil {
		return nil, errors.New("the body is not valid JSON")
	}
	return a, nil
}

// plainAnswer decodes what the service really sends, an object of three strings
// without escapes, and leaves everything else to encoding/json, which would take
// a third of the whole call for it (BenchmarkRatio in bench/).
func plainAnswer(s string) (*answer, bool) {
	a := new(answer)
	s, ok := strings.CutPrefix(skipSpace(s), "{")
	for ok {
		var key, value string
		if key, s, ok = plainString(s); !ok {
			break
		}
		if s, ok = strings.CutPrefix(skipSpace(s), ":"); !ok {
			break
		}
		if value, s, ok = plainString(s); !ok {
			break
		}
		switch s = skipSpace(s); {
		case key == "SessionId" && a.SessionID == "":
			a.SessionID = value
		case key == "StreamUrl" && a.StreamURL == "":
			a.StreamURL = value
		case key == "TokenValue" && a.TokenValue == "":
			a.TokenValue = value
		default:
			return nil, false
		}
		if strings.HasPrefix(s, "}") {
			return a, skipSpace(s[1:]) == ""
		}
		s, ok = strings.CutPrefix(s, ",")
	}
	return nil, false
}

func skipSpace(s string) string { return strings.TrimLeft(s, " \t\r\n") }

// plainString cuts a JSON string of printable ASCII without escapes off s.
func plainString(s string) (value, rest string, ok bool) {
	s, ok = strings.CutPrefix(skipSpace(s), `"`)
	value, rest, found := strings.Cut(s, `"`)
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '\\' {
			return "", "", false
		}
	}
	return value, rest, ok && found
}
