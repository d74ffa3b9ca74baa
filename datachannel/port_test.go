package datachannel_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

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
