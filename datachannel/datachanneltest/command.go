package datachanneltest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// A Program is what runs in a shell or command session. Its ctx ends with the
// session; it must return then.
//
// Without a handshake (see [Options]) the agent throws away what is typed before
// the first output, as the real one does. So such a Program must print something
// first, as a shell prints its prompt.
type Program func(ctx context.Context, t *Terminal) (exitCode int)

// A Terminal is what a [Program] runs on.
type Terminal struct {
	Stdin  io.Reader // of type NonInteractiveCommands it gives nothing
	Stdout io.Writer // holds 64 KiB and blocks then, as where nobody is there to read
	Stderr io.Writer // the same as Stdout, unless Options.SeparateOutput
	// Resized gives the terminal's newest size each time the client tells one.
	Resized <-chan Size
}

// Size is a terminal's.
type Size struct{ Columns, Rows int }

// command is the handler of all session types but Port.
type command struct {
	a                     *agent
	ctx                   context.Context
	cancel                context.CancelFunc
	stdin, stdout, stderr *pipe
	resized               chan Size
}

func newCommand(a *agent) *command {
	c := &command{a: a, stdin: newPipe(), stdout: newPipe(), resized: make(chan Size, 1)}
	c.ctx, c.cancel = context.WithCancel(a.ctx)
	c.stderr = c.stdout
	if a.options.SeparateOutput {
		c.stderr = newPipe()
	}
	if a.options.Type == NonInteractiveCommands {
		c.stdin.end()
	}
	return c
}

func (c *command) data(p []byte) error {
	if c.a.options.Type == NonInteractiveCommands {
		if slices.Contains(p, 0x03) || slices.Contains(p, 0x1c) { // ^C and ^\
			c.cancel()
		}
		return nil
	}
	if !c.a.needsHandshake() && !c.a.hasSpoken() {
		return nil
	}
	c.stdin.Write(p) // an error: the program has ended, and what is typed is lost
	return nil
}

func (c *command) size(p []byte) error {
	var s wire.TerminalSize
	if err := json.Unmarshal(p, &s); err != nil {
		return err
	}
	for {
		select {
		case c.resized <- Size{int(s.Columns), int(s.Rows)}:
			return nil
		default:
		}
		select {
		case <-c.resized: // not read yet, and old now
		default:
		}
	}
}

// flag does nothing: only ports know flags.
func (c *command) flag([]byte) error { return nil }

func (c *command) run() error {
	defer c.cancel()
	defer c.interrupt()
	o := c.a.options
	code := make(chan int, 1)
	c.a.wg.Go(func() {
		exitCode := 0
		if o.Program != nil {
			exitCode = o.Program(c.ctx, &Terminal{Stdin: c.stdin, Stdout: c.stdout, Stderr: c.stderr, Resized: c.resized})
		}
		c.stdin.close()
		c.stdout.end()
		c.stderr.end()
		code <- exitCode
	})
	if !o.SeparateOutput {
		whole := o.Type != NonInteractiveCommands // a terminal
		if err := c.a.pump(c.stdout, wire.Data, whole); err != nil {
			return err
		}
		<-code
		return nil
	}
	failed := make(chan error, 2)
	c.a.wg.Go(func() { failed <- c.a.pump(c.stderr, wire.StdErr, false) })
	c.a.wg.Go(func() { failed <- c.a.pump(c.stdout, wire.Data, false) })
	for range 2 {
		if err := <-failed; err != nil {
			return err // the other one is interrupted
		}
	}
	c.a.output(wire.ExitCode, fmt.Appendf(nil, "EXIT_CODE: %d", <-code))
	return nil
}

func (c *command) interrupt() {
	c.cancel()
	c.stdin.close()
	c.stdout.close()
	c.stderr.close()
}
