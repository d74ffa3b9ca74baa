//go:build !plan9

package ssmresumetest

import "syscall"

// What the kernel says, which programs look for.
const (
	errRefused  = syscall.ECONNREFUSED
	errReset    = syscall.ECONNRESET
	errTimedOut = syscall.ETIMEDOUT
	errPipe     = syscall.EPIPE
)
