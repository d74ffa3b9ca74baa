package ssmresume

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
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
	creds, err := s.callProvider(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return creds, &smithy.CanceledError{Err: ctx.Err()}
	case err != nil:
		return creds, &providerError{err, creds.Source}
	case !creds.HasKeys():
		return creds, &providerError{errors.New("the provider returned empty keys"), creds.Source}
	case hasControl(creds.AccessKeyID) || hasControl(creds.SecretAccessKey) || hasControl(creds.SessionToken):
		return creds, &providerError{errors.New("the provider returned keys with a line break or another control character in them"), creds.Source}
	}
	return creds, nil
}

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

// callProvider does not wait longer than it may for a provider that ignores
// its ctx.
func (s *settings) callProvider(ctx context.Context) (aws.Credentials, error) {
	if s.credentialsTimeout == 0 {
		return s.Credentials.Retrieve(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, s.credentialsTimeout)
	defer cancel()
	type result struct {
		creds aws.Credentials
		err   error
	}
	done := make(chan result, 1)
	go func() {
		creds, err := s.Credentials.Retrieve(ctx)
		done <- result{creds, err}
	}()
	select {
	case r := <-done:
		return r.creds, r.err
	case <-ctx.Done():
		return aws.Credentials{}, fmt.Errorf("the provider did not return: %w", ctx.Err())
	}
}

// providerError tells a failure to get credentials, which may hold another
// service's answer, from an answer to our request.
type providerError struct {
	err    error
	source string // aws.Credentials.Source, where the provider told it
}

func (e *providerError) Error() string { return "get credentials: " + e.err.Error() }
func (e *providerError) Unwrap() error { return e.err }

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
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
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

// emptySHA256 is the hash of an empty body.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// StreamHeader returns the headers that sign the WebSocket handshake with the
// data channel: Authorization, X-Amz-Date and, with temporary credentials,
// X-Amz-Security-Token. Session Manager's own client sends them from version
// 1.2.764.0 on. For a presigned URL, and with aws.AnonymousCredentials, the
// header is empty.
//
// Dial u.DialURL() as it is, within five minutes, after which AWS refuses the
// signature, and with a client that refuses redirects: one that follows them
// sends the headers, which are secrets, to wherever it is pointed. The caller
// needs ssmmessages:OpenDataChannel.
//
// StreamHeader refuses a host outside AWS, so that the headers reach AWS only,
// unless the client's own endpoint is a custom one outside AWS, as in a test. To
// dial a PrivateLink name, put it into the URL and parse that again first.
func (c *Client) StreamHeader(ctx context.Context, u StreamURL) (http.Header, error) {
	h, err := c.streamHeader(ctx, c.call, u)
	if err != nil {
		return nil, fmt.Errorf("ssmresume: sign the data channel's handshake: %w", err)
	}
	return h, nil
}

func (c *Client) streamHeader(ctx context.Context, s *settings, u StreamURL) (http.Header, error) {
	switch {
	case s.err != nil:
		return nil, s.err
	case u.Host == "":
		return nil, errors.New("the stream URL is empty, or not one that ParseStreamURL accepts")
	case u.Presigned || s.anonymous:
		return http.Header{}, nil
	case u.Partition == "" && (s.BaseEndpoint == nil || isAWSHost(s.endpoint.Hostname())):
		return nil, fmt.Errorf("host %q is not one of AWS's: it must not get the credentials", u.Host)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.DialURL(), nil)
	if err != nil {
		return nil, errors.New("the stream URL is not valid")
	}
	// The signer drops what it cannot parse, and so would sign another query than
	// the one that is dialled.
	if _, err := url.ParseQuery(req.URL.RawQuery); err != nil {
		return nil, errors.New("the stream URL's query cannot be parsed")
	}
	if query := req.URL.RawQuery; query != "" {
		for pair := range strings.SplitSeq(query, "&") {
			if pair == "" || pair[0] == '=' {
				return nil, errors.New("the stream URL's query has an empty parameter")
			}
		}
	}
	creds, err := s.retrieve(ctx)
	if err != nil {
		return nil, err
	}
	region := u.Region
	if region == "" {
		region = s.Region
	}
	if err := c.signer.SignHTTP(ctx, creds, req, emptySHA256, "ssmmessages", region, time.Now().Add(c.clockOffset(s))); err != nil {
		return nil, err
	}
	return req.Header, nil
}
