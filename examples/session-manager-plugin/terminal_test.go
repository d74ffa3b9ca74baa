//go:build !windows

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// A terminalProcess is a program on a terminal of its own.
type terminalProcess struct {
	*process
	tty    *os.File
	before *term.State
}

// onTerminal runs a program as its user does, but for the standard output where
// that is set.
func (f *fixture) onTerminal(cmd *exec.Cmd) *terminalProcess {
	f.Helper()
	keyboard, tty, err := pty.Open()
	if err == nil {
		err = pty.Setsize(keyboard, &pty.Winsize{Cols: 80, Rows: 24})
	}
	if err != nil {
		f.Fatal(err)
	}
	before, err := term.GetState(int(tty.Fd()))
	if err != nil {
		f.Fatal(err)
	}
	screen := func(p *process) io.Writer { return p.out }
	if cmd.Stdout != nil {
		screen = func(p *process) io.Writer { return p.stderr }
	} else {
		cmd.Stdout = tty
	}
	cmd.Stdin, cmd.Stderr = tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p := f.run(cmd)
	p.keyboard = keyboard
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		io.Copy(screen(p), keyboard)
	}()
	f.Cleanup(func() {
		tty.Close()
		keyboard.Close()
		<-copied
	})
	return &terminalProcess{p, tty, before}
}

func (p *terminalProcess) state() *term.State {
	p.Helper()
	state, err := term.GetState(int(p.tty.Fd()))
	if err != nil {
		p.Fatal(err)
	}
	return state
}

// waitRaw waits until no key is the terminal's own.
func (p *terminalProcess) waitRaw() {
	p.Helper()
	for end := time.Now().Add(patience); reflect.DeepEqual(p.state(), p.before); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			p.Fatal("the terminal is not raw")
		}
	}
}

func (p *terminalProcess) end() result {
	p.Helper()
	got := p.process.end()
	if after := p.state(); !reflect.DeepEqual(after, p.before) {
		p.Errorf("the terminal's mode is %+v, was %+v", after, p.before)
	}
	return got
}

// TestOutageOnTerminal: one dim line, which goes away; a key pressed meanwhile is
// kept, and makes it try at once.
func TestOutageOnTerminal(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first, _ := f.srv.Start(datachanneltest.Options{Program: greet})
	p := f.onTerminal(f.plugin(first, parameters, f.srv.URL()))
	p.shows("$ ")
	p.waitRaw()
	f.srv.SetNetwork(ssmresumetest.Refused)
	p.shows("\x1b[0;2mnetwork lost, 1 s; the session is kept")
	p.shows("network lost, 2 s; the session is kept")
	f.srv.SetNetwork(ssmresumetest.Up)
	p.types("hello")
	p.shows(`"hello"`)
	got, _ := p.out.text()
	_, after, _ := strings.Cut(got, "network lost, 2 s; the session is kept")
	if !strings.Contains(after, "\x1b[2K") {
		t.Errorf("the line does not go away: %q", got)
	}
	p.types("exit")
	if got := p.end(); got.status != 0 {
		t.Errorf("%+v", got)
	}
}

// TestOutageOnPort: the same where the terminal is not raw, and standard output is
// read by a program.
func TestOutageOnPort(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first, session := f.srv.Start(datachanneltest.Options{Dial: nobody})
	cmd := f.plugin(first, parameters, f.srv.URL())
	out := newOutput()
	cmd.Stdout = out
	p := f.onTerminal(cmd)
	p.wait(out, "Waiting for connections...")
	f.srv.SetNetwork(ssmresumetest.Refused)
	p.wait(p.stderr, "\x1b[0;2mnetwork lost, 1 s; the session is kept")
	f.srv.SetNetwork(ssmresumetest.Up)
	for end := time.Now().Add(patience); session.Stats().Opened < 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come back")
		}
	}
	p.wait(p.stderr, "\x1b[2K")
	p.types("\x03")
	p.wait(out, "Exiting session with sessionId: "+first.SessionID+".")
	if got := p.end(); got.status != 0 {
		t.Errorf("%+v", got)
	}
}

func nobody(context.Context) (net.Conn, error) { return nil, errors.New("nobody dials") }

// TestTee: standard output is a pipe, and the terminal raw all the same.
func TestTee(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first, _ := f.srv.Start(datachanneltest.Options{Program: func(ctx context.Context, t *datachanneltest.Terminal) int {
		fmt.Fprint(t.Stdout, "the terminal has ")
		size := <-t.Resized
		fmt.Fprintf(t.Stdout, "%d x %d ", size.Columns, size.Rows)
		return greet(ctx, t)
	}})
	cmd := f.plugin(first, parameters, f.srv.URL())
	out := newOutput()
	cmd.Stdout = out
	p := f.onTerminal(cmd)
	p.wait(out, "the terminal has 80 x 24 $ ")
	p.waitRaw()
	p.types("\x03")
	p.wait(out, `"\x03"`)
	p.types("exit")
	got := p.end()
	if got.status != 0 || got.stderr != "" {
		t.Errorf("%+v", got)
	}
}

// TestSignals that come to the process, as where there is no terminal.
func TestSignals(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first, _ := f.srv.Start(datachanneltest.Options{Program: greet})
	p := f.run(f.plugin(first, parameters, f.srv.URL()))
	p.shows("$ ")
	for _, s := range []struct {
		signal syscall.Signal
		key    string
	}{{syscall.SIGINT, "\x03"}, {syscall.SIGQUIT, "\x1c"}, {syscall.SIGTSTP, "\x1a"}} {
		p.cmd.Process.Signal(s.signal)
		p.shows(fmt.Sprintf("%q", s.key))
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	if got := p.end(); got.status != 128+15 || strings.Contains(got.stdout, "Exiting") {
		t.Errorf("%+v", got)
	}

	// On a terminal.
	first, _ = f.srv.Start(datachanneltest.Options{Program: greet})
	tp := f.onTerminal(f.plugin(first, parameters, f.srv.URL()))
	tp.shows("$ ")
	tp.waitRaw()
	tp.cmd.Process.Signal(syscall.SIGTERM)
	if got := tp.end(); got.status != 128+15 {
		t.Errorf("%+v", got)
	}

	// Before there is a channel.
	f.srv.SetNetwork(ssmresumetest.Refused)
	first, _ = f.srv.Start(datachanneltest.Options{Program: greet})
	asArgument := func() *exec.Cmd {
		return f.command(response(f, first), ssmresumetest.Region, "StartSession", "", parameters, f.srv.URL())
	}
	for _, tt := range []struct {
		cmd    *exec.Cmd
		key    string
		status int
	}{
		{f.plugin(first, parameters, f.srv.URL()), "\x03", 128 + 2},
		{asArgument(), "\x03", 0}, // or the CLI prints it
		{asArgument(), "\x1c", 0},
	} {
		tp = f.onTerminal(tt.cmd)
		tp.shows("no network, 1 s; trying")
		tp.types(tt.key)
		if got := tp.end(); got.status != tt.status {
			t.Errorf("%+v, want %d", got, tt.status)
		}
	}
}

// TestInterruptedOutage: Ctrl-C ends a port's session, but not where nobody hears
// of it.
func TestInterruptedOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first, _ := f.srv.Start(datachanneltest.Options{Dial: nobody})
	p := f.run(f.plugin(first, parameters, f.srv.URL()))
	p.shows("Waiting for connections...")
	f.srv.SetNetwork(ssmresumetest.Refused)
	p.cmd.Process.Signal(syscall.SIGINT)
	if got := p.end(); got.status != 1 || !strings.Contains(got.stderr, "SessionId: "+first.SessionID+" : ") || !strings.Contains(got.stderr, "it may go on") {
		t.Errorf("%+v", got)
	}
}

// TestBrokenPipe: nobody reads on, as of "… | head".
func TestBrokenPipe(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first, _ := f.srv.Start(datachanneltest.Options{Program: func(ctx context.Context, t *datachanneltest.Terminal) int {
		for ctx.Err() == nil {
			if _, err := fmt.Fprint(t.Stdout, "$ "); err != nil {
				break
			}
		}
		return 0
	}})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := f.plugin(first, parameters, f.srv.URL())
	cmd.Stdout = w
	p := f.run(cmd)
	w.Close()
	io.ReadFull(r, make([]byte, 100))
	r.Close()
	if got := p.end(); got.status != 128+int(syscall.SIGPIPE) || got.stderr != "" {
		t.Errorf("%+v", got)
	}
}
