package ssmresume_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// TestConnectIsGivenUpWithoutDialer has the kernel leave a connect unanswered, on
// a transport that has no dialer of its own to be bounded.
func TestConnectIsGivenUpWithoutDialer(t *testing.T) {
	t.Parallel() // it takes the 5 s
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.SetNetwork(ssmresumetest.Unanswered)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var first error
	_, err := ssmresume.NewReconnector(ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) {
		o.HTTPClient = &http.Client{Transport: &http.Transport{}}
		o.AttemptTimeout = time.Minute
	}), sessionID, func(o *ssmresume.ReconnectorOptions) {
		o.OnWait = func(w ssmresume.Wait) {
			first = w.Err
			cancel()
		}
	}).Resume(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	op, ok := errors.AsType[*net.OpError](first)
	if !ok {
		t.Fatal(first)
	}
	type facts struct {
		Op                      string
		TimedOut, AttemptsBound bool
	}
	same(t, first.Error(), facts{"dial", true, false}, facts{op.Op, op.Timeout(), strings.Contains(first.Error(), "AttemptTimeout")})
}
