//go:build !windows

// Package ptytest runs a program on a terminal of its own, as a person does.
package ptytest

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// patience is for machines that do much else.
const patience = 60 * time.Second

// A Terminal is a pty of 80 columns and 24 rows with a program on it.
type Terminal struct {
	tb       testing.TB
	pty, tty *os.File
	cmd      *exec.Cmd
	before   *term.State
	reading  sync.WaitGroup

	mu     sync.Mutex
	output bytes.Buffer
}

// Start starts cmd on a new terminal, which is also the controlling one of a new
// session. Both end with the test.
func Start(tb testing.TB, cmd *exec.Cmd) *Terminal {
	tb.Helper()
	p, tty, err := pty.Open()
	if err != nil {
		tb.Fatal(err)
	}
	t := &Terminal{tb: tb, pty: p, tty: tty, cmd: cmd}
	t.Resize(80, 24)
	if t.before, err = term.GetState(int(tty.Fd())); err != nil {
		tb.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	t.reading.Go(func() {
		buf := make([]byte, 32<<10)
		for {
			n, err := p.Read(buf)
			t.mu.Lock()
			t.output.Write(buf[:n])
			t.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	tb.Cleanup(func() {
		cmd.Process.Kill()
		tty.Close()
		p.Close()
		t.reading.Wait()
		if tb.Failed() {
			text := t.Text()
			tb.Logf("the terminal got:\n%q", text[max(0, len(text)-10_000):])
		}
	})
	return t
}

// Text returns all that was written to the terminal.
func (t *Terminal) Text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.output.String()
}

// WaitFor waits until text has come.
func (t *Terminal) WaitFor(text string) { t.tb.Helper(); t.WaitForTimes(text, 1) }

// WaitForTimes waits until text has come so often.
func (t *Terminal) WaitForTimes(text string, times int) {
	t.tb.Helper()
	for end := time.Now().Add(patience); strings.Count(t.Text(), text) < times; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.tb.Fatalf("the terminal did not get %q %d times", text, times)
		}
	}
}

// Press types keys.
func (t *Terminal) Press(keys string) {
	t.tb.Helper()
	if _, err := io.WriteString(t.pty, keys); err != nil {
		t.tb.Fatal(err)
	}
}

// Resize gives the terminal another size.
func (t *Terminal) Resize(columns, rows int) {
	t.tb.Helper()
	if err := pty.Setsize(t.pty, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}); err != nil {
		t.tb.Fatal(err)
	}
}

// Raw reports whether the terminal's mode is another one than at first.
func (t *Terminal) Raw() bool {
	t.tb.Helper()
	now, err := term.GetState(int(t.tty.Fd()))
	if err != nil {
		t.tb.Fatal(err)
	}
	return !reflect.DeepEqual(now, t.before)
}

// Cook gives the terminal the mode that it had at first, as a shell does when a
// program has been stopped.
func (t *Terminal) Cook() {
	t.tb.Helper()
	if err := term.Restore(int(t.tty.Fd()), t.before); err != nil {
		t.tb.Fatal(err)
	}
}

// Signal sends the program a signal.
func (t *Terminal) Signal(sig syscall.Signal) {
	t.tb.Helper()
	if err := t.cmd.Process.Signal(sig); err != nil {
		t.tb.Fatal(err)
	}
}

// End waits until the program has ended and all that it wrote has come, and
// returns its exit status. It fails the test if the terminal's mode is not what it
// was.
func (t *Terminal) End() int {
	t.tb.Helper()
	ended := make(chan struct{})
	go func() {
		t.cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		t.tb.Fatal("the program does not end")
	}
	if t.Raw() {
		t.tb.Error("the terminal's mode is not what it was")
	}
	t.tty.Close() // the last one: the reader comes to an end
	t.reading.Wait()
	return t.cmd.ProcessState.ExitCode()
}
