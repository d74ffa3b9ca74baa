package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// The ways in which a path is cut. A connection that is up then is lost in all
// of them: refused resets it, with the others it is silent for ever.
const (
	refused    = "refused"    // new connections are refused
	unanswered = "unanswered" // new ones get no answer, but go on once the path is back, as a SYN sent again does
	silent     = "silent"     // new ones are made, but no byte passes, ever

	synInterval = time.Second // Linux sends a SYN again after a second
)

// A path is a network of TCP connections to servers, which can be cut.
type path struct {
	mu     sync.Mutex
	cut    string // empty while the path is up
	routes []*route
	links  map[*link]struct{}
	closed chan struct{}
	copies sync.WaitGroup
}

// route is one server's address on the path.
type route struct {
	addr, target string
	listener     net.Listener // nil while connections are refused
}

// link is one connection over the path.
type link struct {
	near, far net.Conn // far is nil while the connection gets no answer
	dead      bool     // nothing passes any more, and neither side is told
}

func newPath() *path { return &path{links: map[*link]struct{}{}, closed: make(chan struct{})} }

// to returns the address on the path of the server at target.
func (p *path) to(target string) (string, error) {
	r := &route{addr: "127.0.0.1:0", target: target}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.listen(r); err != nil {
		return "", err
	}
	p.routes = append(p.routes, r)
	return r.addr, nil
}

func (p *path) listen(r *route) error {
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		return err
	}
	r.listener, r.addr = l, l.Addr().String()
	p.copies.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			p.copies.Go(func() { p.connect(near, r.target) })
		}
	})
	return nil
}

// set cuts the path, or repairs it if cut is empty.
func (p *path) set(cut string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	if cut != "" {
		for l := range p.links {
			l.dead = true
			if cut == refused {
				l.reset()
			}
		}
	}
	for _, r := range p.routes {
		switch {
		case cut == refused && r.listener != nil:
			r.listener.Close()
			r.listener = nil
		case cut != refused && r.listener == nil:
			if err := p.listen(r); err != nil {
				return fmt.Errorf("repair the path: %w", err)
			}
		}
	}
	return nil
}

func (p *path) connect(near net.Conn, target string) {
	l := &link{near: near}
	for p.waits(l, target) {
		select {
		case <-time.After(synInterval):
		case <-p.closed:
		}
	}
}

// waits connects l with the target where the path is up, and reports whether to
// try again.
func (p *path) waits(l *link, target string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links[l] = struct{}{}
	switch {
	case p.cut == unanswered && !isClosed(p.closed):
		return true
	case p.cut == silent && !isClosed(p.closed):
		l.dead = true
		return false
	case p.cut == "" && !isClosed(p.closed):
		if p.join(l, target) {
			return false
		}
	}
	l.reset()
	delete(p.links, l)
	return false
}

// join reports whether both ends are there.
func (p *path) join(l *link, target string) bool {
	// What the client sent while nobody answered. If it has hung up since, its
	// request must not arrive: a SYN would not have either.
	l.near.SetReadDeadline(time.Now().Add(time.Millisecond))
	early, err := io.ReadAll(l.near)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	l.near.SetReadDeadline(time.Time{})
	if l.far, err = net.Dial("tcp", target); err != nil {
		l.far = nil
		return false
	}
	p.copies.Go(func() { p.copy(l, l.near, l.far) })
	p.copies.Go(func() { p.copy(l, l.far, io.MultiReader(bytes.NewReader(early), l.near)) })
	return true
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// copy moves bytes one way, until either end closes.
func (p *path) copy(l *link, dst io.Writer, src io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		p.mu.Lock()
		dead := l.dead
		p.mu.Unlock()
		if dead {
			return // close leaves the ends open, the other side hears nothing
		}
		if n > 0 {
			if _, writeErr := dst.Write(buf[:n]); writeErr != nil {
				err = writeErr
			}
		}
		if err != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.links, l)
			l.near.Close()
			l.far.Close()
			return
		}
	}
}

// reset ends both connections with a TCP reset.
func (l *link) reset() {
	for _, c := range []net.Conn{l.near, l.far} {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
			tcp.Close()
		}
	}
}

// close ends the path and all that is left of its connections.
func (p *path) close() {
	p.mu.Lock()
	close(p.closed)
	for _, r := range p.routes {
		if r.listener != nil {
			r.listener.Close()
		}
	}
	for l := range p.links {
		l.dead = true
		l.reset()
	}
	p.mu.Unlock()
	p.copies.Wait()
}
