package ssmresume

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
)

// credentialsTimeout is how long a Reconnector waits for a provider: an SSO login
// or a credential process may take a while.
const credentialsTimeout = time.Minute

// keys are where the credentials come from.
type keys struct {
	provider  aws.CredentialsProvider
	anonymous bool          // requests are not signed
	timeout   time.Duration // for the provider; 0: none but ctx's
}

func newKeys(provider aws.CredentialsProvider) keys {
	return keys{provider: provider, anonymous: aws.IsCredentialsProvider(provider, (*aws.AnonymousCredentials)(nil))}
}

// retrieve returns the credentials for one attempt.
func (k keys) retrieve(ctx context.Context) (aws.Credentials, error) {
	if k.anonymous {
		return aws.Credentials{}, nil
	}
	creds, err := k.ask(ctx)
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

// ask does not wait longer than it may for a provider that ignores its ctx.
func (k keys) ask(ctx context.Context) (aws.Credentials, error) {
	if k.timeout == 0 {
		return k.provider.Retrieve(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	type result struct {
		creds aws.Credentials
		err   error
	}
	done := make(chan result, 1)
	go func() {
		creds, err := k.provider.Retrieve(ctx)
		done <- result{creds, err}
	}()
	select {
	case r := <-done:
		return r.creds, r.err
	case <-ctx.Done():
		return aws.Credentials{}, fmt.Errorf("the provider did not return: %w", ctx.Err())
	}
}

// renew returns other credentials than the rejected ones where the provider
// has some. The SDK's cache hands out what it has until its expiry time, so it
// is told once to forget it. What ReloadCredentials made is told by ctx, which
// reaches it through a cache.
func (k keys) renew(ctx context.Context, rejected aws.Credentials) (aws.Credentials, error) {
	ctx = context.WithValue(ctx, rejectedKey{}, rejected)
	creds, err := k.retrieve(ctx)
	if err != nil || !sameKeys(creds, rejected) {
		return creds, err
	}
	if cache, ok := k.provider.(interface{ Invalidate() }); ok {
		cache.Invalidate()
		return k.retrieve(ctx)
	}
	return creds, nil
}

func sameKeys(a, b aws.Credentials) bool {
	return a.AccessKeyID == b.AccessKeyID && a.SecretAccessKey == b.SecretAccessKey && a.SessionToken == b.SessionToken
}

// providerError tells a failure to get credentials, which may hold another
// service's answer, from an answer to our request.
type providerError struct {
	err    error
	source string // aws.Credentials.Source, where the provider told it
}

func (e *providerError) Error() string { return "get credentials: " + e.err.Error() }
func (e *providerError) Unwrap() error { return e.err }
