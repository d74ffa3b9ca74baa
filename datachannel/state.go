package datachannel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"slices"

	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

const redacted = "[redacted]"

// A State is all that it takes to go on with a session exactly where it was
// left: the numbers of both directions, what the agent has not acknowledged,
// what was not read, and the keys of an encrypted session. It is a secret, and
// prints as "[redacted]". It is good for one [Attach], before anybody else
// attaches to the session.
type State struct {
	reveal func() savedState // a func: neither fmt nor reflection can read it
}

// savedState is what State.Reveal writes.
type savedState struct {
	Version        int // of this document
	SessionID      string
	ClientID       string
	Type           Type
	AgentVersion   string            `json:",omitempty"`
	Properties     map[string]string `json:",omitempty"`
	DataKey        []byte            `json:",omitempty"`
	NextInput      int64
	Unacknowledged [][]byte `json:",omitempty"` // messages, as they are sent
	NextOutput     int64
	AnyOutput      bool         `json:",omitempty"` // NextOutput is not known: there was no output yet
	Early          [][]byte     `json:",omitempty"` // messages that are acknowledged, and not yet read
	Unread         []savedChunk `json:",omitempty"`
}

type savedChunk struct {
	Stderr bool `json:",omitempty"`
	Data   []byte
}

// ParseState reads what [State.Reveal] returned.
func ParseState(data []byte) (State, error) {
	var saved savedState
	if err := json.Unmarshal(data, &saved); err != nil {
		return State{}, errors.New("datachannel: this is no State of a session") // not err: it may quote the keys
	}
	if saved.Version != 1 || saved.SessionID == "" || saved.NextInput < 0 || saved.NextOutput < 0 {
		return State{}, errors.New("datachannel: this is no State of a session, or one of a newer version")
	}
	return newState(saved), nil
}

func newState(saved savedState) State { return State{func() savedState { return saved }} }

// Reveal returns the state as JSON, to be kept where only its owner reads it.
func (s State) Reveal() ([]byte, error) {
	if s.reveal == nil {
		return nil, errors.New("datachannel: an empty State")
	}
	return json.Marshal(s.reveal())
}

// SessionID returns the ID of the session; empty of an empty State.
func (s State) SessionID() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal().SessionID
}

// String returns "[redacted]".
func (State) String() string { return redacted }

// Format prints "[redacted]", whatever the verb.
func (State) Format(w fmt.State, _ rune) { io.WriteString(w, redacted) }

// LogValue returns "[redacted]".
func (State) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]", in encoding/json and encoding/xml too.
func (State) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText fails: a State does not print itself. Use [ParseState].
func (*State) UnmarshalText([]byte) error { return errors.New("datachannel: use ParseState") }

// Detach leaves the session, to be attached to again by [Attach] with the State
// that it returns, or without. It waits until the agent has acknowledged what
// was written, but not longer than ctx, since State holds the rest; then it
// closes the channel. Acknowledgements come by the channel that output comes by,
// so where nobody reads and MaxBuffered is full, only ctx ends the wait. What was
// not read is in the State: Read returns net.ErrClosed from then on. After an
// error the session is as it was. A session of type Port that carries many
// connections cannot be left: they would end.
func (s *Session) Detach(ctx context.Context) (State, error) {
	if s.ports != nil && s.ports.mux != nil {
		return State{}, errors.New("datachannel: the connections of a session of type Port end with their program: it cannot be left")
	}
	if err := s.link.flush(ctx); err != nil && ctx.Err() == nil {
		return State{}, fmt.Errorf("datachannel: detach from session %q: %w", s.link.sessionID, err)
	}
	s.link.mu.Lock()
	if err := s.link.err; err != nil {
		s.link.mu.Unlock()
		return State{}, fmt.Errorf("datachannel: detach from session %q: %w", s.link.sessionID, err)
	}
	s.link.end(errClosed) // nothing is written, received or read after this
	state := newState(s.save())
	s.output = nil
	s.link.mu.Unlock()
	s.link.close(errClosed)
	return state, nil
}

// save returns the session's state. With link.mu held.
func (s *Session) save() savedState {
	l := s.link
	saved := savedState{
		Version:      1,
		SessionID:    l.sessionID,
		ClientID:     l.options.ClientID,
		Type:         s.kind,
		AgentVersion: s.agentVersion,
		Properties:   s.properties,
		NextInput:    l.window.next,
		NextOutput:   l.inbox.next,
		AnyOutput:    l.inbox.unknown,
	}
	if s.keys != nil {
		saved.DataKey = s.keys.plaintext
	}
	for _, f := range l.window.unacknowledged() {
		saved.Unacknowledged = append(saved.Unacknowledged, f.bytes)
	}
	for _, number := range slices.Sorted(maps.Keys(l.inbox.early)) {
		saved.Early = append(saved.Early, l.inbox.early[number].frame)
	}
	for _, c := range s.output {
		saved.Unread = append(saved.Unread, savedChunk{c.stderr, c.data})
	}
	return saved
}

// restore makes the session what it was when it was left.
func (s *Session) restore(saved savedState) error {
	l := s.link
	if saved.SessionID != l.sessionID {
		return fmt.Errorf("Options.State is of session %q", saved.SessionID)
	}
	s.kind, s.agentVersion, s.properties = saved.Type, saved.AgentVersion, saved.Properties
	if len(saved.DataKey) > 0 {
		keys, err := newDataKeys(saved.DataKey)
		if err != nil {
			return fmt.Errorf("Options.State: %w", err)
		}
		s.keys = keys
	}
	l.window.reacks = compareVersions(saved.AgentVersion, "3.2.1041.0") >= 0
	for _, frame := range saved.Unacknowledged {
		m, err := wire.Parse(frame)
		if err != nil || m.Type != wire.Input {
			return errors.New("Options.State: a message in it cannot be read")
		}
		l.window.add(m.Number, frame)
	}
	l.window.next = saved.NextInput
	l.inbox.next, l.inbox.unknown = saved.NextOutput, saved.AnyOutput
	for _, frame := range saved.Early {
		m, err := wire.Parse(frame)
		if err != nil || m.Type != wire.Output {
			return errors.New("Options.State: a message in it cannot be read")
		}
		l.inbox.put(m, frame, math.MaxInt) // it is acknowledged: none may be refused
	}
	for _, c := range saved.Unread {
		kept := chunk{c.Stderr, c.Data, len(c.Data) + 2*wire.Overhead}
		s.output = append(s.output, kept)
		l.unread += kept.cost
	}
	return nil
}
