package ssmresume

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// A verdict says what an attempt's error means for the session.
type verdict struct {
	do     action
	reason string
	mend   bool // a person must act, and is told at once
}

type action int

const (
	stop           action = iota // trying again cannot help
	waitForService               // an answer came: spare who gave it
	waitInLine                   // the service allows the account no more calls for now
	waitForKeys                  // somebody must renew them
	waitForNetwork               // no answer came: trying costs nobody anything
)

// verdictOn goes from who failed to what was said. region is the one that named
// the endpoint, empty where that is a custom one.
func verdictOn(err error, peer *peer, region string) verdict {
	var (
		provider    *providerError
		credentials *CredentialsError
		send        *smithyhttp.RequestSendError
		noHost      *net.DNSError
		response    *awshttp.ResponseError
		apiErr      smithy.APIError
	)
	refused := errors.As(err, &credentials)
	switch {
	// The provider, which may talk to services of its own: their answers are no
	// word about the session.
	case errors.As(err, &provider) && isFixed(provider.source):
		return verdict{do: stop, reason: fixedReason(provider.source)}
	case provider != nil && baseKeysExpired(provider):
		return verdict{do: stop, reason: "the keys that the role is assumed from have expired and do not change in this process: use ReloadCredentials, or start again with new ones"}
	case provider != nil && provider.never:
		return verdict{do: stop, reason: "there are no credentials, and there never were any"}
	case provider != nil && provider.network && !refused:
		return verdict{do: waitForNetwork, reason: "the credentials' provider reaches nobody"}
	case provider != nil:
		return verdict{do: waitForKeys, reason: "there are no new credentials: log in, or mend their provider", mend: true}

	// No complete answer.
	case errors.As(err, &send) && statusOf(err) == http.StatusProxyAuthRequired:
		return verdict{do: waitForService, reason: "the proxy wants another user name or password", mend: true}
	case send != nil && peer.refused.Load():
		return verdict{do: waitForService, reason: "TLS fails: an unknown certificate, no TLS on this port, or a captive portal", mend: true}
	case send != nil && peer.answered.Load():
		return verdict{do: waitForService, reason: "the answer broke off or cannot be read"}
	case send != nil && region != "" && partitionOf(region) == nil && errors.As(err, &noHost) && noHost.IsNotFound:
		return verdict{do: waitForNetwork, reason: "no Region is known that is named like " + region + ", and it has no endpoint: is it an availability zone?", mend: true}
	case send != nil:
		return verdict{do: waitForNetwork, reason: "nobody answers"}

	// An answer. Only the service's own word ends a session.
	case !errors.As(err, &response):
		return verdict{do: waitForService, reason: "the attempt failed before it was sent"}
	case response.HTTPStatusCode() == http.StatusNotImplemented:
		return verdict{do: stop, reason: "the endpoint does not know ResumeSession"}
	case response.HTTPStatusCode() == http.StatusProxyAuthRequired:
		return verdict{do: waitForService, reason: "the proxy wants a user name and a password", mend: true}
	case !errors.As(err, &apiErr), apiErr.ErrorCode() == unknownError:
		return verdict{do: waitForService, reason: "the answer names no error: a page, a redirect, {}"}
	case !isServices(response):
		return verdict{do: waitForService, reason: "the answer is not the service's: it has neither a request ID nor its content type"}
	case errors.As(err, new(*ThrottlingError)):
		return verdict{do: waitInLine, reason: "the service allows no more requests for now"}
	case contradicts(response.HTTPStatusCode()):
		return verdict{do: waitForService, reason: "the answer's status says that somebody could not do it now"}
	case refused && isFixed(credentials.Source):
		return verdict{do: stop, reason: fixedReason(credentials.Source)}
	case refused:
		return verdict{do: waitForKeys, reason: "the service refuses the credentials: log in, or have them renewed", mend: true}
	}
	switch apiErr.(type) {
	case *DoesNotExistError, *SessionTimedOutError:
		return verdict{do: stop, reason: "the session is gone"}
	case *AccessDeniedError:
		return verdict{do: stop, reason: "IAM or the account does not allow it"}
	case *SignatureError:
		return verdict{do: stop, reason: "the secret key or the clock is wrong"}
	case *ValidationError:
		return verdict{do: stop, reason: "the service finds the request wrong"}
	case *InternalServerError:
		return verdict{do: waitForService, reason: "the service fails"}
	}
	_, retryable := retry.DefaultRetryableErrorCodes[apiErr.ErrorCode()]
	if status := response.HTTPStatusCode(); status < 400 || status == http.StatusRequestTimeout || retryable {
		return verdict{do: waitForService, reason: "the service asks to try again"}
	}
	return verdict{do: stop, reason: "the service has refused"} // any other code
}

// statusOf returns the status of the answer behind err, or 0.
func statusOf(err error) int {
	var answer interface{ HTTPStatusCode() int }
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

// isServices reports whether an answer comes from the service, or from what stands
// in for it on purpose, and not from what is in the way.
func isServices(r *awshttp.ResponseError) bool {
	return r.ServiceRequestID() != "" || strings.HasPrefix(r.Response.Header.Get("Content-Type"), "application/x-amz-json-1.")
}

// contradicts reports whether a status says another thing than any code that ends
// a session.
func contradicts(status int) bool {
	return status < 200 || status >= 300 && status < 400 || status == http.StatusTooManyRequests || status >= 500
}

// The SDK's names of credentials that stay as they are until the process ends: it
// has read them once. (That of a file goes on with the file's name.)
const (
	anonymousSource = "AnonymousCredentials"
	staticSource    = "StaticCredentials"
	envSource       = "EnvConfigCredentials"
	fileSource      = "SharedConfigCredentials"
)

func isFixed(source string) bool {
	return source == anonymousSource || source == staticSource || source == envSource || strings.HasPrefix(source, fileSource)
}

func fixedReason(source string) string {
	source = printable(source)
	switch source {
	case anonymousSource:
		return "the service wants a signature, and " + source + " have none: set Options.Credentials"
	case envSource:
		return "credentials of source " + source + " do not change in this process: start it again with new ones"
	}
	return "credentials of source " + source + " do not change in this process: use ReloadCredentials, or start it again"
}

// baseKeysExpired reports whether STS has refused to have a role assumed, since
// the keys that ask for it have expired. Keys that it knows an end of, the SDK
// renews in time.
func baseKeysExpired(err error) bool {
	var op *smithy.OperationError
	var apiErr smithy.APIError
	return errors.As(err, &op) && op.ServiceID == "STS" && op.OperationName == "AssumeRole" &&
		errors.As(op.Err, &apiErr) && (apiErr.ErrorCode() == "ExpiredToken" || apiErr.ErrorCode() == "ExpiredTokenException") &&
		!errors.As(err, new(*reloadError))
}

// A peer is an HTTPClient that notes what it hears from whom it sends a request
// to. What an error says may come from somebody else.
type peer struct {
	client   aws.HTTPClient
	refused  atomic.Bool // a TLS handshake failed for what the peer sent, and not for the network
	answered atomic.Bool // an answer began
}

func (p *peer) Do(req *http.Request) (*http.Response, error) {
	p.refused.Store(false)
	p.answered.Store(false)
	resp, err := p.client.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotFirstResponseByte: func() { p.answered.Store(true) },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			var timeout net.Error
			var conn *net.OpError // of the connection, such as a reset; crypto/tls has its own, for alerts
			lost := errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) ||
				errors.As(err, &conn) && (conn.Op == "read" || conn.Op == "write") ||
				errors.As(err, &timeout) && timeout.Timeout()
			p.refused.Store(err != nil && !lost)
		},
	})))
	// A proxy that refuses, or a peer that ends the stream or the connection by the
	// words of HTTP/2, for which net/http has texts and no types.
	if err != nil && (errors.As(err, new(*answeredError)) ||
		strings.Contains(err.Error(), "received from peer") || strings.Contains(err.Error(), "GOAWAY")) {
		p.answered.Store(true)
	}
	return resp, err
}
