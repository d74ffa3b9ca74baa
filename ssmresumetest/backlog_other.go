//go:build !linux

package ssmresumetest

import (
	"errors"
	"net"
)

const canDropSYNs = false

func setBacklog(*net.TCPListener, int) error { return errors.ErrUnsupported }
