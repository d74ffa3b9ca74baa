package ssmresume

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

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
