package ssmresumetest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// maxUnderWay is how many bytes each way of a connection takes before a Write
// waits, as the buffers of sockets do.
const maxUnderWay = 64 << 10

// A wire is a connection in memory with two ends. While it is quiet, what is
// written stays under way and nobody hears of a close.
type wire struct {
	client, server *end
	forget         func(*wire)  // called once both ends are closed
	tcp            *net.TCPConn // that the client's end is carried over; nil in memory

	mu     sync.Mutex
	change sync.Cond // of anything below, at both ends
	quiet  bool
	dead   bool // quiet for good
	gone   bool // reset
}

// An end is a net.Conn. What follows the addresses is guarded by wire.mu.
type end struct {
	wire          *wire
	peer          *end
	local, remote net.Addr

	underWay    []byte // to this end
	closed      bool
	closedQuiet bool // nobody heard of it
	abort       bool // Close resets
	read, write deadline
}

func newWire(client, server net.Addr, quiet bool, forget func(*wire)) *wire {
	w := &wire{quiet: quiet, forget: forget}
	w.change.L = &w.mu
	w.client = &end{wire: w, local: client, remote: server}
	w.server = &end{wire: w, local: server, remote: client}
	w.client.peer, w.server.peer = w.server, w.client
	return w
}

// set is told that the network has changed.
func (w *wire) set(n Network) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return
	}
	w.quiet = n.quiet()
	if n == Refused || !w.quiet && (w.client.closedQuiet || w.server.closedQuiet) {
		w.gone = true // what was under way is lost with it
	}
	w.change.Broadcast()
}

// reset makes both ends fail, unless nothing passes.
func (w *wire) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = true
	w.change.Broadcast()
}

// close closes both ends.
func (w *wire) close() {
	w.client.Close()
	w.server.Close()
}

// die makes the wire quiet for good.
func (w *wire) die() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quiet, w.dead = true, true
	w.change.Broadcast()
}

func (e *end) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: e.local, Addr: e.remote, Err: err}
}

func (e *end) Read(p []byte) (int, error) {
	w := e.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		// A kernel hands out what came before a reset, and then the reset.
		aborted := e.peer.closed && e.peer.abort && !w.quiet && len(e.underWay) > 0
		switch {
		case e.closed:
			return 0, e.fail("read", net.ErrClosed)
		case w.gone && !aborted:
			return 0, e.fail("read", os.NewSyscallError("read", errReset))
		case e.read.passed():
			return 0, e.fail("read", os.ErrDeadlineExceeded)
		case len(p) == 0:
			return 0, nil
		case !w.quiet && len(e.underWay) > 0:
			n := copy(p, e.underWay)
			if e.underWay = e.underWay[n:]; len(e.underWay) == 0 {
				e.underWay = nil
			}
			w.change.Broadcast() // there is room
			return n, nil
		case !w.quiet && e.peer.closed:
			return 0, io.EOF
		}
		w.change.Wait()
	}
}

func (e *end) Write(p []byte) (written int, err error) {
	w := e.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		switch {
		case e.closed:
			return written, e.fail("write", net.ErrClosed)
		case w.gone:
			return written, e.fail("write", os.NewSyscallError("write", errReset))
		case e.write.passed():
			return written, e.fail("write", os.ErrDeadlineExceeded)
		case !w.quiet && e.peer.closed:
			return written, e.fail("write", os.NewSyscallError("write", errPipe))
		}
		if n := min(len(p), maxUnderWay-len(e.peer.underWay)); n > 0 {
			e.peer.underWay = append(e.peer.underWay, p[:n]...)
			p, written = p[n:], written+n
			w.change.Broadcast()
		}
		if len(p) == 0 {
			return written, nil
		}
		w.change.Wait()
	}
}

func (e *end) Close() error {
	w := e.wire
	w.mu.Lock()
	if e.closed {
		w.mu.Unlock()
		return e.fail("close", net.ErrClosed)
	}
	e.closed, e.closedQuiet = true, w.quiet
	if e.abort && !w.quiet {
		w.gone = true
	}
	e.read.stop()
	e.write.stop()
	w.change.Broadcast()
	over := e.peer.closed
	w.mu.Unlock()
	if over {
		w.forget(w)
	}
	return nil
}

func (e *end) LocalAddr() net.Addr  { return e.local }
func (e *end) RemoteAddr() net.Addr { return e.remote }

// SetLinger is that of *net.TCPConn: with 0, Close resets.
func (e *end) SetLinger(sec int) error {
	e.wire.mu.Lock()
	defer e.wire.mu.Unlock()
	e.abort = sec == 0
	return nil
}

func (e *end) SetDeadline(t time.Time) error {
	return errors.Join(e.SetReadDeadline(t), e.SetWriteDeadline(t))
}

func (e *end) SetReadDeadline(t time.Time) error  { return e.setDeadline(&e.read, t) }
func (e *end) SetWriteDeadline(t time.Time) error { return e.setDeadline(&e.write, t) }

func (e *end) setDeadline(d *deadline, t time.Time) error {
	w := e.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.closed {
		return e.fail("set", net.ErrClosed)
	}
	d.stop()
	d.at = t
	if left := time.Until(t); left > 0 { // the race detector of Go 1.26 may crash at a timer of a bubble that is due at once
		d.timer = time.AfterFunc(left, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.change.Broadcast()
		})
	}
	w.change.Broadcast()
	return nil
}

// A deadline wakes those who wait when it passes.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}
