package datachannel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// closeTimeout is how long Close waits for the agent.
const closeTimeout = 2 * time.Second

// A Type is what a session runs, as the session's document says it.
type Type string

const (
	Shell                  Type = "Standard_Stream"
	InteractiveCommands    Type = "InteractiveCommands"
	NonInteractiveCommands Type = "NonInteractiveCommands"
	Port                   Type = "Port"
)

// A Session is a Session Manager session, held until it ends, is left, or its
// ctx ends: while the network is away Read waits, and Write until
// Options.Window is full. Nothing is lost, and nothing comes twice.
//
// Its methods are safe for one reader and many writers.
type Session struct {
	link *link

	// Set when Open or Attach returns:
	kind         Type
	agentVersion string
	message      string
	properties   map[string]string
	ports        *ports // of type Port

	writing   sync.Mutex // held by Write, so that two do not mix
	handshake chan wire.Message
	started   chan struct{} // closed at the first output
	startOnce sync.Once

	// With link.mu held:
	keys     *dataKeys // nil: not encrypted
	output   []chunk
	exitCode int // -1: not told
	size     wire.TerminalSize
}

// A chunk is output that was not read yet.
type chunk struct {
	stderr bool
	data   []byte
	cost   int
}

// Open opens a session that was just started: first is what StartSession
// answered, or [ssmresume.NewOutput] of it. It returns when the agent is ready
// for input, so that none is thrown away: when the agent has shaken hands or
// sent its first output, or has been silent for 10 s, as a command is that waits
// for input.
//
// The session is held until ctx ends, and is left then, as a client that is gone
// leaves it. The error says whether the handshake was
// refused ([EndedError] where the session has ended meanwhile), and a session
// that asks for encryption is refused without Options.DataKeys.
func Open(ctx context.Context, client *ssmresume.Client, first *ssmresume.ResumeSessionOutput, optFns ...func(*Options)) (*Session, error) {
	if first == nil {
		return nil, errors.New("datachannel: first is nil: Open needs what StartSession answered")
	}
	o := newOptions(optFns)
	if o.State != nil {
		return nil, errors.New("datachannel: Options.State is for Attach")
	}
	s, err := newSession(client, first.SessionID, first, o)
	if err != nil {
		return nil, fmt.Errorf("datachannel: %w", err)
	}
	if err := s.begin(ctx, s.shakeHands); err != nil {
		return nil, fmt.Errorf("datachannel: open session %q: %w", first.SessionID, err)
	}
	return s, nil
}

func newSession(client *ssmresume.Client, sessionID string, first *ssmresume.ResumeSessionOutput, o Options) (*Session, error) {
	l, err := newLink(client, sessionID, first, o)
	if err != nil {
		return nil, err
	}
	s := &Session{
		link:      l,
		kind:      Shell,
		handshake: make(chan wire.Message, 4),
		started:   make(chan struct{}),
		exitCode:  -1,
	}
	l.receiver, l.autoAck = s, true
	return s, nil
}

// begin opens the first channel and does what comes before the first input.
func (s *Session) begin(ctx context.Context, first func(context.Context) error) error {
	if err := s.link.start(ctx); err != nil {
		return err
	}
	err := first(ctx)
	if err == nil && s.kind == Port {
		err = s.openPorts()
	}
	if err != nil {
		s.link.close(err)
	}
	return err
}

// ID returns the session's ID.
func (s *Session) ID() string { return s.link.sessionID }

// Type returns what the session runs. A session without a handshake, and one
// that was attached to without State, counts as a Shell.
func (s *Session) Type() Type { return s.kind }

// AgentVersion returns the version of the node's agent, such as "3.3.1142.0";
// empty where the agent did not tell.
func (s *Session) AgentVersion() string { return s.agentVersion }

// CustomerMessage returns what the agent has to say to the user at the start,
// such as that the session is encrypted; often empty.
func (s *Session) CustomerMessage() string { return s.message }

// Properties returns what the agent says of a session of type Port, by the names
// of the session's document, such as "portNumber" and "localPortNumber".
func (s *Session) Properties() map[string]string { return s.properties }

// Read reads the session's output. It waits however long the channel is away,
// and returns io.EOF when the session has ended and all is read; [Session.Wait]
// says how. It returns io.ErrUnexpectedEOF if the session ended before all of
// its output had come, net.ErrClosed after Close or Detach, and otherwise what
// made resuming impossible.
func (s *Session) Read(p []byte) (int, error) {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	return s.read(p)
}

// read is Read with link.mu held.
func (s *Session) read(p []byte) (int, error) {
	l := s.link
	for n := 0; ; {
		if len(s.output) == 0 {
			switch {
			case n > 0:
				return n, nil
			case l.err != nil:
				return 0, s.readError()
			}
			l.readable.Wait()
			continue
		}
		c := &s.output[0]
		if stderr := l.options.Stderr; c.stderr && stderr != nil {
			if n > 0 {
				return n, nil // in order
			}
			data := c.data
			s.pop()
			l.mu.Unlock()
			_, err := stderr.Write(data)
			l.mu.Lock()
			if err != nil {
				return 0, fmt.Errorf("datachannel: write to Options.Stderr: %w", err)
			}
			continue
		}
		copied := copy(p[n:], c.data)
		n += copied
		if c.data = c.data[copied:]; len(c.data) > 0 {
			return n, nil
		}
		s.pop()
	}
}

// pop lets go of the first chunk.
func (s *Session) pop() {
	s.link.consumed(s.output[0].cost)
	s.output[0] = chunk{}
	if s.output = s.output[1:]; len(s.output) == 0 {
		s.output = nil
	}
}

func (s *Session) readError() error {
	err := s.link.err
	if ended := (*EndedError)(nil); err == io.EOF || errors.As(err, &ended) {
		if n := len(s.link.inbox.early); n > 0 {
			return fmt.Errorf("datachannel: the session ended before output was repeated that had been lost; %d messages after it are unread: %w", n, io.ErrUnexpectedEOF)
		}
		return io.EOF
	}
	return err
}

// Write sends input. It returns when all of p is kept to be sent, and sent again
// until the agent acknowledges it, which [Session.Flush] waits for. It blocks
// while Options.Window bytes are not acknowledged. Input goes to the agent as it
// is. A session of type Port that carries many connections has no input of its
// own: there Write is an error, and Read is not for use.
func (s *Session) Write(p []byte) (int, error) {
	if s.ports != nil && s.ports.mux != nil {
		return 0, errors.New("datachannel: this session carries many connections: use Dial or Forward")
	}
	return s.write(p)
}

func (s *Session) write(p []byte) (int, error) { return s.send(p, s.link.write) }

func (s *Session) send(p []byte, write func(wire.PayloadType, []byte) error) (n int, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	for n < len(p) {
		data := p[n:min(n+s.link.options.PayloadSize, len(p))]
		payload := data
		if s.keys != nil {
			payload = s.keys.encrypt(data)
		}
		if err := write(wire.Data, payload); err != nil {
			return n, err
		}
		n += len(data)
	}
	return n, nil
}

// Flush waits until the agent has acknowledged all that was written before.
func (s *Session) Flush(ctx context.Context) error { return s.link.flush(ctx) }

// Resize tells the agent the size of the user's terminal. A session of type Port
// has none: nothing is sent.
func (s *Session) Resize(columns, rows int) error {
	if columns <= 0 || rows <= 0 || columns > 1<<16 || rows > 1<<16 {
		return fmt.Errorf("datachannel: a terminal of %d columns and %d rows", columns, rows)
	}
	if s.kind == Port {
		return nil
	}
	size := wire.TerminalSize{Columns: uint32(columns), Rows: uint32(rows)}
	payload, err := json.Marshal(size)
	if err != nil {
		return err
	}
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	if size == s.size {
		return nil
	}
	s.size = size
	return s.link.enqueue(wire.Size, payload)
}

// Wait waits until the session has ended, and returns the exit code of its
// command, -1 where the agent told none, as for a shell. The error is nil if the
// command ended by itself, an [EndedError] if the session was ended from the
// other side, net.ErrClosed after Close or Detach, and otherwise what made
// resuming impossible. Read does not need to have returned io.EOF; output
// can be read after Wait.
func (s *Session) Wait() (exitCode int, err error) {
	<-s.link.ended
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	err = s.link.err
	if err == io.EOF || s.exitCode >= 0 && errors.Is(err, ssmresume.ErrSessionGone) {
		err = nil
	}
	return s.exitCode, err
}

// Close ends the session, as far as a client can: it asks the agent to, waits up
// to 2 s for the acknowledgement, and closes the channel. A port's session ends
// by that; a shell goes on until "exit" is typed in it, the service's
// TerminateSession is called, or nobody has come back for as long as the
// account's preferences say (20 minutes by default). The error is nil if the
// agent has acknowledged, or if the session had ended before.
func (s *Session) Close() error {
	err := s.terminate()
	s.link.close(errClosed)
	return err
}

func (s *Session) terminate() error {
	s.link.mu.Lock()
	err := s.link.enqueue(wire.Flag, wire.AppendFlag(nil, wire.TerminateSession))
	s.link.mu.Unlock()
	if err != nil {
		return nil // it has ended already
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := s.link.flush(ctx); ctx.Err() != nil {
		return fmt.Errorf("datachannel: the agent has not acknowledged the end of session %q: it may go on: %w", s.link.sessionID, err)
	}
	return nil
}

// Stats returns what the session has cost so far.
func (s *Session) Stats() Stats { return s.link.snapshot() }

// Format prints the session's ID, and nothing of what is typed and read.
func (s *Session) Format(w fmt.State, _ rune) { io.WriteString(w, "session "+s.link.sessionID) }

// deliver takes a message from the link, whose mu is held.
func (s *Session) deliver(m wire.Message, _ []byte) {
	if m.Type != wire.Output {
		return
	}
	switch m.PayloadType {
	case wire.HandshakeRequest, wire.HandshakeComplete, wire.EncChallengeRequest:
		m.Payload = bytes.Clone(m.Payload)
		select {
		case s.handshake <- m:
		default: // nobody shakes hands so often
		}
	case wire.Data, wire.StdErr:
		s.deliverOutput(m)
	case wire.ExitCode:
		s.deliverExitCode(m)
	case wire.Flag:
		if flag, err := wire.ParseFlag(m.Payload); err == nil && flag == wire.ConnectToPortError && s.ports != nil {
			s.ports.refuse()
		}
	default:
		s.link.options.Logger.Warn("datachannel: output of an unknown kind is passed over", slog.String("session", s.link.sessionID), slog.Uint64("payload type", uint64(m.PayloadType)))
	}
}

// repeat takes a message that has come before.
func (s *Session) repeat(m wire.Message, _ []byte) { s.link.acknowledge(m.ID, m.Number) }

func (s *Session) deliverOutput(m wire.Message) {
	data, err := s.decrypt(m.Payload)
	if err != nil {
		s.link.end(err)
		return
	}
	s.startOnce.Do(func() { close(s.started) })
	if len(data) == 0 || s.ports != nil && m.Number <= s.ports.stale {
		return
	}
	c := chunk{stderr: m.PayloadType == wire.StdErr, data: data, cost: cost(m)}
	s.output = append(s.output, c)
	s.link.unread += c.cost
	s.link.stats.BytesReceived += int64(len(data))
	s.link.readable.Signal()
}

func (s *Session) deliverExitCode(m wire.Message) {
	text, err := s.decrypt(m.Payload)
	if err != nil {
		s.link.end(err)
		return
	}
	code, found := strings.CutPrefix(string(text), "EXIT_CODE: ")
	if n, err := strconv.Atoi(strings.TrimSpace(code)); found && err == nil {
		s.exitCode = n
	}
}

// decrypt returns a copy of a payload, in the clear.
func (s *Session) decrypt(payload []byte) ([]byte, error) {
	if s.keys == nil {
		return bytes.Clone(payload), nil
	}
	data, err := s.keys.decrypt(payload)
	if err != nil {
		return nil, fmt.Errorf("output that the agent has not encrypted with the session's key: %w", err)
	}
	return data, nil
}
