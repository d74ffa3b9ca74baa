// Session-manager-plugin is what the AWS CLI runs for "aws ssm start-session" and
// "aws ecs execute-command", and what many other tools run that start sessions. Put
// it first in PATH, and their sessions live through what ends them otherwise:
// closed channels, networks that are gone for hours, keys that expire.
//
// Arguments, --version and what it prints are those of the plugin that AWS
// publishes. Nobody needs to call it by hand:
//
//	session-manager-plugin RESPONSE REGION StartSession [PROFILE [PARAMETERS [ENDPOINT]]]
//
// RESPONSE is what StartSession has answered, as JSON, or the name of the
// environment variable that holds it, which begins with
// AWS_SSM_START_SESSION_RESPONSE. PARAMETERS are those of StartSession, as JSON.
//
// # Other than AWS's
//
// A command that tells its exit code ends the plugin with this code, and what
// fails ends it with 1, and a message on standard error; AWS's exits with 0. The
// CLI exits with 255 then. A session that was terminated, or has timed out, is no
// failure, but for a non-interactive command. If RESPONSE is JSON and its session has
// not been opened, the status is 0 all the same: the CLI would print the command line
// of a plugin that has failed, and with it a token that is still good.
//
// What a command with separateOutputStream writes to standard error goes to
// standard error.
//
// A session for SSH has nothing but its bytes on standard output, none changed.
//
// At the end of standard input a shell that has no terminal is told so with
// Ctrl-D, and its output awaited; AWS's exits at once. Of the same kind: a
// non-interactive command leaves standard input alone unless it is a terminal.
//
// Ctrl-Z does not end the forwarding of a port, it stops the process as usual.
//
// ENDPOINT is ignored where it is that of ECS, which the CLI gives for "aws ecs
// execute-command", or the session's StreamUrl, which some tools give.
package main

import (
	"os"

	"github.com/ssmresume/ssmresume/examples/internal/plugin"
)

func main() { os.Exit(plugin.Main(os.Args[1:], os.Stdout)) }
