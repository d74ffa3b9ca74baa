//go:build !windows

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A tmux is a terminal whose screen can be read: tmux, where it is installed.
type tmux struct {
	t      *testing.T
	socket string
}

func startTmux(t *testing.T, columns, rows int, cmd *exec.Cmd) *tmux {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("tmux is not installed: no screen to compare")
	}
	dir, err := os.MkdirTemp("", "tmux") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	m := &tmux{t, filepath.Join(dir, "s")}
	t.Cleanup(func() {
		exec.Command("tmux", "-S", m.socket, "kill-server").Run()
		os.RemoveAll(dir)
	})
	args := []string{"-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(rows), "env", "-i"}
	for _, v := range cmd.Env {
		if !strings.HasPrefix(v, "TERM=") {
			args = append(args, v)
		}
	}
	m.run(append(append(args, "TERM=screen-256color"), cmd.Args...)...)
	return m
}

func (m *tmux) run(args ...string) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "tmux", append([]string{"-S", m.socket}, args...)...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("tmux %s: %v: %s", args, err, out)
	}
	return string(out)
}

// press types keys, by tmux's names.
func (m *tmux) press(keys ...string) {
	m.t.Helper()
	m.run(append([]string{"send-keys"}, keys...)...)
}

func (m *tmux) resize(columns, rows int) {
	m.t.Helper()
	m.run("resize-window", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(rows))
}

// screen returns the text on the screen, and where the cursor is.
func (m *tmux) screen() string {
	m.t.Helper()
	return m.run("capture-pane", "-p", ";", "display-message", "-p", "cursor #{cursor_x},#{cursor_y}")
}

// waitFor waits for a screen.
func (m *tmux) waitFor(what string, is func(screen string) bool) {
	m.t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(m.screen()); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("not %s:\n%s", what, m.screen())
		}
	}
}

func (m *tmux) waitForText(text string) {
	m.t.Helper()
	m.waitFor(text, func(screen string) bool { return strings.Contains(screen, text) })
}

// TestFullScreen runs programs that have the whole screen, here and through a
// session with an outage, a change of size, and somebody who leaves and comes
// back: the screens must be the same.
func TestFullScreen(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	var lines strings.Builder
	for n := range 200 {
		fmt.Fprintf(&lines, "%d é€ and what else stands in a line\n", n)
	}
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		command []string
		first   string // what is on the screen at first
		before  []string
		then    string   // after them
		outage  []string // keys pressed in it
		is      string   // what is on the screen then
		shape   func(screen string) string
	}{
		"vim":  {command: []string{"vim", "-u", "NONE", "-i", "NONE", "-n", file}, first: "22 é", before: []string{"50G", "x"}, then: "\n9 é", outage: []string{"Ofrom the outage", "Escape", "80G"}, is: "79 é"},
		"less": {command: []string{"less", file}, first: "22 é", before: []string{"50g"}, then: "70 é", outage: []string{"G", "k"}, is: "\n198 é"},
		"top":  {command: []string{"top", "-d", "100"}, first: "PID", then: "PID", is: "PID", shape: shapeOfTop},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(test.command[0]); err != nil {
				t.Skipf("%s is not installed", test.command[0])
			}
			here := program(nil)
			here.Args = test.command
			direct := startTmux(t, 80, 24, here)
			session := startTmux(t, 80, 24, program([]string{"SHELL=/bin/sh", "PS1=$ "}, "--local"))
			session.waitForText("\n$\n")
			session.press("exec "+strings.Join(test.command, " "), "Enter")
			same := func(when string) {
				t.Helper()
				session.waitFor("the same as here "+when+":\n"+direct.screen(), func(screen string) bool {
					if test.shape != nil {
						return test.shape(screen) == test.shape(direct.screen())
					}
					return screen == direct.screen()
				})
			}
			both := func(keys []string) {
				for _, key := range keys {
					direct.press(key)
					session.press(key)
				}
			}
			direct.waitForText(test.first)
			same("at first")
			both(test.before)
			session.waitForText(test.then)
			direct.waitForText(test.then)
			same("after some keys")

			before := session.screen()
			session.press("C-]", "n")
			session.waitForText("network lost, 2 s; the session is kept")
			if got, want := strings.Split(session.screen(), "\n"), strings.Split(before, "\n"); strings.Join(got[:23], "\n") != strings.Join(want[:23], "\n") || got[24] != want[24] && test.shape == nil {
				t.Errorf("the line harms the screen:\n%s\nbefore:\n%s", strings.Join(got, "\n"), before)
			}
			both(test.outage)
			session.press("C-]", "n")
			direct.waitForText(test.is)
			session.waitForText(test.is)
			same("after the outage")

			direct.resize(70, 16)
			session.resize(70, 16)
			same("after a change of size")

			session.press("C-]", "d")
			session.waitForText("Left; the shell goes on.")
			session.press("Enter")
			session.waitFor("another screen", func(screen string) bool { return !strings.Contains(screen, "Left;") })
			same("after attaching again")
		})
	}
}

// shapeOfTop is what stays the same of a screen whose figures change.
func shapeOfTop(screen string) string {
	rows := strings.Split(screen, "\n")
	var shape strings.Builder
	for n, row := range rows {
		switch {
		case n < 6 && len(row) > 4:
			shape.WriteString(row[:4])
		case n == 6 || strings.Contains(row, "network"):
			shape.WriteString(row)
		default:
			fmt.Fprint(&shape, row == "")
		}
		shape.WriteByte('\n')
	}
	return shape.String()
}
