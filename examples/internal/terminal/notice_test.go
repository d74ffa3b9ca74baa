package terminal_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/examples/internal/terminal"
)

// TestNotice in a file: one line for each outage of 30 s and more.
func TestNotice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	synctest.Test(t, func(t *testing.T) {
		n := terminal.NewNotice(f)
		for _, outage := range []time.Duration{29 * time.Second, 2 * time.Hour, time.Second, 31 * time.Second} {
			n.OnEvent(datachannel.Event{Kind: datachannel.Lost, Err: errors.New("a cable")})
			time.Sleep(outage)
			n.OnEvent(datachannel.Event{Kind: datachannel.Resumed})
			time.Sleep(time.Minute)
		}
		n.Close()
	})
	const line = "network lost, 30 s; the session is kept\r\n"
	if got, err := os.ReadFile(path); string(got) != line+line || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
