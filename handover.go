package ssmresume

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	smithyrand "github.com/aws/smithy-go/rand"
)

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

// SecretJSON returns the JSON document that the AWS CLI prints for a session and
// hands to session-manager-plugin: an object of SessionId, TokenValue and
// StreamUrl. It holds the token and so is a secret: hand it to another program in
// its environment or on its standard input. (json.Marshal of the output gives
// neither secret nor these names.) It is an error if one of the three is missing.
func (o *ResumeSessionOutput) SecretJSON() ([]byte, error) {
	document := struct{ SessionId, TokenValue, StreamUrl string }{
		cmp.Or(o.SessionID, o.StreamURL.SessionID), o.TokenValue.Reveal(), o.StreamURL.DialURL(),
	}
	switch {
	case document.SessionId == "":
		return nil, errors.New("ssmresume: the output holds no session ID")
	case document.TokenValue == "":
		return nil, errors.New("ssmresume: the output holds no token")
	case document.StreamUrl == "":
		return nil, errors.New("ssmresume: the output holds no stream URL")
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // as the CLI prints it
	if err := enc.Encode(document); err != nil {
		return nil, fmt.Errorf("ssmresume: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
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
