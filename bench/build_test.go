package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkBuild reports how much larger a stripped program is that calls
// ResumeSession than one that only makes an https POST with net/http, and how
// much longer it takes to build where nothing has been built before, beside what
// the SDK and log/slog cost. With -short it uses what has been built, so that only
// the sizes say something.
func BenchmarkBuild(b *testing.B) {
	size, seconds := map[string]float64{}, map[string]float64{}
	for b.Loop() {
		var caches [4]string // net/http's, and three copies of it
		if !testing.Short() {
			caches = [4]string{b.TempDir(), b.TempDir(), b.TempDir(), b.TempDir()}
		}
		for i, program := range []string{"nethttp", "ssmresume", "sdk", "slog"} {
			if i > 0 && !testing.Short() {
				if err := os.CopyFS(caches[i], os.DirFS(caches[0])); err != nil {
					b.Fatal(err)
				}
			}
			size[program], seconds[program] = build(b, caches[i], program)
		}
	}
	more := func(program string) float64 { return size[program] - size["nethttp"] }
	for _, program := range []string{"ssmresume", "sdk", "slog"} {
		b.ReportMetric(more(program)/(1<<20), "MiB-more-"+program)
		b.ReportMetric(seconds[program], "s-more-"+program)
	}
	b.ReportMetric(more("ssmresume")/more("sdk"), "MiB-more/sdk")
	b.ReportMetric(seconds["ssmresume"]/seconds["sdk"], "s-more/sdk")
	b.ReportMetric(seconds["nethttp"], "s-nethttp")
	b.ReportMetric(0, "ns/op")
}

// build returns the size in bytes of the program and the seconds it took.
func build(b *testing.B, cache, program string) (size, seconds float64) {
	file := filepath.Join(b.TempDir(), program)
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", file, "./size/"+program)
	if cache != "" {
		cmd.Env = append(os.Environ(), "GOCACHE="+cache)
	}
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	took := time.Since(start)
	info, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	return float64(info.Size()), took.Seconds()
}
