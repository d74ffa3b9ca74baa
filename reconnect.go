package ssmresume

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithytime "github.com/aws/smithy-go/time"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	localMinDelay = 50 * time.Millisecond
	// 0.25 s would bring a session back 0.2 s sooner (median) for four times the
	// connects; 5 s saves connects that cost next to nothing, and costs a second
	// (bench/results/sweep.csv).
	defaultLocalMax = time.Second

	answerMinDelay = time.Second
	// In a herd of 100,000 that is throttled, 10 s would have all sessions back 4 %
	// sooner for 1.7 times the calls, and a minute would save a quarter of them and
	// take 9 % longer. With 10 s, 10,000 sessions would be back after 31 s, not 43 s,
	// for 5 % more calls; but the more a service is overloaded, the more calls count
	// (bench/results/sweep.csv).
	defaultMaxDelay = 25 * time.Second

	maxRetryAfter      = time.Minute // of what the service asks for
	credentialsTimeout = time.Minute // an SSO login or a credential process may take a while
)

// ReconnectorOptions configure a [Reconnector]. The zero value works.
type ReconnectorOptions struct {
	// StreamURL is the URL of the data channel in use. It is returned again where
	// an answer holds none. Zero if it is not known.
	StreamURL StreamURL

	// LocalMaxDelay is the longest wait after a failure that never reached the
	// service: waits are random between 0 and a bound that doubles from 50 ms up
	// to LocalMaxDelay, and count from the start of the attempt, so that one that
	// timed out is tried again at once. Zero or below means 1 s.
	LocalMaxDelay time.Duration

	// MaxDelay is the longest wait after an answer: waits are random in the upper
	// three quarters of a window that grows fourfold from 1 s up to MaxDelay, plus
	// what the answer's Retry-After asks for, 60 s at most. Zero or below means
	// 25 s.
	MaxDelay time.Duration

	// OnRetry is told of each wait, and of the failed attempt before it, on the
	// goroutine of Resume. Nil is fine.
	OnRetry func(Retry)
}

// Retry describes one wait of [Reconnector.Resume], which may be of no length.
type Retry struct {
	Attempt int           // attempts made since Resume was called; 0 before the first
	Err     error         // why there is a wait; it holds no secret
	Delay   time.Duration // how long the wait is
	Elapsed time.Duration // since Resume was called
}

// A Reconnector brings one session back whenever its data channel is lost, for
// as long as the service still has the session. Make it once per session,
// outside the loop that dials, since it remembers when it last succeeded:
//
//	rc := ssmresume.NewReconnector(client, sessionID)
//	for {
//		out, err := rc.Resume(ctx)
//		if err != nil {
//			return err // the session is gone, trying again cannot help, or ctx ended
//		}
//		err = serve(ctx, out) // dial out.StreamURL, send out.OpenMessage, run until the WebSocket drops
//	}
type Reconnector struct {
	client    *Client
	sessionID string
	options   ReconnectorOptions
	settings  *settings

	running sync.Mutex // held by Resume; guards what follows
	known   StreamURL  // the last one returned
	answers int        // answers since the backoff started over
	owed    wait       // before the next attempt, in this Resume or the next
}

// A wait counts from since, by the wall clock.
type wait struct {
	why   error
	since time.Time
	delay time.Duration
}

// NewReconnector returns a Reconnector for the session. It uses c's options,
// but for Retryer, since Resume has its own backoff, and for a negative
// AttemptTimeout, which means 10 s here: nothing may hang.
func NewReconnector(c *Client, sessionID string, optFns ...func(*ReconnectorOptions)) *Reconnector {
	var o ReconnectorOptions
	for _, fn := range optFns {
		fn(&o)
	}
	if o.LocalMaxDelay <= 0 {
		o.LocalMaxDelay = defaultLocalMax
	}
	if o.MaxDelay <= 0 {
		o.MaxDelay = defaultMaxDelay
	}
	s := *c.call
	s.timeout = s.AttemptTimeout
	if s.timeout <= 0 {
		s.timeout = defaultAttemptTimeout
	}
	s.credentialsTimeout = credentialsTimeout
	return &Reconnector{client: c, sessionID: sessionID, options: o, settings: &s, known: o.StreamURL}
}

// Resume returns fresh connection details for the session, however long the
// network is away. It returns an error only if trying again cannot help or ctx
// has ended:
//
//   - the session is gone ([DoesNotExistError], [SessionTimedOutError]),
//   - IAM, the signature or the request is refused ([AccessDeniedError],
//     [SignatureError], [ValidationError], any other code with a status of 4xx
//     but 408 and 429, or one that the SDK retries),
//   - the credentials are refused ([CredentialsError]), or cannot be used, and
//     their Source says that they cannot change in this process, because they are
//     static or from the environment,
//   - the answer names another session, or its StreamUrl cannot be parsed,
//   - the client's options or the session ID are wrong.
//
// All else is waited for: no network, timeouts, throttling, failures of the
// service, credentials that somebody must renew, and every error without a code
// or without a request ID, which a proxy or a captive portal may have given.
//
// Each attempt dials a new connection; see Options.HTTPClient for clients with
// which that is not possible. If the data channel was lost soon after the last
// return, Resume waits first, so that a channel that opens and drops at once is
// no hot loop; a wait counts from the last return, and what is left of one when
// ctx ends is left for the next Resume.
//
// When ctx ends, the error wraps ctx.Err() and the last attempt's error. One
// call at a time: a second one at once returns an error.
func (r *Reconnector) Resume(ctx context.Context) (*ResumeSessionOutput, error) {
	if !r.running.TryLock() {
		return nil, operationError(errors.New("Resume is already running for this session: make one call at a time"))
	}
	defer r.running.Unlock()
	out, err := r.resume(ctx)
	if err != nil {
		return nil, operationError(err)
	}
	return out, nil
}

func (r *Reconnector) resume(ctx context.Context) (*ResumeSessionOutput, error) {
	in := &ResumeSessionInput{SessionID: r.sessionID}
	if err := in.validate(); err != nil {
		return nil, err
	}
	if r.settings.err != nil {
		return nil, r.settings.err
	}
	if u := r.known; !u.IsZero() && u.SessionID != r.sessionID {
		return nil, fmt.Errorf("ReconnectorOptions.StreamURL is for session %q, not for %q", u.SessionID, r.sessionID)
	}
	r.client.warnPlainHTTP(ctx, r.settings)
	p := newPayload(in)
	start := time.Now()

	var last error // of the attempts
	delay := r.pace()
	for attempt, failures := 0, 0; ; {
		if attempt > 0 || delay > 0 {
			r.tell(ctx, Retry{Attempt: attempt, Err: r.owed.why, Delay: delay, Elapsed: time.Since(start)})
		}
		if ctxErr := smithytime.SleepWithContext(ctx, delay); ctxErr != nil {
			return nil, gaveUp(ctxErr, attempt, last)
		}
		attempt++
		attemptStart := time.Now()
		attemptCtx, peer := watchPeer(ctx)
		out, err := r.client.try(attemptCtx, r.settings, freshClient(r.settings.HTTPClient).Do, p)
		if err == nil {
			out, err = r.accept(out)
			r.owe(cmp.Or(err, errDropped), r.answerDelay())
			return out, err
		}
		if ctx.Err() != nil {
			if peer.refused.Load() || peer.answered.Load() {
				r.owe(err, r.answerDelay())
			}
			return nil, gaveUp(ctx.Err(), attempt, last)
		}
		last = err
		switch verdictOn(err, peer.refused.Load()) {
		case stop:
			if c := (*CredentialsError)(nil); errors.As(err, &c) {
				err = fmt.Errorf("credentials of source %s cannot change in this process: %w", c.Source, err)
			}
			r.owe(err, r.answerDelay())
			return nil, err
		case waitForService:
			failures = 0
			delay = r.answerDelay() + min(retryAfterOf(err), maxRetryAfter)
		case waitForNetwork:
			delay = max(rand.N(backoff(localMinDelay, 2, failures, r.options.LocalMaxDelay))-time.Since(attemptStart), 0)
			failures++
		}
		r.owe(err, delay)
	}
}

// errDropped is the reason of a wait after success.
var errDropped = errors.New("the data channel was lost soon after the session had been resumed")

// owe notes a wait from now on, of which what a ctx cuts off, or what passes
// outside Resume, is not waited twice.
func (r *Reconnector) owe(why error, delay time.Duration) {
	r.owed = wait{why, wallClock(), delay}
}

// pace returns how long to wait before the first attempt.
func (r *Reconnector) pace() time.Duration {
	now := wallClock()
	if r.owed.since.After(now) {
		r.owed.since = now // the clock was set back
	}
	passed := now.Sub(r.owed.since)
	if passed >= r.options.MaxDelay {
		r.answers = 0
	}
	return max(r.owed.delay-passed, 0)
}

// answerDelay spreads the callers that an answer has sent away together, but
// lets none of them come back at once.
func (r *Reconnector) answerDelay() time.Duration {
	window := backoff(answerMinDelay, 4, r.answers, r.options.MaxDelay)
	r.answers++
	return window/4 + rand.N(window-window/4)
}

// backoff returns first times factor to the n, at most limit.
func backoff(first time.Duration, factor, n int, limit time.Duration) time.Duration {
	d := first
	for ; n > 0 && d < limit; n-- {
		d *= time.Duration(factor)
	}
	return min(d, limit)
}

// wallClock goes on while the machine sleeps, unlike the monotonic clock.
func wallClock() time.Time { return time.Now().Round(0) }

func (r *Reconnector) tell(ctx context.Context, retry Retry) {
	r.settings.log(ctx, slog.LevelDebug, "ssmresume: waiting", slog.Int("attempt", retry.Attempt), slog.Duration("delay", retry.Delay), slog.Duration("elapsed", retry.Elapsed), slog.Any("error", retry.Err))
	if r.options.OnRetry != nil {
		r.options.OnRetry(retry)
	}
}

// gaveUp has a last error if an attempt has failed before ctx ended.
func gaveUp(ctxErr error, attempts int, last error) error {
	if last == nil {
		return &smithy.CanceledError{Err: ctxErr}
	}
	return &aws.RequestCanceledError{Err: fmt.Errorf("%w after %d attempts; last error: %w", ctxErr, attempts, last)}
}

// accept returns the answer if it is for this session: never attach a terminal
// to somebody else's.
func (r *Reconnector) accept(out *ResumeSessionOutput) (*ResumeSessionOutput, error) {
	u := out.StreamURL
	switch {
	case out.SessionID != "" && out.SessionID != r.sessionID:
		return nil, fmt.Errorf("the answer is for session %q, not for %q", out.SessionID, r.sessionID)
	case u.IsZero():
		out.StreamURL = r.known
	case u.Host == "":
		return nil, errors.New("the answer's StreamUrl cannot be parsed")
	case u.SessionID != r.sessionID:
		return nil, fmt.Errorf("the answer's StreamUrl is for session %q, not for %q", u.SessionID, r.sessionID)
	}
	r.known = out.StreamURL
	return out, nil
}

type verdict int

const (
	stop           verdict = iota // trying again cannot help
	waitForService                // an answer came: spare who gave it
	waitForNetwork                // none came: trying costs nobody anything
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
	if errors.As(err, &send) {
		if handshakeRefused || errors.As(err, &answered) {
			return waitForService // a peer was there
		}
		return waitForNetwork
	}
	if errors.As(err, &provider) {
		if fixedSources[provider.source] {
			return stop
		}
		return waitForService
	}
	if !errors.As(err, &apiErr) || apiErr.ErrorCode() == unknownError || !errors.As(err, &response) || response.ServiceRequestID() == "" {
		return waitForService // not the service's word
	}
	switch apiErr.(type) {
	case *DoesNotExistError, *SessionTimedOutError, *AccessDeniedError, *SignatureError, *ValidationError:
		return stop
	case *ThrottlingError, *InternalServerError:
		return waitForService
	}
	if errors.As(err, &credentials) {
		if fixedSources[credentials.Source] {
			return stop
		}
		return waitForService
	}
	if _, ok := retry.DefaultRetryableErrorCodes[apiErr.ErrorCode()]; ok {
		return waitForService
	}
	if response.HTTPStatusCode() >= 400 && response.HTTPStatusCode() != http.StatusRequestTimeout {
		return stop
	}
	return waitForService
}

// fixedSources are the SDK's names for credentials that stay as they are until
// the process ends.
var fixedSources = map[string]bool{
	"StaticCredentials":    true, // credentials.NewStaticCredentialsProvider
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
