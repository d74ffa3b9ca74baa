package ssmresumetest

import "errors"

var (
	errRefused  = errors.New("connection refused")
	errReset    = errors.New("connection reset by peer")
	errTimedOut = errors.New("connection timed out")
	errPipe     = errors.New("broken pipe")
)
