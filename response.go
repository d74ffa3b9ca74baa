package ssmresume

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/smithy-go"
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

// NewOutput returns an output with what another call has answered for a session:
// the SessionId, TokenValue and StreamUrl of StartSession, or of the session in
// the answer of ECS ExecuteCommand. It is for [ReconnectorOptions.First]. All
// three are required; it is an error if streamURL is none that [ParseStreamURL]
// accepts, or another session's. The errors do not repeat the secrets.
func NewOutput(sessionID, tokenValue, streamURL string) (*ResumeSessionOutput, error) {
	switch {
	case sessionID == "":
		return nil, errors.New("ssmresume: NewOutput: the session ID is empty")
	case tokenValue == "":
		return nil, errors.New("ssmresume: NewOutput: the token is empty")
	}
	u, err := ParseStreamURL(streamURL)
	if err != nil {
		return nil, err
	}
	if u.SessionID != sessionID {
		return nil, fmt.Errorf("ssmresume: NewOutput: the stream URL is for session %q, not for %q", u.SessionID, sessionID)
	}
	return &ResumeSessionOutput{SessionID: sessionID, TokenValue: NewToken(tokenValue), StreamURL: u}, nil
}

// readBody reads at most one byte more than maxBody, which marks the body as
// too long, packed or not.
func readBody(resp *http.Response) ([]byte, error) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, nil // net/http gives the bare connection, which no ctx ends
	}
	body := io.LimitReader(resp.Body, maxBody+1)
	if strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") && !resp.Uncompressed {
		unpacked, err := gzip.NewReader(body)
		if err == io.EOF {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		body = io.LimitReader(unpacked, maxBody+1)
	}
	size := min(max(resp.ContentLength, 0), maxBody) // it is -1 if unknown
	buf := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	_, err := buf.ReadFrom(body)
	return buf.Bytes(), err
}

// decodeResponse returns the output, or an error with the layer that holds the
// response. secret is what no text of it may repeat.
func decodeResponse(resp *http.Response, body []byte, sessionID, secret string) (*ResumeSessionOutput, error) {
	out, err := decodeOutput(resp, body, sessionID, secret)
	if err != nil {
		return nil, responseError(resp, err, secret)
	}
	return out, nil
}

func decodeOutput(resp *http.Response, body []byte, sessionID, secret string) (*ResumeSessionOutput, error) {
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, decodeError(resp, body, secret)
	}
	answer, err := decodeAnswer(body)
	if err != nil {
		return nil, &smithy.DeserializationError{Err: err} // without a Snapshot of the body
	}
	id := requestID(resp.Header, secret)
	if answer.TokenValue == "" {
		if e := readError(body); e.codeOf(resp) != "" {
			return nil, decodeError(resp, body, secret)
		} else if reason := saysNothing(resp, answer, e, sessionID); reason != "" {
			return nil, &smithy.DeserializationError{Err: errors.New("the answer holds no TokenValue and " + reason + ", so it is no word about the session")}
		}
		return nil, &SessionTimedOutError{APIError{smithy.GenericAPIError{
			Code:    "SessionTimedOut",
			Message: "the service returned no token: the session has ended and cannot be resumed",
			Fault:   smithy.FaultClient,
		}}}
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

// saysNothing returns why an answer without a token, and without a code, does not
// say that the session has ended; empty if it does.
func saysNothing(resp *http.Response, a *answer, e wireError, sessionID string) string {
	switch {
	case resp.StatusCode != http.StatusOK:
		return "its status is " + strconv.Itoa(resp.StatusCode)
	case requestID(resp.Header, "") == "":
		return "has no request ID"
	case !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/x-amz-json-1."):
		return "its Content-Type is not the service's"
	case a.SessionID != "" && a.SessionID != sessionID:
		return "is for another session"
	case e.other || e.message != "":
		return "reports an error"
	}
	return ""
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
