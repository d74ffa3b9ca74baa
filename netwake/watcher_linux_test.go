package netwake_test

import (
	"os/exec"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume/netwake"
)

// TestNews does one thing after the other to an interface, and looks which is news.
func TestNews(t *testing.T) {
	far, _ := cable(t)
	w, err := netwake.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer ip(t, "address del 198.51.100.1/32 dev lo; route del unreachable 203.0.113.0/24; route del local 203.0.113.1 table local")
	for _, step := range []struct {
		what, ip string
		want     bool
	}{
		{"loopback goes down", "link set lo down", false},
		{"loopback comes up", "link set lo up", false},
		{"an address on loopback", "address add 198.51.100.1/32 dev lo", false},
		{"an interface without addresses comes up, but for the link-local one that it gives itself", "link set net0 up", false},
		{"a link-local IPv4 address", "address add 169.254.7.7/16 dev net0", false},
		{"an address", "address add 192.0.2.2/24 dev net0", true},
		{"the same address", "address replace 192.0.2.2/24 dev net0", false},
		{"the lifetime of an address", "address change 192.0.2.2/24 dev net0 valid_lft 1000 preferred_lft 1000", false},
		{"another address", "address add 192.0.2.3/24 dev net0", true},
		{"an address goes", "address del 192.0.2.3/24 dev net0", false},
		{"a default route", "route add default via 192.0.2.1", true},
		{"another default route in its place", "route replace default via 192.0.2.77", true},
		{"a default route goes", "route del default", false},
		{"a route in another table", "route add default via 192.0.2.1 table 7", true},
		{"a route that rejects", "route add unreachable 203.0.113.0/24", false},
		{"a route to loopback's own table", "route add local 203.0.113.1 dev lo table local", false},
		{"an IPv6 route, without an address", "route add 2001:db8:1::/48 dev net0", false},
		{"an interface goes down", "link set net0 down", false},
		{"a default route's interface is up, and then down", "link set net0 up; link set net0 down", false},
		{"an interface comes up with its address", "link set net0 up", true},
		{"the same again", "link set net0 up", false},
		{"an interface is taken down and up", "link set net0 down; link set net0 up", true},
		{"an IPv6 address that needs no probe", "address add 2001:db8::3/64 dev net0 nodad", true},
		{"an IPv6 route", "route add 2001:db8:2::/48 via 2001:db8::1", true},
		{"an IPv6 route to neighbours", "route add fe80::/64 dev net0 metric 5", false},
	} {
		ip(t, step.ip)
		if got := w.News(); got != step.want {
			t.Errorf("%s (%s): %v, want %v", step.what, step.ip, got, step.want)
		}
	}

	ip(t, "link set net0 down")
	far(t, "link set far0 down")
	ip(t, "link set net0 up")
	if w.News() {
		t.Error("an interface comes up without a carrier: true, want false")
	}
	far(t, "link set far0 up")
	if !w.News() {
		t.Error("an interface gets its carrier: false, want true")
	}

	ip(t, "address add 2001:db8::4/64 dev net0")
	if w.News() {
		t.Error("an IPv6 address that is tentative: true, want false")
	}
	for stillTentative(t) {
		if err := w.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if !w.News() {
		t.Error("an IPv6 address that is no longer tentative: false, want true")
	}
	if w.News() {
		t.Error("nothing: true, want false")
	}
}

func stillTentative(t *testing.T) bool {
	t.Helper()
	out, err := exec.Command("ip", "-6", "address", "show", "dev", "net0", "tentative").Output()
	if err != nil {
		t.Fatal(err)
	}
	return len(out) > 0
}

// TestRate has something new come all the time.
func TestRate(t *testing.T) {
	for _, c := range []struct {
		interval         time.Duration
		n, soon          int
		shortest, atMost time.Duration // of the waits after the soon ones
	}{
		{interval: 2 * time.Second, n: 100, soon: 100},
		{interval: time.Second, n: 100, soon: 100},
		{interval: 0, n: 100, soon: 20, shortest: 800 * time.Millisecond, atMost: time.Second},
	} {
		for i, wait := range netwake.Waits(c.n, c.interval) {
			if i < c.soon && wait != 10*time.Millisecond || i >= c.soon && (wait < c.shortest || wait > c.atMost) {
				t.Errorf("every %v, value %d: after %v", c.interval, i+1, wait)
			}
		}
	}
}
