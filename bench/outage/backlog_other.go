//go:build !linux

package main

import (
	"errors"
	"net"
)

// canSwallow tells whether a relay can swallow packets here.
const canSwallow = false

func setBacklog(*net.TCPListener, int) error { return errors.ErrUnsupported }
