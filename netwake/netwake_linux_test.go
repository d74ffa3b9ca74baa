package netwake_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/netwake"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// endpoint serves on l, at the other end of the cable, and returns a client of it.
func endpoint(tb testing.TB, l net.Listener) (*ssmresumetest.Server, *ssmresume.Client) {
	tb.Helper()
	srv := ssmresumetest.NewServer()
	tb.Cleanup(srv.Close)
	there := &http.Server{Handler: srv}
	go there.Serve(l)
	tb.Cleanup(func() { there.Close() })
	cfg := srv.Config()
	url := fmt.Sprintf("http://%v", l.Addr())
	cfg.BaseEndpoint = &url
	return srv, ssmresume.NewFromConfig(cfg)
}

// An outage is a Resume while net0 is down.
type outage struct {
	failures atomic.Int32
	waits    chan struct{} // it has got to the wait that was asked for
	back     chan error
}

// begin has a Reconnector try again and again, by values on keys, which is its Wake,
// until it is to wait as until says.
func begin(ctx context.Context, client *ssmresume.Client, keys chan struct{}, until func(ssmresume.Wait) bool, optFns ...func(*ssmresume.ReconnectorOptions)) *outage {
	o := &outage{waits: make(chan struct{}, 1), back: make(chan error, 1)}
	waiting := false
	rc := ssmresume.NewReconnector(client, sessionID, append(optFns, func(ro *ssmresume.ReconnectorOptions) {
		ro.Wake = keys
		ro.OnWait = func(w ssmresume.Wait) {
			o.failures.Add(1)
			switch {
			case waiting:
			case until(w):
				waiting = true
				select {
				case <-keys: // the last wait ended by itself
				default:
				}
				o.waits <- struct{}{}
			default:
				press(keys)
			}
		}
	})...)
	go func() {
		_, err := rc.Resume(ctx)
		o.back <- err
	}()
	return o
}

func press(keys chan<- struct{}) {
	select {
	case keys <- struct{}{}:
	default:
	}
}

// TestOneAttemptForEachEvent has a Reconnector wait for hours, takes the interface
// up, and expects it back, at the first attempt.
func TestOneAttemptForEachEvent(t *testing.T) {
	_, l := cable(t)
	srv, client := endpoint(t, l)
	ip(t, "address add 192.0.2.2/24 dev net0; address add 2001:db8::2/64 dev net0 nodad; link set net0 up")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, keys := make(chan struct{}, 1), make(chan struct{}, 1)
	if err := netwake.Notify(ctx, events); err != nil {
		t.Fatal(err)
	}
	var values atomic.Int32
	go func() {
		for {
			select {
			case <-events:
				values.Add(1)
				press(keys)
			case <-ctx.Done():
				return
			}
		}
	}()

	const rounds = 20
	for range rounds {
		ip(t, "link set net0 down")
		o := begin(ctx, client, keys, func(w ssmresume.Wait) bool { return w.Delay > time.Hour }, func(ro *ssmresume.ReconnectorOptions) {
			ro.MaxNetworkWait = 1000 * time.Hour
		})
		<-o.waits
		ip(t, "address add 192.0.2.3/24 dev net0; address del 192.0.2.3/24 dev net0; address add 198.51.100.1/32 dev lo; address del 198.51.100.1/32 dev lo")
		before, requests := o.failures.Load(), len(srv.Requests())

		ip(t, "link set net0 up")
		if err := <-o.back; err != nil {
			t.Fatal(err)
		}
		if failed, asked := o.failures.Load()-before, len(srv.Requests())-requests; failed != 0 || asked != 1 {
			t.Errorf("%d attempts failed after the event, and %d were answered, want 0 and 1", failed, asked)
		}
	}
	if got := values.Load(); got != rounds {
		t.Errorf("%d values for %d events", got, rounds)
	}
}

// TestNotifyEnds takes the interface up for one Notify whose Context has ended, and
// for one whose has not.
func TestNotifyEnds(t *testing.T) {
	cable(t)
	ip(t, "address add 192.0.2.2/24 dev net0")
	ctx, cancel := context.WithCancel(t.Context())
	ended, goes := make(chan struct{}, 1), make(chan struct{}, 1)
	for _, n := range []struct {
		ctx  context.Context
		wake chan<- struct{}
	}{{ctx, ended}, {t.Context(), goes}} {
		if err := netwake.Notify(n.ctx, n.wake); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	for netlinkSockets(t) > 1 {
		time.Sleep(time.Millisecond)
	}
	ip(t, "link set net0 up")
	<-goes
	if len(ended) > 0 {
		t.Error("a value after ctx has ended")
	}
}

// netlinkSockets counts those of this network namespace.
func netlinkSockets(t *testing.T) int {
	t.Helper()
	table, err := os.ReadFile("/proc/thread-self/net/netlink")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(table), fmt.Sprintf(" %08x ", netwake.Groups))
}

// BenchmarkBack measures from the command that takes an interface up to the
// session's return, with and without Notify.
func BenchmarkBack(b *testing.B) {
	for _, bench := range []struct {
		name   string
		notify func(context.Context, chan<- struct{}) error
	}{
		{"polling", func(context.Context, chan<- struct{}) error { return nil }},
		{"netwake", netwake.Notify},
	} {
		b.Run(bench.name, func(b *testing.B) {
			_, l := cable(b)
			_, client := endpoint(b, l)
			ip(b, "address add 192.0.2.2/24 dev net0")
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			keys := make(chan struct{}, 1)
			if err := bench.notify(ctx, keys); err != nil {
				b.Fatal(err)
			}
			var took []time.Duration
			for b.Loop() {
				b.StopTimer()
				ip(b, "link set net0 down")
				o := begin(ctx, client, keys, func(w ssmresume.Wait) bool { return w.Attempt == 8 }) // as long as it ever waits
				<-o.waits
				time.Sleep(rand.N(2 * time.Second))
				b.StartTimer()

				start := time.Now()
				ip(b, "link set net0 up")
				if err := <-o.back; err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
		})
	}
}
