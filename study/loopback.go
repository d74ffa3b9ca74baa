package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// relay is a real path: it carries TCP connections on the loopback interface to a
// server, and can be cut as a path can, but for unansweredSamePath, which needs
// packets to be dropped.
type relay struct {
	kind   outageKind
	server string
	addr   string

	listener *net.TCPListener
	accepted sync.WaitGroup // the accept loop
	filler   net.Conn

	mu      sync.Mutex
	carried []*carried
}

// carried is one connection through the relay.
type carried struct {
	client, server *net.TCPConn
	cut            chan struct{} // closed when the outage begins
}

func newRelay(kind outageKind, server string) (*relay, error) {
	r := &relay{kind: kind, server: server, addr: "127.0.0.1:0"}
	if err := r.listen(); err != nil {
		return nil, err
	}
	r.addr = r.listener.Addr().String()
	return r, nil
}

func (r *relay) listen() error {
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		return err
	}
	r.listener = l.(*net.TCPListener)
	r.accept()
	return nil
}

func (r *relay) accept() {
	r.accepted.Go(func() {
		for {
			conn, err := r.listener.AcceptTCP()
			if err != nil {
				return // closed, or its deadline has passed
			}
			if err := r.carry(conn); err != nil {
				conn.Close()
			}
		}
	})
}

func (r *relay) carry(client *net.TCPConn) error {
	conn, err := net.Dial("tcp", r.server)
	if err != nil {
		return err
	}
	c := &carried{client: client, server: conn.(*net.TCPConn), cut: make(chan struct{})}
	r.mu.Lock()
	r.carried = append(r.carried, c)
	r.mu.Unlock()
	go func() {
		_, _ = io.Copy(c.client, c.server)
		c.client.CloseWrite()
	}()
	go r.forward(c)
	return nil
}

// forward carries what the client writes. After the outage has begun, a refused
// connection is reset as soon as something is written to it; on an unanswered one
// nothing happens any more.
func (r *relay) forward(c *carried) {
	buf := make([]byte, 4096)
	for {
		n, err := c.client.Read(buf)
		select {
		case <-c.cut:
			if r.kind == refused && n > 0 {
				_ = c.client.SetLinger(0)
				c.client.Close()
			}
			return
		default:
		}
		if n > 0 {
			_, _ = c.server.Write(buf[:n])
		}
		if err != nil {
			c.server.Close()
			return
		}
	}
}

// cut begins the outage. What is refused is refused by the kernel, with no
// listener; a SYN is unanswered by the kernel, with a listener whose queue is full.
func (r *relay) cut() error {
	r.mu.Lock()
	for _, c := range r.carried {
		close(c.cut)
	}
	r.mu.Unlock()
	if r.kind == refused {
		r.listener.Close()
		r.accepted.Wait()
		return nil
	}
	if err := r.listener.SetDeadline(time.Now()); err != nil {
		return err
	}
	r.accepted.Wait()
	if err := setBacklog(r.listener, 0); err != nil {
		return err
	}
	// The queue takes one connection more than the backlog says.
	filler, err := net.Dial("tcp", r.addr)
	r.filler = filler
	return err
}

// heal ends the outage.
func (r *relay) heal() error {
	if r.kind == refused {
		return r.listen()
	}
	r.filler.Close()
	if err := setBacklog(r.listener, 128); err != nil {
		return err
	}
	if err := r.listener.SetDeadline(time.Time{}); err != nil {
		return err
	}
	r.accept()
	return nil
}

func (r *relay) close() {
	r.listener.Close()
	r.accepted.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.carried {
		c.client.Close()
		c.server.Close()
	}
}

// onLoopback runs the trial for real: a real server, real connections and the
// real clock.
func (tr trial) onLoopback(ctx context.Context, in setting, patience time.Duration) (res result, err error) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	cfg := srv.Config()
	way, err := newRelay(in.kind, srv.URL()[len("http://"):])
	if err != nil {
		return result{}, err
	}
	defer way.close()
	url := "http://" + way.addr
	cfg.BaseEndpoint = &url
	cfg.HTTPClient = in.policy.client((&net.Dialer{}).DialContext)
	one, resume := in.policy.start(cfg)
	if err := one(ctx); err != nil {
		return result{}, fmt.Errorf("before the outage: %w", err)
	}
	time.Sleep(tr.idle)
	if err := way.cut(); err != nil {
		return result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, tr.away+patience)
	defer cancel()
	begin := time.Now()
	healed := make(chan error, 1)
	time.AfterFunc(tr.away, func() { healed <- way.heal() })
	resumeErr := resume(ctx)
	res = newResult(tr, ctx, resumeErr, time.Since(begin))
	return res, <-healed
}
