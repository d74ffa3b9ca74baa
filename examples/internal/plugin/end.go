package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/examples/internal/terminal"
)

// report ends the session if it has not ended, says how it did, and returns the
// exit status. ctx is the session's, err is how the plugin's part ended.
func report(ctx context.Context, s *datachannel.Session, err error) int {
	unfinished := s.Close()
	code, end := s.Wait()
	if errors.Is(end, context.Canceled) {
		end = context.Cause(ctx)
	}
	words, exiting := os.Stdout, fmt.Sprintf("\n\nExiting session with sessionId: %s.\n\n", s.ID())
	if onStandardStreams(s) {
		words, exiting = os.Stderr, "" // ssh has its own words
	}
	var (
		signal   *terminal.SignalError
		timedOut *ssmresume.SessionTimedOutError
		ended    *datachannel.EndedError
	)
	switch {
	case errors.As(end, &signal): // left
		return signal.ExitStatus()
	case errors.Is(err, syscall.EPIPE): // nobody reads on, as of "… | head"
		return 128 + int(syscall.SIGPIPE)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(end, net.ErrClosed) && err != nil && !errors.Is(err, net.ErrClosed):
		return lost(s, err)
	case unfinished != nil:
		return lost(s, unfinished)
	case end == nil && code >= 0:
		fmt.Fprintf(words, "EXIT_CODE: %d%s", code, exiting)
		return exitStatus(code)
	case end == nil, errors.Is(end, net.ErrClosed): // by itself, or by Ctrl-C
		fmt.Fprint(words, exiting)
		return 0
	case errors.As(end, &timedOut):
		fmt.Fprintf(words, "Session: %s timed out.\n", s.ID())
	case errors.As(end, &ended):
		message := cmp.Or(ended.Message, end.Error())
		fmt.Fprintf(words, "\n\nSessionId: %s : %s\n\n", s.ID(), printable(message))
	default:
		return lost(s, end)
	}
	// The session has ended from the other side. To a shell, or a port, that is an
	// end; to a command it is not the one that its caller waits for.
	if s.Type() == datachannel.NonInteractiveCommands {
		return 1
	}
	return 0
}

func lost(s *datachannel.Session, err error) int {
	fmt.Fprintf(os.Stderr, "\n\nSessionId: %s : %s\n\n", s.ID(), printable(err.Error()))
	return 1
}

// exitStatus keeps an exit code that does not fit a failure.
func exitStatus(code int) int {
	if code != 0 && code&0xff == 0 {
		return 1
	}
	return code
}
