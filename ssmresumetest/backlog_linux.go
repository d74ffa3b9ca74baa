package ssmresumetest

import (
	"net"
	"syscall"
)

const canDropSYNs = true

// setBacklog changes how many connections may wait to be accepted. Linux lets a
// listener listen again, and drops SYNs while its queue is full.
func setBacklog(l *net.TCPListener, n int) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var listenErr error
	if err := raw.Control(func(fd uintptr) { listenErr = syscall.Listen(int(fd), n) }); err != nil {
		return err
	}
	return listenErr
}
