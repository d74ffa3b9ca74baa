package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// parrot repeats each line, until "exit".
func parrot(_ context.Context, t *datachanneltest.Terminal) int {
	fmt.Fprint(t.Stdout, "$ ")
	for in := bufio.NewReader(t.Stdin); ; {
		line, err := in.ReadString('\r')
		if line = strings.TrimSuffix(line, "\r"); err != nil || line == "exit" {
			return 0
		}
		fmt.Fprintf(t.Stdout, "you said %s.\n", line)
	}
}

func newServer(t *testing.T) *datachanneltest.Server {
	srv := datachanneltest.NewServer()
	t.Cleanup(srv.Close)
	srv.SetStart(func(datachanneltest.StartRequest) (datachanneltest.Options, error) {
		return datachanneltest.Options{SessionID: "ana-0a1b", Program: parrot, Unsigned: true}, nil
	})
	keys, err := srv.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_SSM": srv.URL(), "AWS_REGION": ssmresumetest.Region, "AWS_PROFILE": "",
		"AWS_ACCESS_KEY_ID": keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY": keys.SecretAccessKey, "AWS_SESSION_TOKEN": keys.SessionToken,
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	return srv
}

// A screen is what was printed.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in 20 s: %s", what)
		}
	}
}

func (s *screen) waitFor(t *testing.T, text string) {
	t.Helper()
	waitFor(t, text, func() bool { return strings.HasSuffix(s.String(), text) })
}

// TestBefore: the client ends with its connection.
func TestBefore(t *testing.T) {
	srv := newServer(t)
	in, keyboard := net.Pipe()
	defer keyboard.Close()
	out := &screen{}
	ended := make(chan error, 1)
	go func() { ended <- run(t.Context(), "i-0123456789abcdef0", true, in, out) }()
	out.waitFor(t, "$ ")
	io.WriteString(keyboard, "one\n")
	out.waitFor(t, "you said one.\n")
	srv.Session("ana-0a1b").CloseChannel(1000, "Bye")
	if err := <-ended; err == nil {
		t.Error("it did not notice")
	}
}

// TestAfter: the same client, and nothing is lost, doubled or out of order.
func TestAfter(t *testing.T) {
	srv := newServer(t)
	in, keyboard := net.Pipe()
	defer keyboard.Close()
	out := &screen{}
	ended := make(chan error, 1)
	go func() { ended <- run(t.Context(), "i-0123456789abcdef0", false, in, out) }()
	out.waitFor(t, "$ ")
	session := srv.Session("ana-0a1b")
	lost := 0
	session.SetFilter(func(m datachanneltest.Message) datachanneltest.Action {
		if m.Number%5 == 3 && lost < 40 {
			lost++
			return datachanneltest.Drop
		}
		return datachanneltest.Deliver
	})
	want := "$ "
	for i := range 60 {
		fmt.Fprintf(keyboard, "%d\n", i)
		want += fmt.Sprintf("you said %d.\n", i)
		switch i {
		case 10:
			session.CloseChannel(1000, "Bye")
		case 20:
			session.Cut()
		case 30:
			srv.SetNetwork(ssmresumetest.Refused)
		case 40:
			srv.SetNetwork(ssmresumetest.Up)
		}
	}
	waitFor(t, "all lines", func() bool { return len(out.String()) >= len(want) })
	if got := out.String(); got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	io.WriteString(keyboard, "exit\n")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestCoder: a client on coder/websocket.
func TestCoder(t *testing.T) {
	srv := newServer(t)
	first, session := srv.Start(datachanneltest.Options{Program: parrot})
	id, token, url := first.SessionID, first.TokenValue.Reveal(), first.StreamURL.DialURL()
	conn, err := dialAfter(t.Context(), srv.Config(), &ssm.StartSessionOutput{SessionId: &id, TokenValue: &token, StreamUrl: &url})
	if err != nil {
		t.Fatal(err)
	}
	c := coderConn{conn}
	var message []byte
	read := func(until string) {
		t.Helper()
		for !strings.Contains(string(message), until) {
			typ, next, err := c.Read(t.Context())
			if err != nil || typ != websocket.MessageBinary {
				t.Fatalf("%v, %v", typ, err)
			}
			message = next
		}
	}
	read("$ ")
	session.Cut()
	if err := c.Write(t.Context(), websocket.MessageBinary, frame("input_stream_data", 0, 0, payloadOutput, []byte("one\r"))); err != nil {
		t.Fatal(err)
	}
	read("you said one.")
	if err := c.CloseNow(); err != nil {
		t.Error(err)
	}
	if _, _, err := c.Read(t.Context()); err != net.ErrClosed {
		t.Error(err)
	}
}

var _ connection = (*datachannel.Conn)(nil)
