package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

const callsPerPair = 2000

// BenchmarkRatio measures pairs, ours and then the SDK's, and reports the
// medians of ours divided by theirs. -benchtime 20x means 20 pairs.
func BenchmarkRatio(b *testing.B) {
	ours, theirs := ours(), theirs()
	var times, allocs, bytes []float64
	for b.Loop() {
		t0, a0, b0 := measure(b, ours)
		t1, a1, b1 := measure(b, theirs)
		times, allocs, bytes = append(times, t0/t1), append(allocs, a0/a1), append(bytes, b0/b1)
	}
	b.ReportMetric(median(times), "time/sdk")
	b.ReportMetric(median(allocs), "allocs/sdk")
	b.ReportMetric(median(bytes), "bytes/sdk")
	b.ReportMetric(0, "ns/op") // of a pair, which says nothing
}

func measure(b *testing.B, call func() error) (ns, allocs, bytes float64) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	for range callsPerPair {
		if err := call(); err != nil {
			b.Fatal(err)
		}
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return float64(took), float64(after.Mallocs - before.Mallocs), float64(after.TotalAlloc - before.TotalAlloc)
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkBinarySize reports how much larger a stripped program is that calls
// ResumeSession than one that only makes an https POST with net/http.
func BenchmarkBinarySize(b *testing.B) {
	dir := b.TempDir()
	sizes := map[string]float64{}
	for b.Loop() {
		for _, program := range []string{"nethttp", "ssmresume", "sdk"} {
			file := filepath.Join(dir, program)
			if out, err := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, "./size/"+program).CombinedOutput(); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
			info, err := os.Stat(file)
			if err != nil {
				b.Fatal(err)
			}
			sizes[program] = float64(info.Size()) / (1 << 20)
		}
	}
	b.ReportMetric(sizes["ssmresume"]-sizes["nethttp"], "MiB-more")
	b.ReportMetric(sizes["sdk"]-sizes["nethttp"], "MiB-more-sdk")
	b.ReportMetric(0, "ns/op") // of the compiler
}
