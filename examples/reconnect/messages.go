package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"text/tabwriter"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// message is what both sides send on the data channel of this example: a
// numbered text, or the acknowledgement of one. (A session's agent and its
// clients number and acknowledge theirs in the same way, in binary.)
type message struct {
	Number int    `json:"number,omitempty"` // counted from 1
	Text   string `json:"text,omitempty"`
	Ack    int    `json:"ack,omitempty"` // this number and all before it have arrived
}

// A mailbox brings texts to the other side in order, each of them once, over as
// many channels as that takes: what is not acknowledged when a channel ends is
// sent again on the next.
type mailbox struct {
	wake chan struct{} // holds one value after send; only one run listens

	mu       sync.Mutex
	unacked  []message
	accepted int // number of the last message given to send
	written  int // number of the last message that was on a channel
	again    int // how many were on a channel more than once
	received int // number of the last message from the other side
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// send accepts a text, whether there is a channel or not.
func (m *mailbox) send(text string) {
	m.mu.Lock()
	m.accepted++
	m.unacked = append(m.unacked, message{Number: m.accepted, Text: text})
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// counts returns how many texts were accepted, how many of them the other side
// has acknowledged, and how many were sent more than once.
func (m *mailbox) counts() (accepted, acknowledged, again int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.accepted, m.accepted - len(m.unacked), m.again
}

// run moves messages both ways until the channel ends, and returns why. There
// is one run at a time. deliver gets each text of the other side once.
func (m *mailbox) run(ctx context.Context, conn *websocket.Conn, deliver func(text string)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var writer sync.WaitGroup
	writer.Go(func() { cancel(m.write(ctx, conn)) })
	cancel(m.read(ctx, conn, deliver))
	writer.Wait()
	return context.Cause(ctx)
}

func (m *mailbox) write(ctx context.Context, conn *websocket.Conn) error {
	for last := 0; ; {
		next, ok := m.after(last)
		if !ok {
			select {
			case <-m.wake:
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		if err := wsjson.Write(ctx, conn, next); err != nil {
			return err
		}
		last = next.Number
	}
}

// after returns the first message behind a number that is not acknowledged.
func (m *mailbox) after(number int) (message, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, next := range m.unacked {
		if next.Number > number {
			if next.Number <= m.written {
				m.again++
			}
			m.written = max(m.written, next.Number)
			return next, true
		}
	}
	return message{}, false
}

func (m *mailbox) read(ctx context.Context, conn *websocket.Conn, deliver func(text string)) error {
	for {
		var in message
		if err := wsjson.Read(ctx, conn, &in); err != nil {
			return err
		}
		if in.Ack > 0 {
			m.acknowledged(in.Ack)
			continue
		}
		isNew, err := m.take(in.Number)
		if err != nil {
			return err
		}
		if isNew {
			deliver(in.Text)
		}
		if err := wsjson.Write(ctx, conn, message{Ack: in.Number}); err != nil {
			return err
		}
	}
}

func (m *mailbox) acknowledged(number int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.unacked) > 0 && m.unacked[0].Number <= number {
		m.unacked = m.unacked[1:]
	}
}

// take reports whether a message has not arrived before: the acknowledgement of
// one that did may have been lost.
func (m *mailbox) take(number int) (isNew bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case number <= m.received:
		return false, nil
	case number > m.received+1:
		return false, fmt.Errorf("message %d came after %d", number, m.received)
	}
	m.received = number
	return true, nil
}

// A tally counts how often each text has arrived.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func newTally() *tally { return &tally{n: map[string]int{}} }

func (t *tally) add(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n[text]++
}

// check returns how many of the first n texts have not arrived, and how many
// arrived too often.
func (t *tally) check(n int) (lost, duplicated int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range n {
		switch count := t.n[text(i+1)]; {
		case count == 0:
			lost++
		default:
			duplicated += count - 1
		}
	}
	return lost, duplicated
}

// text is the nth text that the client sends, and gets back.
func text(n int) string { return fmt.Sprint("message ", n) }

// printMessages reports whether all messages and echoes have arrived once.
func printMessages(w io.Writer, messages, echoes *mailbox, atService, atClient *tally) (ok bool) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "messages\tsent\tacknowledged\tsent again\tlost\tduplicated")
	total, _, _ := messages.counts()
	ok = true
	for _, way := range []struct {
		name    string
		mailbox *mailbox
		tally   *tally
	}{{"to the service", messages, atService}, {"echoes", echoes, atClient}} {
		sent, acknowledged, again := way.mailbox.counts()
		lost, duplicated := way.tally.check(total)
		ok = ok && lost == 0 && duplicated == 0
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\t%d\n", way.name, sent, acknowledged, again, lost, duplicated)
	}
	tw.Flush()
	return ok
}
