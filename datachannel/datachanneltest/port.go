package datachanneltest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// mux reports whether both sides agree on streams, once the client has told its
// version.
func (a *agent) mux() bool {
	o := a.options
	return o.Properties["type"] == localPortForwarding && versionAtLeast(o.AgentVersion, muxAgentAbove) && o.AgentVersion != muxAgentAbove &&
		versionAtLeast(a.client, muxClientFrom)
}

// basicPort is a port session with one connection.
type basicPort struct {
	a *agent

	mu      sync.Mutex
	changed *sync.Cond
	conn    net.Conn // nil until it is dialled; closed where it is to be dialled again
	stale   bool     // conn is at its end; the next data dials anew
	err     error    // why the session ends
}

func newBasicPort(a *agent) *basicPort {
	p := &basicPort{a: a}
	p.changed = sync.NewCond(&p.mu)
	return p
}

func (p *basicPort) data(b []byte) error {
	p.mu.Lock()
	conn, stale := p.conn, p.stale
	p.mu.Unlock()
	if conn == nil {
		return errNotReady
	}
	if stale {
		var err error
		if conn, err = p.dial(); err != nil {
			return err
		}
	}
	if _, err := conn.Write(b); err != nil {
		p.lost(conn) // the data is, too
	}
	return nil
}

func (p *basicPort) dial() (net.Conn, error) {
	conn, err := p.a.options.Dial(p.a.ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
		p.end(fmt.Errorf("the port cannot be reached: %w", err))
		return nil, err
	case p.err != nil:
		conn.Close()
		return nil, p.err
	}
	p.conn, p.stale = conn, false
	p.changed.Broadcast()
	return conn, nil
}

// lost marks conn as one that the next data replaces.
func (p *basicPort) lost(conn net.Conn) {
	conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == conn {
		p.stale = true
	}
}

// end makes run return err. p.mu is held.
func (p *basicPort) end(err error) {
	if p.err == nil {
		p.err = err
	}
	if p.conn != nil {
		p.conn.Close()
	}
	p.changed.Broadcast()
}

// size does nothing, and so the number of even an invalid one is used up.
func (p *basicPort) size([]byte) error { return nil }

func (p *basicPort) flag(b []byte) error {
	flag, err := wire.ParseFlag(b)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch flag {
	case wire.DisconnectToPort:
		if p.a.options.Properties["type"] != localPortForwarding {
			return errHangUp
		}
		if p.conn != nil {
			p.conn.Close()
			p.stale = true
		}
	case wire.TerminateSession:
		return errTerminate
	}
	return nil
}

func (p *basicPort) run() error {
	if _, err := p.dial(); err != nil {
		return p.reason()
	}
	var old net.Conn
	for {
		p.mu.Lock()
		for p.err == nil && p.conn == old {
			p.changed.Wait()
		}
		conn := p.conn
		p.mu.Unlock()
		if p.reason() != nil {
			return p.reason()
		}
		p.a.forward(conn)
		p.lost(conn)
		if p.a.options.Properties["type"] != localPortForwarding {
			return p.reason()
		}
		old = conn
	}
}

func (p *basicPort) reason() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *basicPort) interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(errEnded)
}

// forward sends what conn gives until its end.
func (a *agent) forward(conn net.Conn) {
	buf := make([]byte, outputSize)
	for a.waitUnpaused() == nil {
		a.room()
		n, err := conn.Read(buf)
		if n > 0 {
			a.output(wire.Data, append([]byte(nil), buf[:n]...))
		}
		if err != nil {
			return
		}
		a.rest()
	}
}

// Frames of smux, version 1.
const (
	muxVersion = 1
	muxHeader  = 8

	muxSYN = 0
	muxFIN = 1
	muxPSH = 2
	muxNOP = 3

	muxFrame  = 32 << 10 // bytes of data in a frame
	muxBuffer = 4 << 20  // bytes received of all streams together and not read, after which none is read
)

// muxPort is a port session with many connections, as streams of smux. The code
// is not smux's, whose pooled channels must not wander between the bubbles of
// testing/synctest.
type muxPort struct {
	a       *agent
	in, out *pipe      // the byte streams of the messages
	writing sync.Mutex // a frame goes out whole

	mu       sync.Mutex
	changed  *sync.Cond
	streams  map[uint32]*muxStream
	buffered int
	err      error
}

type muxStream struct {
	id     uint32
	buf    []byte // received and not yet written to conn
	eof    bool   // the client has finished
	closed bool
	conn   net.Conn
	cancel context.CancelFunc // of the dial
}

func newMuxPort(a *agent) *muxPort {
	p := &muxPort{a: a, in: newPipe(), out: newPipe(), streams: map[uint32]*muxStream{}}
	p.changed = sync.NewCond(&p.mu)
	return p
}

func (p *muxPort) data(b []byte) error {
	_, err := p.in.Write(b)
	return err
}

func (p *muxPort) size([]byte) error { return nil }

func (p *muxPort) flag(b []byte) error {
	flag, err := wire.ParseFlag(b)
	if err == nil && flag == wire.TerminateSession {
		return errTerminate
	}
	return err
}

func (p *muxPort) run() error {
	p.a.wg.Go(func() { p.end(p.receive()) })
	p.a.pump(p.out, wire.Data, false)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	return errEnded
}

func (p *muxPort) interrupt() { p.end(errEnded) }

func (p *muxPort) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	for _, s := range p.streams {
		p.closeStream(s)
	}
	p.in.close()
	p.out.close()
	p.changed.Broadcast()
}

// closeStream frees what a stream holds. p.mu is held.
func (p *muxPort) closeStream(s *muxStream) {
	if s.closed {
		return
	}
	s.closed = true
	p.buffered -= len(s.buf)
	s.buf = nil
	s.cancel()
	if s.conn != nil {
		s.conn.Close()
	}
	delete(p.streams, s.id)
	p.changed.Broadcast()
}

// receive reads the client's frames.
func (p *muxPort) receive() error {
	var header [muxHeader]byte
	for {
		p.mu.Lock()
		for p.buffered >= muxBuffer && p.err == nil {
			p.changed.Wait()
		}
		p.mu.Unlock()
		if _, err := io.ReadFull(p.in, header[:]); err != nil {
			return err
		}
		if header[0] != muxVersion {
			return errors.New("a frame that is not smux's")
		}
		b := make([]byte, binary.LittleEndian.Uint16(header[2:]))
		if _, err := io.ReadFull(p.in, b); err != nil {
			return err
		}
		id := binary.LittleEndian.Uint32(header[4:])
		p.mu.Lock()
		s := p.streams[id]
		switch header[1] {
		case muxSYN:
			if s == nil && p.err == nil {
				p.open(id)
			}
		case muxPSH:
			if s != nil {
				s.buf = append(s.buf, b...)
				p.buffered += len(b)
			}
		case muxFIN:
			if s != nil {
				s.eof = true
			}
		case muxNOP:
		default:
			p.mu.Unlock()
			return errors.New("a frame that is not smux's")
		}
		p.changed.Broadcast()
		p.mu.Unlock()
	}
}

// open starts a stream. p.mu is held.
func (p *muxPort) open(id uint32) {
	ctx, cancel := context.WithCancel(p.a.ctx)
	s := &muxStream{id: id, cancel: cancel}
	p.streams[id] = s
	p.a.wg.Go(func() {
		p.serve(ctx, s)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.closeStream(s)
	})
}

// serve carries one stream to the port and back. Either's end ends both ways.
func (p *muxPort) serve(ctx context.Context, s *muxStream) {
	conn, err := p.a.options.Dial(ctx)
	p.mu.Lock()
	closed := s.closed
	s.conn = conn
	p.mu.Unlock()
	switch {
	case err != nil:
		if ctx.Err() == nil {
			p.a.output(wire.Flag, wire.AppendFlag(nil, wire.ConnectToPortError))
			p.send(muxFIN, s.id, nil)
		}
		return
	case closed:
		conn.Close()
		return
	}
	p.a.wg.Go(func() {
		p.toPort(conn, s)
		conn.Close()
	})
	buf := make([]byte, muxFrame)
	for {
		n, err := conn.Read(buf)
		if n > 0 && p.send(muxPSH, s.id, buf[:n]) != nil {
			return
		}
		if err != nil {
			p.send(muxFIN, s.id, nil)
			return
		}
	}
}

// toPort writes what the client sends until it has finished.
func (p *muxPort) toPort(conn net.Conn, s *muxStream) {
	for {
		p.mu.Lock()
		for len(s.buf) == 0 && !s.eof && !s.closed {
			p.changed.Wait()
		}
		b := s.buf
		s.buf = nil
		closed := s.closed || len(b) == 0
		p.mu.Unlock()
		if closed {
			return
		}
		_, err := conn.Write(b)
		p.mu.Lock()
		p.buffered -= len(b)
		p.changed.Broadcast()
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *muxPort) send(command byte, id uint32, b []byte) error {
	frame := make([]byte, muxHeader, muxHeader+len(b))
	frame[0], frame[1] = muxVersion, command
	binary.LittleEndian.PutUint16(frame[2:], uint16(len(b)))
	binary.LittleEndian.PutUint32(frame[4:], id)
	p.writing.Lock()
	defer p.writing.Unlock()
	_, err := p.out.Write(append(frame, b...))
	return err
}
