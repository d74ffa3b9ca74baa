package ssmresume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithytime "github.com/aws/smithy-go/time"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	serviceID     = "SSM" // the SDK's name of the service
	operationName = "ResumeSession"
)

// ResumeSession asks for a fresh token and stream URL for a session whose data
// channel is disconnected. A terminated session cannot be resumed. The token
// that was issued before stops working.
//
// Failures that may pass are tried again as Options.Retryer says; the package
// comment lists the errors. When ctx ends, the error wraps ctx.Err(). optFns
// edit a copy of the client's options for this call only.
//
// The operation is described in the AWS Systems Manager API Reference:
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ResumeSession.html
func (c *Client) ResumeSession(ctx context.Context, in *ResumeSessionInput, optFns ...func(*Options)) (*ResumeSessionOutput, error) {
	caller := c.caller
	if len(optFns) > 0 {
		o := c.options // a copy: an edit for this call must not reach the next
		for _, fn := range optFns {
			fn(&o)
		}
		caller = newCaller(o, c.configErr, caller.shared)
	}
	out, err := caller.resume(ctx, in)
	if err != nil {
		return nil, operationError(err)
	}
	return out, nil
}

func operationError(err error) error {
	return &smithy.OperationError{ServiceID: serviceID, OperationName: operationName, Err: err}
}

// resume makes attempts until one succeeds or the Retryer has had enough.
func (c *caller) resume(ctx context.Context, in *ResumeSessionInput) (*ResumeSessionOutput, error) {
	p, err := c.begin(ctx, in)
	if err != nil {
		return nil, err
	}
	client := c.pooled
	if c.pool.isSuspect(c.pooled) {
		client, c = freshClient(c.http), c.afresh(nil)
	}
	releaseRetry := func(error) error { return nil }
	for attempt := 1; ; attempt++ {
		if ctx.Err() != nil {
			return nil, &smithy.CanceledError{Err: ctx.Err()}
		}
		releaseAttempt, err := c.retryer.GetAttemptToken(ctx)
		if err != nil {
			return nil, fmt.Errorf("no token for an attempt: %w", err)
		}
		out, err := c.attempt(ctx, client, p)
		// A quota token that cannot be given back costs later calls a retry, not
		// this one its result.
		_, _ = releaseRetry(err), releaseAttempt(err)
		if err == nil {
			return out, nil
		}
		if !c.fresh && (errors.As(err, new(*timeoutError)) || errors.Is(ctx.Err(), context.DeadlineExceeded)) {
			c.pool.suspect(c.timeout)
		}

		if !c.retryer.IsErrorRetryable(err) {
			return nil, err
		}
		if n := c.retryer.MaxAttempts(); n > 0 && attempt >= n {
			return nil, &retry.MaxAttemptsError{Attempt: attempt, Err: err}
		}
		var quotaErr error
		if releaseRetry, quotaErr = c.retryer.GetRetryToken(ctx, err); quotaErr != nil {
			return nil, errors.Join(err, quotaErr)
		}
		delay, delayErr := c.retryer.RetryDelay(attempt, err)
		if delayErr != nil {
			return nil, errors.Join(err, delayErr)
		}
		// At most 5 s more than the backoff, as in the SDK's retry middleware.
		delay = max(delay, min(retryAfterOf(err), delay+5*time.Second))
		c.log(ctx, p, slog.LevelDebug, "ssmresume: trying again", slog.Int("attempt", attempt), slog.Duration("delay", delay), slog.Any("error", err))
		if ctxErr := smithytime.SleepWithContext(ctx, delay); ctxErr != nil {
			return nil, &aws.RequestCanceledError{Err: fmt.Errorf("%w; last attempt: %w", ctxErr, err)}
		}
		if errors.As(err, new(*smithyhttp.RequestSendError)) {
			client, c = freshClient(c.http), c.afresh(err) // the pool may hold more connections that are dead
		}
	}
}

// begin checks what can be checked before any I/O.
func (c *caller) begin(ctx context.Context, in *ResumeSessionInput) (payload, error) {
	if err := in.validate(); err != nil {
		return payload{}, err
	}
	if c.err != nil {
		return payload{}, c.err
	}
	p := newPayload(in)
	c.warnPlainHTTP(ctx, p)
	return p, nil
}
