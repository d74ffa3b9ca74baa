package main

import (
	"context"
	"net"
	"net/http/httptrace"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// What Linux does below a Go program while packets are unanswered.
const (
	// transit is how long a packet takes: long enough for its sender to go on
	// first, as on every real network, and else of no account.
	transit = time.Nanosecond

	// tcp_rto_min_us and tcp_rto_max_ms, by default: the wait before data is sent
	// again, on a path as fast as this one, doubling. After tcp_retries2 = 15 of these in vain the connection
	// fails with ETIMEDOUT, 924.6 s after the first.
	// https://docs.kernel.org/networking/ip-sysctl.html (tcp_retries2)
	rtoMin      = 200 * time.Millisecond
	rtoMax      = 120 * time.Second
	tcpRetries2 = 15

	// A SYN is sent again after 1 s, four times the same since Linux 6.5
	// (tcp_syn_linear_timeouts = 4), and then doubling, tcp_syn_retries = 6 times:
	// 131 s in all, 127 s before 6.5. The dialers give up earlier.
	// https://docs.kernel.org/networking/ip-sysctl.html (tcp_syn_retries)
	synRTO            = time.Second
	synLinearTimeouts = 4
	tcpSynRetries     = 6
)

// outageKind is what happens during an outage, and to the connection that is idle
// in the client's pool when it begins. Its first word is a state of the network as
// in ssmresumetest.
type outageKind string

const (
	// refused: a connect gets a RST, and so does what is written to the old
	// connection, later too: its peer has forgotten it.
	refused outageKind = "Refused"
	// unanswered: no packet arrives, and none of the old connection's ever will:
	// the client's address is a new one, or a NAT on the way has forgotten it.
	unanswered outageKind = "Unanswered, old connection dead"
	// unansweredSamePath: no packet arrives, but the old connection lives on, and
	// TCP's next retransmission gets through once the network is back.
	unansweredSamePath outageKind = "Unanswered, old connection alive"
	// silent: a connect succeeds, but nothing else arrives until the network is
	// back, and then with TCP's next retransmission.
	silent outageKind = "Silent"
	// slow5 and slow10 are unanswered, and from the loss on, the outage's end
	// included, each look-up of the name takes 5 or 10 s: the first of the name
	// servers, or the first two, have gone with the network they belong to.
	slow5  outageKind = "Unanswered, look-ups take 5 s"
	slow10 outageKind = "Unanswered, look-ups take 10 s"
	// lapsed: the network is refused for the first half. Credentials lapse with
	// the loss, and there are new ones only at the end, when somebody has logged in.
	lapsed outageKind = "Refused, credentials lapsed"
)

var outageKinds = []outageKind{refused, unanswered, unansweredSamePath, silent, slow5, slow10, lapsed}

func (k outageKind) network() ssmresumetest.Network {
	switch k {
	case refused, lapsed:
		return ssmresumetest.Refused
	case silent:
		return ssmresumetest.Silent
	}
	return ssmresumetest.Unanswered
}

// lookup is what a look-up of the name takes from the loss on.
func (k outageKind) lookup() time.Duration {
	return map[outageKind]time.Duration{slow5: 5 * time.Second, slow10: 10 * time.Second}[k]
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// path is the network between a client and an in-memory server, on a fake clock.
type path struct {
	kind  outageKind
	dial  dialFunc
	syns  int // tcp_syn_linear_timeouts
	dials atomic.Int64

	mu       sync.Mutex
	cut      bool // the outage has begun
	down     bool // and has not ended
	conns    []*pathConn
	finished chan struct{}
}

func newPath(kind outageKind, dial dialFunc) *path {
	return &path{kind: kind, dial: dial, syns: synLinearTimeouts, finished: make(chan struct{})}
}

// outage begins now and ends after the given time.
func (p *path) outage(away time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.down = true, true
	for _, c := range p.conns {
		c.old = true
	}
	time.AfterFunc(away, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.down = false
	})
}

type fate int

const (
	vanishes fate = iota
	arrives
	reset
)

// fate is what happens to a segment that is sent now.
func (p *path) fate(c *pathConn) fate {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.down && p.kind.network() == ssmresumetest.Silent:
		return vanishes
	case !c.old, !p.down && (p.kind == unansweredSamePath || p.kind == silent):
		return arrives
	case p.kind.network() == ssmresumetest.Refused:
		return reset
	}
	return vanishes
}

// close ends what the clients have left open.
func (p *path) close() {
	close(p.finished)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Conn.Close()
	}
}

func (p *path) isCut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut
}

// connects reports whether a connect that waits for an answer gets one.
func (p *path) connects() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.down || p.kind.network() == ssmresumetest.Silent
}

// DialContext looks the name up and connects as Linux does: at once, or with a SYN
// sent again and again. It tells a trace of both, as net.Dialer does.
func (p *path) DialContext(ctx context.Context, network, addr string) (_ net.Conn, err error) {
	p.dials.Add(1)
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if err := p.lookUp(ctx, addr); err != nil {
		return fail(err)
	}
	if trace := httptrace.ContextClientTrace(ctx); trace != nil {
		if trace.ConnectStart != nil {
			trace.ConnectStart(network, addr)
		}
		if trace.ConnectDone != nil {
			defer func() { trace.ConnectDone(network, addr, err) }()
		}
	}
	for n := 0; !p.connects(); n++ {
		if p.kind.network() == ssmresumetest.Refused {
			return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
		}
		if n > p.syns+tcpSynRetries {
			return fail(os.NewSyscallError("connect", syscall.ETIMEDOUT))
		}
		if !sleep(ctx, synRTO<<max(n-p.syns, 0)) {
			return fail(os.ErrDeadlineExceeded)
		}
	}
	inner, err := p.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &pathConn{Conn: inner, path: p, closed: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
	return c, nil
}

func (p *path) lookUp(ctx context.Context, addr string) (err error) {
	takes := p.kind.lookup()
	if takes == 0 || !p.isCut() {
		return nil
	}
	if trace := httptrace.ContextClientTrace(ctx); trace != nil {
		if trace.DNSStart != nil {
			trace.DNSStart(httptrace.DNSStartInfo{Host: addr})
		}
		if trace.DNSDone != nil {
			defer func() { trace.DNSDone(httptrace.DNSDoneInfo{Err: err}) }()
		}
	}
	if !sleep(ctx, takes) {
		return &net.DNSError{Err: "i/o timeout", Name: addr, IsTimeout: true}
	}
	return nil
}

// pathConn is the client's end of a connection.
type pathConn struct {
	net.Conn
	path   *path
	old    bool // older than the outage; guarded by path.mu
	once   sync.Once
	closed chan struct{}

	mu      sync.Mutex
	sending bool
	unsent  []byte
	failure error // what the kernel has found out
}

func (c *pathConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (c *pathConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.failure != nil {
			err = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", c.failure)}
		}
	}
	return n, err
}

// Write returns at once, as the kernel's buffer takes it all.
func (c *pathConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsent = append(c.unsent, b...)
	if !c.sending {
		c.sending = true
		go c.send()
	}
	return len(b), nil
}

// send is the kernel: it sends what was written, again and again if need be.
func (c *pathConn) send() {
	wait, rto := transit, rtoMin
	for sent := 0; ; sent++ {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.closed:
			timer.Stop()
			return
		case <-c.path.finished:
			timer.Stop()
			return
		}
		switch c.path.fate(c) {
		case arrives:
			c.deliver()
			return
		case reset:
			c.fail(syscall.ECONNRESET)
			return
		}
		if sent > tcpRetries2 {
			c.fail(syscall.ETIMEDOUT)
			return
		}
		wait, rto = rto, min(2*rto, rtoMax)
	}
}

func (c *pathConn) deliver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.unsent) > 0 {
		data := c.unsent
		c.unsent = nil
		c.mu.Unlock()
		_, err := c.Conn.Write(data)
		c.mu.Lock()
		if err != nil {
			break // the reader learns of it
		}
	}
	c.sending = false
}

func (c *pathConn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = err
	c.Conn.Close()
}
