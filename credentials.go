package ssmresume

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	// credentialsTimeout is how long a provider may take: an SSO login or a
	// credential process may need a while.
	credentialsTimeout = time.Minute

	// How long a provider that has failed is left alone. It may be a program that
	// opens a browser each time.
	firstKeysRest = time.Second // four times as long after each failure, up to
	maxKeysRest   = time.Minute // and after
	longOutage    = 10 * time.Minute
	longKeysRest  = 5 * time.Minute

	// One event may be told to a thousand sessions.
	wakeKeysRest = 100 * time.Millisecond
)

// keys are where the credentials come from.
type keys struct {
	provider  aws.CredentialsProvider
	anonymous bool // requests are not signed
	rests     bool // a Reconnector's: one asks at a time, and none while the provider rests
	*keyring
}

// An invalidator is a provider that can forget what it has, as the SDK's cache can.
type invalidator interface{ Invalidate() }

// A keyring is what is known of a provider. All Reconnectors of a client share it.
type keyring struct {
	had  atomic.Bool   // there were keys once
	turn chan struct{} // a lock that ctx can end the wait for

	mu       sync.Mutex
	failures int
	since    time.Time // of the first of them
	last     time.Time
	why      error // of the last one
	rest     time.Duration
}

func newKeys(provider aws.CredentialsProvider) keys {
	return keys{
		provider:  provider,
		anonymous: aws.IsCredentialsProvider(provider, (*aws.AnonymousCredentials)(nil)),
		keyring:   &keyring{turn: make(chan struct{}, 1)},
	}
}

// retrieve returns the credentials for one attempt.
func (k keys) retrieve(ctx context.Context) (aws.Credentials, error) {
	if k.anonymous {
		return aws.Credentials{Source: anonymousSource}, nil
	}
	leave, err := k.enter(ctx)
	if err != nil {
		return aws.Credentials{}, err
	}
	defer leave()
	if left, why := k.resting(); k.rests && left > 0 {
		return aws.Credentials{}, why
	}
	creds, err := k.get(ctx, false)
	if err != nil {
		if failed := (*providerError)(nil); errors.As(err, &failed) && !failed.never && !failed.network {
			k.failed(err)
		}
	}
	return creds, err
}

// renew returns other credentials than those that were refused, or why there are
// none. The SDK's cache hands out what it has until its expiry time, so it is
// told once to forget it. What ReloadCredentials made is told by ctx, which
// reaches it through a cache.
func (k keys) renew(ctx context.Context, refused aws.Credentials, refusal error) (aws.Credentials, error) {
	leave, err := k.enter(ctx)
	if err != nil {
		return aws.Credentials{}, err
	}
	defer leave()
	if left, _ := k.resting(); k.anonymous || k.rests && left > 0 { // another session has asked since
		return aws.Credentials{}, refusal
	}
	told := context.WithValue(ctx, rejectedKey{}, refused)
	creds, err := k.get(told, false)
	if _, forgets := k.provider.(invalidator); forgets && err == nil && sameKeys(creds, refused) {
		creds, err = k.get(told, true)
	}
	switch {
	case err != nil:
		err = fmt.Errorf("%w; for new credentials: %w", refusal, scrubError(err, refused.SessionToken))
	case sameKeys(creds, refused):
		err = refusal
	default:
		return creds, nil
	}
	if ctx.Err() == nil {
		k.failed(err)
	}
	return aws.Credentials{}, err
}

// get asks the provider, which forgets what it has first, and checks what it says.
func (k keys) get(ctx context.Context, anew bool) (aws.Credentials, error) {
	creds, err := k.ask(ctx, anew)
	switch {
	case err != nil && ctx.Err() != nil:
		return creds, &smithy.CanceledError{Err: ctx.Err()}
	case err != nil:
	case !creds.HasKeys():
		err = errors.New("the provider returned empty keys")
	case hasControl(creds.AccessKeyID) || hasControl(creds.SecretAccessKey) || hasControl(creds.SessionToken):
		err = errors.New("the provider returned keys with a line break or another control character in them")
	default:
		k.had.Store(true)
		return creds, nil
	}
	return creds, &providerError{
		err:     err,
		source:  creds.Source,
		network: isNetworkError(err),
		never:   !k.had.Load() && !isNetworkError(err) && !errors.Is(err, errHangs),
	}
}

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

// errHangs is the error of a provider that takes longer than it may.
var errHangs = fmt.Errorf("the provider did not return within %v", credentialsTimeout)

// ask waits no longer than it may, although a provider may ignore its ctx. A panic
// of the provider is its caller's.
func (k keys) ask(ctx context.Context, anew bool) (aws.Credentials, error) {
	bound := &lateTimeout{Context: ctx}
	defer bound.stop()
	cache, isCache := k.provider.(*aws.CredentialsCache)
	if isCache && !anew {
		creds, err := cache.Retrieve(bound) // which minds ctx
		return creds, bound.explain(err)
	}
	type result struct {
		creds    aws.Credentials
		err      error
		panicked any
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errors.New("the provider ended its goroutine")}
		defer func() {
			r.panicked = recover()
			done <- r
		}()
		if anew {
			k.provider.(invalidator).Invalidate()
		}
		r.creds, r.err = k.provider.Retrieve(bound)
	}()
	select {
	case r := <-done:
		if r.panicked != nil {
			panic(r.panicked)
		}
		return r.creds, bound.explain(r.err)
	case <-bound.Done():
		return aws.Credentials{}, bound.explain(errors.New("it minds no ctx"))
	}
}

// lateTimeout is a ctx that ends after credentialsTimeout, counted from when
// somebody first waits for it. A goroutine or a timer costs a quarter of a call in
// memory, and the SDK's cache needs neither while it has good keys.
type lateTimeout struct {
	context.Context
	once   sync.Once
	bound  context.Context
	cancel context.CancelFunc
}

func (c *lateTimeout) Done() <-chan struct{} {
	c.once.Do(func() { c.bound, c.cancel = context.WithTimeout(c.Context, credentialsTimeout) })
	return c.bound.Done()
}

func (c *lateTimeout) Err() error {
	c.Done()
	return c.bound.Err()
}

func (c *lateTimeout) stop() {
	c.once.Do(func() { c.bound, c.cancel = c.Context, func() {} })
	c.cancel()
}

// explain says of an error that the time is over, where it is. That is no timeout
// to the SDK's retryers: a call takes no three minutes.
func (c *lateTimeout) explain(err error) error {
	if err != nil && c.Err() != nil && c.Context.Err() == nil {
		return fmt.Errorf("%w: %v", errHangs, err)
	}
	return err
}

// enter waits for the Reconnector's turn to ask. Others need not wait.
func (k keys) enter(ctx context.Context) (leave func(), err error) {
	if !k.rests {
		return func() {}, nil
	}
	select {
	case k.turn <- struct{}{}:
		return func() { <-k.turn }, nil
	case <-ctx.Done():
		return nil, &smithy.CanceledError{Err: ctx.Err()}
	}
}

// failed has the provider rest, if it does not already: sessions that fail together
// count once.
func (k keys) failed(why error) {
	if !k.rests {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left() > 0 {
		return
	}
	k.last, k.why = wallClock(), why
	if k.failures == 0 {
		k.since = k.last
	}
	limit := maxKeysRest
	if k.last.Sub(k.since) >= longOutage {
		limit = longKeysRest
	}
	k.rest = backoff(firstKeysRest, 4, k.failures, limit)
	k.failures++
}

// accepted says that the service took the keys.
func (k *keyring) accepted() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failures, k.rest = 0, 0
}

// resting returns how long the provider rests yet, and why.
func (k *keyring) resting() (time.Duration, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.left(), k.why
}

// wake ends the rest, unless it has only begun, and returns what is left of it.
func (k *keyring) wake() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rest = min(k.rest, wakeKeysRest)
	return k.left()
}

// left is called with mu held.
func (k *keyring) left() time.Duration {
	return max(min(k.rest-wallClock().Sub(k.last), k.rest), 0) // the clock may be set back
}

// isNetworkError reports whether a provider has reached nobody. That the metadata
// service of EC2, where the SDK looks at last, is not there says that there are no
// keys anywhere: it is no part of any network.
func isNetworkError(err error) bool {
	var op *smithy.OperationError
	for inner := err; errors.As(inner, &op); inner = op.Err {
		if op.ServiceID == "ec2imds" {
			return false
		}
	}
	return errors.As(err, new(*smithyhttp.RequestSendError)) || errors.As(err, new(*net.OpError)) ||
		errors.As(err, new(*net.DNSError)) || errors.Is(err, context.DeadlineExceeded)
}

func sameKeys(a, b aws.Credentials) bool {
	return a.AccessKeyID == b.AccessKeyID && a.SecretAccessKey == b.SecretAccessKey && a.SessionToken == b.SessionToken
}

// providerError tells a failure to get credentials, which may hold another
// service's answer, from an answer to our request.
type providerError struct {
	err     error
	source  string // aws.Credentials.Source, where the provider told it
	network bool   // the provider reached nobody
	never   bool   // there have never been any, and it is not for the network
}

func (e *providerError) Error() string { return "get credentials: " + printable(e.err.Error()) }
func (e *providerError) Unwrap() error { return e.err }
