package ssmresumetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A socket listens on a loopback address and carries each connection there to a
// wire, which can be cut.
type socket struct {
	*listener
	link *link

	mu        sync.Mutex
	tcp       *net.TCPListener // nil while connects are refused
	accepting sync.WaitGroup
	blocked   bool     // the kernel drops SYNs
	filler    net.Conn // in the queue of connections to accept
}

// listenTCP listens at a port that no kernel gives to a client: those of Linux begin
// at 32768, others' above. While connects are refused nobody holds the port, and a
// busy machine would soon give it away.
func listenTCP() (l *net.TCPListener, err error) {
	const first, n = 10_000, 20_000
	for range 100 {
		l, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: first + rand.N(n)})
		if err == nil {
			break
		}
	}
	return l, err
}

func (l *link) listenOnLoopback() *socket {
	tcp, err := listenTCP()
	if err != nil {
		panic("ssmresumetest: " + err.Error())
	}
	return l.listenOn(tcp)
}

// listenOn takes tcp over.
func (l *link) listenOn(tcp *net.TCPListener) *socket {
	s := &socket{listener: newListener(tcp.Addr()), link: l, tcp: tcp}
	s.accept()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sockets = append(l.sockets, s)
	return s
}

func (s *socket) accept() {
	tcp := s.tcp
	s.accepting.Go(func() {
		for {
			conn, err := tcp.AcceptTCP()
			if err != nil {
				return // closed, or its deadline has passed
			}
			s.carry(conn)
		}
	})
}

func (s *socket) carry(conn *net.TCPConn) {
	w := s.link.connect(conn.RemoteAddr(), conn.LocalAddr())
	if s.offer(context.Background(), w.server) != nil {
		w.close()
		_ = conn.SetLinger(0)
		conn.Close()
		return
	}
	s.link.mu.Lock()
	w.tcp = conn
	s.link.mu.Unlock()
	s.link.pumps.Go(func() { pump(w.client, conn, conn) })
	s.link.pumps.Go(func() { pump(conn, w.client, conn) })
}

// pump carries what src gives, until either end fails or is closed. What ends
// otherwise than by a close of src ends with a reset.
func pump(dst, src net.Conn, tcp *net.TCPConn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if _, writeErr := dst.Write(buf[:n]); writeErr != nil {
				err = writeErr
			}
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) {
			_ = tcp.SetLinger(0)
			if e, ok := dst.(*end); ok {
				_ = e.SetLinger(0)
			}
		}
		dst.Close()
		src.Close()
		return
	}
}

// set returns when the kernel does what n says.
func (s *socket) set(n Network) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosed() {
		return
	}
	must := func(err error) {
		if err != nil {
			panic(fmt.Sprintf("ssmresumetest: make the network %v: %v", n, err))
		}
	}
	if n != Unanswered && s.blocked {
		s.blocked = false
		if s.filler != nil {
			s.filler.Close()
		}
		must(setBacklog(s.tcp, backlog))
		must(s.tcp.SetDeadline(time.Time{}))
		s.accept()
	}
	if n != Refused && s.tcp == nil {
		l, err := net.Listen("tcp", s.addr.String())
		must(err)
		s.tcp = l.(*net.TCPListener)
		s.accept()
	}
	switch {
	case n == Refused && s.tcp != nil:
		s.tcp.Close()
		s.accepting.Wait()
		s.tcp = nil
	case n == Unanswered && !s.blocked && canDropSYNs:
		must(s.tcp.SetDeadline(time.Now()))
		s.accepting.Wait()
		must(setBacklog(s.tcp, 0))
		s.blocked = true
		// The queue takes one connection more than the backlog says. It is full
		// already if nobody answers.
		s.filler, _ = net.DialTimeout("tcp", s.addr.String(), 100*time.Millisecond)
	}
}

func (s *socket) Close() error {
	s.listener.Close() // ends an accept that waits to hand a connection out
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tcp != nil {
		s.tcp.Close()
	}
	if s.filler != nil {
		s.filler.Close()
	}
	s.accepting.Wait()
	return nil
}
