package ssmresume

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	signingName = "ssm" // the service in the signature's scope

	// maxClockSkew is what the SDK tolerates before it blames the clock. AWS
	// refuses signatures that are 5 minutes old.
	maxClockSkew = 4 * time.Minute
)

// retrieve returns the credentials for one attempt.
func (s *settings) retrieve(ctx context.Context) (aws.Credentials, error) {
	if s.anonymous {
		return aws.Credentials{}, nil
	}
	creds, err := s.Credentials.Retrieve(ctx)
	switch {
	case err == nil && !creds.HasKeys():
		return creds, errors.New("get credentials: the provider returned empty keys")
	case err != nil && ctx.Err() != nil:
		return creds, &smithy.CanceledError{Err: fmt.Errorf("get credentials: %w", ctx.Err())}
	case err != nil:
		return creds, fmt.Errorf("get credentials: %w", err)
	}
	return creds, nil
}

// renew returns other credentials than the rejected ones where the provider
// has some. The SDK's cache hands out what it has until its expiry time, so it
// is told once to forget it.
func (s *settings) renew(ctx context.Context, rejected aws.Credentials) (aws.Credentials, error) {
	creds, err := s.retrieve(ctx)
	if err != nil || !sameKeys(creds, rejected) {
		return creds, err
	}
	if cache, ok := s.Credentials.(interface{ Invalidate() }); ok {
		cache.Invalidate()
		return s.retrieve(ctx)
	}
	return creds, nil
}

func sameKeys(a, b aws.Credentials) bool {
	return a.AccessKeyID == b.AccessKeyID && a.SecretAccessKey == b.SecretAccessKey && a.SessionToken == b.SessionToken
}

// clockOffset is how far the service's clock is ahead of the local one, as far
// as known.
func (c *Client) clockOffset(s *settings) time.Duration {
	if s.DisableClockSkewCorrection {
		return 0
	}
	return time.Duration(c.offset.Load())
}

// learnClockOffset believes only a peer that proved who it is, or one on this
// machine: anybody else could make us sign for a time of his choice. An answer
// with an Age header comes from a cache and is old.
func (c *Client) learnClockOffset(s *settings, h http.Header) {
	if s.endpoint.Scheme != "https" && !s.local || h.Get("Age") != "" {
		return
	}
	if date, err := smithyhttp.ParseTime(h.Get("Date")); err == nil {
		c.offset.Store(int64(time.Until(date)))
	}
}

// clockErrorCodes are the codes by which AWS refuses a signature for its time.
// All have other causes too, so they count only beside a Date that is off. The
// first five are the SDK's.
var clockErrorCodes = map[string]bool{
	"InvalidSignatureException": true,
	"SignatureDoesNotMatch":     true,
	"AuthFailure":               true,
	"RequestTimeTooSkewed":      true,
	"AccessDeniedException":     true,
	"RequestExpired":            true,
}

func isClockError(err error) bool {
	var apiErr smithy.APIError
	return errors.As(err, &apiErr) && clockErrorCodes[apiErr.ErrorCode()]
}
