// Check-aws checks this library against AWS itself, which its authors have never
// seen: with a shell's session that you have just left, in some fifteen seconds. It
// says each step before it does it, on standard error, and prints a report for an
// issue on standard output, in Markdown and without secrets.
//
//	aws ssm start-session --target i-02573cafcfEXAMPLE   # it prints the session's ID
//	(close that window: the session goes on without you)
//	check-aws Mary-Major-07a16060613c408b5 >report.md
//
// # What it does, and what it costs
//
// It starts nothing, ends nothing and types nothing. It calls, with your
// credentials and as often as this:
//
//	ssm:ResumeSession           twice, or once with --no-drop; a few times more only
//	                            where AWS throttles it or refuses the channel
//	ssmmessages:OpenDataChannel as often: the WebSocket of the data channel
//
// and nothing else, but for what finding your credentials takes, as in the AWS CLI
// (sso:GetRoleCredentials, sts:AssumeRole). Neither call is billed.
//
// Whoever is still connected to the session is thrown out. To find its place in the
// session the program sends the agent messages that no agent can read, which a
// shell does not see: one for each that the session has ever got, and at least 64.
// Leave sessions of type Port alone, to which they do harm; the program refuses
// those only after that.
//
// Then it holds the channel for --hold, 10 s, pings it, resets its own connection
// once (unless --no-drop) and sees it come back, and leaves the session, which goes
// on. What the session prints meanwhile is counted, and not shown; --state FILE
// keeps it for "attach --state FILE" (examples/attach). With --enter it also presses
// Enter in the shell, once, to see that the agent listens after the drop; not for a
// session that is encrypted with AWS KMS, whose keys only its first client has.
//
// # The report
//
// It holds versions, the steps with their times and what differs from what the library
// takes for granted. Masked are the name in the session's ID, accounts, ARNs, keys,
// tokens, addresses, IDs of nodes and endpoints, your profile, home directory and
// proxy. The request IDs of AWS are in it; they say nothing but to AWS's support.
// Read it before you paste it: it is short.
//
// The exit status is 0 if all steps were passed, 1 if one was not, 2 for a wrong
// command line, 130 after Ctrl-C, which leaves the session as the end does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `usage: check-aws [flags] SESSION-ID

Checks this library against AWS, with the session of a shell that you have just left, and
prints a report without secrets. It starts nothing and types nothing. It calls
ssm:ResumeSession twice and opens the data channel (ssmmessages:OpenDataChannel) twice, which
costs nothing. Who is still connected to the session is thrown out. Not for sessions of type
Port. More: go doc github.com/ssmresume/ssmresume/examples/check-aws

`

type options struct {
	sessionID, profile, region, endpointURL, statePath string

	hold          time.Duration
	noDrop, enter bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "check-aws:", err)
		return 2
	}
	c := newCheck(o, stderr)
	passed := c.run(ctx)
	fmt.Fprint(stderr, "\nThe report for an issue is on standard output. Read it before you paste it.\n\n")
	io.WriteString(stdout, c.report())
	switch {
	case ctx.Err() != nil:
		return 130
	case !passed:
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("check-aws", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.profile, "profile", "", "the profile to use of the AWS configuration files")
	f.StringVar(&o.region, "region", "", "the session's Region, if not the configured one")
	f.StringVar(&o.endpointURL, "endpoint-url", "", "the SSM endpoint, if not the Region's")
	f.StringVar(&o.statePath, "state", "", "the file that keeps what the session printed, and where it was left")
	f.DurationVar(&o.hold, "hold", 10*time.Second, "how long to hold the channel and ping it, at least 1s")
	f.BoolVar(&o.noDrop, "no-drop", false, "do not reset the channel's own connection")
	f.BoolVar(&o.enter, "enter", false, "press Enter in the shell, once")
	f.Usage = func() {
		fmt.Fprint(stderr, usage)
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
			return o, errors.New("one session at a time")
		}
		o.sessionID, rest = f.Arg(0), f.Args()[1:]
	}
	switch {
	case o.sessionID == "":
		return o, errors.New("which session? Start one with aws ssm start-session, note its ID, close that window, then: check-aws SESSION-ID")
	case o.hold < time.Second:
		return o, errors.New("--hold: at least 1s")
	}
	return o, nil
}
