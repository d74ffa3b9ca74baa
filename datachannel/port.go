package datachannel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xtaci/smux"

	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// A connection of which the near side has ended its sending, and the far side
// says nothing either for so long, is closed: the protocol has no half-close, so
// the near side cannot just tell the far one.
const (
	halfClosedTimeout = time.Minute
	aloneTimeout      = time.Second // where no other connection can begin before
)

// muxChunk is how many bytes of a connection may be written when the window has
// room for one: what smux puts in a frame.
const muxChunk = 32 << 10

// ports are the connections of a session of type Port.
type ports struct {
	session *Session
	mux     *smux.Session // nil: one connection at a time

	free    chan struct{} // holds something while there may be another connection
	reading sync.Once     // starts distribute

	// With link.mu held:
	current  net.Conn // of distribute; nil: what comes is nobody's
	stale    int64    // the last output that may be of a connection before
	refusals int      // that no connection was told of
}

func (s *Session) openPorts() error {
	p := &ports{session: s, free: make(chan struct{}, 1), stale: -1}
	p.free <- struct{}{}
	s.link.mu.Lock()
	s.ports = p
	s.link.mu.Unlock()
	// The agent's rule for many connections is the version that the handshake
	// told it, which is new enough.
	if s.properties["type"] != "LocalPortForwarding" || compareVersions(s.agentVersion, "3.0.196.0") <= 0 {
		return nil
	}
	config := smux.DefaultConfig()
	// Agents up to this version end a connection that is silent for 30 s. Of later
	// ones a keep-alive would defeat the idle time-out.
	config.KeepAliveDisabled = compareVersions(s.agentVersion, "3.1.1511.0") > 0
	config.KeepAliveTimeout = 1 << 62 // the session outlives every outage
	mux, err := smux.Client(&stream{s, bufio.NewReaderSize(untilEnd{s}, muxChunk)}, config)
	if err != nil {
		return err
	}
	s.ports.mux = mux
	go func() {
		<-s.link.ended
		mux.Close()
	}()
	return nil
}

// stream is the byte stream in which smux puts its connections.
type stream struct {
	session *Session
	*bufio.Reader
}

// Write does not wait: smux gives up after some time, but sends nevertheless what
// it was given. It is muxConn that waits.
func (c *stream) Write(p []byte) (int, error) { return c.session.send(p, c.session.link.overfill) }

// Close has nothing to do: it is the session that is closed.
func (c *stream) Close() error { return nil }

// untilEnd reads the session's output. Its end is not that of a connection in it.
type untilEnd struct{ session *Session }

func (r untilEnd) Read(p []byte) (int, error) {
	n, err := r.session.Read(p)
	if err == io.EOF {
		err = r.session.link.overError()
	}
	return n, err
}

// refuse notes that the remote port of a connection could not be reached. The
// agent does not say of which; the end of that one comes next. With link.mu held.
func (p *ports) refuse() { p.refusals++ }

// Dial returns a new connection to the session's remote port; for sessions of
// type Port only. It lives through outages, as a TCP connection lives through a
// pause. It has no half-close.
//
// The agent dials the port later and tells nothing when it has: that it could
// not is an error of the connection's first Read, a *net.OpError. A connection
// that the session's end cuts off ends with an error other than io.EOF. Agents up to
// 3.0.196.0, and sessions for SSH, have one connection at a time: Dial waits
// until the one before is closed. Closing the connection of a session for SSH
// ends the session.
func (s *Session) Dial(ctx context.Context) (net.Conn, error) {
	switch {
	case s.ports == nil:
		return nil, fmt.Errorf("datachannel: a session of type %s has no port", s.kind)
	case s.ports.mux == nil:
		return s.ports.dialAlone(ctx)
	}
	st, err := s.ports.mux.OpenStream()
	if err != nil {
		if ended := s.link.overError(); ended != nil {
			err = ended
		}
		return nil, fmt.Errorf("datachannel: dial the remote port: %w", err)
	}
	return &muxConn{Conn: st, ports: s.ports}, nil
}

// A muxConn is one of many connections.
type muxConn struct {
	net.Conn // a *smux.Stream, without its WriteTo, which passes by Read
	ports    *ports
	heard    bool // something was read; of the reader

	// With link.mu held:
	closed  bool
	writeBy time.Time   // the deadline; zero: none
	expiry  *time.Timer // tells Write of it
}

var errUnreachable = errors.New("the agent cannot connect to the remote port")

func (c *muxConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard = true
	}
	if err == io.ErrClosedPipe {
		if ended := c.ports.session.link.overError(); ended != nil {
			err = ended
		}
	}
	if err == io.EOF && !c.heard && c.ports.takeRefusal() {
		return 0, &net.OpError{Op: "dial", Net: "tcp", Err: errUnreachable}
	}
	return n, err
}

// Write waits while the window is full, but not longer than until Close or the
// deadline, as smux would.
func (c *muxConn) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if err := c.waitRoom(); err != nil {
			return n, err
		}
		written, err := c.Conn.Write(p[n:min(n+muxChunk, len(p))])
		n += written
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (c *muxConn) waitRoom() error {
	l := c.ports.session.link
	l.mu.Lock()
	defer l.mu.Unlock()
	for ; ; l.writable.Wait() {
		switch {
		case l.err != nil:
			return l.writeError()
		case c.closed:
			return net.ErrClosed
		case !c.writeBy.IsZero() && !time.Now().Before(c.writeBy):
			return os.ErrDeadlineExceeded
		case l.window.bytes < l.options.Window:
			return nil
		}
	}
}

func (c *muxConn) SetWriteDeadline(t time.Time) error {
	l := c.ports.session.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.expiry != nil {
		c.expiry.Stop()
	}
	c.writeBy, c.expiry = t, nil
	if !t.IsZero() {
		c.expiry = time.AfterFunc(time.Until(t), func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.writable.Broadcast()
		})
	}
	l.writable.Broadcast()
	return nil
}

func (c *muxConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *muxConn) Close() error {
	c.SetWriteDeadline(time.Time{})
	l := c.ports.session.link
	l.mu.Lock()
	c.closed = true
	l.writable.Broadcast()
	l.mu.Unlock()
	return c.Conn.Close()
}

func (p *ports) takeRefusal() bool {
	mu := &p.session.link.mu
	mu.Lock()
	defer mu.Unlock()
	if p.refusals == 0 {
		return false
	}
	p.refusals--
	return true
}

// dialAlone returns the session's only connection.
func (p *ports) dialAlone(ctx context.Context) (net.Conn, error) {
	select {
	case <-p.free:
	case <-ctx.Done():
		return nil, fmt.Errorf("datachannel: the session's one connection is in use: %w", ctx.Err())
	case <-p.session.link.ended:
		return nil, fmt.Errorf("datachannel: dial the remote port: %w", p.session.link.overError())
	}
	near, far := net.Pipe()
	l := p.session.link
	l.mu.Lock()
	err := l.writeError()
	if err == nil {
		p.current = far
	}
	l.mu.Unlock()
	if err != nil { // distribute may be gone
		return nil, fmt.Errorf("datachannel: dial the remote port: %w", err)
	}
	p.reading.Do(func() { go p.distribute() })
	go func() {
		_, err := io.Copy(writerFunc(p.session.write), far)
		far.Close()
		if err == nil {
			p.hangUp()
		}
	}()
	return near, nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// distribute gives what comes to the current connection.
func (p *ports) distribute() {
	mu := &p.session.link.mu
	buf := make([]byte, 32<<10)
	for {
		mu.Lock()
		n, err := p.session.read(buf)
		current := p.current // whose it is, if another one comes next
		mu.Unlock()
		if current != nil && n > 0 {
			current.Write(buf[:n]) // an error is the near side's end, which dialAlone sees
		}
		if err != nil {
			if current != nil {
				current.Close()
			}
			return
		}
	}
}

// hangUp ends the connection at the agent, and lets there be another one when
// nothing of this one can come any more.
func (p *ports) hangUp() {
	s := p.session
	if s.properties["type"] != "LocalPortForwarding" {
		if s.link.flush(context.Background()) == nil { // Close does not wait so long
			s.Close() // the agent ends the session at the same
		}
		return
	}
	s.link.mu.Lock()
	err := s.link.enqueue(wire.Flag, wire.AppendFlag(nil, wire.DisconnectToPort))
	s.link.mu.Unlock()
	if err == nil {
		err = s.link.flush(context.Background())
	}
	if err != nil {
		return // the session has ended
	}
	s.link.mu.Lock()
	p.current, p.stale = nil, s.link.inbox.highest()
	for len(s.output) > 0 {
		s.pop()
	}
	s.link.mu.Unlock()
	p.free <- struct{}{}
}

// Forward accepts connections on l and joins each with one to the session's
// remote port, until ctx ends, the session ends or l fails. It closes l and the
// connections, and returns why: ctx's error, what [Session.Wait] returns, or l's
// error. The session goes on: Close ends it. A connection that fails is logged (level Warn) and closed; the others
// go on.
func (s *Session) Forward(ctx context.Context, l net.Listener) error {
	if s.ports == nil {
		return fmt.Errorf("datachannel: a session of type %s has no port", s.kind)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { l.Close() })()
	go func() {
		select {
		case <-s.link.ended:
			_, err := s.Wait()
			cancel(err)
		case <-ctx.Done():
		}
	}()
	var connections sync.WaitGroup
	defer connections.Wait()
	for {
		local, err := l.Accept()
		if err != nil {
			cancel(err)
			if cause := context.Cause(ctx); cause != context.Canceled {
				return cause
			}
			return s.forwardEnd(ctx)
		}
		connections.Go(func() {
			defer local.Close()
			if err := s.join(ctx, local); err != nil && ctx.Err() == nil {
				s.link.options.Logger.Warn("datachannel: a forwarded connection failed", slog.String("session", s.link.sessionID), slog.Any("error", err))
			}
		})
	}
}

// forwardEnd tells a session that ended by itself from a ctx that ended.
func (s *Session) forwardEnd(ctx context.Context) error {
	select {
	case <-s.link.ended:
		_, err := s.Wait()
		return err
	default:
		return ctx.Err()
	}
}

// join carries one connection.
func (s *Session) join(ctx context.Context, local net.Conn) error {
	remote, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	defer remote.Close()
	defer context.AfterFunc(ctx, func() {
		local.Close()
		remote.Close()
	})()

	far := &halfClosed{Conn: remote, link: s.link, timeout: halfClosedTimeout}
	if s.ports.mux == nil {
		far.timeout = aloneTimeout
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(remote, local)
		if err != nil {
			remote.Close()
		} else {
			// The near side has said all. What the far side has to say may follow.
			far.begin()
		}
		sent <- err
	}()
	_, err = io.Copy(local, far)
	local.Close()
	remote.Close()
	return errors.Join(ignoreEnd(err), ignoreEnd(<-sent))
}

// halfClosed is a connection that ends when nothing has come for timeout after
// begin was called. Only silence of the far side counts: while the channel is
// away, or something is not acknowledged, there may be an answer under way.
type halfClosed struct {
	net.Conn
	link    *link
	timeout time.Duration
	begun   atomic.Bool
}

func (c *halfClosed) begin() {
	c.begun.Store(true)
	c.SetReadDeadline(time.Now().Add(c.timeout))
}

func (c *halfClosed) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if c.begun.Load() {
			c.SetReadDeadline(time.Now().Add(c.timeout))
		}
		if timeout := (net.Error)(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
			return n, err
		}
		if c.link.quiet() {
			return n, io.EOF
		}
	}
}

// ignoreEnd returns nil for the errors by which a connection ends because its
// other half has.
func ignoreEnd(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}
