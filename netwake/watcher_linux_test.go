package netwake_test

import (
	"os/exec"
	"strings"
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
		{"an address without a route of its own", "address add 198.51.100.2/32 dev net0", true},
		{"it goes", "address del 198.51.100.2/32 dev net0", false},
		{"it comes again", "address add 198.51.100.2/32 dev net0", true},
		{"an address beside that of a neighbour", "address add 198.51.100.3 peer 169.254.1.1/32 dev net0", true},
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
		expect(t, w, step.what, step.want)
	}

	ip(t, "link set net0 down")
	far(t, "link set far0 down")
	ip(t, "link set net0 up")
	expect(t, w, "an interface comes up without a carrier", false)
	far(t, "link set far0 up")
	expect(t, w, "an interface gets its carrier", true)

	ip(t, "address add 2001:db8::4/64 dev net0")
	expect(t, w, "an IPv6 address that is tentative", false)
	expect(t, w, "an IPv6 address that is no longer tentative", true)
	if out, err := exec.Command("ip", "-6", "address", "show", "dev", "net0", "tentative", "to", "2001:db8::4").Output(); err != nil || len(out) > 0 {
		t.Errorf("it is tentative: %v\n%s", err, out)
	}
	expect(t, w, "nothing", false)

	// No IPv6 address of its own, of which the kernel would tell, too.
	ip(t, "link add name net1 type veth peer name net2; link set net1 addrgenmode none; link set net2 addrgenmode none; address add 203.0.113.129/25 dev net1; link set net1 up")
	expect(t, w, "another interface with an address, but no carrier", false)
	ip(t, "link set net2 up")
	expect(t, w, "another interface gets its carrier", true)
	ip(t, "link del net1")
	expect(t, w, "another interface goes", false)
}

// expect waits for news, if there is to be some: of a carrier the kernel tells a
// little later.
func expect(t *testing.T, w *netwake.Watcher, what string, news bool) {
	t.Helper()
	if !news {
		if w.News() {
			t.Errorf("%s: it is news", what)
		}
		return
	}
	defer time.AfterFunc(20*time.Second, func() { w.Close() }).Stop()
	if err := w.WaitForNews(); err != nil {
		t.Fatalf("%s: it is no news: %v", what, err)
	}
}

// TestMissedNews has more come than the socket holds, and none of it news.
func TestMissedNews(t *testing.T) {
	needsNamespace(t)
	w, err := netwake.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	const nothing = "address add 198.51.100.1/32 dev lo; address del 198.51.100.1/32 dev lo"
	ip(t, strings.Repeat(nothing+"; ", 999)+nothing)
	expect(t, w, "what was missed", true)
	ip(t, nothing)
	expect(t, w, "what was not", false)
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
