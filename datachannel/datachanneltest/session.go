package datachanneltest

import (
	"encoding/json"
	"net"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// A Session is the handle of one session: what tests see of it, and the faults
// that they order. Its methods are safe for concurrent use.
type Session struct {
	server   *Server
	id       string
	options  Options
	agent    *agent
	toAgent  *line
	toClient *line
	done     chan struct{} // the session has ended
	closed   chan struct{} // the server is closed
	wg       sync.WaitGroup
	late     [2]*parcel // by direction; each belongs to its line's goroutine

	mu      sync.Mutex
	client  *channel // nil while none is there
	epoch   int64    // goes up when a client comes or goes
	opened  int
	clients []string // their IDs
	started bool
	away    bool // the agent's channel is gone
	ended   bool
	closing bool // with the server
	filter  func(Message) Action
	pending [2][]parcel // by direction, with KeepUndelivered
}

// channel is a client's WebSocket.
type channel struct {
	ws  *websocket.Conn
	raw net.Conn // under it
}

// Indices of late and pending.
const (
	fromClient = iota
	fromAgent
)

func newSession(server *Server, o Options) *Session {
	s := &Session{server: server, id: o.SessionID, options: o, done: make(chan struct{}), closed: make(chan struct{})}
	s.toAgent, s.toClient = newLine(toAgentRoom, s.deliverToAgent), newLine(toClientRoom, s.deliverToClient)
	s.agent = newAgent(o, s.id)
	s.agent.room = s.toClient.waitRoom
	s.agent.transmit = s.fromAgent
	s.agent.done = s.agentDone
	s.wg.Go(func() { s.toAgent.run(s.closed) })
	s.wg.Go(func() { s.toClient.run(s.closed) })
	return s
}

// ID returns the session's ID.
func (s *Session) ID() string { return s.id }

// Done is closed when the session has ended, for whatever reason.
func (s *Session) Done() <-chan struct{} { return s.done }

// Stats is a snapshot of a session.
type Stats struct {
	Opened    int      // channels that clients opened
	ClientIDs []string // of these channels
	Connected bool     // a client's channel is open

	NextInput      int64 // the number of the input that the agent expects
	OutOfOrder     int   // inputs above it that the agent keeps
	NextOutput     int64 // the number of the agent's next output
	Unacknowledged int   // outputs that the agent keeps until they are acknowledged
	Repeats        int   // outputs that the agent has sent again
	Paused         bool  // the agent reads nothing and repeats nothing until a client is back
}

// Stats returns what is the case now.
func (s *Session) Stats() Stats {
	s.mu.Lock()
	st := Stats{Opened: s.opened, ClientIDs: append([]string(nil), s.clients...), Connected: s.client != nil}
	s.mu.Unlock()
	a := s.agent
	a.mu.Lock()
	defer a.mu.Unlock()
	st.NextInput, st.OutOfOrder = a.expected, len(a.kept)
	st.NextOutput, st.Unacknowledged, st.Repeats, st.Paused = a.next, a.live, a.repeats, a.paused
	return st
}

// SetFilter sets a function that is told every message on its way, and says what
// becomes of it. The messages of one direction come one at a time, in order. Nil
// delivers all.
func (s *Session) SetFilter(filter func(Message) Action) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filter = filter
}

// SetRoundTrip sets how long a message and its acknowledgement are on their way.
// It does not limit how much is. Handshakes, pings and calls take no longer.
func (s *Session) SetRoundTrip(d time.Duration) {
	s.toAgent.setDelay(d / 2)
	s.toClient.setDelay(d - d/2)
}

// CloseChannel closes the client's channel with a status and a reason. AWS does
// so with 1000 and "Bye" about once an hour.
func (s *Session) CloseChannel(code int, reason string) {
	if ch := s.dropClient(nil, true); ch != nil {
		s.inBackground(func() { ch.ws.Close(websocket.StatusCode(code), reason) })
	}
}

// inBackground runs f, which blocks for some seconds at most.
func (s *Session) inBackground(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.wg.Go(f)
	}
}

// Cut ends the client's channel with a TCP reset, where there is TCP.
func (s *Session) Cut() {
	if ch := s.dropClient(nil, true); ch != nil {
		ch.cut()
	}
}

func (ch *channel) cut() {
	conn := ch.raw
	for {
		if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
			conn = wrapped.NetConn()
			continue
		}
		break
	}
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
	ch.ws.CloseNow()
}

// DisconnectAgent takes away the agent's own channel. The session lives on, as
// where an agent's network is gone.
func (s *Session) DisconnectAgent() { s.setAway(true) }

// ReconnectAgent gives the agent a new channel.
func (s *Session) ReconnectAgent() { s.setAway(false) }

func (s *Session) setAway(away bool) {
	s.mu.Lock()
	change := s.away != away && !s.ended
	if change {
		s.away = away
	}
	s.mu.Unlock()
	if !change {
		return
	}
	s.agent.setAway(away)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return
	}
	if away {
		s.tellClient(wire.PausePublication, nil)
		return
	}
	s.tellAgent(wire.StartPublication)
	s.tellClient(wire.StartPublication, nil)
}

// Terminate ends the session from outside, as TerminateSession or a timeout does.
// Client and agent are told with channel_closed; output is what the client prints.
func (s *Session) Terminate(output string) {
	if !s.end() {
		return
	}
	s.mu.Lock()
	s.tellClient(wire.ChannelClosed, s.closedPayload(output))
	s.mu.Unlock()
	s.agent.stop()
}

// agentDone is what the agent's end means to the service.
func (s *Session) agentDone(told bool, output string) {
	if !s.end() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if told {
		s.tellClient(wire.ChannelClosed, s.closedPayload(output))
	}
	s.tellClient(wire.PausePublication, nil)
}

// end makes the session one that is gone. It returns false if it was.
func (s *Session) end() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.ended = true
	s.server.Server.Terminate(s.id) // at the endpoint
	close(s.done)
	return true
}

func (s *Session) closedPayload(output string) []byte {
	payload, _ := json.Marshal(wire.Closed{
		MessageType:   string(wire.ChannelClosed),
		MessageID:     wire.FormatID(wire.NewID()),
		DestinationID: s.options.TargetID,
		SessionID:     s.id,
		SchemaVersion: 1,
		CreatedDate:   time.Now().UTC().Format(time.RFC3339),
		Output:        output,
	})
	return payload
}

// close ends everything; wait waits for it.
func (s *Session) close() {
	s.end()
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	if ch := s.dropClient(nil, false); ch != nil {
		ch.ws.CloseNow()
	}
	s.toAgent.close()
	s.toClient.close()
	s.agent.stop()
	close(s.closed)
}

func (s *Session) wait() {
	s.wg.Wait()
	s.agent.wg.Wait()
}

// open makes ch the client's channel, in place of any other.
func (s *Session) open(ch *channel, clientID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	old := s.client
	s.client = ch
	s.epoch++
	s.opened++
	s.clients = append(s.clients, clientID)
	if old != nil && !s.closing {
		s.wg.Go(func() { old.ws.CloseNow() })
	}
	if !s.started {
		s.started = true
		s.agent.start()
	}
	if !s.away {
		s.tellAgent(wire.StartPublication)
		s.tellClient(wire.StartPublication, nil)
	}
	return true
}

// dropClient takes away ch, or whatever channel there is if ch is nil.
func (s *Session) dropClient(ch *channel, tell bool) *channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil || ch != nil && s.client != ch {
		return nil
	}
	ch = s.client
	s.client = nil
	s.epoch++
	if tell {
		s.tellAgent(wire.PausePublication)
	}
	return ch
}

// tellAgent sends a message of the service's own, in the order of all others.
func (s *Session) tellAgent(t wire.Type) {
	m := wire.Message{Type: t, Created: time.Now(), ID: wire.NewID(), Payload: []byte("{}")}
	s.toAgent.push(parcel{frame: m.Append(nil), message: m})
}

// tellClient is tellAgent for the client. s.mu is held.
func (s *Session) tellClient(t wire.Type, payload []byte) {
	if payload == nil {
		payload = []byte("{}")
	}
	m := wire.Message{Type: t, Created: time.Now(), ID: wire.NewID(), Payload: payload}
	s.toClient.push(parcel{frame: m.Append(nil), message: m, epoch: s.epoch})
}

// fromAgent takes a message of the agent's, which holds its lock.
func (s *Session) fromAgent(frame []byte, m wire.Message) {
	if m.Type == wire.SessionState {
		return // the service keeps it
	}
	s.mu.Lock()
	epoch := s.epoch
	s.mu.Unlock()
	s.toClient.push(parcel{frame: frame, message: m, epoch: epoch})
}

func (s *Session) deliverToClient(p parcel) { s.filtered(Agent, p, s.toClientNow) }
func (s *Session) deliverToAgent(p parcel)  { s.filtered(Client, p, s.toAgentNow) }

// filtered delivers p as the filter says.
func (s *Session) filtered(from Side, p parcel, deliver func(parcel)) {
	s.mu.Lock()
	filter := s.filter
	s.mu.Unlock()
	action := Deliver
	if filter != nil {
		if m, ok := view(from, &p.message); ok {
			action = filter(m)
		}
	}
	late := &s.late[from-Client]
	switch action {
	case Drop:
		return
	case Late:
		if *late == nil {
			*late = &p
			return
		}
	case Twice:
		deliver(p)
	}
	deliver(p)
	if held := *late; held != nil {
		*late = nil
		deliver(*held)
	}
}

func (s *Session) toClientNow(p parcel) {
	s.mu.Lock()
	ch, keep := s.client, s.options.KeepUndelivered
	if ch == nil || p.epoch != s.epoch && !keep {
		if keep && p.message.Type == wire.Output {
			s.pending[fromAgent] = append(s.pending[fromAgent], p)
		}
		s.mu.Unlock()
		return
	}
	kept := s.pending[fromAgent]
	s.pending[fromAgent] = nil
	s.mu.Unlock()
	for _, p := range append(kept, p) {
		if ch.write(p.frame) != nil {
			ch.ws.CloseNow() // its reader takes note
			return
		}
	}
}

func (s *Session) toAgentNow(p parcel) {
	s.mu.Lock()
	if s.away {
		if s.options.KeepUndelivered && p.message.Type == wire.Input {
			s.pending[fromClient] = append(s.pending[fromClient], p)
		}
		s.mu.Unlock()
		return
	}
	kept := s.pending[fromClient]
	s.pending[fromClient] = nil
	ended := s.ended
	s.mu.Unlock()
	if ended {
		return
	}
	for _, p := range kept {
		s.agent.receive(p.message)
	}
	s.agent.receive(p.message)
}
