package datachannel_test

import (
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
)

// noise returns n bytes that a seed determines.
func noise(seed uint64, n int64) io.Reader {
	var key [32]byte
	key[0] = byte(seed)
	return io.LimitReader(rand.NewChaCha8(key), n)
}

func sumOf(t *testing.T, r io.Reader) (sum [32]byte, n int64) {
	t.Helper()
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		t.Error(err)
	}
	return [32]byte(h.Sum(nil)), n
}

// exchange is a program that sends size bytes while it reads as many.
func exchange(size int64, got chan<- [32]byte) datachanneltest.Program {
	return func(ctx context.Context, t *datachanneltest.Terminal) int {
		done := make(chan struct{})
		io.WriteString(t.Stdout, "$ ")
		go func() {
			defer close(done)
			io.Copy(t.Stdout, noise(1, size))
		}()
		h := sha256.New()
		io.CopyN(h, t.Stdin, size)
		got <- [32]byte(h.Sum(nil))
		<-done
		io.ReadFull(t.Stdin, make([]byte, 1)) // the client has it all: at its end the agent repairs for 2 s only
		return 0
	}
}

func TestBulkBothWaysThroughCuts(t *testing.T) {
	size, cuts, every := int64(64<<20), 100, 800*time.Millisecond
	if testing.Short() {
		size, cuts, every = 2<<20, 12, 150*time.Millisecond
	}
	srv := datachanneltest.NewServer()
	defer srv.Close()
	got := make(chan [32]byte, 1)
	first, agent := srv.Start(datachanneltest.Options{Program: exchange(size, got), OutputPause: time.Millisecond})
	s, err := datachannel.Open(t.Context(), ssmresume.NewFromConfig(srv.Config()), first, quick, func(o *datachannel.Options) {
		o.Window = 8 << 10 // in a round trip of 10 ms: as fast as the agent sends
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	agent.SetRoundTrip(10 * time.Millisecond)
	if _, err := io.ReadFull(s, make([]byte, len("$ "))); err != nil {
		t.Fatal(err)
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		if _, err := io.Copy(s, noise(2, size)); err != nil {
			t.Error(err)
		}
	}()
	go func() {
		for n := range cuts {
			select {
			case <-t.Context().Done():
				return
			case <-time.After(rand.N(2 * every)):
			}
			switch {
			case n%50 == 19: // the agent repairs 10 messages a second of what is lost
				agent.SetFilter(func(datachanneltest.Message) datachanneltest.Action { return datachanneltest.Drop })
				time.Sleep(300 * time.Millisecond)
				agent.SetFilter(nil)
				agent.Cut()
			case n%50 == 9:
				srv.ForgetConnections() // silent for good
			case n%2 == 0:
				agent.Cut()
			default:
				agent.CloseChannel(1000, "Bye")
			}
		}
	}()
	begun := time.Now()
	down, n := sumOf(t, io.LimitReader(s, size))
	<-finished
	io.WriteString(s, "q")
	want, _ := sumOf(t, noise(1, size))
	if down != want {
		t.Errorf("output: %d of %d bytes, not the ones that were sent", n, size)
	}
	want, _ = sumOf(t, noise(2, size))
	if up := <-got; up != want {
		t.Error("input: not the bytes that were sent")
	}
	t.Logf("%v, %+v", time.Since(begun), s.Stats())
}
