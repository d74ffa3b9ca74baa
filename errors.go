package ssmresume

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// unknownError is the code, and the message, of an error that has none on the
// wire, as in the SDK.
const unknownError = "UnknownError"

// DoesNotExistError reports that no session with this ID can be resumed (wire
// code DoesNotExistException). Trying again will not help: start a new session.
type DoesNotExistError struct{ smithy.GenericAPIError }

// SessionTimedOutError reports that the service answered without a token: the
// session has ended. Trying again will not help: start a new session. AWS does
// not document when it answers so and when with a [DoesNotExistError]; the AWS
// SDKs report this answer as a success. The code is "SessionTimedOut", which is
// none of the service's.
type SessionTimedOutError struct{ smithy.GenericAPIError }

// AccessDeniedError reports that the caller's IAM policies, or the state of the
// AWS account, do not allow the call (wire codes AccessDeniedException,
// AccessDenied, NotAuthorized, OptInRequired, UnauthorizedOperation; or status
// 401 or 403 without a code, which may come from a proxy). A person must act:
// the call needs ssm:ResumeSession on the session's ARN.
type AccessDeniedError struct{ smithy.GenericAPIError }

// CredentialsError reports that the service did not accept the credentials
// (wire codes ExpiredTokenException, ExpiredToken, UnrecognizedClientException,
// InvalidClientTokenId, InvalidToken, MissingAuthenticationToken,
// MissingAuthenticationTokenException, TokenRefreshRequired). The call has
// already asked the provider for new ones. Log in again, or fix the provider.
type CredentialsError struct {
	smithy.GenericAPIError
	Expired bool   // they were good once
	Source  string // where they came from, as aws.Credentials.Source says it
}

// SignatureError reports that the service calculated another signature (wire
// codes InvalidSignatureException, SignatureDoesNotMatch, IncompleteSignature,
// IncompleteSignatureException, AuthFailure, RequestExpired,
// RequestTimeTooSkewed). The secret key is wrong, or the local clock is and
// could not be corrected from the answer's Date.
type SignatureError struct{ smithy.GenericAPIError }

// ThrottlingError reports that the service allows no more requests for now (the
// SDK's throttle codes, or status 429). Wait and try again.
type ThrottlingError struct {
	smithy.GenericAPIError
	RetryAfter time.Duration // how long the service said to wait, a year at most; 0 if it did not
}

// ValidationError reports that the service found the request wrong (wire codes
// ValidationException, ValidationError, SerializationException,
// UnknownOperationException, and those that begin with InvalidParameter): the
// session ID is malformed, or the endpoint is not Systems Manager's.
type ValidationError struct{ smithy.GenericAPIError }

// InternalServerError reports that the service failed (wire codes
// InternalServerError, InternalServerException, InternalFailure, InternalError,
// ServiceUnavailable, ServiceUnavailableException, or any other status from
// 500). Try again later.
type InternalServerError struct{ smithy.GenericAPIError }

// Error returns code and message, with control characters escaped.
func (e *DoesNotExistError) Error() string { return printAPIError(e) }

// Error returns code and message, with control characters escaped.
func (e *SessionTimedOutError) Error() string { return printAPIError(e) }

// Error returns code and message, with control characters escaped.
func (e *AccessDeniedError) Error() string { return printAPIError(e) }

// Error returns code and message, with control characters escaped.
func (e *CredentialsError) Error() string { return printAPIError(e) }

// Error returns code and message, with control characters escaped.
func (e *SignatureError) Error() string { return printAPIError(e) }

// Error returns code and message, with control characters escaped.
func (e *ThrottlingError) Error() string { return printAPIError(e) }

// Error returns code and message, with control characters escaped.
func (e *ValidationError) Error() string { return printAPIError(e) }

// Error returns code and message, with control characters escaped.
func (e *InternalServerError) Error() string { return printAPIError(e) }

// RetryableError returns true, which makes the SDK's retryers try a 429 without
// a code again too.
func (e *ThrottlingError) RetryableError() bool { return true }

func printAPIError(e smithy.APIError) string {
	return printable(e.ErrorCode() + ": " + e.ErrorMessage())
}

// genericError puts an escaped text before a *smithy.GenericAPIError, whose own
// Error method prints what came from the wire as it is.
type genericError struct{ *smithy.GenericAPIError }

func (e genericError) Error() string { return printable(e.GenericAPIError.Error()) }
func (e genericError) Unwrap() error { return e.GenericAPIError }

// escapedError escapes the text of err, which may hold what a proxy sent.
type escapedError struct{ err error }

func (e escapedError) Error() string { return printable(e.err.Error()) }
func (e escapedError) Unwrap() error { return e.err }

// answeredError is why there is no complete answer although somebody answered:
// the rest was lost or cannot be read, or a proxy refused the connection.
type answeredError struct {
	header http.Header
	err    error
}

func (e *answeredError) Error() string { return e.err.Error() }
func (e *answeredError) Unwrap() error { return e.err }

// printable escapes what could forge a line of a log or turn its direction.
func printable(s string) string {
	unsafe := func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
	}
	s = strings.ToValidUTF8(s, "\ufffd")
	if !strings.ContainsFunc(s, unsafe) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unsafe(r) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// responseError adds the SDK's layer that holds the response: no request, whose
// headers hold credentials, and no body.
func responseError(resp *http.Response, err error) error {
	return &awshttp.ResponseError{
		ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{
				Status:        resp.Status,
				StatusCode:    resp.StatusCode,
				Proto:         resp.Proto,
				ProtoMajor:    resp.ProtoMajor,
				ProtoMinor:    resp.ProtoMinor,
				Header:        resp.Header,
				Body:          http.NoBody,
				ContentLength: resp.ContentLength,
			}},
			Err: err,
		},
		RequestID: requestID(resp.Header),
	}
}

// requestID looks where the SDK looks. It is escaped, since the SDK's error
// prints it as it is.
func requestID(h http.Header) string {
	id := h.Get("X-Amzn-Requestid")
	if id == "" {
		id = h.Get("X-Amz-Requestid")
	}
	return printable(id)
}

// decodeError finds the code where the SDK finds it: in the header, then in
// "__type", then in "code". A body that is not a JSON object, such as a
// proxy's page, leaves the header's code or the status to say what happened.
func decodeError(resp *http.Response, body []byte, creds aws.Credentials) error {
	var kind byte
	var members []jsonMember
	if len(body) <= maxBody {
		kind, members, _ = readJSON(string(body))
	}
	var typ, code, message string
	for _, m := range members {
		switch {
		case strings.EqualFold(m.key, "code"):
			code = m.text // empty if the last one is no string, as in the SDK
		case m.kind != '"':
		case strings.EqualFold(m.key, "__type"):
			typ = m.text
		case strings.EqualFold(m.key, "message"):
			message = m.text
		}
	}
	code, _, _ = strings.Cut(cmp.Or(resp.Header.Get("X-Amzn-Errortype"), typ, code), ":")
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
	// AWS may explain a wrong signature by the request it signed.
	if creds.SessionToken != "" {
		message = strings.ReplaceAll(message, creds.SessionToken, redacted)
	}
	return newAPIError(resp, code, message, creds.Source)
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
func newAPIError(resp *http.Response, code, message, source string) error {
	client := smithy.GenericAPIError{Code: code, Message: message, Fault: smithy.FaultClient}
	server := smithy.GenericAPIError{Code: code, Message: message, Fault: smithy.FaultServer}
	_, throttled := retry.DefaultThrottleErrorCodes[code]
	switch code {
	case "DoesNotExistException":
		return &DoesNotExistError{client}
	case "AccessDeniedException", "AccessDenied", "NotAuthorized", "OptInRequired", "UnauthorizedOperation":
		return &AccessDeniedError{client}
	case "ExpiredTokenException", "ExpiredToken", "TokenRefreshRequired":
		return &CredentialsError{client, true, source}
	case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken",
		"MissingAuthenticationToken", "MissingAuthenticationTokenException":
		return &CredentialsError{client, false, source}
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
	return genericError{&smithy.GenericAPIError{Code: code, Message: message}}
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
