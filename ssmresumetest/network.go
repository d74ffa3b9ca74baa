package ssmresumetest

import (
	"context"
	"net"
	"net/http/httptrace"
	"os"
	"strconv"
	"sync"
	"time"
)

// A Network is a state of the network between clients and a server, for
// [Server.SetNetwork].
type Network int

const (
	// Up is a network that works. It is the zero value.
	Up Network = iota

	// Refused answers a connect with "connection refused", and the connections
	// there are with a reset: the host is up, the service is not.
	Refused

	// Unanswered gives no answer to a connect, and is silent on the connections
	// there are: packets vanish. A connect that is under way when the network is
	// Up again succeeds, at the next SYN, which is sent each second. On sockets
	// that takes Linux; elsewhere a connect succeeds and is silent.
	Unanswered

	// Silent makes connections, but no byte passes on them, new ones and old ones,
	// either way, nor does a close: something on the way has accepted and forgets.
	Silent
)

// String returns the constant's name in lower case, such as "refused".
func (n Network) String() string {
	switch n {
	case Up:
		return "up"
	case Refused:
		return "refused"
	case Unanswered:
		return "unanswered"
	case Silent:
		return "silent"
	}
	return "Network(" + strconv.Itoa(int(n)) + ")"
}

func (n Network) quiet() bool { return n == Unanswered || n == Silent }

const (
	synInterval = time.Second // Linux sends a SYN again after a second, at first
	synTimeout  = 131 * time.Second

	backlog = 128 // connections that may wait to be accepted
)

// link is the network between clients and the listeners of a server.
type link struct {
	setting sync.Mutex // held by set, which takes a while on sockets

	mu        sync.Mutex
	network   Network
	conns     map[*wire]struct{}
	listeners []*listener
	sockets   []*socket
	clients   int // connections that were made in memory
	pumps     sync.WaitGroup
}

// set returns when the network is what it is set to.
func (l *link) set(n Network) {
	l.setting.Lock()
	defer l.setting.Unlock()
	l.mu.Lock()
	l.network = n
	for w := range l.conns {
		w.set(n)
	}
	sockets := l.sockets
	l.mu.Unlock()
	for _, s := range sockets {
		s.set(n)
	}
}

func (l *link) current() Network {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.network
}

// each calls do for every connection that is open at one end at least.
func (l *link) each(do func(*wire)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for w := range l.conns {
		do(w)
	}
}

// connect makes a connection.
func (l *link) connect(client, server net.Addr) *wire {
	l.mu.Lock()
	defer l.mu.Unlock()
	if client == nil {
		l.clients++
		client = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 49151 + l.clients%16384}
	}
	w := newWire(client, server, l.network.quiet(), l.forget)
	if l.conns == nil {
		l.conns = map[*wire]struct{}{}
	}
	l.conns[w] = struct{}{}
	return w
}

func (l *link) forget(w *wire) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, w)
}

// close ends all connections and waits for what carries them.
func (l *link) close() {
	l.setting.Lock()
	defer l.setting.Unlock()
	l.mu.Lock()
	listeners, sockets := l.listeners, l.sockets
	l.mu.Unlock()
	for _, s := range sockets {
		s.Close()
	}
	for _, listener := range listeners {
		listener.Close()
	}
	l.each(func(w *wire) {
		w.reset()
		if w.tcp != nil { // a client that does not read holds up what carries it
			_ = w.tcp.SetLinger(0)
			w.tcp.Close()
		}
	})
	l.pumps.Wait()
}

// A listener hands out the server's ends of connections.
type listener struct {
	addr     net.Addr
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

// listen makes a listener in memory. The first is at port 80 of loopback, since
// clients believe the clock of a server there.
func (l *link) listen() *listener {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := newListener(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80 + len(l.listeners)})
	l.listeners = append(l.listeners, n)
	return n
}

func newListener(addr net.Addr) *listener {
	return &listener{addr: addr, incoming: make(chan net.Conn, backlog), closed: make(chan struct{})}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.incoming:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close resets what nobody has accepted.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	for {
		select {
		case c := <-l.incoming:
			c.(*end).wire.close()
		default:
			return nil
		}
	}
}

// offer puts c into the queue of connections to accept.
func (l *listener) offer(ctx context.Context, c net.Conn) error {
	select {
	case l.incoming <- c:
	case <-l.closed:
	case <-ctx.Done():
		return ctx.Err()
	}
	if l.isClosed() {
		return os.NewSyscallError("connect", errRefused)
	}
	return nil
}

func (l *listener) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

func (l *listener) Addr() net.Addr { return l.addr }

// at returns the listener with the address, or else the first one.
func (l *link) at(addr string) *listener {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, listener := range l.listeners {
		if listener.addr.String() == addr {
			return listener
		}
	}
	return l.listeners[0]
}

// dial connects to a listener in memory, and tells a trace so, as net.Dialer does.
func (l *link) dial(ctx context.Context, network, addr string) (_ net.Conn, err error) {
	to := l.at(addr)
	if trace := httptrace.ContextClientTrace(ctx); trace != nil {
		if trace.ConnectStart != nil {
			trace.ConnectStart(network, to.addr.String())
		}
		if trace.ConnectDone != nil {
			defer func() { trace.ConnectDone(network, to.addr.String(), err) }()
		}
	}
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: to.addr, Err: err}
	}
	for waited := time.Duration(0); l.current() == Unanswered; waited += synInterval {
		if waited >= synTimeout {
			return fail(os.NewSyscallError("connect", errTimedOut))
		}
		syn := time.NewTimer(synInterval)
		select {
		case <-syn.C:
		case <-ctx.Done():
			syn.Stop()
			return fail(ctx.Err())
		}
	}
	if l.current() == Refused {
		return fail(os.NewSyscallError("connect", errRefused))
	}
	w := l.connect(nil, to.addr)
	if err := to.offer(ctx, w.server); err != nil {
		w.close()
		return fail(err)
	}
	return w.client, nil
}
