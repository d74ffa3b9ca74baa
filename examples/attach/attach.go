package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/examples/internal/terminal"
	"github.com/ssmresume/ssmresume/netwake"
)

// In an outage nothing is acknowledged: leaving does not wait for it.
const leaveWithin = 2 * time.Second

// errLeft says that the user has left the session.
var errLeft = errors.New("left")

// A seat is somebody at a terminal.
type seat struct {
	t        *terminal.Terminal
	client   *ssmresume.Client
	options  options
	keyboard keyboard
	wake     chan struct{}
	typed    []byte                  // while there was no session yet
	help     string                  // the keys
	command  func(key byte) bool     // those of --local; false if it is none
	onEvent  func(datachannel.Event) // nil is fine
}

// newSeat takes the terminal. The Context ends with it, at a signal, too.
func newSeat(ctx context.Context, client *ssmresume.Client, o options) (*seat, context.Context, error) {
	t, ctx, err := terminal.Open(ctx, os.Stdin, os.Stdout)
	if err != nil {
		return nil, nil, err
	}
	return &seat{
		t:       t,
		client:  client,
		options: o,
		wake:    make(chan struct{}, 1),
		help:    "Ctrl-] then: d leaves the session, Ctrl-] sends Ctrl-] itself",
		command: func(byte) bool { return false },
	}, ctx, nil
}

func attachReal(ctx context.Context, o options, stderr io.Writer) (code int, err error) {
	cfg, err := loadConfig(ctx, o)
	if err != nil {
		return 0, err
	}
	p, ctx, err := newSeat(ctx, ssmresume.NewFromConfig(cfg), o)
	if err != nil {
		return 0, err
	}
	defer p.t.Close()
	_ = netwake.Notify(ctx, p.wake) // without, the network is polled
	fmt.Fprintf(p.t, "attaching to %s; Ctrl-] d leaves it again, Ctrl-] ? helps\r\n", o.sessionID)
	s, err := p.attach(ctx)
	if err != nil {
		if o.state != nil && errors.Is(err, ssmresume.ErrSessionGone) {
			os.Remove(o.statePath)
		}
		p.t.Close()
		if errors.Is(err, errLeft) {
			return 0, errors.New("given up; the session is as it was")
		}
		return 0, err
	}
	code, err = p.sit(ctx, s)
	cause := context.Cause(ctx) // before Close, which ends it
	if !errors.Is(err, errLeft) && cause == nil {
		p.t.Close()
		fmt.Fprintln(stderr)
		return code, err
	}
	p.t.Show("leaving", leaveWithin)
	undelivered, err := p.leave(s)
	p.t.Close()
	if err != nil {
		fmt.Fprintln(stderr)
		return 0, err
	}
	fmt.Fprintf(stderr, "\nattach: left; the session goes on. To come back: %s\n", o.again())
	if undelivered > 0 {
		fmt.Fprintln(stderr, "attach: what was typed in the outage was not delivered; with --state FILE it would be kept")
	}
	return 0, cause
}

// leave leaves the session. It returns how many messages are neither delivered
// nor saved.
func (p *seat) leave(s *datachannel.Session) (undelivered int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	state, err := s.Detach(ctx)
	if err != nil {
		return 0, err
	}
	if p.options.statePath == "" {
		return s.Stats().Unacknowledged, nil
	}
	if err := save(p.options.statePath, state); err != nil {
		return 0, fmt.Errorf("the session goes on, but the place where it was left is not kept: %w", err)
	}
	return 0, nil
}

func (p *seat) edit(o *datachannel.Options) {
	o.OnEvent = func(e datachannel.Event) {
		p.t.OnEvent(e)
		if e.Kind == datachannel.Opened && o.State != nil {
			p.forget() // before the first message
		}
		if p.onEvent != nil {
			p.onEvent(e)
		}
	}
	o.Reconnector = func(ro *ssmresume.ReconnectorOptions) {
		ro.Wake = p.wake
		if p.options.local {
			ro.MaxServiceWait = 250 * time.Millisecond // there is nobody to spare
		}
	}
}

// forget removes the state: from now on it is not where the session is.
func (p *seat) forget() {
	if err := os.Remove(p.options.statePath); err != nil {
		if err := os.Truncate(p.options.statePath, 0); err != nil {
			p.t.Show("remove the file of --state, it is no longer true: "+err.Error(), 10*time.Second)
		}
	}
}

// attach attaches to the session, unless the user gives up.
func (p *seat) attach(ctx context.Context) (*datachannel.Session, error) {
	s, err := p.begin(ctx, func(ctx context.Context) (*datachannel.Session, error) {
		return datachannel.Attach(ctx, p.client, p.options.sessionID, p.edit, func(o *datachannel.Options) { o.State = p.options.state })
	})
	if err == nil {
		p.t.Redraw() // nobody else does
	}
	return s, err
}

// begin waits for a session. The keys that it gets are kept for it.
func (p *seat) begin(ctx context.Context, open func(context.Context) (*datachannel.Session, error)) (s *datachannel.Session, err error) {
	// Not ctx: the session is left when that ends, and must live for it.
	sessionCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	opened := make(chan struct{})
	p.t.Go(func() {
		s, err = open(sessionCtx)
		close(opened)
	})
	giveUp := func(why error) (*datachannel.Session, error) {
		cancel()
		if <-opened; err == nil {
			s.Detach(sessionCtx)
		}
		return nil, why
	}
	for {
		select {
		case <-opened:
			if err != nil {
				cancel()
			}
			return s, err
		case <-ctx.Done():
			return giveUp(context.Cause(ctx))
		case keys, ok := <-p.t.Keys():
			if !ok {
				return giveUp(errLeft)
			}
			p.tryNow()
			for _, stroke := range p.keyboard.split(keys) {
				switch {
				case stroke.command == 'd' || len(stroke.keys) == 1 && stroke.keys[0] == 0x03:
					return giveUp(errLeft)
				case stroke.command != 0:
					p.obey(stroke.command)
				}
				p.typed = append(p.typed, stroke.keys...)
				p.t.Typed(len(stroke.keys))
			}
		}
	}
}

// sit uses the session until it ends or is left. The exit code is the command's,
// if there is one.
func (p *seat) sit(ctx context.Context, s *datachannel.Session) (code int, err error) {
	ended := make(chan error, 1)
	p.t.Go(func() {
		_, err := io.Copy(p.t, s)
		ended <- err
	})
	input, written := make(chan []byte), make(chan struct{})
	p.t.Go(func() { // Write waits when an outage has left no room
		defer close(written)
		for keys := range input {
			s.Write(keys) // an error is Read's, too
		}
	})
	waiting := p.typed
	p.typed = nil
	defer func() { // leaving takes along what was typed before it
		late := time.After(leaveWithin)
		if len(waiting) > 0 {
			select {
			case input <- waiting:
			case <-late:
			}
		}
		close(input)
		select {
		case <-written:
		case <-late:
		}
	}()
	sizes := p.t.Sizes()
	for {
		send, keys := input, p.t.Keys()
		if len(waiting) > 0 {
			keys = nil
		} else {
			send = nil
		}
		select {
		case err := <-ended:
			code, endErr := s.Wait()
			if endErr == nil {
				endErr = err // output that was lost
			}
			return max(code, 0), endErr
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case size, ok := <-sizes:
			if !ok {
				sizes = nil
				continue
			}
			s.Resize(size.Columns, size.Rows)
		case send <- waiting:
			waiting = nil
		case keys, ok := <-keys:
			if !ok {
				return 0, errLeft // the terminal is gone
			}
			p.tryNow()
			for _, stroke := range p.keyboard.split(keys) {
				if stroke.command == 'd' {
					return 0, errLeft
				}
				p.obey(stroke.command)
				waiting = append(waiting, stroke.keys...)
				p.t.Typed(len(stroke.keys))
			}
		}
	}
}

// tryNow ends the wait for the network, if there is one.
func (p *seat) tryNow() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *seat) obey(command byte) {
	if command != 0 && !p.command(command) {
		p.t.Show(p.help, 6*time.Second)
	}
}
