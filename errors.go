package ssmresume

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aws/smithy-go"
)

// APIError is what the errors of this package have in common: Code and Message of
// the wire. No error is one by itself: look for the types below, or for
// smithy.APIError.
type APIError struct{ smithy.GenericAPIError }

// Error returns code and message, with control characters escaped.
func (e *APIError) Error() string { return printable(e.Code + ": " + e.Message) }

// ErrSessionGone is what errors.Is finds in an error that says that the session
// has ended, in whichever of two ways the service said so: a [DoesNotExistError]
// or a [SessionTimedOutError]. Trying again will not help: start a new session.
var ErrSessionGone = errors.New("ssmresume: the session is gone")

// DoesNotExistError reports that no session with this ID can be resumed (wire
// code DoesNotExistException). It is an [ErrSessionGone].
type DoesNotExistError struct{ APIError }

// Is reports whether target is ErrSessionGone.
func (e *DoesNotExistError) Is(target error) bool { return target == ErrSessionGone }

// SessionTimedOutError reports that the service answered without a token: the
// session has ended. It is an [ErrSessionGone]. AWS does not document when it
// answers so and when with a [DoesNotExistError]; the AWS SDKs report this answer
// as a success. The code is "SessionTimedOut", which is none of the service's.
type SessionTimedOutError struct{ APIError }

// Is reports whether target is ErrSessionGone.
func (e *SessionTimedOutError) Is(target error) bool { return target == ErrSessionGone }

// AccessDeniedError reports that the caller's IAM policies, or the state of the
// AWS account, do not allow the call (wire codes AccessDeniedException,
// AccessDenied, NotAuthorized, OptInRequired, UnauthorizedOperation; or status
// 401 or 403 without a code, which may come from a proxy). A person must act:
// the call needs ssm:ResumeSession on the session's ARN.
type AccessDeniedError struct{ APIError }

// CredentialsError reports that the service did not accept the credentials
// (wire codes ExpiredTokenException, ExpiredToken, UnrecognizedClientException,
// InvalidClientTokenId, InvalidToken, MissingAuthenticationToken,
// MissingAuthenticationTokenException, TokenRefreshRequired). The call has
// already asked the provider for new ones. Log in again, or fix the provider; keys
// of a file that another program renews want [ReloadCredentials].
type CredentialsError struct {
	APIError
	Expired bool   // they were good once
	Source  string // where they came from, as aws.Credentials.Source says it
}

// SignatureError reports that the service calculated another signature (wire
// codes InvalidSignatureException, SignatureDoesNotMatch, IncompleteSignature,
// IncompleteSignatureException, AuthFailure, RequestExpired,
// RequestTimeTooSkewed). The secret key is wrong, or the local clock is and
// could not be corrected from the answer's Date.
type SignatureError struct{ APIError }

// ThrottlingError reports that the service allows no more requests for now (the
// SDK's throttle codes, or status 429). Wait and try again.
type ThrottlingError struct {
	APIError
	RetryAfter time.Duration // how long the service said to wait, a year at most; 0 if it did not
}

// ValidationError reports that the service found the request wrong (wire codes
// ValidationException, ValidationError, SerializationException,
// UnknownOperationException, and those that begin with InvalidParameter): the
// session ID is malformed, or the endpoint is not Systems Manager's.
type ValidationError struct{ APIError }

// InternalServerError reports that the service failed (wire codes
// InternalServerError, InternalServerException, InternalFailure, InternalError,
// ServiceUnavailable, ServiceUnavailableException, or any other status from
// 500). Try again later.
type InternalServerError struct{ APIError }

// RetryableError returns true, which makes the SDK's retryers try a 429 without
// a code again too.
func (e *ThrottlingError) RetryableError() bool { return true }

// escapedError escapes the text of err, which may hold what others have said.
type escapedError struct{ err error }

func (e escapedError) Error() string { return printable(scrub(e.err.Error(), "")) }
func (e escapedError) Unwrap() error { return e.err }

// answeredError is why there is no complete answer although somebody answered:
// the rest was lost or cannot be read, or a proxy refused the connection.
type answeredError struct {
	header http.Header
	err    error
	status int // of a proxy that refused; 0 of others
}

func (e *answeredError) Error() string { return e.err.Error() }
func (e *answeredError) Unwrap() error { return e.err }

// HTTPStatusCode returns the status with which a proxy refused, else 0.
func (e *answeredError) HTTPStatusCode() int { return e.status }

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
