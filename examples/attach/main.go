// Attach is a terminal on a session of Session Manager that was left or lost: the
// command that "aws ssm resume-session" of the AWS CLI is taken for.
//
//	attach Mary-Major-07a16060613c408b5
//
// The session goes on where it was, in the same shell. It is held through
// closed channels, outages and expired credentials, and nothing that is typed or
// printed is lost. These keys are not for the session:
//
//	Ctrl-] d       leave: the session goes on without a terminal
//	Ctrl-] ?       the list of these keys
//	Ctrl-] Ctrl-]  send Ctrl-] itself
//
// Settings and credentials are found as the AWS CLI finds them; --profile and
// --region are the CLI's, and credentials that another program renews are read
// again. The credentials need ssm:ResumeSession and ssmmessages:OpenDataChannel
// for the session.
//
// With --state FILE, leaving writes to FILE where the session was left, and the
// next attach with it goes on exactly there; the session's ID may be left out
// then. Without, the place is found by asking the agent, which takes 1.5 s, and
// some output may come again. FILE holds what was typed and not delivered and the
// keys of an encrypted session, so only its owner may read it. It is good once,
// and removed when used.
//
// The exit status is that of the session's command where the agent tells it, 0
// if the session was left or its shell has ended, 1 if it was lost or cannot be
// attached to, 2 for a wrong command line or where there is no terminal, and 128
// and the signal's number after a signal, which leaves the session.
//
// # Without an AWS account
//
// With --local a shell runs in this process, behind an agent and a service that
// speak the real protocol, and a network on loopback that a key cuts:
//
//	go run ./attach --local
//
//	Ctrl-] n       cut the network, or bring it back
//	Ctrl-] c       close the channel, as AWS does about once an hour
//	Ctrl-] d       leave; Enter attaches again, by the session's ID alone
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/examples/internal/terminal"
)

func main() {
	// Not sent by keys while the terminal is in raw mode.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGQUIT)
	status := run(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(status)
}

type options struct {
	sessionID, profile, region, endpointURL, statePath string

	local bool
	state *datachannel.State // what statePath held
}

func run(ctx context.Context, args []string, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "attach:", err)
		return 2
	case !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stdout.Fd())):
		fmt.Fprintln(stderr, "attach: standard input and output must be a terminal: run it in one, without a pipe")
		return 2
	}
	attach := attachReal
	if o.local {
		attach = attachLocal
	}
	code, err := attach(ctx, o, stderr)
	var sig *terminal.SignalError
	switch {
	case err == nil:
		return code
	case errors.As(err, &sig):
		fmt.Fprintf(stderr, "attach: %v\n", sig)
		return sig.ExitStatus()
	case ctx.Err() != nil:
		return 130
	}
	fmt.Fprintln(stderr, "attach:", explain(err, o))
	return 1
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("attach", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.profile, "profile", "", "the profile to use of the AWS configuration files")
	f.StringVar(&o.region, "region", "", "the session's Region, if not the configured one")
	f.StringVar(&o.endpointURL, "endpoint-url", "", "the SSM endpoint, if not the Region's")
	f.StringVar(&o.statePath, "state", "", "the file that keeps where the session was left")
	f.BoolVar(&o.local, "local", false, "a shell in this process, and a network that a key cuts; needs no AWS account")
	f.Usage = func() {
		fmt.Fprintln(stderr, "usage: attach [flags] SESSION-ID\n       attach --local")
		f.PrintDefaults()
	}
	for rest := args; ; {
		if err := f.Parse(rest); err != nil {
			return o, err
		}
		if f.NArg() == 0 {
			break
		}
		if o.sessionID != "" {
			return o, fmt.Errorf("one session at a time: %q and %q", o.sessionID, f.Arg(0))
		}
		o.sessionID, rest = f.Arg(0), f.Args()[1:]
	}
	switch {
	case o.local && (o.sessionID != "" || o.profile != "" || o.region != "" || o.endpointURL != "" || o.statePath != ""):
		return o, errors.New("--local is for itself: it has a session of its own")
	case o.local:
		return o, nil
	}
	if o.statePath != "" {
		if err := o.load(); err != nil {
			return o, err
		}
	}
	if o.sessionID == "" {
		return o, errors.New("which session? attach SESSION-ID (aws ssm describe-sessions --state Active lists them), or attach --local to try it")
	}
	return o, nil
}

// again is the command line for the same session.
func (o options) again() string {
	words := []string{"attach"}
	for _, flag := range [][2]string{{"--profile", o.profile}, {"--region", o.region}, {"--endpoint-url", o.endpointURL}, {"--state", o.statePath}} {
		if flag[1] != "" {
			words = append(words, flag[0], quote(flag[1]))
		}
	}
	return strings.Join(append(words, o.sessionID), " ")
}

// quote quotes for a shell.
func quote(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=+@,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
