package ssmresume_test

import (
	"os"
	"strings"
	"testing"
)

// TestLoop: the loop that everybody copies is the same in all places, and tells
// what it waits for.
func TestLoop(t *testing.T) {
	loops := map[string]string{}
	for _, name := range []string{"README.md", "doc.go", "reconnect.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		code := strings.NewReplacer("\n//\t", "\n", "ssmresume.", "").Replace(string(text))
		_, code, _ = strings.Cut(code, "OnWait = func(w Wait) { log.Print(w.Err) }\n})\n")
		loops[name], _, _ = strings.Cut(code, "\n}\n")
	}
	for name, loop := range loops {
		same(t, name, loops["README.md"], loop)
		if !strings.Contains(loop, "rc.Resume(ctx)") || !strings.Contains(loop, "401 or 403") {
			t.Errorf("%s: the loop is\n%s", name, loop)
		}
	}
}
