package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/ssmresume/ssmresume/datachannel"
)

// onStandardStreams reports whether the session's port is on the standard
// streams, as for SSH, and not on a local port.
func onStandardStreams(s *datachannel.Session) bool {
	return s.Type() == datachannel.Port && s.Properties()["type"] != "LocalPortForwarding"
}

// forward carries connections until the session ends, or stopped does.
func forward(stopped context.Context, s *datachannel.Session, l net.Listener) error {
	fmt.Println("Waiting for connections...")
	err := s.Forward(stopped, &listener{Listener: l, sessionID: s.ID()})
	if stopped.Err() != nil {
		fmt.Println("Terminate signal received, exiting.")
		return nil
	}
	return err
}

// listen opens what the session's document asks for.
func listen(s *datachannel.Session) (net.Listener, error) {
	p := s.Properties()
	if p["localConnectionType"] == "unix" {
		l, err := net.Listen("unix", p["localUnixSocket"])
		if err == nil {
			fmt.Printf("Unix socket %s opened for sessionId %s.\n", printable(p["localUnixSocket"]), s.ID())
		}
		return l, err
	}
	host := cmp.Or(os.Getenv("SSM_PLUGIN_LOCAL_HOST"), "localhost")
	l, err := net.Listen("tcp", net.JoinHostPort(host, cmp.Or(p["localPortNumber"], "0")))
	if err == nil {
		fmt.Printf("Port %s opened for sessionId %s.\n", strconv.Itoa(l.Addr().(*net.TCPAddr).Port), s.ID())
	}
	return l, err
}

// A listener tells of the first connection.
type listener struct {
	net.Listener
	sessionID string
	tell      sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.tell.Do(func() { fmt.Printf("\nConnection accepted for session [%s]\n", l.sessionID) })
	}
	return conn, err
}

// afterInput is how long a silence of the remote port may be after the end of
// standard input. The protocol has no half-close.
const afterInput = 5 * time.Second

// standardStreams carries the bytes of the session's only connection.
func standardStreams(stopped context.Context, s *datachannel.Session) error {
	defer context.AfterFunc(stopped, func() { s.Close() })()
	silence := time.AfterFunc(time.Hour, func() { s.Close() })
	silence.Stop()
	go func() {
		io.Copy(s, os.Stdin)
		silence.Reset(afterInput)
	}()
	_, err := io.Copy(writerFunc(func(p []byte) (int, error) {
		if silence.Stop() { // it runs, so standard input is over
			silence.Reset(afterInput)
		}
		return os.Stdout.Write(p)
	}), s)
	return err
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A portHandler tells of connections that the agent could not make, and of no
// other log record.
type portHandler struct{ slog.Handler }

func (portHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (portHandler) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		err, _ := a.Value.Any().(error)
		if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" {
			fmt.Print("\nConnection to destination port failed, check SSM Agent logs.\n")
		}
		return true
	})
	return nil
}
