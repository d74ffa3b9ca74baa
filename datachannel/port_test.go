package datachannel_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// What one connection left unread is not what the next one reads.
func TestOneConnectionDoesNotReadTheOthersRest(t *testing.T) {
	const flood = 16 << 20
	srv := datachanneltest.NewServer()
	defer srv.Close()
	var dials atomic.Int32
	s, _ := mustOpen(t, srv, datachanneltest.Options{AgentVersion: "2.3.900.0", Dial: func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		n := dials.Add(1)
		go func() {
			defer far.Close()
			if n == 1 {
				io.CopyN(far, zeros{}, flood)
			}
			io.Copy(far, far)
		}()
		return near, nil
	}})
	first, err := s.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for s.Stats().BytesReceived < flood {
		time.Sleep(time.Millisecond)
	}
	first.Close()
	second, err := s.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	got := make([]byte, 4)
	second.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := second.Write([]byte("echo")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(second, got); string(got) != "echo" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A connection that is made when the session has ended is refused, and does not
// wait for ever for what nobody brings.
func TestDialAfterTheEnd(t *testing.T) {
	for _, version := range []string{"2.3.900.0", "3.3.1142.0"} {
		t.Run(version, func(t *testing.T) {
			srv := datachanneltest.NewServer()
			defer srv.Close()
			for range 20 {
				s, agent := mustOpen(t, srv, datachanneltest.Options{AgentVersion: version, Dial: echoPort})
				conn, err := s.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				conn.Write([]byte("a"))
				if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				conn.Close()
				time.Sleep(20 * time.Millisecond) // until there may be another
				agent.Terminate("")
				s.Wait()
				if conn, err := s.Dial(t.Context()); err == nil {
					conn.Close()
					t.Error("a connection was made")
				}
			}
		})
	}
}

// What was written before Close arrives, as over TCP, also where the channel is
// away, although the session ends with its connection.
func TestCloseOfTheOnlyConnectionLosesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		const size = 64 << 10
		got := make(chan int64, 1)
		s, agent := mustOpen(t, srv, datachanneltest.Options{Properties: map[string]string{"portNumber": "22"}, Dial: func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				n, _ := io.Copy(io.Discard, far)
				got <- n
			}()
			return near, nil
		}})
		conn, err := s.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		srv.SetNetwork(ssmresumetest.Refused)
		agent.Cut()
		if _, err := conn.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		time.Sleep(10 * time.Second)
		srv.SetNetwork(ssmresumetest.Up)
		if n := <-got; n != size {
			t.Errorf("%d of %d bytes arrived", n, size)
		}
	})
}

// The first Read tells that the remote port was refused, and so does io.Copy.
func TestRefusedPortIsToldToCopy(t *testing.T) {
	srv := datachanneltest.NewServer()
	defer srv.Close()
	s, _ := mustOpen(t, srv, datachanneltest.Options{Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("refused") }})
	conn, err := s.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var refused *net.OpError
	if n, err := io.Copy(io.Discard, conn); n != 0 || !errors.As(err, &refused) {
		t.Errorf("copied %d bytes, %v", n, err)
	}
}

// A connection that the session's end cuts off has not come to its own end.
func TestConnectionIsCutOffByTheSessionsEnd(t *testing.T) {
	srv := datachanneltest.NewServer()
	defer srv.Close()
	for range 10 {
		s, agent := mustOpen(t, srv, datachanneltest.Options{Dial: echoPort})
		conn, err := s.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte("a"))
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		agent.Terminate("")
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
			t.Errorf("read %d bytes, %v", n, err)
		}
		conn.Close()
	}
}

// While the channel is away and the window is full, everything that a net.Conn
// may be asked for ends when it should.
func TestConnectionsWhileTheWindowIsFull(t *testing.T) {
	srv := datachanneltest.NewServer()
	defer srv.Close()
	s, agent := mustOpen(t, srv, datachanneltest.Options{Dial: echoPort}, quick, func(o *datachannel.Options) { o.Window = 64 << 10 })
	dial := func() net.Conn {
		t.Helper()
		begun := time.Now()
		conn, err := s.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("Dial took %v", took)
		}
		return conn
	}
	promised, closed := dial(), dial()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	forwarded := make(chan error, 1)
	go func() { forwarded <- s.Forward(ctx, l) }()
	local, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	if _, err := local.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(local, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}

	srv.SetNetwork(ssmresumetest.Refused)
	agent.Cut()
	sent := noise(7, 1<<20)
	all, _ := io.ReadAll(sent)
	promised.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	buf := bytes.Clone(all)
	n, err := promised.Write(buf)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	clear(buf) // it is the caller's again
	go func() {
		time.Sleep(200 * time.Millisecond)
		closed.Close()
	}()
	begun := time.Now()
	if _, err := closed.Write(make([]byte, 1<<20)); err == nil {
		t.Error("a megabyte was written")
	}
	go local.Write(make([]byte, 1<<20))
	time.Sleep(100 * time.Millisecond)
	cancel()
	if err := <-forwarded; err != context.Canceled {
		t.Errorf("Forward: %v", err)
	}
	third := dial()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("Close, Forward and Dial took %v", took)
	}

	srv.SetNetwork(ssmresumetest.Up)
	promised.SetWriteDeadline(time.Time{})
	go promised.Write(all[n:])
	got := make([]byte, len(all))
	if _, err := io.ReadFull(promised, got); err != nil || !bytes.Equal(got, all) {
		t.Errorf("what was written around a deadline came back changed; %v", err)
	}
	third.Write([]byte("a"))
	if _, err := io.ReadFull(third, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}
