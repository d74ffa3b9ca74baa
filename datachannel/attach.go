package datachannel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

const (
	firstProbes = 64   // messages in the first round
	maxProbes   = 8192 // messages in a round
	maxFinds    = 2

	// A message that was sent again so often, while others were acknowledged, is
	// one that the agent does not acknowledge.
	probeRepeats = 2

	probePoll = 20 * time.Millisecond

	// The agent repeats its oldest message after 1.1 s at most: its longest
	// time-out, and the 100 ms at which it looks.
	oldestRepeat = 1500 * time.Millisecond

	// An agent that has acknowledged none of so many messages, in some 8 s, is not
	// there, or older than 3.2.1041.0 and has had more of them.
	maxSilentProbes = 1 << 13
)

var (
	errNoShell = errors.New("it is no shell: connections through a port end with the program that held them; start a new session")
	errNoAgent = errors.New("the agent acknowledges nothing: it may have lost its own connection for good, or the service does not pass on what this asks it")
)

// Attach opens the data channel of a session that runs already: one that another
// process started, and has left or lost. The session's ID is enough. Who holds
// the channel loses it.
//
// It is experimental: found on the code of the real agent, and never seen with
// AWS between. The number that the agent awaits next is found by messages that
// the agent takes for a handshake it cannot read, and drops; it takes some 1.5 s.
// If that fails, a shell is as it was. What the last client has read and not
// acknowledged comes again. With Options.State, of [Session.Detach], nothing has
// to be found, and nothing comes again.
//
// Without State it is for shells and interactive commands. A session that is
// encrypted with AWS KMS needs State, which has its keys: without, its output is
// unreadable. The connections through a port ended with the process that held
// them, so a session of type Port is refused; what asks for its type uses up a
// number of its input, so that a client that comes back to it later loses a
// message.
//
// The session is held until ctx ends, and is left then. An error with [ssmresume.ErrSessionGone]
// says that there is no such session any more.
func Attach(ctx context.Context, client *ssmresume.Client, sessionID string, optFns ...func(*Options)) (*Session, error) {
	o := newOptions(optFns)
	var saved savedState
	if o.State != nil && o.State.reveal != nil {
		saved = o.State.reveal()
		o.ClientID = saved.ClientID
	}
	s, err := newSession(client, sessionID, nil, o)
	if err != nil {
		return nil, fmt.Errorf("datachannel: %w", err)
	}
	first := s.find
	if o.State != nil {
		if err := s.restore(saved); err != nil {
			return nil, fmt.Errorf("datachannel: attach to session %q: %w", sessionID, err)
		}
		first = func(context.Context) error { return nil }
	} else {
		s.link.inbox.adopting = true
	}
	if err := s.begin(ctx, first); err != nil {
		return nil, fmt.Errorf("datachannel: attach to session %q: %w", sessionID, err)
	}
	return s, nil
}

// find finds the numbers of both directions.
func (s *Session) find(ctx context.Context) error {
	l := s.link
	var answered time.Time
	for attempt := 1; ; attempt++ {
		expected, err := s.findInput(ctx)
		if err != nil {
			return err
		}
		answered = time.Now()
		if err = s.checkShell(ctx, expected); err == nil {
			break
		}
		if err != errNoShell || attempt == maxFinds {
			return err
		}
		// Or it is not the awaited number: another client was quicker with it, or
		// the acknowledgements of a higher one were lost.
		l.mu.Lock()
		l.restartAt(0, false)
		l.mu.Unlock()
	}
	for {
		l.mu.Lock()
		wait := l.adoptIn(answered)
		if wait <= 0 {
			l.adopt()
		}
		l.mu.Unlock()
		if wait <= 0 {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-l.ended:
			return l.over()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// adoptIn returns how long to wait for what the agent repeats, from the given
// time on or, if that is later, from when there is a channel. With mu held.
func (l *link) adoptIn(from time.Time) time.Duration {
	patience := oldestRepeat + 2*l.window.rtt.smoothed
	if !l.up {
		return patience
	}
	if l.since.After(from) {
		from = l.since
	}
	return time.Until(from.Add(patience))
}

// findInput finds the number that the agent awaits. It sends probes with all
// numbers from 0, which the agent acknowledges or not:
//
//   - the awaited one: not, since it cannot be read,
//   - higher ones: it does, and keeps them; they do no harm, since a real message
//     takes the place of a probe,
//   - lower ones: it does from version 3.2.1041.0 on; older agents do not.
//
// So the awaited number is the last of those not acknowledged that has
// acknowledged ones above it.
func (s *Session) findInput(ctx context.Context) (expected int64, err error) {
	l := s.link
	for count := int64(firstProbes); ; count = min(count, maxProbes) {
		l.mu.Lock()
		from := l.window.next
		for n := from; n < from+count; n++ {
			l.window.add(n, probe(n, wire.HandshakeResponse))
		}
		l.nudge()
		l.mu.Unlock()

		silent, err := s.settle(ctx, from)
		if err != nil {
			return 0, err
		}
		l.mu.Lock()
		open := l.window.unacknowledged()
		highest := l.window.highestAcked
		l.mu.Unlock()
		below := slices.DeleteFunc(open, func(f *frame) bool { return f.number > highest })
		switch {
		case len(below) > 0:
			expected = below[len(below)-1].number
			l.mu.Lock()
			// All below were acknowledged, if the agent is a new one.
			l.restartAt(expected, len(below) == 1 && expected > 0)
			l.mu.Unlock()
			return expected, nil
		case silent && from+count > maxSilentProbes:
			return 0, errNoAgent
		case silent:
			count *= 4 // an old agent says nothing of what it has, and each round takes a second
		default:
			count *= 2
		}
	}
}

// probe is a message that the agent cannot read at its turn.
func probe(number int64, t wire.PayloadType) []byte {
	m := wire.Message{Type: wire.Input, Created: time.Now(), Number: number, ID: wire.NewID(), PayloadType: t, Payload: []byte("!")}
	return m.Append(nil)
}

// settle waits until each message from the given number on is acknowledged, or
// was sent so often that it will not be. It reports whether none ever was.
func (s *Session) settle(ctx context.Context, from int64) (silent bool, err error) {
	l := s.link
	poll := time.NewTicker(probePoll)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
		case <-l.ended:
			return false, l.over()
		case <-ctx.Done():
			return false, ctx.Err()
		}
		l.mu.Lock()
		settled := l.window.settled(from, time.Now())
		silent = l.window.highestAcked < 0
		l.mu.Unlock()
		if settled {
			return silent, nil
		}
	}
}

// settled reports whether each message from the given number on is acknowledged,
// or was sent often enough. One below an acknowledged one is repeated at once; if
// none is acknowledged only the first is repeated, and stands for all.
func (w *window) settled(from int64, now time.Time) bool {
	for _, f := range w.all.frames[w.all.head:] {
		if f == nil || f.done || f.number < from {
			continue
		}
		if f.repeats < probeRepeats || now.Sub(f.sent) < w.rtt.timeout() {
			return false
		}
		if f.number == from && w.highestAcked < from {
			return true
		}
	}
	return true
}

// checkShell sends what a shell cannot read, and everything else passes over.
func (s *Session) checkShell(ctx context.Context, expected int64) error {
	l := s.link
	l.mu.Lock()
	l.window.add(expected, probe(expected, wire.Size))
	l.nudge()
	reacks := l.window.reacks
	l.mu.Unlock()
	if _, err := s.settle(ctx, expected); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, open := l.window.pending[expected]; !open {
		return errNoShell
	}
	l.restartAt(expected, reacks)
	return nil
}

// restartAt forgets all that was sent, and numbers anew. With mu held.
func (l *link) restartAt(number int64, reacks bool) {
	w := newWindow()
	w.next, w.rtt, w.repeats, w.reacks = number, l.window.rtt, l.window.repeats, reacks
	l.window = w
}

// adopt begins with the lowest of the messages that have come; with the next one
// that comes if there is none. With mu held.
func (l *link) adopt() {
	b := &l.inbox
	b.adopting = false
	if !b.seen {
		b.unknown, l.adopted = true, time.Now()
		return
	}
	b.seen = false
	b.next = b.lowest - 1
	for e, ok := b.advance(); ok; e, ok = b.advance() {
		l.stats.Received++
		l.receiver.deliver(e.Message, e.frame)
	}
}

// adoptLater waits again for what the agent repeats, since what came before the
// first output may have been lost with a channel. With mu held.
func (l *link) adoptLater() {
	l.inbox.adopting, l.inbox.unknown = true, false
	begun := time.Now()
	var again func()
	again = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.inbox.adopting {
			return
		}
		if wait := l.adoptIn(begun); wait > 0 {
			time.AfterFunc(wait, again)
			return
		}
		l.adopt()
	}
	time.AfterFunc(l.adoptIn(begun), again)
}
