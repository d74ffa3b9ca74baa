//go:build !windows

package plugin

import (
	"os"
	"syscall"
)

var signalKeys = map[os.Signal]byte{
	syscall.SIGINT:  0x03, // Ctrl-C
	syscall.SIGQUIT: 0x1c, // Ctrl-\
	syscall.SIGTSTP: 0x1a, // Ctrl-Z
}
