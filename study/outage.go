package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

const (
	// patience is longer than any of these policies takes.
	patience = time.Hour
	// idleBefore bounds how long the pooled connection has been idle when the
	// network goes away.
	idleBefore = 5 * time.Second
)

// trial is one outage.
type trial struct {
	away time.Duration
	idle time.Duration // since the call that left a connection in the pool
}

// newTrial draws an outage of nearly the given length, so that nothing is in
// step with a policy's timeouts.
func newTrial(r *rand.Rand, length time.Duration) trial {
	return trial{
		away: length*8/10 + time.Duration(r.Int64N(int64(length)*4/10)),
		idle: time.Duration(r.Int64N(int64(idleBefore))),
	}
}

// result is how a trial ended.
type result struct {
	trial
	outcome outcome
	// after is the time from the outage's end to the session's return. If the session
	// is lost, it is the time from the network's loss to the policy's giving up.
	after time.Duration
	// Connections tried by the policy, and how often it asked for credentials, on a
	// fake clock only.
	dials, asks int64
}

type outcome string

const (
	resumed outcome = "resumed"
	lost    outcome = "lost"
	waiting outcome = "waiting" // when the trial was ended
)

func newResult(tr trial, ctx context.Context, err error, took time.Duration) result {
	res := result{trial: tr, after: took}
	switch {
	case err == nil:
		res.outcome = resumed
		res.after -= tr.away
	case ctx.Err() != nil:
		res.outcome = waiting
	default:
		res.outcome = lost
	}
	return res
}

// setting is what happens to whom.
type setting struct {
	kind   outageKind
	policy policy
	// oldSYNs is a kernel that doubles the wait between SYNs from the first on:
	// Linux before 6.5.
	oldSYNs bool
}

// onFakeClock runs the trial with the policy's real code: its HTTP transport
// dials through a path to an in-memory server. patience is how long after the
// network's return the session is waited for.
func (tr trial) onFakeClock(t *testing.T, in setting, patience time.Duration) (res result) {
	synctest.Test(t, func(t *testing.T) {
		srv := ssmresumetest.NewPipeServer()
		defer srv.Close()
		cfg := srv.Config()
		way := newPath(in.kind, cfg.HTTPClient.(*http.Client).Transport.(*http.Transport).DialContext)
		defer way.close()
		if in.oldSYNs {
			way.syns = 0
		}
		cfg.HTTPClient = in.policy.client(way.DialContext)
		away := tr.away
		logins := &logins{of: cfg.Credentials}
		if in.kind == lapsed {
			logins.lapse, logins.back = time.Now().Add(tr.idle), time.Now().Add(tr.idle+tr.away)
			cfg.Credentials = aws.NewCredentialsCache(logins)
			away /= 2
		}
		one, resume := in.policy.start(cfg)
		if err := one(t.Context()); err != nil {
			t.Fatalf("before the outage: %v", err)
		}
		time.Sleep(tr.idle)
		ctx, cancel := context.WithTimeout(t.Context(), tr.away+patience)
		defer cancel()
		dialed, asked, begin := way.dials.Load(), logins.asks.Load(), time.Now()
		way.outage(away)
		err := resume(ctx)
		res = newResult(tr, ctx, err, time.Since(begin))
		res.dials, res.asks = way.dials.Load()-dialed, logins.asks.Load()-asked
	})
	return res
}

// logins is a provider whose credentials lapse, until somebody has logged in.
type logins struct {
	of          aws.CredentialsProvider
	lapse, back time.Time
	asks        atomic.Int64
}

func (l *logins) Retrieve(ctx context.Context) (aws.Credentials, error) {
	l.asks.Add(1)
	now := time.Now()
	if !now.Before(l.lapse) && now.Before(l.back) {
		return aws.Credentials{}, errors.New("the login has lapsed")
	}
	creds, err := l.of.Retrieve(ctx)
	if now.Before(l.lapse) {
		creds.CanExpire, creds.Expires = true, l.lapse
	}
	return creds, err
}
