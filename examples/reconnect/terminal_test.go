//go:build !windows

package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ssmresume/ssmresume/examples/internal/ptytest"
)

var escapes = regexp.MustCompile("\x1b\\[\\d*[A-Z]")

// TestTerminal: the program draws on a terminal of any width, and after Ctrl-C
// in an outage it says what is true then.
func TestTerminal(t *testing.T) {
	for _, columns := range []int{120, 80, 60} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			t.Parallel()
			tty := ptytest.Start(t, program(t, "--kind refused --outage 15s"))
			tty.Resize(columns, 24)
			tty.WaitFor("the network is cut: refused")
			time.Sleep(2 * time.Second)
			tty.Press("\x03")
			tty.WaitFor("(under way: ")
			if status := tty.End(); status != 130 {
				t.Errorf("status %d, want 130", status)
			}
			text := strings.ReplaceAll(tty.Text(), "\r", "")
			for line := range strings.Lines(escapes.ReplaceAllString(text, "")) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > columns {
					t.Errorf("%d columns are too few for a line of %d:\n%s", columns, n, line)
				}
			}
			_, end, _ := strings.Cut(text, "s  left")
			if strings.Contains(end, "\x1b[32m") {
				t.Error("colours, in spite of NO_COLOR")
			}
			wantAll(t, end,
				`^  network   ━━`,
				`^  resume    ● *● *○`,
				`^refused  [12]\.\d{3} s so far  0\.\d{3} s  -  +[1-9]\d*$`,
				`^typed    \d+  +\d+  +\d+  +[1-9]\d* +0     0$`,
				`^printed  \d+  +\d+  +\d+  +[1-9]\d* +0     0$`,
				`^\(under way: `)
		})
	}
}
