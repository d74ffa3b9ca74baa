// Package plugin is session-manager-plugin, for the program of that name and for
// those that have it inside them.
package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/examples/internal/terminal"
	"github.com/ssmresume/ssmresume/netwake"
)

// version is that of the plugin whose arguments these are. By it the CLI decides
// how it gives the response.
const version = "1.2.764.0"

// Main is the whole plugin: args are its command line, without its name. What it says
// of itself goes to out, all else to the standard streams. It returns the exit status.
func Main(args []string, out io.Writer) int {
	switch {
	case len(args) == 0:
		fmt.Fprint(out, "\nThe Session Manager plugin was installed successfully. Use the AWS CLI to start a session.\n\n")
		return 0
	case len(args) == 1 && args[0] == "--version":
		fmt.Fprintln(out, version)
		return 0
	}
	r, err := parse(args)
	var status int
	if err == nil {
		status, err = r.Run()
	}
	var (
		usage  usageError
		signal *terminal.SignalError
	)
	switch {
	case err == nil:
		return status
	case errors.As(err, &signal):
		status = signal.ExitStatus()
	case errors.As(err, &usage):
		status = 1
		fmt.Fprint(os.Stderr, printable(err.Error()))
	default:
		status = 1
		fmt.Fprintf(os.Stderr, "Cannot perform start session: %s\n", printable(err.Error()))
	}
	if strings.Contains(args[0], "{") && (r == nil || !r.opened) {
		return 0 // of a failure the CLI prints the command line, and with it a token that is still good
	}
	return status
}

// Run runs the session to its end, and returns the exit status. An error may be a
// [terminal.SignalError].
func (r *Request) Run() (status int, err error) {
	signal.Ignore(syscall.SIGPIPE) // a reader that has gone is an error of Write, and the session ends in order
	stopped, stop := onSignal(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	connected := context.AfterFunc(stopped, func() { cancel(context.Cause(stopped)) })

	client, keys, err := r.clients(ctx)
	if err != nil {
		return 0, cmp.Or(context.Cause(ctx), err)
	}
	o := newOutage()
	defer o.end()
	_ = netwake.Notify(ctx, o.wake) // without, the network is polled
	s, err := datachannel.Open(ctx, client, r.First, func(do *datachannel.Options) {
		do.TargetID = r.Target
		do.DataKeys = keys
		do.Stderr = os.Stderr
		do.OnEvent = func(e datachannel.Event) {
			keys := (*ssmresume.CredentialsError)(nil)
			if r.unsigned != nil && (e.Kind == datachannel.Lost || errors.As(e.Err, &keys)) {
				cancel(fmt.Errorf("the channel was lost, and there are no credentials to resume the session with: %w", r.unsigned))
			}
			o.tell(e)
		}
		do.Reconnector = o.reconnect
		do.Logger = slog.New(portHandler{slog.DiscardHandler})
	})
	if err != nil {
		return 0, cmp.Or(context.Cause(ctx), err)
	}
	defer s.Close()
	r.opened = true
	if !connected() {
		return 0, context.Cause(ctx)
	}

	if !onStandardStreams(s) {
		fmt.Printf("\nStarting session with SessionId: %s\n", s.ID())
		if m := s.CustomerMessage(); m != "" {
			fmt.Println(printable(m)) // the agent's: a port has no business with the terminal
		}
	}
	switch {
	case onStandardStreams(s):
		o.showOn(terminal.NewPlainNotice(os.Stderr)) // the terminal is ssh's
		err = standardStreams(stopped, s)
	case s.Type() == datachannel.Port:
		var l net.Listener
		if l, err = listen(s); err != nil {
			return 0, err
		}
		err = forward(stopped, s, l)
	case s.Type() == datachannel.NonInteractiveCommands:
		stop() // the signals are the session's
		err = command(cancel, s)
	default:
		stop()
		err = shell(ctx, cancel, s, o)
	}
	o.end()
	return report(ctx, s, err), nil
}

// onSignal returns a Context that ends with the first of the signals. Its cause
// is a [terminal.SignalError].
func onSignal(signals ...os.Signal) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	c := make(chan os.Signal, 1)
	for _, s := range signals {
		if s != syscall.SIGHUP || !signal.Ignored(s) { // as nohup does; that SIGINT is ignored is the CLI's doing
			signal.Notify(c, s)
		}
	}
	go func() {
		select {
		case s := <-c:
			cancel(&terminal.SignalError{Signal: s.(syscall.Signal)})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(c)
		cancel(nil)
	}
}

// printable escapes what could move the cursor, recolour or reorder the text of
// a terminal.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}
