package datachannel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

const (
	handshakeTimeout = 10 * time.Second
	dialPause        = time.Second // after a dial that nobody answered
	maxDials         = 30          // with one token, over half a minute to 6 minutes

	// A message larger than this ends the channel. Agents send 1 KiB of data in one.
	maxMessage = 1 << 20
)

// A receiver does with messages what its kind of user wants. Its methods are
// called in order, with the link's lock held.
type receiver interface {
	// deliver takes an output message whose turn it is, or one of another type.
	// The payload, which is part of frame, is the receiver's only until it returns.
	deliver(m wire.Message, frame []byte)
	// repeat takes an output message whose turn is over.
	repeat(m wire.Message, frame []byte)
}

// A link is a data channel over as many WebSockets as it takes. It sends again
// what the agent has not acknowledged, and puts in order what the agent sends.
type link struct {
	client    *ssmresume.Client
	rc        *ssmresume.Reconnector
	sessionID string
	options   Options
	receiver  receiver
	autoAck   bool // acknowledge what is kept; else the receiver's user does

	cancel context.CancelFunc
	opened chan struct{} // closed when there has been a channel
	ended  chan struct{} // closed when all goroutines have ended
	wake   chan struct{} // tells the sender that there is something to send
	busy   chan struct{} // tells watch that something is under way

	mu       sync.Mutex
	readable sync.Cond // there is something to read, or the link has ended
	writable sync.Cond // the window has become smaller, or the link has ended
	room     sync.Cond // unread has become smaller, or the channel is gone

	window  *window
	inbox   inbox
	adopted time.Time // when the number of the first output was left open
	acks    []ack     // to be sent first
	reacks  []ack     // to be sent when there is nothing else
	recent  []ack     // the last that were sent
	unread  int       // cost of what was delivered and not read
	up      bool      // there is a channel
	since   time.Time // that it is there
	paused  bool      // the WebSocket is not read for lack of room
	heard   time.Time
	err     error // why the link has ended
	stats   Stats
}

type ack struct {
	id     [16]byte
	number int64
}

// Stats tell what a session has cost so far.
type Stats struct {
	Sent, Received           int64         // numbered messages, without repeats
	BytesSent, BytesReceived int64         // in them: of input the payloads, of output the data
	Repeats                  int64         // messages sent again
	Duplicates               int64         // messages that came again
	Unacknowledged           int           // messages that the agent has not acknowledged now
	Channels                 int           // WebSockets that were opened
	Away                     time.Duration // without a channel, after the first
}

// newLink returns a link that is not started. first is nil for a session that
// is to be resumed at once.
func newLink(client *ssmresume.Client, sessionID string, first *ssmresume.ResumeSessionOutput, o Options) (*link, error) {
	if o.ClientID == "" {
		o.ClientID = wire.FormatID(wire.NewID())
	}
	if first != nil {
		if _, err := first.OpenMessage(o.ClientID); err != nil {
			return nil, err
		}
	}
	l := &link{
		client:    client,
		sessionID: sessionID,
		options:   o,
		opened:    make(chan struct{}),
		ended:     make(chan struct{}),
		wake:      make(chan struct{}, 1),
		busy:      make(chan struct{}, 1),
		window:    newWindow(),
	}
	l.readable.L, l.writable.L, l.room.L = &l.mu, &l.mu, &l.mu
	l.rc = ssmresume.NewReconnector(client, sessionID, func(ro *ssmresume.ReconnectorOptions) {
		ro.First = first
		ro.OnWait = func(w ssmresume.Wait) { l.tell(Event{Kind: Waiting, Err: w.Err, Wait: w}) }
		if o.Reconnector != nil {
			o.Reconnector(ro)
		}
	})
	return l, nil
}

// start runs the link until ctx ends, and returns when there is a channel.
func (l *link) start(ctx context.Context) error {
	ctx, l.cancel = context.WithCancel(ctx)
	go func() {
		err := l.run(ctx)
		l.cancel()
		l.mu.Lock()
		l.end(err)
		err = l.err
		l.mu.Unlock()
		l.tell(Event{Kind: Ended, Err: err})
		close(l.ended)
	}()
	select {
	case <-l.opened:
		return nil
	case <-l.ended:
		return l.err
	}
}

// end notes why the link has ended, the first time. With mu held.
func (l *link) end(err error) {
	if l.err != nil {
		return
	}
	l.err = err
	if l.inbox.adopting {
		l.adopt() // nothing comes any more
	}
	l.readable.Broadcast()
	l.writable.Broadcast()
	l.room.Broadcast()
}

// close ends the link for the reason err and waits until all has ended.
func (l *link) close(err error) {
	l.mu.Lock()
	l.end(err)
	l.mu.Unlock()
	l.cancel()
	<-l.ended
}

func (l *link) over() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// run opens one channel after the other.
func (l *link) run(ctx context.Context) error {
	var lostAt time.Time
	for refusals := 0; ; {
		out, err := l.rc.Resume(ctx)
		if err != nil {
			return endedBy(err)
		}
		ws, err := l.openUntil(ctx, out)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if refusal := (*refusal)(nil); errors.As(err, &refusal) {
			// Once more, since Resume renews keys that are no longer good. A second
			// time it would not help, and each try ends the token before it.
			if refusals++; refusals == 2 {
				return err
			}
		}
		if err != nil {
			l.tell(Event{Kind: Waiting, Err: err})
			continue
		}

		l.mu.Lock()
		l.stats.Channels++
		var away time.Duration
		if !lostAt.IsZero() {
			away = time.Since(lostAt)
			l.stats.Away += away
		}
		l.mu.Unlock()
		if lostAt.IsZero() {
			l.tell(Event{Kind: Opened})
			close(l.opened)
		} else {
			l.tell(Event{Kind: Resumed, Away: away})
		}

		err = l.carry(ctx, ws)
		if err := l.over(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		lostAt = time.Now()
		l.tell(Event{Kind: Lost, Err: err})
		if websocket.CloseStatus(err) != websocket.StatusUnsupportedData {
			refusals = 0
		} else if refusals++; refusals == 2 { // the service's answer to a token that it does not take
			return fmt.Errorf("the service does not take the request to open the channel: %w", err)
		}
	}
}

// tell reports an event. Without mu held, on the goroutine of run.
func (l *link) tell(e Event) {
	l.options.Logger.Debug("datachannel: "+string(e.Kind), slog.String("session", l.sessionID), slog.Any("error", e.Err), slog.Duration("delay", e.Wait.Delay), slog.Duration("away", e.Away))
	if l.options.OnEvent != nil {
		l.options.OnEvent(e)
	}
}

// A refusal is an answer to the WebSocket handshake that a second try will
// hardly change.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// unanswered is why there was no answer to the WebSocket handshake.
type unanswered struct{ error }

func (u *unanswered) Unwrap() error { return u.error }

// openUntil opens a channel. Where nobody answers it tries again with the same
// token: each call of ResumeSession ends the token before it, so they are no way
// to find out whether a host is there.
func (l *link) openUntil(ctx context.Context, out *ssmresume.ResumeSessionOutput) (*websocket.Conn, error) {
	for attempt := 1; ; attempt++ {
		ws, err := l.open(ctx, out)
		if silent := (*unanswered)(nil); attempt == maxDials || !errors.As(err, &silent) {
			return ws, err
		}
		l.tell(Event{Kind: Waiting, Err: err})
		select {
		case <-time.After(dialPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// open dials a channel and asks for it to be opened.
func (l *link) open(ctx context.Context, out *ssmresume.ResumeSessionOutput) (*websocket.Conn, error) {
	header, err := l.client.HandshakeHeader(ctx, out.StreamURL)
	if err != nil {
		return nil, &refusal{err}
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, out.StreamURL.DialURL(), &websocket.DialOptions{
		HTTPClient:     l.client.HandshakeClient(),
		HTTPHeader:     header,
		OnPongReceived: func(context.Context, []byte) { l.hear() },
	})
	if err != nil {
		return nil, l.dialError(out.StreamURL, resp, err)
	}
	ws.SetReadLimit(maxMessage)
	message, err := out.OpenMessage(l.options.ClientID)
	if err == nil {
		err = ws.Write(ctx, websocket.MessageText, message)
	}
	if err != nil {
		ws.CloseNow()
		return nil, fmt.Errorf("ask for the data channel: %w", err)
	}
	return ws, nil
}

func (l *link) dialError(u ssmresume.StreamURL, resp *http.Response, err error) error {
	if urlErr := (*url.Error)(nil); errors.As(err, &urlErr) {
		err = urlErr.Err // the rest is the URL, which may be a secret
	}
	status := 0
	var answer interface{ HTTPStatusCode() int } // a proxy's
	switch {
	case resp != nil:
		status = resp.StatusCode
		err = fmt.Errorf("the data channel's handshake at %s was answered with %d %s", u.Host, status, http.StatusText(status))
	case errors.As(err, &answer):
		status = answer.HTTPStatusCode()
		err = fmt.Errorf("dial the data channel at %s: %w", u.Host, err)
	default:
		return &unanswered{fmt.Errorf("dial the data channel at %s: %w", u.Host, err)}
	}
	switch {
	case resp != nil && (status == http.StatusUnauthorized || status == http.StatusForbidden):
		return &refusal{fmt.Errorf("%w: the credentials need the IAM permission ssmmessages:OpenDataChannel for the session", err)}
	case status >= 300 && status < 400:
		return &refusal{fmt.Errorf("%w: redirects are not followed, since the handshake's signature would go with them", err)}
	case status == http.StatusForbidden || status == http.StatusProxyAuthRequired:
		return &refusal{err}
	}
	return err
}

// write sends a numbered message. It waits while the window is full.
func (l *link) write(t wire.PayloadType, payload []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.err == nil && l.window.bytes >= l.options.Window {
		l.writable.Wait()
	}
	return l.enqueue(t, payload)
}

// overfill is write, but does not wait.
func (l *link) overfill(t wire.PayloadType, payload []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.enqueue(t, payload)
}

// enqueue numbers, builds and queues a message: all of it under mu, so that no
// number is used twice and none is sent out of order.
func (l *link) enqueue(t wire.PayloadType, payload []byte) error {
	if err := l.writeError(); err != nil {
		return err
	}
	m := wire.Message{Type: wire.Input, Created: time.Now(), Number: l.window.next, ID: wire.NewID(), PayloadType: t, Payload: payload}
	l.enqueueFrame(m, m.Append(make([]byte, 0, wire.Overhead+len(payload))))
	return nil
}

// overError is writeError without mu held.
func (l *link) overError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writeError()
}

// writeError is why nothing can be sent any more; nil while it can. With mu held.
func (l *link) writeError() error {
	if l.err == io.EOF {
		return &EndedError{}
	}
	return l.err
}

func (l *link) enqueueFrame(m wire.Message, frame []byte) {
	l.window.add(m.Number, frame)
	l.stats.Sent++
	l.stats.BytesSent += int64(len(m.Payload))
	l.nudge()
}

// flush waits until all that was written before is acknowledged.
func (l *link) flush(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.writable.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for until := l.window.next; l.window.first() < until; l.writable.Wait() {
		switch {
		case l.err == io.EOF:
			return fmt.Errorf("the session has ended before %d messages were acknowledged", len(l.window.pending))
		case l.err != nil:
			return l.err
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
	return nil
}

// upFor returns how long there has been a channel; zero if there is none.
func (l *link) upFor() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.up {
		return 0
	}
	return time.Since(l.since)
}

// quiet reports that the agent has all, and could answer.
func (l *link) quiet() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up && len(l.window.pending) == 0
}

func (l *link) snapshot() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Repeats = int64(l.window.repeats)
	s.Unacknowledged = len(l.window.pending)
	return s
}
