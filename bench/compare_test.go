package bench

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// rounds is how often each peer is measured for a ratio.
func rounds() int {
	if testing.Short() {
		return 1
	}
	return 21
}

// A peer is one way to do what is measured.
type peer struct {
	name string
	call func() error
}

// compare measures each peer alone, as Go's benchmarks do, and then all of them
// in turn: the machine's moods meet all alike. It reports the medians of the
// first one's cost divided by the others'. A round is this many calls.
func compare(b *testing.B, calls int, peers []peer) {
	for _, p := range peers {
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := p.call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("ratio", func(b *testing.B) {
		times, allocs, bytes := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
		for b.Loop() {
			for range rounds() {
				first := measure(b, calls, peers[0].call)
				for _, p := range peers[1:] {
					cost := measure(b, calls, p.call)
					times[p.name] = append(times[p.name], first.ns/cost.ns)
					allocs[p.name] = append(allocs[p.name], first.allocs/cost.allocs)
					bytes[p.name] = append(bytes[p.name], first.bytes/cost.bytes)
				}
			}
		}
		for _, p := range peers[1:] {
			b.ReportMetric(median(times[p.name]), "time/"+p.name)
			b.ReportMetric(median(allocs[p.name]), "allocs/"+p.name)
			b.ReportMetric(median(bytes[p.name]), "bytes/"+p.name)
		}
		b.ReportMetric(float64(len(times[peers[1].name])), "pairs")
		b.ReportMetric(0, "ns/op") // of all rounds, which says nothing
	})
}

type cost struct{ ns, allocs, bytes float64 }

func measure(b *testing.B, calls int, call func() error) cost {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	for range calls {
		if err := call(); err != nil {
			b.Fatal(err)
		}
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return cost{float64(took), float64(after.Mallocs - before.Mallocs), float64(after.TotalAlloc - before.TotalAlloc)}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// BenchmarkGoroutines reports how long a call keeps a processor busy among so
// many goroutines that share one client, beside that of a call of one alone. In
// 10000x1, each of 10,000 makes one call, in 10000x10 ten.
func BenchmarkGoroutines(b *testing.B) {
	crowds := []crowd{{1, 10_000}, {100, 100}, {10_000, 1}}
	if !testing.Short() {
		crowds = append(crowds, crowd{10_000, 10})
	}
	for _, p := range callers("https://ssm.us-east-2.amazonaws.com", func() aws.HTTPClient { return memory{} }) {
		b.Run(p.name, func(b *testing.B) {
			us, ratio := map[crowd][]float64{}, map[crowd][]float64{}
			for b.Loop() {
				for range rounds() {
					for _, c := range crowds {
						us[c] = append(us[c], busyTime(b, c, p.call)*1e6)
						last := len(us[c]) - 1
						ratio[c] = append(ratio[c], us[c][last]/us[crowds[0]][last])
					}
				}
			}
			for _, c := range crowds {
				b.ReportMetric(median(us[c]), fmt.Sprintf("busy-µs@%dx%d", c.goroutines, c.calls))
				b.ReportMetric(median(ratio[c]), fmt.Sprintf("x-alone@%dx%d", c.goroutines, c.calls))
			}
			b.ReportMetric(float64(len(us[crowds[0]])), "rounds")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// A crowd is so many goroutines, each of which makes so many calls.
type crowd struct{ goroutines, calls int }

// busyTime returns the seconds for which a call of the crowd's keeps a processor
// busy, garbage collection included. Each goroutine makes one call before, so
// that it exists and its stack has grown.
func busyTime(b *testing.B, c crowd, call func() error) float64 {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(c.goroutines)
	for range c.goroutines {
		done.Go(func() {
			err := call()
			ready.Done()
			<-start
			for range c.calls {
				err = errors.Join(err, call())
			}
			if err != nil {
				b.Error(err)
			}
		})
	}
	ready.Wait()
	before := busySeconds()
	close(start)
	done.Wait()
	return (busySeconds() - before) / float64(c.goroutines*c.calls)
}

// busySeconds is the time for which processors were not idle, as the Go runtime
// accounts for it at each garbage collection. It is wall time: where other
// processes use the machine, theirs is in it.
func busySeconds() float64 {
	runtime.GC()
	s := []metrics.Sample{{Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/cpu/classes/idle:cpu-seconds"}}
	metrics.Read(s)
	return s[0].Value.Float64() - s[1].Value.Float64()
}
