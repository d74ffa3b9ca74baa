package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
)

const tick = 250 * time.Millisecond // from line to line

// shell returns a program that counts until exit is typed: the lines that it
// prints, and those that are typed.
func shell(typed, printed *tally) datachanneltest.Program {
	return func(ctx context.Context, t *datachanneltest.Terminal) int {
		exit := make(chan struct{})
		var reading sync.WaitGroup
		reading.Go(func() {
			defer close(exit)
			for lines := bufio.NewScanner(t.Stdin); lines.Scan() && lines.Text() != "exit"; {
				typed.arrive(lines.Text())
			}
		})
		printed.send(t.Stdout, exit)
		reading.Wait()
		return 0
	}
}

// A tally counts the lines that go one way, each of which is its own number.
type tally struct {
	mu     sync.Mutex
	counts counts
}

type counts struct {
	sent    int // the last one's number
	again   int // messages that were sent more than once; a line is one
	arrived int // without those that came twice
	last    int // the highest number that arrived
	lost    int // left out below that
	twice   int // came again, or behind a later one
}

func (c counts) underWay() int { return c.sent - c.last }

// send writes lines until enough is closed, or they can no longer be written.
func (t *tally) send(w io.Writer, enough <-chan struct{}) {
	for {
		t.mu.Lock()
		t.counts.sent++
		n := t.counts.sent
		t.mu.Unlock()
		if _, err := fmt.Fprintln(w, n); err != nil {
			return
		}
		select {
		case <-time.After(tick):
		case <-enough:
			return
		}
	}
}

// arrive counts a line at the other end. What is no number counts as 0, which
// none has.
func (t *tally) arrive(line string) {
	n, _ := strconv.Atoi(line)
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &t.counts
	if n <= c.last {
		c.twice++
		return
	}
	c.arrived++
	c.lost += n - c.last - 1
	c.last = n
}

// now returns the counts so far, with the repeats that the sender knows of.
func (t *tally) now(again int) counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.counts
	c.again = again
	return c
}
