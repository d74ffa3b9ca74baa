//go:build !windows

package terminal

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

type state = *term.State

func (t *Terminal) makeRaw() (err error) {
	t.before, err = term.MakeRaw(int(t.in.Fd()))
	return err
}

func (t *Terminal) restore() error { return term.Restore(int(t.in.Fd()), t.before) }

// sizeChanges gives something when the size may have changed. After the process
// was stopped and goes on, the terminal is raw again.
func (t *Terminal) sizeChanges() (changed <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGWINCH)
	resumed := make(chan os.Signal, 1)
	signal.Notify(resumed, syscall.SIGCONT)
	t.Go(func() {
		for {
			select {
			case <-resumed:
				t.mu.Lock()
				if !t.closed {
					term.MakeRaw(int(t.in.Fd()))
				}
				t.mu.Unlock()
				t.Redraw()
			case <-t.done:
				return
			}
		}
	})
	return c, func() { signal.Stop(c); signal.Stop(resumed) }
}

func understandsSequences(*os.File) bool { return true }
