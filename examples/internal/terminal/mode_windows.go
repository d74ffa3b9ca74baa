package terminal

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/term"
)

type state struct {
	in  *term.State
	out uint32
}

// makeRaw makes the console understand control sequences, both ways.
func (t *Terminal) makeRaw() (err error) {
	out := windows.Handle(t.out.Fd())
	if err := windows.GetConsoleMode(out, &t.before.out); err != nil {
		return err
	}
	if t.before.in, err = term.MakeRaw(int(t.in.Fd())); err != nil {
		return err
	}
	const sequences = windows.ENABLE_PROCESSED_OUTPUT | windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING | windows.DISABLE_NEWLINE_AUTO_RETURN
	if err := windows.SetConsoleMode(out, t.before.out|sequences); err != nil {
		return errors.Join(err, term.Restore(int(t.in.Fd()), t.before.in))
	}
	return nil
}

func (t *Terminal) restore() error {
	return errors.Join(term.Restore(int(t.in.Fd()), t.before.in), windows.SetConsoleMode(windows.Handle(t.out.Fd()), t.before.out))
}

// sizeChanges asks once a second: Windows tells it only to who reads the
// console's events in place of keys.
func (t *Terminal) sizeChanges() (changed <-chan time.Time, stop func()) {
	ticker := time.NewTicker(time.Second)
	return ticker.C, ticker.Stop
}

// understandsSequences makes a console understand control sequences, and reports
// whether it does.
func understandsSequences(f *os.File) bool {
	var mode uint32
	if err := windows.GetConsoleMode(windows.Handle(f.Fd()), &mode); err != nil {
		return false
	}
	return windows.SetConsoleMode(windows.Handle(f.Fd()), mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
