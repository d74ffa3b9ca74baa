//go:build !windows

package terminal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/examples/internal/ptytest"
	"github.com/ssmresume/ssmresume/examples/internal/terminal"
)

const modeVariable = "TERMINAL_TEST_MODE"

// TestMain runs the program that the tests drive on a pty of its own.
func TestMain(m *testing.M) {
	mode := os.Getenv(modeVariable)
	if mode == "" {
		os.Exit(m.Run())
	}
	if err := program(mode); err != nil {
		fmt.Fprintln(os.Stderr, err)
		var sig *terminal.SignalError
		if errors.As(err, &sig) {
			os.Exit(sig.ExitStatus())
		}
		os.Exit(1)
	}
}

func program(mode string) error {
	t, ctx, err := terminal.Open(context.Background(), os.Stdin, os.Stdout)
	if err != nil {
		return err
	}
	defer t.Close()
	fmt.Fprint(t, "ready\r\n")
	for {
		select {
		case keys := <-t.Keys():
			switch k := string(keys); {
			case mode == "echo" && k != "q":
				fmt.Fprintf(t, "%q\r\n", keys)
			case mode == "screen" && k == "s":
				fmt.Fprint(t, "\x1b[?1049h\x1b[?25l\x1b[?1000h\x1b[>4;2m\x1b[1mall\x1b[?2004h\x1b[2;5r\x1b[38;5")
			case mode == "outage" && k == "l":
				t.OnEvent(datachannel.Event{Kind: datachannel.Lost})
			case mode == "outage" && k == "s":
				t.OnEvent(datachannel.Event{Kind: datachannel.Stalled})
			case mode == "outage" && k == "t":
				t.Typed(3)
			case mode == "outage" && k == "n":
				t.Show("a note", time.Second)
			case mode == "outage" && k == "x":
				fmt.Fprint(t, "text")
			case mode == "outage" && k == "r":
				t.OnEvent(datachannel.Event{Kind: datachannel.Resumed})
			case mode == "outage" && k == "a":
				fmt.Fprint(t, "\x1b[?1049hall\x1b[3")
			case mode == "outage" && k == "m":
				fmt.Fprint(t, "1mred")
			case mode == "panic":
				panic("as the test wants it")
			case mode == "panic elsewhere":
				t.Go(func() { panic("as the test wants it") })
			case mode == "error":
				return errors.New("as the test wants it")
			case mode == "hang":
				<-ctx.Done()
				select {}
			default:
				return nil
			}
		case size, ok := <-t.Sizes():
			if ok {
				fmt.Fprintf(t, "%d x %d\r\n", size.Columns, size.Rows)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func start(t *testing.T, mode string) *ptytest.Terminal {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), modeVariable+"="+mode)
	s := ptytest.Start(t, cmd)
	s.WaitFor("ready\r\n")
	s.WaitFor("80 x 24\r\n")
	return s
}

func TestWayBack(t *testing.T) {
	t.Parallel()
	for mode, end := range map[string]struct {
		signal syscall.Signal
		status int
		text   string
	}{
		"normal":          {status: 0},
		"error":           {status: 1, text: "as the test wants it\r\n"},
		"panic":           {status: 2, text: "panic: as the test wants it\r\n"},
		"panic elsewhere": {status: 2, text: "panic: as the test wants it\r\n"},
		"SIGTERM":         {signal: syscall.SIGTERM, status: 143, text: "terminated\r\n"},
		"SIGHUP":          {signal: syscall.SIGHUP, status: 129, text: "hangup\r\n"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := start(t, mode)
			if !s.Raw() {
				t.Fatal("the terminal is not in raw mode")
			}
			if end.signal != 0 {
				s.Signal(end.signal)
			} else {
				s.Press("x")
			}
			if status := s.End(); status != end.status {
				t.Errorf("status %d, want %d:\n%s", status, end.status, s.Text())
			}
			s.WaitFor(end.text)
		})
	}
}

// TestHangs has a program that does not end at a signal.
func TestHangs(t *testing.T) {
	t.Parallel()
	s := start(t, "hang")
	s.Press("x")
	s.Signal(syscall.SIGTERM)
	time.Sleep(100 * time.Millisecond)
	s.Signal(syscall.SIGTERM)
	if status := s.End(); status != 143 {
		t.Errorf("status %d", status)
	}
}

// TestStopped stops the program from outside, and lets it go on.
func TestStopped(t *testing.T) {
	t.Parallel()
	s := start(t, "echo")
	s.Signal(syscall.SIGSTOP)
	s.Cook()
	s.Signal(syscall.SIGCONT)
	s.WaitFor("80 x 23\r\n80 x 24\r\n") // drawn anew
	if !s.Raw() {
		t.Error("the terminal is not in raw mode")
	}
	s.Press("q")
	s.End()
}

func TestKeysAndSizes(t *testing.T) {
	t.Parallel()
	s := start(t, "echo")
	s.Press("\x03\x1a\x1c\x04\r\x11\x13é")
	s.WaitFor(`"\x03\x1a\x1c\x04\r\x11\x13é"`)
	s.Resize(100, 30)
	s.WaitFor("100 x 30\r\n")
	s.Press("q")
	s.End()
}

// TestScreenComesBack leaves while a program has the whole screen.
func TestScreenComesBack(t *testing.T) {
	t.Parallel()
	s := start(t, "screen")
	s.Press("s")
	s.WaitFor("\x1b[2;5r")
	s.Press("q")
	s.End()
	const back = "\x1b[>4m\x1b[?1000l\x1b[?1049l\x1b[?2004l\x1b[?25h\x1b[m"
	s.WaitFor("\x1b7\x1b[r\x1b8" + back)
	if strings.Contains(s.Text(), "38;5") {
		t.Errorf("half a sequence: %q", s.Text())
	}
}

// TestOutage shows the line below the cursor, and in a full screen on the last
// row. Afterwards the screen is drawn anew.
func TestOutage(t *testing.T) {
	t.Parallel()
	s := start(t, "outage")
	s.Press("l")
	s.WaitFor("\x1bD\x1bM\x1b7\x1b[B\r\x1b[0;2mnetwork lost, 1 s; the session is kept\x1b[K\x1b8")
	s.WaitFor("\x1b7\x1b[B\r\x1b[0;2mnetwork lost, 2 s; the session is kept\x1b[K\x1b8")
	s.Press("r")
	s.WaitFor("is kept\x1b[K\x1b8\x1b7\x1b[B\r\x1b[m\x1b[2K\x1b8")
	s.WaitFor("80 x 23\r\n80 x 24\r\n")
	s.Press("a")
	s.WaitFor("all")
	s.Press("l")
	s.WaitFor("all\x1b7\x1b[999;1H\x1b[0;2mnetwork lost, 1 s; the session is kept\x1b[K\x1b8")
	s.Press("m")
	s.WaitFor("is kept\x1b[K\x1b8\x1b7\x1b[999;1H\x1b[m\x1b[2K\x1b8\x1b[31mred")
	s.Press("r")
	s.WaitForTimes("80 x 23\r\n80 x 24\r\n", 2)
	s.Press("q")
	s.End()
}

func TestNoTerminal(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, _, err := terminal.Open(t.Context(), r, w); !errors.Is(err, terminal.ErrNotTerminal) {
		t.Errorf("%v", err)
	}
}

// TestOtherLines shows what is not a lost network.
func TestOtherLines(t *testing.T) {
	t.Parallel()
	s := start(t, "outage")
	s.Press("n")
	s.WaitFor("\x1b[0;2ma note\x1b[K\x1b8")
	s.WaitFor("\x1b[m\x1b[2K\x1b880 x 23\r\n80 x 24\r\n")
	s.Press("s")
	s.WaitFor("no answer from the node, 1 min 00 s; the session is kept\x1b[K\x1b8")
	s.Press("t")
	s.WaitFor("kept; 3 bytes typed\x1b[K\x1b8")
	s.Press("x") // it answers
	s.WaitFor("\x1b[m\x1b[2K\x1b8text")
	at := len(s.Text())
	time.Sleep(1100 * time.Millisecond)
	if later := s.Text()[at:]; strings.Contains(later, "no answer") {
		t.Errorf("the line comes again: %q", later)
	}
	s.Press("q")
	s.End()
}
