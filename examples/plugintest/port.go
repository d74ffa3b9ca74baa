package plugintest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

const (
	basicAgent  = "2.3.900.0"
	sshGreeting = "SSH-2.0-far\r\n"
)

// startSSH starts what ssh runs as its ProxyCommand. It skips lines before the
// other side's greeting, as ssh does.
func (s *stage) startSSH() *process {
	p := s.start(withPipes, datachanneltest.Options{
		Properties: map[string]string{"portNumber": "22"},
		Dial: serve(func(c net.Conn) {
			io.WriteString(c, sshGreeting)
			echo(c)
		}),
	})
	p.shows(sshGreeting)
	return p
}

var portLine = regexp.MustCompile(`Port (\d+) opened for sessionId (\S+)\.`)

// opens returns the address where the plugin listens.
func (p *process) opens() string {
	p.shows(" opened for sessionId " + p.session.ID() + ".")
	shown, _ := p.out.text()
	return "localhost:" + portLine.FindStringSubmatch(shown)[1]
}

func (s *stage) dial(address string) net.Conn {
	var d net.Dialer
	conn, err := d.DialContext(s.ctx, "tcp", address)
	s.need(err)
	conn.SetDeadline(time.Now().Add(back))
	return conn
}

// echoes sends text and reads it back.
func echoes(conn net.Conn, text string) error {
	go io.WriteString(conn, text)
	got := make([]byte, len(text))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != text {
		return fmt.Errorf("%d bytes came back otherwise", len(text))
	}
	return nil
}

// interrupt presses Ctrl-C, or sends SIGINT where there is no terminal. It ends the
// plugin, and the session with it.
func (p *process) interrupt() {
	p.sleep(slow) // AWS's plugin waits for no acknowledgement; what comes while it exits may take the flag with it
	if p.terminal != nil {
		p.types("\x03")
	} else {
		p.cmd.Process.Signal(os.Interrupt)
	}
	p.shows("Terminate signal received, exiting.")
	p.ends()
	select {
	case <-p.session.Done():
	case <-time.After(patience):
		p.fail("the session goes on")
	}
}

func portBasic(s *stage) {
	p := s.start(withTerminal, datachanneltest.Options{AgentVersion: basicAgent, Dial: serve(echo)})
	address := p.opens()
	for i := range 2 {
		conn := s.dial(address)
		s.need(echoes(conn, fmt.Sprint("connection ", i)))
		s.need(echoes(conn, numbered(64<<10)))
		conn.Close()
		s.sleep(time.Second / 2) // until the agent has closed its connection, too
	}
	p.interrupt()
}

func portMux(s *stage) {
	p := s.start(withTerminal, datachanneltest.Options{Dial: serve(echo)})
	address := p.opens()
	p.shows("Waiting for connections...")
	const connections = 5
	done := make(chan error)
	for i := range connections {
		conn := s.dial(address)
		defer conn.Close()
		go func() { done <- echoes(conn, numbered(32<<10+i)) }()
	}
	for range connections {
		s.need(<-done)
	}
	p.interrupt()
}

func portMuxRefused(s *stage) {
	var refuse atomic.Bool
	dial := serve(echo)
	p := s.start(withPipes, datachanneltest.Options{Dial: func(ctx context.Context) (net.Conn, error) {
		if refuse.Load() {
			return nil, errPort
		}
		return dial(ctx)
	}})
	address := p.opens()
	good := s.dial(address)
	defer good.Close()
	s.need(echoes(good, "one"))
	refuse.Store(true)
	bad := s.dial(address)
	defer bad.Close()
	if _, err := bad.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		s.fail("a connection to a port that refuses is not closed: %v", err)
	}
	s.need(echoes(good, "two"))
	p.interrupt()
}

func portRemoteHost(s *stage) {
	p := s.start(withTerminal, datachanneltest.Options{
		Properties: map[string]string{"portNumber": "443", "localPortNumber": "0", "host": "db.internal", "type": "LocalPortForwarding"},
		Dial:       serve(echo),
	})
	conn := s.dial(p.opens())
	defer conn.Close()
	s.need(echoes(conn, "hello"))
	p.interrupt()
}

func portUpload(s *stage) {
	const n = 2 << 20
	p := s.start(withPipes, datachanneltest.Options{Dial: serve(digestServer(n))})
	conn := s.dial(p.opens())
	defer conn.Close()
	s.need(upload(conn, numbered(n)))
	p.interrupt()
}

// upload sends text to a digestServer and checks its answer.
func upload(conn net.Conn, text string) error {
	go io.WriteString(conn, text)
	answer, err := io.ReadAll(io.LimitReader(conn, int64(len(digest(text)))))
	switch {
	case err != nil:
		return fmt.Errorf("the upload stopped: %w", err)
	case !strings.HasPrefix(string(answer), digest(text)):
		return fmt.Errorf("the upload is not whole: %q", answer)
	}
	return nil
}

func uploadOutage(s *stage) {
	const n = 2 << 20
	p := s.start(withPipes, datachanneltest.Options{Dial: serve(digestServer(n))})
	conn := s.dial(p.opens())
	defer conn.Close()
	result := make(chan error, 1)
	go func() { result <- upload(conn, numbered(n)) }()
	s.until(patience, func() bool { return p.session.Stats().NextInput > 100 }, "the upload does not begin")
	s.srv.SetNetwork(ssmresumetest.Refused)
	s.sleep(time.Second)
	s.srv.SetNetwork(ssmresumetest.Up)
	s.need(<-result)
	p.interrupt()
}
