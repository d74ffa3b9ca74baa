package ssmresume

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/aws/smithy-go"
	smithyjson "github.com/aws/smithy-go/encoding/json"
)

// ResumeSessionInput is the input of [Client.ResumeSession].
type ResumeSessionInput struct {
	// SessionID is the ID of the disconnected session, such as
	// "Mary-Major-07a16060613c408b5". Required. The service takes 1 to 96
	// characters and answers more with a [ValidationError].
	SessionID string
}

// validate leaves the maximum of 96 characters to the service, as every AWS
// client leaves it: the limit may be raised.
func (in *ResumeSessionInput) validate() error {
	var wrong smithy.InvalidParamError
	switch {
	case in == nil || in.SessionID == "":
		wrong = smithy.NewErrParamRequired("SessionID")
	case !utf8.ValidString(in.SessionID):
		wrong = &invalidUTF8Error{field: "SessionID"}
	default:
		return nil
	}
	params := &smithy.InvalidParamsError{Context: "ResumeSessionInput"}
	params.Add(wrong)
	return invalidParams{params}
}

// invalidParams is for errors.As: the SDK's clients return the error as a value,
// not as a pointer.
type invalidParams struct{ *smithy.InvalidParamsError }

func (e invalidParams) Unwrap() error { return e.InvalidParamsError }

func (e invalidParams) As(target any) bool {
	v, ok := target.(*smithy.InvalidParamsError)
	if ok {
		*v = *e.InvalidParamsError
	}
	return ok
}

// invalidUTF8Error is a smithy.InvalidParamError. JSON would silently replace
// the bytes, and so name another session.
type invalidUTF8Error struct{ context, field string }

func (e *invalidUTF8Error) Error() string                  { return fmt.Sprintf("not valid UTF-8, %s.", e.Field()) }
func (e *invalidUTF8Error) Field() string                  { return e.context + "." + e.field }
func (e *invalidUTF8Error) SetContext(ctx string)          { e.context = ctx }
func (e *invalidUTF8Error) AddNestedContext(nested string) { e.context += "." + nested }

// payload is the body of the request, the same for every attempt.
type payload struct {
	sessionID string
	body      []byte
	sha256    string // lower-case hex, as SigV4 wants it
}

// newPayload uses the SDK's JSON encoder, so the bytes are the SDK's too:
// encoding/json would escape <, > and &.
func newPayload(in *ResumeSessionInput) payload {
	enc := smithyjson.NewEncoder()
	object := enc.Object()
	object.Key("SessionId").String(in.SessionID)
	object.Close()
	body := bytes.ReplaceAll(enc.Bytes(), []byte{0x7f}, []byte(`\u007f`)) // as the SDK's own requests have it
	sum := sha256.Sum256(body)
	return payload{sessionID: in.SessionID, body: body, sha256: hex.EncodeToString(sum[:])}
}

// newRequest returns the request without its body. It is signed like this, so
// that the signature does not cover Content-Length, which a proxy may drop;
// the body itself is covered by its hash.
func (p payload) newRequest(ctx context.Context, url, userAgent string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header = http.Header{
		"Content-Type": {"application/x-amz-json-1.1"},
		"User-Agent":   {userAgent},
		"X-Amz-Target": {"AmazonSSM.ResumeSession"},
	}
	return req, nil
}

// acceptEncoding is what net/http sends by itself. It then unpacks answers by
// itself, too, however much it has to read for that.
var acceptEncoding = []string{"gzip"}

// attach sets no GetBody: without it, net/http cannot send the body again to
// where a redirect points.
func (p payload) attach(req *http.Request) {
	req.Header["Accept-Encoding"] = acceptEncoding
	req.Body = io.NopCloser(bytes.NewReader(p.body))
	req.ContentLength = int64(len(p.body))
}
