package datachannel

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// Whatever order messages come in, and however often, they leave in order and
// once, and the buffer keeps its bound.
func TestInboxOrders(t *testing.T) {
	const count, room = 200, 40 * (100 + 2*wire.Overhead)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		var b inbox
		var got []int64
		for len(got) < count {
			number := b.next + r.Int64N(60) - 10
			if number < 0 || number >= count {
				continue
			}
			m := wire.Message{Type: wire.Output, Number: number, Payload: make([]byte, 100)}
			frame := make([]byte, wire.Overhead+100)
			switch b.put(m, frame, room) {
			case due:
				for e, ok := (early{m, frame}), true; ok; e, ok = b.advance() {
					got = append(got, e.Number)
				}
			case repeated:
				if number >= b.next {
					t.Fatalf("seed %d: %d is said to have come, %d is next", seed, number, b.next)
				}
			}
			if b.bytes > room {
				t.Fatalf("seed %d: %d bytes are kept", seed, b.bytes)
			}
		}
		want := make([]int64, count)
		for i := range want {
			want[i] = int64(i)
		}
		if !slices.Equal(got, want) || b.bytes != 0 {
			t.Errorf("seed %d: got %v, %d bytes left", seed, got, b.bytes)
		}
	}
}

func TestInboxRefusesWhatItHasNoRoomFor(t *testing.T) {
	var b inbox
	m := wire.Message{Type: wire.Output, Number: 5, Payload: make([]byte, 100)}
	if got := b.put(m, make([]byte, wire.Overhead+100), 50); got != refused {
		t.Errorf("put = %v", got)
	}
	m.Number = 0
	if got := b.put(m, make([]byte, wire.Overhead+100), 0); got != due {
		t.Errorf("put of the one that is due = %v", got)
	}
}
