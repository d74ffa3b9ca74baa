package ssmresume

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

type verdict int

const (
	stop           verdict = iota // trying again cannot help
	waitForService                // an answer came: spare who gave it
	waitForKeys                   // somebody must renew them
	waitForNetwork                // no answer came: trying costs nobody anything
)

// verdictOn says what an attempt's error means for the session.
func verdictOn(err error, handshakeRefused bool) verdict {
	var (
		provider    *providerError
		send        *smithyhttp.RequestSendError
		answered    *answeredError
		response    *awshttp.ResponseError
		credentials *CredentialsError
		apiErr      smithy.APIError
	)
	isFixed := func(source string) verdict {
		if fixedSources[source] {
			return stop
		}
		return waitForKeys // somebody logs in again
	}
	switch {
	case errors.As(err, &send) && !handshakeRefused && !errors.As(err, &answered):
		return waitForNetwork // nobody was there: trying costs nobody anything
	case errors.As(err, &send):
		return waitForService // somebody was, and did not answer to the end
	case errors.As(err, &provider):
		return isFixed(provider.source)
	case !errors.As(err, &apiErr), apiErr.ErrorCode() == unknownError:
		return waitForService // a page, a redirect, {}: no code, not the service's word
	case !errors.As(err, &response), response.ServiceRequestID() == "":
		return waitForService // a code from whoever names no request is a proxy's
	case errors.As(err, &credentials):
		return isFixed(credentials.Source)
	}
	switch apiErr.(type) {
	case *DoesNotExistError, *SessionTimedOutError, *AccessDeniedError, *SignatureError, *ValidationError:
		return stop
	case *ThrottlingError, *InternalServerError:
		return waitForService
	}
	_, retryable := retry.DefaultRetryableErrorCodes[apiErr.ErrorCode()]
	status := response.HTTPStatusCode()
	if status < 400 || status == http.StatusRequestTimeout || retryable {
		return waitForService
	}
	return stop // any other code of the service: it has refused
}

const staticSource = "StaticCredentials"

// fixedSources are the SDK's names for credentials that stay as they are until
// the process ends.
var fixedSources = map[string]bool{
	staticSource:           true, // credentials.NewStaticCredentialsProvider
	"EnvConfigCredentials": true, // AWS_ACCESS_KEY_ID and so on
}

// peer is what an attempt has heard from whom it dialled.
type peer struct {
	refused  atomic.Bool // a TLS handshake failed for what the peer sent, and not for the network
	answered atomic.Bool // an answer began
}

// watchPeer returns a ctx for one attempt.
func watchPeer(ctx context.Context) (context.Context, *peer) {
	var p peer
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotFirstResponseByte: func() { p.answered.Store(true) },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			var timeout net.Error
			var errno syscall.Errno // such as a reset
			lost := errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) || errors.As(err, &errno) ||
				errors.As(err, &timeout) && timeout.Timeout()
			p.refused.Store(err != nil && !lost)
		},
	}), &p
}
