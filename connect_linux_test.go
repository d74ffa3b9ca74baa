package ssmresume_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/ssmresume/ssmresume"
)

// TestConnectIsGivenUpWithoutDialer has the kernel leave a connect unanswered, on
// a transport that has no dialer of its own to be bounded.
func TestConnectIsGivenUpWithoutDialer(t *testing.T) {
	t.Parallel() // it takes the 5 s
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// Linux drops SYNs while the queue of connections to accept is full: it takes
	// one more than the backlog.
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var listenErr error
	if err := raw.Control(func(fd uintptr) { listenErr = syscall.Listen(int(fd), 0) }); err != nil || listenErr != nil {
		t.Fatal(err, listenErr)
	}
	filler, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var first error
	_, err = ssmresume.NewReconnector(ssmresume.New(ssmresume.Options{
		Region:         "us-east-2",
		Credentials:    credentials("id", "secret", ""),
		BaseEndpoint:   aws.String("http://" + l.Addr().String()),
		HTTPClient:     &http.Client{Transport: &http.Transport{}},
		AttemptTimeout: time.Minute,
	}), sessionID, func(o *ssmresume.ReconnectorOptions) {
		o.OnWait = func(r ssmresume.Wait) {
			first = r.Err
			cancel()
		}
	}).Resume(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	var op *net.OpError
	if !errors.As(first, &op) || op.Op != "dial" || !op.Timeout() || strings.Contains(first.Error(), "AttemptTimeout") {
		t.Errorf("%v; want a connect that timed out before the attempt", first)
	}
}
