package datachannel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

const (
	// After a silence of this long with input under way the peer is pinged, and
	// the channel dropped after another one. TCP itself would take a quarter of an
	// hour (Linux, tcp_retries2).
	doubtAfter = 3 * time.Second

	// An agent that has given up its own channel looks like a quiet one.
	stalledAfter = time.Minute

	// Acknowledgements that may have been lost with a channel are repeated on the
	// next one. The agent repeats one message each 100 ms, so each that is missing
	// would hold up the repair of what is really lost by so much.
	recentAcks = 512

	// Acknowledgements that wait for the socket to take them. Those that are too
	// many are not sent, and the agent will ask again.
	maxAcks = 1 << 16
)

// carry runs a channel until it is lost, and returns how.
func (l *link) carry(ctx context.Context, ws *websocket.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	l.mu.Lock()
	l.window.rewind()
	l.reacks = append(l.reacks[:0], l.recent...)
	l.up = true
	l.heard = time.Now()
	l.since = l.heard
	l.mu.Unlock()

	lost := make(chan error, 2)
	go func() { lost <- l.receive(ws) }()
	go func() { lost <- l.send(ctx, ws) }()
	taken, err := l.watch(ctx, ws, lost)

	cancel()
	ws.CloseNow()
	l.mu.Lock()
	l.up = false
	l.room.Broadcast()
	l.mu.Unlock()
	for range 2 - taken {
		other := <-lost
		if errors.Is(err, net.ErrClosed) || websocket.CloseStatus(other) >= 0 {
			err = other // which closed it: what failed first may be the other way
		}
	}
	return err
}

// closeError says in words how the service has closed the channel.
type closeError struct{ websocket.CloseError }

func (e *closeError) Error() string {
	return fmt.Sprintf("closed by the service with %d %q", int(e.Code), e.Reason)
}

func (e *closeError) Unwrap() error { return e.CloseError }

var (
	errClosed  = net.ErrClosed // by the caller
	errSilent  = errors.New("nothing came from the other side for too long, not even the answer to a ping")
	errStalled = fmt.Errorf("the channel is open, but the agent has acknowledged nothing for %v: it may have lost its own "+
		"connection for good, as an agent does after some seconds without a network; trying goes on", stalledAfter)
)

// watch pings, and returns when the channel is lost, with how many errors it has
// taken from lost.
func (l *link) watch(ctx context.Context, ws *websocket.Conn, lost <-chan error) (taken int, err error) {
	var (
		next    = time.NewTimer(l.options.PingInterval)
		check   = time.NewTimer(-1) // runs while something is under way
		pinged  time.Time           // zero: no answer is awaited
		stalled bool
	)
	defer next.Stop()
	defer check.Stop()
	ping := func(patience time.Duration) {
		pinged = time.Now()
		next.Reset(patience)
		go func() {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			ws.Ping(ctx) // hear is told of the pong
		}()
	}
	for {
		select {
		case err := <-lost:
			return 1, err
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-l.busy:
			check.Reset(doubtAfter)
		case <-check.C:
			silence, late := l.silence()
			if silence <= time.Since(pinged) {
				pinged = time.Time{} // answered
			}
			if late >= stalledAfter && !stalled {
				l.tell(Event{Kind: Stalled, Err: errStalled})
			}
			stalled = late >= stalledAfter
			if late >= doubtAfter && silence >= doubtAfter && pinged.IsZero() {
				ping(min(doubtAfter, l.options.PingInterval))
			}
			if late > 0 {
				check.Reset(doubtAfter)
			}
		case <-next.C:
			if silence, _ := l.silence(); !pinged.IsZero() && silence > time.Since(pinged) {
				return 0, errSilent
			}
			ping(l.options.PingInterval)
		}
	}
}

// silence returns how long nothing has come from the socket, and how late the
// agent's acknowledgements are.
func (l *link) silence() (silence, late time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.paused {
		l.heard = now // it is we who do not listen
	}
	return now.Sub(l.heard), l.window.late(now)
}

func (l *link) hear() {
	l.mu.Lock()
	l.heard = time.Now()
	l.mu.Unlock()
}

// send sends what there is to send until the channel is lost.
func (l *link) send(ctx context.Context, ws *websocket.Conn) error {
	timer := time.NewTimer(-1)
	defer timer.Stop()
	buf := make([]byte, 512) // for acknowledgements
	for told := (time.Time{}); ; {
		message, wait := l.next(buf[:0])
		if message != nil {
			if time.Since(told) > doubtAfter {
				told = time.Now()
				select {
				case l.busy <- struct{}{}:
				default:
				}
			}
			// No ctx: it would cost a timer for each message. CloseNow ends this too.
			if err := ws.Write(context.Background(), websocket.MessageBinary, message); err != nil {
				return fmt.Errorf("write: %w", err)
			}
			continue
		}
		var late <-chan time.Time
		if wait >= 0 {
			timer.Reset(wait)
			late = timer.C
		}
		select {
		case <-l.wake:
		case <-late:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next returns what is to be sent now, or how long there is nothing.
func (l *link) next(buf []byte) (message []byte, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.acks) > 0 {
		return l.appendAck(buf, &l.acks), 0
	}
	if message, wait = l.window.take(time.Now()); message == nil && len(l.reacks) > 0 {
		return l.appendAck(buf, &l.reacks), 0
	}
	return message, wait
}

func (l *link) appendAck(buf []byte, from *[]ack) []byte {
	a := (*from)[0]
	if *from = (*from)[1:]; len(*from) == 0 {
		*from = nil
	}
	return wire.AppendAcknowledgement(buf, wire.Output, a.id, a.number)
}

// acknowledge has a message acknowledged. With mu held.
func (l *link) acknowledge(id [16]byte, number int64) {
	a := ack{id, number}
	if l.up && len(l.acks) < maxAcks {
		l.acks = append(l.acks, a)
	}
	if len(l.recent) >= 2*recentAcks {
		l.recent = append(l.recent[:0], l.recent[recentAcks:]...)
	}
	l.recent = append(l.recent, a)
	l.nudge()
}

// nudge wakes the sender.
func (l *link) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// receive handles what comes until the channel is lost.
func (l *link) receive(ws *websocket.Conn) error {
	var buf bytes.Buffer
	for {
		kind, r, err := ws.Reader(context.Background())
		if err == nil {
			buf.Reset()
			_, err = buf.ReadFrom(r)
		}
		if err != nil {
			if closed := (websocket.CloseError{}); errors.As(err, &closed) {
				return &closeError{closed}
			}
			return fmt.Errorf("read: %w", err)
		}
		if kind == websocket.MessageBinary {
			if err := l.handle(buf.Bytes()); err != nil {
				return err
			}
		}
		if buf.Cap() > 64<<10 {
			buf = bytes.Buffer{}
		}
	}
}

// handle does with a message what it asks for. An error is the link's end.
func (l *link) handle(frame []byte) error {
	m, err := wire.Parse(frame)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err // what comes now nobody will read: the agent must keep it
	}
	l.heard = time.Now()
	if err == nil {
		switch m.Type {
		case wire.Acknowledge:
			err = l.handleAcknowledge(m, frame)
		case wire.Output:
			l.handleOutput(m, frame)
		case wire.StartPublication:
			l.handleStart(frame)
		case wire.ChannelClosed:
			l.receiver.deliver(m, frame)
			l.end(closedBy(m.Payload))
		default:
			l.receiver.deliver(m, frame)
		}
	}
	if err != nil {
		// The real client passes over it, too.
		l.options.Logger.Debug("datachannel: a message cannot be read", slog.String("session", l.sessionID), slog.Any("error", err))
	}
	for l.unread+l.inbox.bytes >= l.options.MaxBuffered && l.unread > 0 && l.up && l.err == nil {
		l.paused = true
		l.room.Wait()
	}
	l.paused = false
	return l.err
}

func (l *link) handleAcknowledge(m wire.Message, frame []byte) error {
	number, err := wire.ParseAcknowledgement(m.Payload)
	if err != nil {
		return err
	}
	if l.window.acknowledge(number, l.heard) {
		l.writable.Broadcast()
		if l.window.lost.front() != nil {
			l.nudge()
		}
	}
	l.receiver.deliver(m, frame)
	return nil
}

// handleStart is told that the agent is there again: what was sent while it was
// away may be lost.
func (l *link) handleStart(frame []byte) {
	if oldest := l.window.oldest(); !oldest.IsZero() && l.heard.Sub(oldest) > l.window.rtt.timeout() {
		l.window.rewind()
		l.nudge()
	}
	l.receiver.deliver(wire.Message{Type: wire.StartPublication}, frame)
}

func (l *link) handleOutput(m wire.Message, frame []byte) {
	if l.inbox.unknown && l.since.After(l.adopted) {
		l.adoptLater()
	}
	switch l.inbox.put(m, frame, l.options.MaxBuffered-l.unread) {
	case repeated:
		l.stats.Duplicates++
		l.receiver.repeat(m, frame)
	case kept:
		if l.autoAck {
			l.acknowledge(m.ID, m.Number)
		}
	case due:
		if l.autoAck {
			l.acknowledge(m.ID, m.Number)
		}
		for e, ok := (early{m, frame}), true; ok; e, ok = l.inbox.advance() {
			l.stats.Received++
			l.receiver.deliver(e.Message, e.frame)
		}
	}
}

// consumed notes that something delivered was read. With mu held.
func (l *link) consumed(cost int) {
	l.unread -= cost
	l.room.Broadcast()
}
