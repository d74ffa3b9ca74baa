package datachannel

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A network is a peer and a clock for a window: it acknowledges each message a
// round-trip time after it was sent, unless it is lost.
type network struct {
	w       *window
	now     time.Time
	rtt     time.Duration
	lose    func(number int64, nth int) bool
	sent    []int64 // numbers, as they were sent
	times   map[int64]int
	arrived map[int64]bool
	reack   bool // acknowledge what was acknowledged before
	answers []answer
}

type answer struct {
	number int64
	at     time.Time
}

func newNetwork(rtt time.Duration) *network {
	return &network{
		w: newWindow(), now: time.Unix(1, 0), rtt: rtt, reack: true,
		lose: func(int64, int) bool { return false }, times: map[int64]int{}, arrived: map[int64]bool{},
	}
}

func (n *network) add(count int) {
	for range count {
		n.w.add(n.w.next, make([]byte, 1024))
	}
}

// run lets time pass, at most limit, until all is acknowledged.
func (n *network) run(limit time.Duration) time.Duration {
	begun := n.now
	for len(n.w.pending) > 0 && n.now.Sub(begun) < limit {
		for {
			frame := n.w.lost.front()
			if frame == nil {
				frame = n.w.fresh.front()
			}
			if frame == nil {
				n.w.expire(n.now)
				if frame = n.w.lost.front(); frame == nil {
					break
				}
			}
			n.w.take(n.now)
			n.send(frame.number)
			n.now = n.now.Add(10 * time.Microsecond)
		}
		n.now = n.now.Add(time.Millisecond)
		for len(n.answers) > 0 && !n.answers[0].at.After(n.now) {
			n.w.acknowledge(n.answers[0].number, n.now)
			n.answers = n.answers[1:]
		}
	}
	return n.now.Sub(begun)
}

func (n *network) send(number int64) {
	n.sent = append(n.sent, number)
	n.times[number]++
	seen := n.arrived[number]
	if n.lose(number, n.times[number]) || seen && !n.reack {
		return
	}
	n.arrived[number] = true
	n.answers = append(n.answers, answer{number, n.now.Add(n.rtt)})
}

func TestWindowSendsOnceWhereNothingIsLost(t *testing.T) {
	n := newNetwork(30 * time.Millisecond)
	n.add(5000)
	n.run(time.Minute)
	if len(n.w.pending) != 0 || n.w.bytes != 0 || len(n.sent) != 5000 || !slices.IsSorted(n.sent) {
		t.Errorf("%d pending with %d bytes, %d sent, in order: %v", len(n.w.pending), n.w.bytes, len(n.sent), slices.IsSorted(n.sent))
	}
}

// On a living channel a lost message is sent again when one that was sent after
// it is acknowledged: a round-trip time later, not a time-out.
func TestWindowRepeatsALostMessageByTheRoundTripTime(t *testing.T) {
	const rtt = 50 * time.Millisecond
	n := newNetwork(rtt)
	n.lose = func(number int64, nth int) bool { return number == 100 && nth == 1 }
	n.add(3000) // 30 ms of sending, so that later ones are clearly later
	took := n.run(time.Minute)
	if limit := 3*rtt + 50*time.Millisecond; took > limit {
		t.Errorf("whole after %v, want at most %v", took, limit)
	}
	if n.times[100] != 2 || len(n.sent) != 3001 {
		t.Errorf("message 100 was sent %d times, all %d times", n.times[100], len(n.sent))
	}
}

func TestWindowRepeatsTheLastMessage(t *testing.T) {
	n := newNetwork(20 * time.Millisecond)
	n.lose = func(_ int64, nth int) bool { return nth < 4 }
	n.add(1)
	// Time-outs of 200, 400 and 800 ms.
	if took := n.run(time.Minute); took < 1400*time.Millisecond || took > 1600*time.Millisecond {
		t.Errorf("whole after %v", took)
	}
}

func TestWindowSurvivesAnyLoss(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := newNetwork(time.Duration(r.IntN(200)) * time.Millisecond)
		n.lose = func(int64, int) bool { return r.IntN(3) == 0 }
		n.add(500)
		for range 5 {
			n.run(time.Duration(r.IntN(500)) * time.Millisecond)
			if r.IntN(2) == 0 {
				n.answers = nil // with the channel
				n.w.rewind()
			}
			n.add(100)
		}
		n.run(time.Hour)
		if len(n.arrived) != 1000 || len(n.w.pending) != 0 || n.w.bytes != 0 {
			t.Errorf("seed %d: %d arrived, %d pending with %d bytes", seed, len(n.arrived), len(n.w.pending), n.w.bytes)
		}
	}
}

// Another channel gets all that is not acknowledged at once, in order.
func TestWindowRewinds(t *testing.T) {
	n := newNetwork(10 * time.Millisecond)
	n.lose = func(number int64, nth int) bool { return number%3 == 0 }
	n.add(300)
	n.run(100 * time.Millisecond)
	n.lose = func(int64, int) bool { return false }
	n.w.rewind()
	n.sent, n.answers = nil, nil
	if took := n.run(time.Minute); took > 20*time.Millisecond {
		t.Errorf("whole after %v", took)
	}
	if len(n.sent) != 100 || !slices.IsSorted(n.sent) {
		t.Errorf("%d were sent again, in order: %v", len(n.sent), slices.IsSorted(n.sent))
	}
}

// An old agent acknowledges nothing twice, so a message whose acknowledgement is
// lost would stay for ever, and in the end fill the window.
func TestWindowLetsGoOfWhatAnOldAgentHas(t *testing.T) {
	for _, reacks := range []bool{false, true} {
		n := newNetwork(10 * time.Millisecond)
		n.reack, n.w.reacks = false, reacks
		n.arrived[5] = true // and its acknowledgement is lost
		n.add(10)
		for range 20 {
			n.run(time.Second)
			n.add(1)
		}
		n.run(time.Second)
		if got, want := len(n.w.pending) == 0, !reacks; got != want {
			t.Errorf("reacks %v: nothing pending is %v", reacks, got)
		}
	}
	// Where nothing later is acknowledged, nothing shows that it has arrived.
	n := newNetwork(10 * time.Millisecond)
	n.lose = func(int64, int) bool { return true }
	n.add(10)
	n.run(10 * time.Minute)
	if len(n.w.pending) != 10 {
		t.Errorf("%d of 10 pending", len(n.w.pending))
	}
}

// A number that is written again is a client's own repeat.
func TestWindowTakesANumberOnce(t *testing.T) {
	w := newWindow()
	w.add(0, []byte("a"))
	w.add(0, []byte("a"))
	if len(w.pending) != 1 || w.bytes != 1 || w.next != 1 {
		t.Errorf("%d pending, %d bytes, next %d", len(w.pending), w.bytes, w.next)
	}
}
