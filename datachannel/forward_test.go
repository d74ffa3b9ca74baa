package datachannel_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// pipeListener accepts one end of each pipe that dial makes.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l pipeListener) Close() error   { close(l); return nil }
func (l pipeListener) Addr() net.Addr { return nil }

// halfPipe is an end of a pipe whose other end has said hello, and closed its
// sending half.
type halfPipe struct {
	net.Conn
	io.Reader
}

func (c halfPipe) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// TestForwardEndsHalf: the near side has ended its sending. What the far side has
// to say still comes, if it does not pause for too long, and then the next
// connection has its turn. The agent is one that carries one at a time: smux's
// timers are no bubble's.
func TestForwardEndsHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pause = 800 * time.Millisecond
		srv := datachanneltest.NewPipeServer()
		defer srv.Close()
		first, _ := srv.Start(datachanneltest.Options{AgentVersion: "2.3.900.0", Dial: func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				io.ReadFull(far, make([]byte, len("hello")))
				for i := range 4 {
					time.Sleep(pause)
					fmt.Fprint(far, i)
				}
				io.Copy(io.Discard, far) // it never ends by itself
			}()
			return near, nil
		}})
		var logged bytes.Buffer
		s, err := datachannel.Open(t.Context(), ssmresume.NewFromConfig(srv.Config()), first, func(o *datachannel.Options) {
			o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		})
		if err != nil {
			t.Fatal(err)
		}
		l := make(pipeListener)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Forward(ctx, l) }()
		for range 2 {
			begun := time.Now()
			near, far := net.Pipe()
			l <- halfPipe{far, strings.NewReader("hello")}
			got, err := io.ReadAll(near)
			if string(got) != "0123" || err != nil {
				t.Errorf("read %q, %v", got, err)
			}
			if took := time.Since(begun) - 4*pause; took < time.Second || took > 3*time.Second {
				t.Errorf("closed %v after the last word", took)
			}
		}
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("Forward: %v", err)
		}
		s.Close()
		if logged.Len() > 0 {
			t.Errorf("logged: %s", logged.String())
		}
	})
}

// An outage is not the far side's silence.
func TestForwardKeepsHalfThroughAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		s, _ := mustOpen(t, srv, datachanneltest.Options{AgentVersion: "2.3.900.0", Dial: func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				io.ReadFull(far, make([]byte, len("hello")))
				time.Sleep(500 * time.Millisecond)
				fmt.Fprint(far, "good day")
			}()
			return near, nil
		}})
		l := make(pipeListener)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Forward(ctx, l) }()
		near, far := net.Pipe()
		l <- halfPipe{far, strings.NewReader("hello")}
		time.Sleep(100 * time.Millisecond)
		away(ssmresumetest.Refused, 20*time.Second)(srv, nil)
		if got, err := io.ReadAll(near); string(got) != "good day" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		cancel()
		<-ended
	})
}
