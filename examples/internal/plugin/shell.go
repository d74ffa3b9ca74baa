package plugin

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/examples/internal/terminal"
)

const endOfInput = 0x04 // Ctrl-D

// The size of the session's terminal where the user has none, as AWS's plugin
// tells it.
const noColumns, noRows = 300, 100

// shell joins a session that has a terminal with the user's, until the session
// ends or cancel is called.
func shell(ctx context.Context, cancel context.CancelCauseFunc, s *datachannel.Session, o *outage) error {
	defer sendSignals(s)()
	screen := os.Stdout
	if !term.IsTerminal(int(screen.Fd())) {
		screen = os.Stderr // as of "… | tee log"
	}
	t, ctx, err := terminal.Open(ctx, os.Stdin, screen)
	if err != nil {
		s.Resize(noColumns, noRows)
		go typeIn(s, os.Stdin, o)
		return watch(cancel, s)
	}
	defer t.Close()
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	o.showOn(t)
	t.Go(func() {
		for size := range t.Sizes() {
			s.Resize(size.Columns, size.Rows)
		}
	})
	t.Go(func() {
		for keys := range t.Keys() {
			s.Write(keys)
			t.Typed(len(keys))
			o.retry()
		}
		cancel(&terminal.SignalError{Signal: syscall.SIGHUP}) // the terminal is gone
	})
	if screen == os.Stdout {
		_, err = io.Copy(t, s)
	} else {
		_, err = io.Copy(os.Stdout, s)
	}
	return err
}

// typeIn is the keyboard of who has none. A line feed that comes alone is meant
// to be the key Enter, which Windows' shells take for nothing else.
func typeIn(s *datachannel.Session, in io.Reader, o *outage) {
	buf := make([]byte, 32<<10)
	for {
		n, err := in.Read(buf)
		if n == 1 && buf[0] == '\n' {
			buf[0] = '\r'
		}
		if err != nil {
			buf[n] = endOfInput
			n++
		}
		s.Write(buf[:n])
		o.retry()
		if err != nil {
			return
		}
	}
}

// command shows the output of a non-interactive command, which has no input.
func command(cancel context.CancelCauseFunc, s *datachannel.Session) error {
	defer sendSignals(s)()
	return watch(cancel, s)
}

// watch shows the session's output, until the session ends or a signal comes.
func watch(cancel context.CancelCauseFunc, s *datachannel.Session) error {
	ended, stop := onSignal(syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	defer context.AfterFunc(ended, func() { cancel(context.Cause(ended)) })()
	_, err := io.Copy(os.Stdout, s)
	return err
}

// sendSignals makes the keys of the session out of the signals that are those of
// a terminal that is not raw.
func sendSignals(s *datachannel.Session) (stop func()) {
	c := make(chan os.Signal, 8)
	for sig := range signalKeys {
		signal.Notify(c, sig)
	}
	go func() {
		for sig := range c {
			s.Write([]byte{signalKeys[sig]})
		}
	}()
	return func() {
		signal.Stop(c)
		close(c)
	}
}
