package datachanneltest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/xtaci/smux"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// stream is the byte stream of a port session, of a client's messages.
type stream struct {
	c    *client
	mu   sync.Mutex
	rest []byte
}

func newStream(c *client) *stream { return &stream{c: c} }

// Read puts the messages in order, which the channel here keeps.
func (s *stream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		m := <-s.c.in
		switch {
		case m.Type == "closed":
			return 0, io.EOF
		case m.Type == wire.Output && m.PayloadType == wire.Data:
			s.rest = m.Payload
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for rest := p; len(rest) > 0; {
		n := min(len(rest), 1000)
		s.c.send(wire.Data, rest[:n])
		rest = rest[n:]
	}
	return len(p), nil
}

func (s *stream) Close() error { return s.c.ws.CloseNow() }

// TestSmux: the streams of the agent's ports are those of smux, whose own code is
// the client here.
func TestSmux(t *testing.T) {
	refused := errors.New("refused")
	var mu sync.Mutex
	refuse := false
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var served sync.WaitGroup
	defer served.Wait()
	defer l.Close()
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer conn.Close()
				io.Copy(conn, conn)
			})
		}
	})
	srv := datachanneltest.NewServer()
	defer srv.Close()
	first, _ := srv.Start(datachanneltest.Options{Dial: func(ctx context.Context) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if refuse {
			return nil, refused
		}
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}})
	c := open(t, srv, first)
	c.shake()
	config := smux.DefaultConfig()
	config.KeepAliveDisabled = true
	session, err := smux.Client(newStream(c), config)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var streams sync.WaitGroup
	for range 8 {
		streams.Go(func() {
			s, err := session.OpenStream()
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			sent := make([]byte, 512<<10)
			rand.Read(sent)
			streams.Go(func() { s.Write(sent) })
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(sent, got) {
				t.Errorf("what came back is not what was sent: %v", err)
			}
		})
	}
	streams.Wait()

	mu.Lock()
	refuse = true
	mu.Unlock()
	s, err := session.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a stream to a port that refuses: %d bytes, %v", n, err)
	}
}
