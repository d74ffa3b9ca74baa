// Plugin is the plugin itself, as some programs have it inside them.
package main

import (
	"os"

	"github.com/ssmresume/ssmresume/examples/session-manager-plugin/src/sessionmanagerplugin/session"
)

func main() { session.ValidateInputAndStartSession(os.Args, os.Stdout) }
