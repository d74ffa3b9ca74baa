package main

import (
	"strings"
	"testing"
)

// TestKeyboard types in one go, and key by key: <x> is a command.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ keys, want string }{
		"text":                  {"ls\r", "ls\r"},
		"leave":                 {"ls\x1dd", "ls<d>"},
		"help, and on":          {"a\x1d?b", "a<?>b"},
		"the prefix itself":     {"a\x1d\x1db", "a\x1db"},
		"twice the prefix, d":   {"\x1d\x1dd", "\x1dd"},
		"another key":           {"\x1dx", "<x>"},
		"other sequences":       {"\x1b[A\x1b[1;5C\x1bOP\x1b", "\x1b[A\x1b[1;5C\x1bOP\x1b"},
		"xterm's other keys":    {"a\x1b[27;5;93~d", "a<d>"},
		"kitty's keys":          {"a\x1b[93;5ud", "a<d>"},
		"kitty, all keys":       {"\x1b[93;5:1u\x1b[93;5:3u\x1b[100;1:1u", "<d>"},
		"kitty, Num Lock":       {"\x1b[93;133u\x1b[93;133u", "\x1b[93;133u"},
		"kitty, shift and ?":    {"\x1b[93;5u\x1b[63;2u", "<?>"},
		"a paste":               {"\x1b[200~a\x1ddb\x1b[201~\x1dd", "\x1b[200~a\x1ddb\x1b[201~<d>"},
		"UTF-8":                 {"é\x1d\x1d€", "é\x1d€"},
		"Ctrl-C is the shell's": {"\x03\x1a\x1c\x04", "\x03\x1a\x1c\x04"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := play([]string{test.keys}); got != test.want {
				t.Errorf("in one go: %q, want %q", got, test.want)
			}
			if strings.Contains(test.keys, "\x1b[93") || strings.Contains(test.keys, "\x1b[27") {
				return // terminals send such a key in one write
			}
			if got := play(strings.Split(test.keys, "")); got != test.want {
				t.Errorf("key by key: %q, want %q", got, test.want)
			}
		})
	}
}

func play(parts []string) string {
	var k keyboard
	var got strings.Builder
	for _, part := range parts {
		for _, s := range k.split([]byte(part)) {
			got.Write(s.keys)
			if s.command != 0 {
				got.WriteString("<" + string(rune(s.command)) + ">")
			}
		}
	}
	return got.String()
}

func FuzzKeyboard(f *testing.F) {
	f.Add("a\x1ddb", 2)
	f.Add("\x1b[200~\x1d\x1b[201~\x1b[93;5u", 9)
	f.Fuzz(func(t *testing.T, keys string, cut int) {
		if strings.ContainsAny(keys, "\x1d") || strings.Contains(keys, "93") {
			play([]string{keys})
			return
		}
		cut = max(0, min(cut, len(keys)))
		if got := play([]string{keys[:cut], keys[cut:]}); got != keys { // no command in it
			t.Errorf("%q becomes %q", keys, got)
		}
	})
}
