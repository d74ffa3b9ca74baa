package ssmresume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
)

// ReconnectorOptions configure a [Reconnector]. The zero value works.
type ReconnectorOptions struct {
	// First is what the session has already: what StartSession answered (see
	// [NewOutput]), or an earlier answer that is still good. The first Resume
	// returns it without a call, so that the loop need not know a new session from
	// a lost one. Nil means that the first Resume calls. A First of another
	// session, or without token or StreamURL, is an error of Resume.
	First *ResumeSessionOutput

	// MaxNetworkWait is the longest wait after a failure that never reached the
	// service: waits are random between 0 and a bound that doubles from 50 ms up
	// to MaxNetworkWait, and count from the start of the attempt, so that one that
	// timed out is tried again at once. Zero or below means 1 s.
	MaxNetworkWait time.Duration

	// MaxServiceWait is the longest wait after an answer: waits are random in the
	// upper three quarters of a window that grows fourfold from 1 s up to
	// MaxServiceWait, plus what the answer's Retry-After asks for, 60 s at most.
	// Sessions of a client that is throttled take turns, so that they are no herd to
	// themselves: after a wait one of them asks, and each answer lets two more ask,
	// until the next refusal.
	// A channel that drops soon after a success is put off in the same way, by 25 s
	// at most. Zero or below means 25 s; more than a year means a year.
	MaxServiceWait time.Duration

	// OnWait is told of each wait before it begins, and of the failed attempt
	// before it, on the goroutine of Resume. Nil is fine.
	OnWait func(Wait)

	// Wake ends a wait for the network or for credentials at once, and has one
	// attempt made: send on it when an interface came up, somebody has logged in,
	// or the user has pressed a key. (Credentials are asked for ten times a second
	// at most.) It does not end a wait that spares the service. Sent while there is
	// no wait to end, a value is received by the next one: give the channel a
	// buffer of 1, and send in a select with a default. One Reconnector receives
	// each value, so make one channel for each. Nil is fine; after a close all is
	// as with nil.
	Wake <-chan struct{}
}

// Wait describes one wait of [Reconnector.Resume], which may be of no length.
type Wait struct {
	Attempt int           // attempts made since Resume was called; 0 before the first
	Err     error         // why there is a wait; it holds no secret
	Delay   time.Duration // how long it is, unless Wake or ctx ends it, or others of a throttled client come first
	Elapsed time.Duration // since Resume was called
}

// A Reconnector brings one session back whenever its data channel is lost, for
// as long as the service still has the session. Make it once per session,
// outside the loop that dials, since it remembers when it last succeeded:
//
//	rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
//		o.First = first // what StartSession answered, if it has just been started
//		o.OnWait = func(w ssmresume.Wait) { log.Print(w.Err) }
//	})
//	for {
//		out, err := rc.Resume(ctx)
//		if err != nil {
//			return err // errors.Is(err, ErrSessionGone), trying again cannot help, or ctx ended
//		}
//		err = serve(ctx, out) // dial, open, run until the WebSocket drops
//		if isFinal(err) {
//			return err // the handshake was refused with 401 or 403, or the session was ended
//		}
//	}
//
// A handshake that is refused with 401 or 403 is refused again with the next token:
// the caller lacks ssmmessages:OpenDataChannel.
type Reconnector struct {
	sessionID string
	onWait    func(Wait)
	caller    *caller // with which nothing hangs

	running sync.Mutex           // held by Resume; guards what follows
	first   *ResumeSessionOutput // not yet returned
	known   StreamURL            // the last one returned
	pace    pace
	wake    <-chan struct{}
	outage  outage
}

// NewReconnector returns a Reconnector for the session. It uses c's options,
// but for Retryer, since Resume has its own backoff, and for a negative
// AttemptTimeout, which means 10 s here: nothing may hang.
func NewReconnector(c *Client, sessionID string, optFns ...func(*ReconnectorOptions)) *Reconnector {
	var o ReconnectorOptions
	for _, fn := range optFns {
		fn(&o)
	}
	if o.MaxNetworkWait <= 0 {
		o.MaxNetworkWait = defaultMaxNetworkWait
	}
	if o.MaxServiceWait <= 0 {
		o.MaxServiceWait = defaultMaxServiceWait
	}
	r := &Reconnector{
		sessionID: sessionID,
		onWait:    o.OnWait,
		caller:    c.caller.bounded(),
		pace:      pace{maxNetwork: o.MaxNetworkWait, maxService: min(o.MaxServiceWait, longestMaxWait)},
		wake:      o.Wake,
	}
	if o.First != nil {
		first := *o.First // the caller may change it
		r.first = &first
	}
	return r
}

// Resume returns fresh connection details for the session, however long the
// network is away; the first time it returns ReconnectorOptions.First, if that is
// set. It returns an error only if trying again cannot help or ctx has ended, and
// the error says which it is:
//
//   - the session is gone ([ErrSessionGone]),
//   - IAM, the signature or the request is refused ([AccessDeniedError],
//     [SignatureError], [ValidationError], any other code with a status of 4xx
//     but 408 and 429, or one that the SDK retries),
//   - there are no credentials and never were any: no call of the client has had
//     some, and it is not the network that keeps their provider from getting them,
//   - the credentials are refused ([CredentialsError]), or cannot be used, and do
//     not change in this process: they are static, of the environment, of a file
//     that the SDK has read (see [ReloadCredentials]) or anonymous, or STS says
//     that those have expired with which a role is to be assumed,
//   - the endpoint does not know the call (status 501),
//   - the answer names another session, or its StreamUrl cannot be parsed,
//   - the client's options or the session ID are wrong.
//
// All else is waited for: no network, timeouts, throttling, failures of the
// service, and every answer that is not the service's word, which a proxy or a
// captive portal may have given: one without a code, one with neither a request ID
// nor the service's content type, one whose status says another thing (3xx, 429,
// 5xx).
//
// Credentials that have lapsed are waited for too. Their provider is asked again
// after 1 s, then 4 s, 16 s and each minute, after ten minutes each 5 minutes, or
// at a value on Wake; all Reconnectors of a client ask as often as one.
//
// Options.Logger gets a Warn at once where a person must act (credentials, a
// certificate that nobody has signed, a proxy that wants a password, a Region that
// is none), and of each outage after 30 s, and then each time it has lasted twice
// as long.
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
	start := time.Now()
	r.outage.begin(start)
	wait := r.pace.begin()
	var last error // of the attempts
	var v verdict  // on that
	caller := r.caller.afresh(nil)
	for attempt := 0; ; {
		tell := func(delay time.Duration) {
			r.tell(ctx, p, Wait{Attempt: attempt, Err: r.pace.why, Delay: delay, Elapsed: time.Since(start)})
		}
		if wait > 0 || attempt > 0 && v.do != waitInLine {
			tell(wait)
		}
		if ctxErr := r.sleep(ctx, p, wait, nil); ctxErr != nil {
			return nil, gaveUp(ctxErr, attempt, last)
		}
		if r.first != nil {
			return r.takeFirst()
		}
		if ctxErr := r.standInLine(ctx, p, tell); ctxErr != nil {
			return nil, gaveUp(ctxErr, attempt, last)
		}
		attempt++
		attemptStart := time.Now()
		peer := &peer{client: freshClient(r.caller.http)}
		out, err := caller.attempt(ctx, peer, p)
		switch {
		case err == nil:
			r.caller.line.tell(answered)
			r.caller.keys.accepted()
			if out, err = r.accept(out, "the answer"); err != nil {
				r.pace.afterAnswer(err, 0)
			}
			return out, err
		case ctx.Err() != nil:
			r.caller.line.tell(unmade)
			if peer.refused.Load() || peer.answered.Load() {
				r.pace.afterAnswer(err, 0)
			}
			return nil, gaveUp(ctx.Err(), attempt, last)
		}
		last = err
		caller = caller.afresh(err)
		v = verdictOn(err, peer, r.caller.namedRegion())
		switch v.do {
		case waitInLine:
			wait = r.pace.afterThrottling(err, &r.caller.line, attemptStart, retryAfterOf(err))
		case waitForNetwork:
			r.caller.line.tell(unreached)
			wait = r.pace.afterSilence(err, time.Since(attemptStart))
		case waitForService:
			r.caller.line.tell(answered)
			wait = r.pace.afterAnswer(err, retryAfterOf(err))
		case waitForKeys:
			r.caller.line.tell(answered)
			left, _ := r.caller.keys.resting()
			wait = r.pace.afterBadKeys(err, left)
		case stop:
			r.caller.line.tell(answered)
			err = fmt.Errorf("%s: %w", v.reason, err)
			r.pace.afterAnswer(err, 0)
			return nil, err
		}
		if r.outage.note(v) {
			r.warn(ctx, p, "ssmresume: a person must act")
		}
	}
}

// standInLine waits for the session's turn while the client is throttled.
func (r *Reconnector) standInLine(ctx context.Context, p payload, tell func(time.Duration)) error {
	rest, why := r.caller.line.closed(r.pace.answers == 0)
	if why == nil {
		return nil
	}
	tell(r.pace.owe(why, rest, false)) // before it stands there: nobody waits for what is told
	turn := r.caller.line.join()
	if turn == nil {
		return nil
	}
	err := r.sleep(ctx, p, rest, turn)
	if err != nil {
		r.caller.line.leave(turn)
	}
	return err
}

func (r *Reconnector) tell(ctx context.Context, p payload, w Wait) {
	r.caller.log(ctx, p, slog.LevelDebug, "ssmresume: waiting", slog.Int("attempt", w.Attempt), slog.Duration("delay", w.Delay), slog.Duration("elapsed", w.Elapsed), slog.Any("error", w.Err))
	if r.onWait != nil {
		r.onWait(w)
	}
}

func (r *Reconnector) warn(ctx context.Context, p payload, msg string) {
	r.caller.log(ctx, p, slog.LevelWarn, msg, slog.String("reason", r.outage.reason), slog.Duration("lasts", time.Since(r.outage.start)), slog.Any("error", r.pace.why))
}

// sleep returns ctx's error if that ends before the wait does: delay, or until turn
// is closed if that is not nil.
func (r *Reconnector) sleep(ctx context.Context, p payload, delay time.Duration, turn <-chan struct{}) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	over := timer.C
	if turn != nil {
		over = nil
	}
	for {
		if r.outage.isOverdue() {
			r.warn(ctx, p, "ssmresume: the session is not back yet")
		}
		if ctx.Err() != nil || delay <= 0 && turn == nil {
			return ctx.Err()
		}
		var wake <-chan struct{}
		if r.pace.endable {
			wake = r.wake
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
			return nil
		case <-turn:
			return nil
		case <-time.After(r.outage.untilOverdue()):
		case _, open := <-wake:
			if !open {
				r.wake = nil // else a closed channel would end every wait
				continue
			}
			left := r.caller.keys.wake()
			if left == 0 {
				r.pace.end()
				return nil
			}
			timer.Reset(left)
		}
	}
}

// takeFirst returns ReconnectorOptions.First, once.
func (r *Reconnector) takeFirst() (*ResumeSessionOutput, error) {
	const what = "ReconnectorOptions.First"
	if r.first.TokenValue.IsZero() || r.first.StreamURL.IsZero() {
		return nil, errors.New(what + " holds no token, or no StreamURL")
	}
	out := *r.first
	out.StreamURL = r.caller.place(out.StreamURL)
	accepted, err := r.accept(&out, what)
	if err != nil {
		return nil, err
	}
	r.first = nil
	return accepted, nil
}

// gaveUp has a last error if an attempt has failed before ctx ended.
func gaveUp(ctxErr error, attempts int, last error) error {
	if last == nil {
		return &smithy.CanceledError{Err: ctxErr}
	}
	return &aws.RequestCanceledError{Err: fmt.Errorf("%w after %d attempts; last error: %w", ctxErr, attempts, last)}
}

// accept returns out if it is for this session: never attach a terminal to
// somebody else's.
func (r *Reconnector) accept(out *ResumeSessionOutput, what string) (*ResumeSessionOutput, error) {
	u := out.StreamURL
	switch {
	case out.SessionID != "" && out.SessionID != r.sessionID:
		return nil, fmt.Errorf("%s is for session %q, not for %q", what, out.SessionID, r.sessionID)
	case u.IsZero():
		out.StreamURL = r.known
	case u.Host == "":
		return nil, fmt.Errorf("%s's StreamUrl cannot be parsed", what)
	case u.SessionID != r.sessionID:
		return nil, fmt.Errorf("%s's StreamUrl is for session %q, not for %q", what, u.SessionID, r.sessionID)
	}
	r.known = out.StreamURL
	r.outage = outage{}
	r.pace.afterSuccess()
	return out, nil
}

// firstReport is the age at which an outage is reported, and then each time it has
// lasted twice as long.
const firstReport = 30 * time.Second

// An outage is from when the session is lost until it is back. It outlives Resume.
type outage struct {
	start  time.Time
	report time.Duration // the age at which it is reported next
	reason string        // of the last failure
	said   string        // the last reason for which a person was told to act
}

func (o *outage) begin(at time.Time) {
	if o.start.IsZero() {
		*o = outage{start: at, report: firstReport, reason: "no attempt has ended yet"}
	}
}

func (o *outage) untilOverdue() time.Duration { return o.report - time.Since(o.start) }

// isOverdue returns true once for each report.
func (o *outage) isOverdue() bool {
	overdue := o.untilOverdue() <= 0
	for o.untilOverdue() <= 0 {
		o.report *= 2
	}
	return overdue
}

// note returns true if it is news that a person must act.
func (o *outage) note(v verdict) bool {
	o.reason = v.reason
	if !v.mend || o.said == v.reason {
		return false
	}
	o.said = v.reason
	return true
}
