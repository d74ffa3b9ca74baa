package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
)

// maxSize is what the plugin may weigh, in bytes, without symbols.
const maxSize = 12 << 20

// build makes the plugin as its users have it, where nothing else removes it.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "session-manager-plugin")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "session-manager-plugin")
	out, err := exec.Command("go", "build", "-race=false", "-ldflags", "-s -w", "-trimpath", "-o", binary, ".").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return binary, err
})

func binary(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBuild: a small binary, and a quick start.
func TestBuild(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	binary := binary(t)
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MiB", float64(info.Size())/(1<<20))
	if info.Size() > maxSize {
		t.Errorf("%d bytes, may be %d", info.Size(), maxSize)
	}

	var best time.Duration
	for range 5 { // other tests run, too
		first, _ := f.srv.Start(datachanneltest.Options{Program: greet})
		cmd := f.plugin(first, parameters, f.srv.URL())
		cmd.Path = binary
		begun := time.Now()
		p := f.run(cmd)
		p.shows("$ ")
		if took := time.Since(begun); best == 0 || took < best {
			best = took
		}
		p.types("exit")
		p.end()
	}
	t.Logf("%v to the first byte", best)
	if best > time.Second { // a machine is busy; 60 ms is what it should be
		t.Errorf("%v to the first byte", best)
	}
}
