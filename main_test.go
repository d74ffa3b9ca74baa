package ssmresume_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMain runs the tests without AWS settings. It fails if a goroutine outlives the tests.
func TestMain(m *testing.M) {
	for _, kv := range os.Environ() { // the developer's own settings
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "AWS_") {
			os.Unsetenv(name)
		}
	}
	code := m.Run()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if left := leakedGoroutines(); left != "" && code == 0 {
		fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// same reports which facts differ.
func same[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// textOf is "" for no error, want if the error's text holds that, or else the text.
func textOf(err error, want string) string {
	switch {
	case err == nil:
		return ""
	case want != "" && strings.Contains(err.Error(), want):
		return want
	}
	return err.Error()
}

// isA reports whether errors.As finds an E.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// between reports d if it is none of shortest to longest.
func between(t *testing.T, what string, d, shortest, longest time.Duration) {
	t.Helper()
	if d < shortest || d > longest {
		t.Errorf("%s: %v, want from %v to %v", what, d, shortest, longest)
	}
}

// http2 is what client and server speak over TLS, unless GODEBUG says otherwise.
var http2 = func() string {
	if g := os.Getenv("GODEBUG"); strings.Contains(g, "http2client=0") || strings.Contains(g, "http2server=0") {
		return "HTTP/1.1"
	}
	return "HTTP/2.0"
}()

// needsHTTP2 skips a test where there is none.
func needsHTTP2(t *testing.T) {
	if http2 != "HTTP/2.0" {
		t.Skip("GODEBUG has turned HTTP/2 off")
	}
}

// leakedGoroutines waits up to 5 s for all but the runtime's and testing's own
// goroutines to end, and returns the stacks of those that do not.
func leakedGoroutines() string {
	var left []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		left = left[:0]
		buf := make([]byte, 1<<20)
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			switch {
			case strings.Contains(stack, "ssmresume_test.leakedGoroutines"):
			case strings.Contains(stack, "os/signal.signal_recv"), strings.Contains(stack, "testing.(*M).startAlarm"):
			default:
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return ""
		}
	}
	return strings.Join(left, "\n\n")
}
