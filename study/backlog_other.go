//go:build !linux

package main

import (
	"errors"
	"net"
)

// canLeaveUnanswered tells whether a relay can leave a connect unanswered here.
const canLeaveUnanswered = false

func setBacklog(*net.TCPListener, int) error { return errors.ErrUnsupported }
