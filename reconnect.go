package ssmresume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithytime "github.com/aws/smithy-go/time"
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
	sessionID string
	onRetry   func(Retry)
	caller    *caller // with which nothing hangs

	running sync.Mutex // held by Resume; guards what follows
	known   StreamURL  // the last one returned
	pace    pace
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
	return &Reconnector{
		caller:    c.caller.bounded(),
		sessionID: sessionID,
		onRetry:   o.OnRetry,
		known:     o.StreamURL,
		pace:      pace{localMax: o.LocalMaxDelay, max: o.MaxDelay},
	}
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
	p, err := r.caller.begin(ctx, &ResumeSessionInput{SessionID: r.sessionID})
	if err != nil {
		return nil, err
	}
	if u := r.known; !u.IsZero() && u.SessionID != r.sessionID {
		return nil, fmt.Errorf("ReconnectorOptions.StreamURL is for session %q, not for %q", u.SessionID, r.sessionID)
	}
	start := time.Now()
	delay := r.pace.begin()
	var last error // of the attempts
	for attempt := 0; ; {
		if attempt > 0 || delay > 0 {
			r.tell(ctx, Retry{Attempt: attempt, Err: r.pace.why, Delay: delay, Elapsed: time.Since(start)})
		}
		if ctxErr := smithytime.SleepWithContext(ctx, delay); ctxErr != nil {
			return nil, gaveUp(ctxErr, attempt, last)
		}
		attempt++
		attemptStart := time.Now()
		attemptCtx, peer := watchPeer(ctx)
		out, err := r.caller.attempt(attemptCtx, freshClient(r.caller.http), p)
		switch {
		case err == nil:
			out, err = r.accept(out)
			r.pace.afterAnswer(cmp.Or(err, errDropped), 0)
			return out, err
		case ctx.Err() != nil:
			if peer.refused.Load() || peer.answered.Load() {
				r.pace.afterAnswer(err, 0)
			}
			return nil, gaveUp(ctx.Err(), attempt, last)
		}
		last = err
		switch verdictOn(err, peer.refused.Load()) {
		case stop:
			if c := (*CredentialsError)(nil); errors.As(err, &c) {
				err = fmt.Errorf("credentials of source %s cannot change in this process: %w", c.Source, err)
			}
			r.pace.afterAnswer(err, 0)
			return nil, err
		case waitForService:
			delay = r.pace.afterAnswer(err, retryAfterOf(err))
		case waitForNetwork:
			delay = r.pace.afterSilence(err, time.Since(attemptStart))
		}
	}
}

func (r *Reconnector) tell(ctx context.Context, retry Retry) {
	r.caller.log(ctx, slog.LevelDebug, "ssmresume: waiting", slog.Int("attempt", retry.Attempt), slog.Duration("delay", retry.Delay), slog.Duration("elapsed", retry.Elapsed), slog.Any("error", retry.Err))
	if r.onRetry != nil {
		r.onRetry(retry)
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
