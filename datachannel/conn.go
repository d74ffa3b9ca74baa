package datachannel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// The types of a WebSocket message, as [Conn] takes and gives them and as
// RFC 6455 and the WebSocket packages number them.
const (
	TextMessage   = 1
	BinaryMessage = 2
)

// A Conn is a data channel that outlives its WebSockets, for a client that
// speaks the agent's protocol itself: it has the two methods that such clients
// call on a WebSocket connection. Most programs want a [Session].
//
// What the client writes is kept and sent again until the agent acknowledges
// it. What the agent sends is given to the client in order and once; a message
// that the client does not acknowledge is given again when the agent repeats
// it. So the client's own timers and buffers may stay, but are not needed.
//
// Its methods are safe for one reader and many writers.
type Conn struct {
	link *link
	// With link.mu held:
	queue   []given
	pending map[int64]*output // given, or in queue, and not acknowledged
	skipped []span            // numbers below the highest that the client has not written
}

// A span is the numbers from from to below to.
type span struct{ from, to int64 }

// given is a message for the client.
type given struct {
	frame  []byte
	number int64
	output *output // nil of a message that is not numbered
}

type output struct {
	id      [16]byte
	waiting bool // it is in queue
}

// Dial opens the data channel of a session that was just started: first is what
// StartSession answered, or [ssmresume.NewOutput] of it. It returns when the
// channel is open; the request to open it is sent already. Until then, and from
// then on, the channel is brought back for as long as the session lasts and ctx
// does not end.
func Dial(ctx context.Context, client *ssmresume.Client, first *ssmresume.ResumeSessionOutput, optFns ...func(*Options)) (*Conn, error) {
	if first == nil {
		return nil, errors.New("datachannel: first is nil: Dial needs what StartSession answered")
	}
	o := newOptions(optFns)
	if o.State != nil {
		return nil, errors.New("datachannel: Options.State is for Attach")
	}
	l, err := newLink(client, first.SessionID, first, o)
	if err != nil {
		return nil, fmt.Errorf("datachannel: %w", err)
	}
	c := &Conn{link: l, pending: map[int64]*output{}}
	l.receiver = c
	if err := l.start(ctx); err != nil {
		return nil, fmt.Errorf("datachannel: open session %q: %w", first.SessionID, err)
	}
	return c, nil
}

// ReadMessage returns the next message of the agent or the service, of type
// BinaryMessage. It waits however long the channel is away. The error is io.EOF
// after the last message of a session whose command has ended, an [EndedError]
// if the session was ended otherwise, net.ErrClosed after Close, or what made
// resuming impossible.
func (c *Conn) ReadMessage() (messageType int, p []byte, err error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for {
		for len(c.queue) == 0 {
			if c.link.err != nil {
				return 0, nil, c.link.err
			}
			c.link.readable.Wait()
		}
		g := c.queue[0]
		c.queue[0] = given{}
		c.queue = c.queue[1:]
		c.link.consumed(len(g.frame) + wire.Overhead)
		if g.output != nil {
			g.output.waiting = false
			if c.pending[g.number] != g.output {
				continue // acknowledged, while it waited to be given again
			}
		}
		return BinaryMessage, g.frame, nil
	}
}

// WriteMessage sends a message to the agent. It waits while Options.Window bytes
// are not acknowledged; it does not wait for a channel. A client's request to
// open the channel, its only text message, is checked and goes no further, since
// Dial has made it. A message whose number was written before is not sent again:
// that is Conn's work.
func (c *Conn) WriteMessage(messageType int, data []byte) error {
	if messageType == TextMessage {
		var request struct{ TokenValue *string }
		if json.Unmarshal(data, &request) != nil || request.TokenValue == nil {
			return errors.New("datachannel: a text message that is no request to open the channel")
		}
		return nil
	}
	m, err := wire.Parse(data)
	if err != nil {
		return fmt.Errorf("datachannel: write a message: %w", err)
	}
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	switch m.Type {
	case wire.Acknowledge:
		number, err := wire.ParseAcknowledgement(m.Payload)
		if err != nil {
			return fmt.Errorf("datachannel: write a message: %w", err)
		}
		if o, ok := c.pending[number]; ok {
			delete(c.pending, number)
			l.acknowledge(o.id, number)
		}
		return l.writeError()
	case wire.Input:
		for l.err == nil && l.window.bytes >= l.options.Window {
			l.writable.Wait()
		}
		if err := l.writeError(); err != nil {
			return err
		}
		if !c.isNew(m.Number) {
			return nil
		}
		l.enqueueFrame(m, bytes.Clone(data))
		return nil
	}
	return fmt.Errorf("datachannel: a client does not send messages of type %q", m.Type)
}

// isNew notes that the client has written a number, and reports whether it is the
// first time. A client of many goroutines may write a lower one after a higher.
func (c *Conn) isNew(number int64) bool {
	next := c.link.window.next
	if number >= next {
		if number > next {
			c.skipped = append(c.skipped, span{next, number})
		}
		return true
	}
	for i, s := range c.skipped {
		if s.from <= number && number < s.to {
			rest := slices.DeleteFunc([]span{{s.from, number}, {number + 1, s.to}}, func(s span) bool { return s.from == s.to })
			c.skipped = slices.Replace(c.skipped, i, i+1, rest...)
			return true
		}
	}
	return false
}

// Close leaves the session: it goes on at the node until its idle time-out. To
// end it, send the agent the flag TerminateSession first, or call the service's
// TerminateSession.
func (c *Conn) Close() error {
	c.link.close(errClosed)
	return nil
}

// Format prints the session's ID, and nothing of what is written and read.
func (c *Conn) Format(w fmt.State, _ rune) {
	io.WriteString(w, "data channel of session "+c.link.sessionID)
}

func (c *Conn) deliver(m wire.Message, frame []byte) {
	if m.Type != wire.Output {
		c.give(given{frame: bytes.Clone(frame)})
		return
	}
	c.link.stats.BytesReceived += int64(len(m.Payload))
	o := &output{m.ID, true}
	c.pending[m.Number] = o
	c.give(given{bytes.Clone(frame), m.Number, o})
}

func (c *Conn) repeat(m wire.Message, frame []byte) {
	switch o, ok := c.pending[m.Number]; {
	case !ok:
		c.link.acknowledge(m.ID, m.Number)
	case !o.waiting:
		o.waiting = true
		c.give(given{bytes.Clone(frame), m.Number, o})
	}
}

func (c *Conn) give(g given) {
	c.queue = append(c.queue, g)
	c.link.unread += len(g.frame) + wire.Overhead
	c.link.readable.Signal()
}
