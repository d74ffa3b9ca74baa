package terminal

import (
	"strings"
	"testing"
)

// TestScanner cuts output everywhere: what is whole and what is set must not
// depend on it.
func TestScanner(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ output, unfinished, reset string }{
		"text":             {"a\r\nb", "", ""},
		"characters":       {"é€😀", "", ""},
		"half a character": {"é", "\xe2\x82", ""},
		"no UTF-8":         {"\xff\x80\xe2a\xc0", "", ""},
		"colour":           {"\x1b[1;31mred", "", "\x1b[m"},
		"colour and back":  {"\x1b[1;31mred\x1b[0m", "", ""},
		"half a sequence":  {"a", "\x1b[1;3", ""},
		"title":            {"\x1b]0;title\x07\x1b]0;title\x1b\\", "", ""},
		"half a title":     {"a", "\x1b]0;title\x1b", ""},
		"title, then ESC":  {"\x1b]0;title\x1b[?25l", "", "\x1b[?25h"},
		"screen":           {"\x1b[?1049;25lx\x1b[?1049h", "", "\x1b[?1049l\x1b[?25h"},
		"full reset":       {"\x1b[?1049h\x1bc", "", ""},
		"characters set":   {"\x1b(0lqk", "", "\x1b(B"},
		"cancelled":        {"\x1b[12\x18a", "", ""},
		"control within":   {"\x1b[?2\r5l", "", "\x1b[?25h"},
		"long":             {"", "\x1bP" + strings.Repeat("x", maxHeld-2), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := test.output + test.unfinished
			for cut := range len(all) + 1 {
				var s scanner
				first := max(0, s.scan([]byte(all[:cut])))
				whole := s.scan([]byte(all[cut:]))
				if whole < 0 {
					whole = first
				} else {
					whole += cut
				}
				if whole != len(test.output) {
					t.Fatalf("cut at %d: %d bytes are whole, want %d", cut, whole, len(test.output))
				}
				if reset := string(s.reset()); reset != test.reset {
					t.Fatalf("cut at %d: reset %q, want %q", cut, reset, test.reset)
				}
			}
		})
	}
}

func TestScannerLetsLongOnesPass(t *testing.T) {
	t.Parallel()
	var s scanner
	s.scan([]byte("\x1bP" + strings.Repeat("x", maxHeld)))
	if s.between() {
		t.Error("something may be written into a sequence")
	}
	if whole := s.scan([]byte("xx")); whole != 2 {
		t.Errorf("%d bytes pass", whole)
	}
	if reset := string(s.reset()); reset != "\x18" {
		t.Errorf("reset %q", reset)
	}
	s.scan([]byte("\x1b\\"))
	if !s.between() {
		t.Error("it has ended")
	}
}
