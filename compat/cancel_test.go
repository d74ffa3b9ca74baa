package compat

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// cancellation is a context that ends at some point of a call.
type cancellation struct {
	when     string
	deadline bool // passed; else it is cancelled
}

// endable is a context whose deadline passes when it is told to.
type endable struct {
	context.Context
	done chan struct{}
}

func (c *endable) Done() <-chan struct{} { return c.done }

func (c *endable) Err() error {
	select {
	case <-c.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// hook calls after when the header of an answer is there.
type hook struct {
	http.RoundTripper
	after func()
}

func (h hook) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := h.RoundTripper.RoundTrip(r)
	h.after()
	return resp, err
}

// run makes a call whose context ends, and returns what it returns.
func (in cancellation) run(t *testing.T, s *responder, call func(context.Context, aws.Config) result) result {
	ctx, end := context.WithCancel(t.Context())
	if in.deadline {
		c := &endable{t.Context(), make(chan struct{})}
		ctx, end = c, func() { close(c.done) }
	}
	backoff := func(int, error) (time.Duration, error) { end(); return time.Hour, nil }
	cfg := aws.Config{
		Region:       "us-east-2",
		BaseEndpoint: aws.String(s.URL),
		HTTPClient:   s.client,
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.Backoff = retry.BackoffDelayerFunc(backoff) })
		},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return longTerm, nil }),
	}
	answer := usual(503, "")
	switch in.when {
	case "before the call":
		end()
	case "before the answer":
		answer.fault = "hang"
		s.hanging = end
	case "in the body":
		answer = usual(200, "{")
		answer.fault = "stall"
		cfg.HTTPClient = &http.Client{Transport: hook{s.client.Transport, end}}
	}
	s.answer.Store(&answer)
	return call(ctx, cfg)
}

func TestCancellations(t *testing.T) {
	s := newResponder(t)
	seen := map[string]int{}
	for _, when := range []string{"before the call", "before the answer", "in the body", "in the wait"} {
		for _, deadline := range []bool{false, true} {
			in := cancellation{when, deadline}
			sdk, ours := in.both(t, s)
			hold(t, cancelDifferences, seen, in, sdk, ours)
		}
	}
	allSeen(t, cancelDifferences, seen)
}

func (in cancellation) both(t *testing.T, s *responder) (sdk, ours result) {
	sdk = in.run(t, s, func(ctx context.Context, cfg aws.Config) result { return callSDK(ctx, forSDK(cfg), sessionID) })
	ours = in.run(t, s, func(ctx context.Context, cfg aws.Config) result { return callOurs(ctx, cfg, sessionID) })
	return sdk, ours
}

// retryAfter is a header by which a service asks for a wait.
type retryAfter struct{ name, value string }

// both returns the waits, on a fake clock.
func (in retryAfter) both(t *testing.T) (sdk, ours time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		srv := ssmresumetest.NewPipeServer()
		defer srv.Close()
		srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
			return ssmresumetest.Raw(503, http.Header{in.name: {in.value}, "Date": {"Sat, 01 Jan 2000 00:00:00 GMT"}}, "")
		})
		cfg := srv.Config()
		cfg.Retryer = func() aws.Retryer { return noBackoff(2) }
		begin := time.Now()
		callSDK(t.Context(), cfg, sessionID)
		sdk, begin = time.Since(begin), time.Now()
		callOurs(t.Context(), cfg, sessionID)
		ours = time.Since(begin)
	})
	return sdk, ours
}

func TestWaits(t *testing.T) {
	seen := map[string]int{}
	for _, value := range []string{"0", "1", "1500", "9000", "-1", "soon", "", "99999999999999999999", "Sat, 01 Jan 2000 00:00:03 GMT", "Fri, 31 Dec 1999 23:00:00 GMT"} {
		for _, name := range []string{"X-Amz-Retry-After", "Retry-After"} {
			in := retryAfter{name, value}
			sdk, ours := in.both(t)
			hold(t, waitDifferences, seen, in, sdk, ours)
		}
	}
	allSeen(t, waitDifferences, seen)
}

// TestDifferences pins each listed difference by an example.
func TestDifferences(t *testing.T) {
	s, rec := newResponder(t), newRecorder(t)
	pin(t, responseDifferences, func(t *testing.T, in response) (sdk, ours result) { return s.ask(t.Context(), in) })
	pin(t, requestDifferences, func(t *testing.T, in request) (sdk, ours sent) {
		in.env["AWS_ACCESS_KEY_ID"], in.env["AWS_SECRET_ACCESS_KEY"] = longTerm.AccessKeyID, longTerm.SecretAccessKey
		sdk, ours, err := rec.ask(t, in)
		if err != nil {
			t.Fatal(err)
		}
		return sdk, ours
	})
	pin(t, cancelDifferences, func(t *testing.T, in cancellation) (sdk, ours result) { return in.both(t, s) })
	pin(t, waitDifferences, func(t *testing.T, in retryAfter) (sdk, ours time.Duration) { return in.both(t) })
}

func pin[In, Out any](t *testing.T, list []difference[In, Out], ask func(*testing.T, In) (sdk, ours Out)) {
	for _, d := range list {
		t.Run(d.name, func(t *testing.T) {
			sdk, ours := ask(t, d.example)
			if got := fmt.Sprint(sdk); got != d.sdk {
				t.Errorf("the SDK:\n got %s\nwant %s", got, d.sdk)
			}
			if got := fmt.Sprint(ours); got != d.ours {
				t.Errorf("ssmresume:\n got %s\nwant %s", got, d.ours)
			}
			seen := map[string]int{}
			hold(t, list, seen, d.example, sdk, ours)
			if seen[d.name] == 0 {
				t.Error("the example does not show the difference")
			}
		})
	}
}
