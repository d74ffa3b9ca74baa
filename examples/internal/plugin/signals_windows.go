package plugin

import "os"

var signalKeys = map[os.Signal]byte{os.Interrupt: 0x03} // Ctrl-C
