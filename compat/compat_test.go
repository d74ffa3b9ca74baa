// Package compat holds ssmresume to the SSM package of the AWS SDK for Go: for
// any configuration both send the same request, and of any answer both make the
// same, but for the differences that are listed in differences_test.go.
//
// An input is made from a string of bytes, so that the seeded tests and the fuzz
// targets share a generator and a checker. A failure prints the input as an entry
// for testdata/fuzz.
package compat

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"
	"github.com/ssmresume/ssmresume"
)

var (
	seed   = flag.Uint64("seed", 1, "of the generated inputs")
	inputs = flag.Int("inputs", 10_000, "how many are generated for each of requests and responses; at most 3000 with -short")
)

// TestMain takes away what the machine configures for AWS clients, and fails if
// a goroutine outlives the tests.
func TestMain(m *testing.M) {
	flag.Parse()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "AWS_") {
			os.Unsetenv(name)
		}
	}
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	code := m.Run()
	if left := leakedGoroutines(); left != "" && code == 0 {
		fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// leakedGoroutines gives them up to 5 s to end.
func leakedGoroutines() string {
	var left []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		left = left[:0]
		buf := make([]byte, 1<<20)
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if !strings.Contains(stack, "compat.leakedGoroutines") && !strings.Contains(stack, "os/signal.") && !strings.Contains(stack, "testing.(*M).startAlarm") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return ""
		}
	}
	return strings.Join(left, "\n\n")
}

// choices are the bytes that an input is made from. Where they end, all further
// choices are the first one, which is the usual.
type choices struct{ left []byte }

// upTo returns a number below n.
func (c *choices) upTo(n int) int {
	var b [2]byte
	used := copy(b[:1+min(n>>8, 1)], c.left)
	c.left = c.left[used:]
	return int(binary.LittleEndian.Uint16(b[:])) % n
}

// rarely is true one time in n.
func (c *choices) rarely(n int) bool { return c.upTo(n) == n-1 }

func pick[T any](c *choices, options ...T) T { return options[c.upTo(len(options))] }

// text returns up to n bytes as they come.
func (c *choices) text(n int) string {
	n = min(c.upTo(n+1), len(c.left))
	s := string(c.left[:n])
	c.left = c.left[n:]
	return s
}

// forEachInput runs the check for as many inputs as the flag says.
func forEachInput(t *testing.T, fuzzTarget string, check func(t *testing.T, data []byte)) {
	n := *inputs
	if testing.Short() {
		n = min(n, 3000) // fewer, and a listed difference might not occur
	}
	t.Logf("-seed %d -inputs %d", *seed, n)
	random := rand.NewChaCha8([32]byte(binary.LittleEndian.AppendUint64(make([]byte, 24), *seed)))
	for range n {
		data := make([]byte, 256)
		random.Read(data)
		check(t, data)
		if t.Failed() {
			t.Fatalf("with -seed %d; to run it again, write this to testdata/fuzz/%s/found and run -run %[2]s/found:\ngo test fuzz v1\n[]byte(%[3]q)", *seed, fuzzTarget, data)
		}
	}
}

// A difference is one where ssmresume does on purpose something else than the
// SDK. Whether it applies, and what ssmresume has to do instead, is decided from
// the input and from what the SDK did, never from what ssmresume did.
type difference[In, Out any] struct {
	name   string
	reason string

	applies func(In, Out) bool
	want    func(In, Out) Out // from what the SDK did

	// The pinned example, see TestDifferences.
	example   In
	sdk, ours string
}

// hold compares, and counts in seen the differences that were needed.
func hold[In, Out any](t *testing.T, list []difference[In, Out], seen map[string]int, in In, sdk, ours Out) {
	t.Helper()
	want := sdk
	var applied []string
	for _, d := range list {
		if !d.applies(in, want) {
			continue
		}
		if next := d.want(in, want); !cmp.Equal(next, want) {
			want, applied = next, append(applied, d.name)
			seen[d.name]++
		}
	}
	if diff := cmp.Diff(want, ours); diff != "" {
		t.Errorf("for %v\nthe SDK: %+v\nlisted differences that apply: %q\nssmresume (-want +got):\n%s", in, sdk, applied, diff)
	}
}

// allSeen fails for a listed difference that no generated input shows: it may
// be gone.
func allSeen[In, Out any](t *testing.T, list []difference[In, Out], seen map[string]int) {
	t.Helper()
	for _, d := range list {
		if seen[d.name] == 0 {
			t.Errorf("difference %q did not occur", d.name)
		}
		t.Logf("%5d  %s", seen[d.name], d.name)
	}
}

// result is what a caller sees of a call.
type result struct {
	OK                          bool
	SessionID, StreamURL, Token string
	RequestID                   string
	Code, Message, Fault        string
	Status                      int
	Requests                    int    // that the server saw
	Retryable                   bool   // by retry.NewStandard
	Finds                       string // what errors.As and errors.Is find, of finders
}

func (r result) String() string {
	if r.OK {
		return fmt.Sprintf("ok %q %q %q, %d requests", r.SessionID, r.StreamURL, r.Token, r.Requests)
	}
	s := fmt.Sprintf("%d %s, %d requests, retryable %t", r.Status, r.Finds, r.Requests, r.Retryable)
	if r.RequestID != "" {
		s = r.RequestID + ": " + s
	}
	if r.finds("APIError") {
		s += fmt.Sprintf("; %s %s %q", r.Fault, r.Code, r.Message)
	}
	return s
}

func as[T any](err error) bool {
	var target T
	return errors.As(err, &target)
}

// finders are the ways in which programs look into the SDK's errors.
var finders = []struct {
	name string
	find func(error) bool
}{
	{"OperationError", as[*smithy.OperationError]},
	{"APIError", as[smithy.APIError]},
	{"GenericAPIError", as[*smithy.GenericAPIError]},
	{"ResponseError", func(err error) bool { return as[*awshttp.ResponseError](err) && as[*smithyhttp.ResponseError](err) }},
	{"DeserializationError", as[*smithy.DeserializationError]},
	{"RequestSendError", as[*smithyhttp.RequestSendError]},
	{"InvalidParamsError", as[smithy.InvalidParamsError]}, // the SDK does not return a pointer
	{"MaxAttemptsError", as[*retry.MaxAttemptsError]},
	{"CanceledError", as[*smithy.CanceledError]},
	{"RequestCanceledError", as[*aws.RequestCanceledError]},
	{"Canceled", func(err error) bool { return errors.Is(err, context.Canceled) }},
	{"DeadlineExceeded", func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
}

func (r result) finds(name string) bool { return slices.Contains(strings.Fields(r.Finds), name) }

// find returns r with some of the finders switched on or off.
func (r result) find(on bool, names ...string) result {
	var found []string
	for _, f := range finders {
		if slices.Contains(names, f.name) && on || !slices.Contains(names, f.name) && r.finds(f.name) {
			found = append(found, f.name)
		}
	}
	r.Finds = strings.Join(found, " ")
	return r
}

func failure(err error) result {
	r := result{Retryable: retry.NewStandard().IsErrorRetryable(err)}
	for _, f := range finders {
		if f.find(err) {
			r = r.find(true, f.name)
		}
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		r.Code, r.Message, r.Fault = api.ErrorCode(), api.ErrorMessage(), api.ErrorFault().String()
	}
	var resp *awshttp.ResponseError
	if errors.As(err, &resp) {
		r.Status, r.RequestID = resp.HTTPStatusCode(), resp.ServiceRequestID()
	}
	return r
}

// callSDK and callOurs make the call with a client that is made for it.
func callSDK(ctx context.Context, cfg aws.Config, sessionID string, optFns ...func(*ssm.Options)) result {
	out, err := ssm.NewFromConfig(cfg, optFns...).ResumeSession(ctx, &ssm.ResumeSessionInput{SessionId: &sessionID})
	if err != nil {
		return failure(err)
	}
	id, _ := awsmiddleware.GetRequestIDMetadata(out.ResultMetadata)
	return result{OK: true, SessionID: aws.ToString(out.SessionId), StreamURL: aws.ToString(out.StreamUrl), Token: aws.ToString(out.TokenValue), RequestID: id}
}

func callOurs(ctx context.Context, cfg aws.Config, sessionID string, optFns ...func(*ssmresume.Options)) result {
	patient := func(o *ssmresume.Options) { o.AttemptTimeout = -1 } // as the SDK; the machine may be slow
	out, err := ssmresume.NewFromConfig(cfg, append(optFns, patient)...).ResumeSession(ctx, &ssmresume.ResumeSessionInput{SessionID: sessionID})
	if err != nil {
		return failure(err)
	}
	return result{OK: true, SessionID: out.SessionID, StreamURL: out.StreamURL.DialURL(), Token: out.TokenValue.Reveal(), RequestID: out.RequestID}
}

// noBackoff is the SDK's standard retryer without its waits.
func noBackoff(maxAttempts int) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
	})
}

// pool closes its connections when the test ends.
func pool(t testing.TB, tr *http.Transport) *http.Client {
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}
