package main

import (
	"net"
	"syscall"
)

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

// canLeaveUnanswered tells whether a relay can leave a connect unanswered here.
const canLeaveUnanswered = true
