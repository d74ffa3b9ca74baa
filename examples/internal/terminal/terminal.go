// Package terminal is the user's side of a session: the terminal in raw mode,
// and its way back however the program ends.
//
//	t, ctx, err := terminal.Open(ctx, os.Stdin, os.Stdout)
//	if err != nil {
//		return err // ErrNotTerminal where there is none
//	}
//	defer t.Close()
//	s, err := datachannel.Attach(ctx, client, id, func(o *datachannel.Options) { o.OnEvent = t.OnEvent })
//	…
//	t.Go(func() {
//		for size := range t.Sizes() {
//			s.Resize(size.Columns, size.Rows)
//		}
//	})
//	t.Go(func() {
//		for keys := range t.Keys() {
//			s.Write(keys)
//		}
//	})
//	io.Copy(t, s)
//
// During an outage one dim line says how long it lasts: on the last line where a
// program has the whole screen, and else below the line with the cursor. It goes
// away with the outage, and what it has covered is drawn again.
package terminal

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"
)

// ErrNotTerminal is what Open returns where input or output is something else.
var ErrNotTerminal = errors.New("standard input and output are no terminal")

// ErrLogin is for a program that wraps the errors of its credentials: while the
// session waits for one, the line asks the user to log in again.
var ErrLogin = errors.New("no credentials")

// A program that was told to end has this long to do so.
const endWithin = 5 * time.Second

// Between two sizes, or a program sees only the second one.
const redrawPause = 200 * time.Millisecond

// A Size is a terminal's, in characters.
type Size struct{ Columns, Rows int }

// A Terminal is a terminal in raw mode. Its methods are safe for concurrent use.
type Terminal struct {
	in, out *os.File
	before  state // of the terminal

	keys   chan []byte
	sizes  chan Size
	redraw chan struct{}
	done   chan struct{} // closed by Close
	close  sync.Once

	mu      sync.Mutex // held while writing to out
	closed  bool
	scanner scanner
	held    []byte // the beginning of a sequence or character, not yet written
	line    line

	outage outage
}

// Open puts a terminal into raw mode: each key is read as it comes, and none is
// echoed or becomes a signal. The caller must Close it.
//
// The Context ends with ctx, and when the process gets SIGHUP or SIGTERM. By then
// the terminal is what it was before; the Context's cause is a [SignalError]. At
// the second signal, and 5 s after the first, the process ends in any case.
func Open(ctx context.Context, in, out *os.File) (*Terminal, context.Context, error) {
	if !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		return nil, nil, ErrNotTerminal
	}
	t := &Terminal{
		in:     in,
		out:    out,
		keys:   make(chan []byte),
		sizes:  make(chan Size),
		redraw: make(chan struct{}, 1),
		done:   make(chan struct{}),
	}
	t.outage.changed = make(chan struct{}, 1)
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM) // before raw mode, or there would be a gap
	if err := t.makeRaw(); err != nil {
		signal.Stop(signals)
		cancel(err)
		return nil, nil, err
	}
	t.Go(func() { t.obey(signals, cancel) })
	t.Go(t.readKeys)
	t.Go(t.watchSize)
	t.Go(t.showOutages)
	return t, ctx, nil
}

// Close gives the terminal back as it was: its mode, and what the session's
// programs have set and not taken back, such as the alternate screen or a hidden
// cursor. It may be called again.
func (t *Terminal) Close() error {
	var err error
	t.close.Do(func() {
		close(t.done)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.reset()
		t.closed = true
		err = t.restore()
	})
	return err
}

// Reset takes back what the session's programs have set, as Close does, and
// leaves the terminal in raw mode: for a program that goes on without the session.
func (t *Terminal) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reset()
}

// reset is Reset, with mu held.
func (t *Terminal) reset() {
	if t.closed {
		return
	}
	t.outage.clear()
	t.eraseLine()
	t.line.covered = false
	if back := t.scanner.reset(); len(back) > 0 {
		t.out.Write(back)
	}
	t.scanner, t.held = scanner{}, nil
}

// Go calls f on a goroutine. If it panics the terminal is closed first, so that
// the panic can be read: do so with all goroutines of the program.
func (t *Terminal) Go(f func()) {
	go func() {
		completed := false
		defer func() {
			if !completed {
				t.Close()
			}
		}()
		f()
		completed = true
	}()
}

// A SignalError says that a signal has ended the Context that Open returned.
type SignalError struct{ Signal syscall.Signal }

func (e *SignalError) Error() string { return "ended by the signal: " + e.Signal.String() }

// ExitStatus is what a shell reports of a process that the signal has ended.
func (e *SignalError) ExitStatus() int { return 128 + int(e.Signal) }

func (t *Terminal) obey(signals chan os.Signal, cancel context.CancelCauseFunc) {
	defer signal.Stop(signals)
	var sig os.Signal
	select {
	case sig = <-signals:
	case <-t.done:
		cancel(context.Canceled)
		return
	}
	e := &SignalError{sig.(syscall.Signal)}
	t.giveBack()
	cancel(e)
	select {
	case <-signals:
	case <-time.After(endWithin):
	}
	os.Exit(e.ExitStatus())
}

// giveBack is Close where out may be blocked, by Ctrl-S or a terminal that is
// gone: the mode must come back even so.
func (t *Terminal) giveBack() {
	closed := make(chan struct{})
	go func() {
		t.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(endWithin / 5):
		t.restore()
	}
}

// Keys gives what is typed, as it comes. It is closed when the terminal is gone,
// and gives nothing after Close.
func (t *Terminal) Keys() <-chan []byte { return t.keys }

func (t *Terminal) readKeys() {
	defer close(t.keys)
	for {
		buf := make([]byte, 4<<10)
		n, err := t.in.Read(buf)
		if n > 0 {
			select {
			case t.keys <- buf[:n]:
			case <-t.done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// Sizes gives the terminal's size at once, and then whenever the session should
// be told one: when it has changed, and twice for [Terminal.Redraw]. It is closed
// by Close.
func (t *Terminal) Sizes() <-chan Size { return t.sizes }

// Size returns the terminal's size; 80 columns and 24 rows if it has none.
func (t *Terminal) Size() Size {
	columns, rows, err := term.GetSize(int(t.out.Fd()))
	if err != nil || columns <= 0 || rows <= 0 {
		return Size{80, 24}
	}
	return Size{columns, rows}
}

// Redraw makes the program in the session draw its screen anew: it sees the
// terminal shrink by a row and grow again.
func (t *Terminal) Redraw() {
	select {
	case t.redraw <- struct{}{}:
	default:
	}
}

func (t *Terminal) watchSize() {
	defer close(t.sizes)
	changed, stop := t.sizeChanges()
	defer stop()
	tell := func(s Size) bool {
		select {
		case t.sizes <- s:
			return true
		case <-t.done:
			return false
		}
	}
	for told := (Size{}); ; {
		if size := t.Size(); size != told {
			if !tell(size) {
				return
			}
			told = size
		}
		select {
		case <-changed:
		case <-t.redraw:
			size := t.Size()
			if !tell(Size{size.Columns, max(1, size.Rows-1)}) {
				return
			}
			select {
			case <-time.After(redrawPause):
			case <-t.done:
				return
			}
			told = Size{}
		case <-t.done:
			return
		}
	}
}

// Write writes what comes from the session, as it comes. The beginning of a
// control sequence or of a character is held until the rest is there, so that the
// line about an outage never falls between.
func (t *Terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, os.ErrClosed
	}
	t.eraseLine()
	t.outage.heard()
	whole := t.scanner.scan(p)
	if whole < 0 { // what is held is longer than p
		t.held = append(t.held, p...)
		return len(p), nil
	}
	if len(t.held) > 0 {
		if _, err := t.out.Write(t.held); err != nil {
			return 0, err
		}
		t.held = t.held[:0]
	}
	if whole > 0 {
		if n, err := t.out.Write(p[:whole]); err != nil {
			return n, err
		}
	}
	t.held = append(t.held, p[whole:]...)
	return len(p), nil
}
