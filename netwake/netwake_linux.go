package netwake

import (
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// The messages are read with package syscall, which has their formats for package
// net's own use, and not with a library: that costs a program nothing, where
// mdlayher/netlink adds 172 kB and vishvananda/netlink 320, and what they do beyond
// parsing is not needed here. It ends with the first system beside Linux, for which
// a library is wanted that knows them all.

const (
	// The kernel tells of what one event brings within a millisecond, at first of
	// the address, which does not help without its route. Programs that make
	// addresses and routes one after the other take some milliseconds.
	settle = 10 * time.Millisecond

	// So many values in a row, and from then on one for each pause: a router hears
	// of new routes all the time, and a Reconnector polls as often by itself.
	burst = 20
	pause = time.Second
)

// Of <linux/rtnetlink.h> and <linux/if.h>, what package syscall has not.
const (
	groups = 0x1 | 0x10 | 0x40 | 0x100 | 0x400 // RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE

	linkLowerUp   = 0x10000 // IFF_LOWER_UP: there is a carrier
	linkDormant   = 0x20000 // IFF_DORMANT: there is, but 802.1X is not through
	routeLinkDown = 0x10    // RTNH_F_LINKDOWN
)

func notify(ctx context.Context, wake chan<- struct{}) error {
	w, err := newWatcher()
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { w.socket.Close() })
	go func() {
		for r := newRate(time.Now()); w.wait() == nil; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(r.wait(time.Now())):
			}
			if !w.news() {
				continue
			}
			select {
			case wake <- struct{}{}:
			default:
			}
			r.sent(time.Now())
		}
	}()
	return nil
}

// A rate says how long to wait for what else an event brings.
type rate struct {
	rested time.Time // from when on there may be a whole burst again
}

func newRate(now time.Time) rate { return rate{rested: now} }

func (r *rate) wait(now time.Time) time.Duration {
	return max(settle, r.rested.Sub(now)-(burst-1)*pause)
}

func (r *rate) sent(now time.Time) {
	if r.rested.Before(now) {
		r.rested = now
	}
	r.rested = r.rested.Add(pause)
}

// A watcher tells what is new. It is for one goroutine.
type watcher struct {
	socket *os.File
	conn   syscall.RawConn // socket's
	buf    []byte          // no message that the kernel sends by itself is larger

	// Since the last news.
	usable map[address]bool
	routes map[byte]bool // by address family; one at least
	missed bool          // messages
}

// An address of an interface.
type address struct {
	index uint32
	addr  netip.Addr
}

func newWatcher() (*watcher, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, syscall.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	w := &watcher{socket: os.NewFile(uintptr(fd), "netlink"), buf: make([]byte, 8<<10), routes: map[byte]bool{}}
	if err = syscall.Bind(fd, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK, Groups: groups}); err != nil {
		err = os.NewSyscallError("bind", err)
	} else if w.conn, err = w.socket.SyscallConn(); err == nil {
		w.usable, err = usableAddresses() // after Bind, so that none is missed
	}
	if err != nil {
		w.socket.Close()
		return nil, err
	}
	return w, nil
}

// wait returns nil when something has come that may be news, and an error when the
// socket is closed.
func (w *watcher) wait() error { return w.conn.Read(w.read) }

// news reports whether there may be a way out that there was not before.
func (w *watcher) news() bool {
	w.conn.Read(func(fd uintptr) bool {
		w.read(fd)
		return true
	})
	usable, err := usableAddresses()
	if err != nil { // too many files are open, say
		return true
	}
	news := w.missed
	for a := range usable {
		news = news || !w.usable[a] || w.routes[familyOf(a.addr)]
	}
	w.usable, w.missed = usable, false
	clear(w.routes)
	return news
}

// read reads what has come, and reports whether it may be news.
func (w *watcher) read(fd uintptr) (may bool) {
	for {
		n, _, err := syscall.Recvfrom(int(fd), w.buf, 0)
		switch err {
		case nil:
		case syscall.EINTR:
			continue
		case syscall.ENOBUFS: // more came than the socket holds
			w.missed, may = true, true
			continue
		default: // EAGAIN
			return may
		}
		messages, err := syscall.ParseNetlinkMessage(w.buf[:n])
		if err != nil {
			w.missed, may = true, true
		}
		for _, m := range messages {
			switch m.Header.Type {
			case syscall.RTM_NEWLINK, syscall.RTM_NEWADDR, syscall.RTM_DELADDR:
				may = true // what goes is news when it comes again
			case syscall.RTM_NEWROUTE:
				if leadsOut(&m) {
					w.routes[m.Data[0]], may = true, true
				}
			}
		}
	}
}

// leadsOut reports whether a route, as RTM_NEWROUTE tells of it, leads out of this machine.
func leadsOut(m *syscall.NetlinkMessage) bool {
	if len(m.Data) < syscall.SizeofRtMsg {
		return false
	}
	table, kind, flags := m.Data[4], m.Data[7], binary.NativeEndian.Uint32(m.Data[8:])
	// Old kernels clone a route for each IPv6 address that is dialled.
	if kind != syscall.RTN_UNICAST || table == syscall.RT_TABLE_LOCAL || flags&(syscall.RTNH_F_DEAD|routeLinkDown|syscall.RTM_F_CLONED) != 0 {
		return false
	}
	to, ok := addrOf(m, syscall.RTA_DST)
	return !ok || isOutside(to) // without one it is the default route
}

// usableAddresses asks the kernel for the addresses with which others than this
// machine and its neighbours may be reached.
func usableAddresses() (map[address]bool, error) {
	links, err := ask(syscall.RTM_GETLINK)
	if err != nil {
		return nil, err
	}
	addrs, err := ask(syscall.RTM_GETADDR)
	if err != nil {
		return nil, err
	}
	ready := map[uint32]bool{} // by index
	for _, m := range links {
		if m.Header.Type == syscall.RTM_NEWLINK && len(m.Data) >= syscall.SizeofIfInfomsg {
			const mask, want = syscall.IFF_UP | linkLowerUp | linkDormant | syscall.IFF_LOOPBACK, syscall.IFF_UP | linkLowerUp
			ready[binary.NativeEndian.Uint32(m.Data[4:])] = binary.NativeEndian.Uint32(m.Data[8:])&mask == want
		}
	}
	usable := map[address]bool{}
	for _, m := range addrs {
		if m.Header.Type != syscall.RTM_NEWADDR || len(m.Data) < syscall.SizeofIfAddrmsg {
			continue
		}
		flags, index := m.Data[2], binary.NativeEndian.Uint32(m.Data[4:])
		tentative := flags&syscall.IFA_F_TENTATIVE != 0 && flags&syscall.IFA_F_OPTIMISTIC == 0 // also where another machine has it
		addr, ok := addrOf(&m, syscall.IFA_LOCAL)                                              // IFA_ADDRESS is the peer's, where there is one
		if !ok {
			addr, ok = addrOf(&m, syscall.IFA_ADDRESS)
		}
		if ok && ready[index] && !tentative && isOutside(addr) {
			usable[address{index, addr}] = true
		}
	}
	return usable, nil
}

func ask(request int) ([]syscall.NetlinkMessage, error) {
	answer, err := syscall.NetlinkRIB(request, syscall.AF_UNSPEC)
	if err != nil {
		return nil, os.NewSyscallError("netlink", err)
	}
	return syscall.ParseNetlinkMessage(answer)
}

func addrOf(m *syscall.NetlinkMessage, attribute uint16) (_ netip.Addr, ok bool) {
	attributes, _ := syscall.ParseNetlinkRouteAttr(m)
	for _, a := range attributes {
		if a.Attr.Type == attribute {
			return netip.AddrFromSlice(a.Value)
		}
	}
	return netip.Addr{}, false
}

func isOutside(a netip.Addr) bool {
	return !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsMulticast()
}

func familyOf(a netip.Addr) byte {
	if a.Is4() {
		return syscall.AF_INET
	}
	return syscall.AF_INET6
}
