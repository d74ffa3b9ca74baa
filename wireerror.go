package ssmresume

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// unknownError is the code, and the message, of an error that has none on the
// wire, as in the SDK.
const unknownError = "UnknownError"

// responseError adds the SDK's layer that holds the response: no request, whose
// headers hold credentials, and no body.
func responseError(resp *http.Response, err error, secret string) error {
	return &awshttp.ResponseError{
		ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{
				Status:        printable(scrub(resp.Status, secret)),
				StatusCode:    resp.StatusCode,
				Proto:         resp.Proto,
				ProtoMajor:    resp.ProtoMajor,
				ProtoMinor:    resp.ProtoMinor,
				Header:        scrubHeader(resp.Header, secret),
				Body:          http.NoBody,
				ContentLength: resp.ContentLength,
			}},
			Err: err,
		},
		RequestID: requestID(resp.Header, secret),
	}
}

// requestID looks where the SDK looks. It is escaped, since the SDK's error
// prints it as it is.
func requestID(h http.Header, secret string) string {
	id := h.Get("X-Amzn-Requestid")
	if id == "" {
		id = h.Get("X-Amz-Requestid")
	}
	return printable(scrub(id, secret))
}

// wireError is what a body says of an error.
type wireError struct {
	kind               byte // of the JSON value; 0: it is none, as a proxy's page
	typ, code, message string
	other              bool // it has a member in which others than the service report errors
}

func readError(body []byte) (e wireError) {
	if len(body) > maxBody {
		return e
	}
	var members []jsonMember
	e.kind, members, _ = readJSON(string(body))
	for _, m := range members {
		switch strings.ToLower(m.key) {
		case "code":
			e.code = m.text // empty if the last one is no string, as in the SDK
		case "__type":
			if m.kind == '"' {
				e.typ = m.text
			}
		case "message":
			if m.kind == '"' {
				e.message = m.text
			}
		case "output", "error", "errors":
			e.other = e.other || m.kind != 'n'
		}
	}
	return e
}

// codeOf finds the code where the SDK finds it: in the header, then in "__type",
// then in "code".
func (e wireError) codeOf(resp *http.Response) string {
	return cmp.Or(resp.Header.Get("X-Amzn-Errortype"), e.typ, e.code)
}

// decodeError returns the error that an answer names. A body that is not a JSON
// object, such as a proxy's page, leaves the header's code or the status to say
// what happened.
func decodeError(resp *http.Response, body []byte, secret string) error {
	e := readError(body)
	kind, message := e.kind, e.message
	code, _, _ := strings.Cut(e.codeOf(resp), ":")
	if _, name, ok := strings.Cut(code, "#"); ok {
		code = name
	}
	if code == "" {
		code = unknownError
	}

	if message == "" {
		switch {
		case kind != '{' && kind != 'n' && code == unknownError:
			message = "the answer has no error code, its status is " + strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)
		case !modeledCodes[code]:
			message = unknownError // as in the SDK
		}
	}
	return newAPIError(resp, scrub(code, secret), scrub(message, secret))
}

// modeledCodes have a type of their own in the SDK, which leaves an absent
// message empty there.
var modeledCodes = map[string]bool{
	"AccessDeniedException": true,
	"DoesNotExistException": true,
	"InternalServerError":   true,
	"ThrottlingException":   true,
	"ValidationException":   true,
}

// newAPIError is the table of what each code means.
func newAPIError(resp *http.Response, code, message string) error {
	client := APIError{smithy.GenericAPIError{Code: code, Message: message, Fault: smithy.FaultClient}}
	server := APIError{smithy.GenericAPIError{Code: code, Message: message, Fault: smithy.FaultServer}}
	_, throttled := retry.DefaultThrottleErrorCodes[code]
	switch code {
	case "DoesNotExistException":
		return &DoesNotExistError{client}
	case "AccessDeniedException", "AccessDenied", "NotAuthorized", "OptInRequired", "UnauthorizedOperation":
		return &AccessDeniedError{client}
	case "ExpiredTokenException", "ExpiredToken", "TokenRefreshRequired":
		return &CredentialsError{APIError: client, Expired: true}
	case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken",
		"MissingAuthenticationToken", "MissingAuthenticationTokenException":
		return &CredentialsError{APIError: client}
	case "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature", "IncompleteSignatureException",
		"AuthFailure", "RequestExpired", "RequestTimeTooSkewed":
		return &SignatureError{client}
	case "ValidationException", "ValidationError", "SerializationException", "UnknownOperationException":
		return &ValidationError{client}
	case "InternalServerError", "InternalServerException", "InternalFailure", "InternalError",
		"ServiceUnavailable", "ServiceUnavailableException":
		return &InternalServerError{server}
	}
	switch status := resp.StatusCode; {
	case throttled || status == http.StatusTooManyRequests:
		return &ThrottlingError{client, retryAfter(resp.Header)}
	case strings.HasPrefix(code, "InvalidParameter"):
		return &ValidationError{client}
	case status >= 500:
		return &InternalServerError{server}
	case code == unknownError && (status == http.StatusUnauthorized || status == http.StatusForbidden):
		return &AccessDeniedError{client}
	}
	return escapedError{&smithy.GenericAPIError{Code: code, Message: message}}
}

// retryAfterOf returns what the answer behind err says.
func retryAfterOf(err error) time.Duration {
	var re *awshttp.ResponseError
	var answered *answeredError
	switch {
	case errors.As(err, &re):
		return retryAfter(re.Response.Header)
	case errors.As(err, &answered):
		return retryAfter(answered.header)
	}
	return 0
}

// retryAfter reads AWS's header, in milliseconds, or else the standard one, in
// seconds or as a date, which is counted from the answer's Date. It returns 0
// where there is neither, and a year at most.
func retryAfter(h http.Header) time.Duration {
	const year = 365 * 24 * time.Hour
	if ms, err := strconv.ParseInt(h.Get("X-Amz-Retry-After"), 10, 64); err == nil && ms >= 0 {
		return time.Duration(min(ms, year.Milliseconds())) * time.Millisecond
	}
	value := h.Get("Retry-After")
	if s, err := strconv.ParseInt(value, 10, 64); err == nil && s >= 0 {
		return time.Duration(min(s, int64(year/time.Second))) * time.Second
	}
	at, err := http.ParseTime(value)
	date, dateErr := http.ParseTime(h.Get("Date"))
	if err != nil || dateErr != nil {
		return 0
	}
	return min(max(at.Sub(date), 0), year)
}
