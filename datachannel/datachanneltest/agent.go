package datachanneltest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// The agent's constants, as its public sources have them.
const (
	outputSize      = 1024    // bytes of data in a message
	maxUnacked      = 100_000 // messages sent and kept; those beyond are sent once and forgotten
	maxOutOfOrder   = 100_000 // messages kept above the expected number
	tick            = 100 * time.Millisecond
	firstRTO        = 200 * time.Millisecond
	firstSRTT       = 100 * time.Millisecond
	maxRTO          = time.Second
	minVariation    = 10 * time.Millisecond
	handshakeLimit  = 15 * time.Second
	endLimit        = 2 * time.Second // how long a command that has ended waits for acknowledgements
	reacksFrom      = "3.2.1041.0"    // the first agent that acknowledges a duplicate again
	muxAgentAbove   = "3.0.196.0"
	muxClientFrom   = "1.1.70"
	defaultAgent    = "3.3.1142.0"
	kmsGreeting     = "This session is encrypted using AWS KMS."
	stateConnected  = "Connected"
	stateTerminated = "Terminating"
)

// An agent is the session code of one session on the managed node.
type agent struct {
	options   Options
	sessionID string
	started   time.Time
	transmit  func(frame []byte, m wire.Message) // to the gateway; does not block
	room      func()                             // blocks while the gateway takes no more
	done      func(told bool, output string)     // the session has ended; told: the service is told so
	reacks    bool                               // it acknowledges a duplicate again

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	responses  chan wire.Response // of the handshake; nobody reads it later on, as in the real agent
	challenges chan wire.Challenge

	mu      sync.Mutex
	changed *sync.Cond // paused, ended, or nothing unacknowledged
	handler handler    // nil until the handshake is complete
	keys    *sessionKeys
	client  string // its version, of the handshake
	paused  bool
	away    bool // its own channel is gone
	ended   bool
	silent  bool // it ended without telling the service

	expected int64 // the number of the next input
	kept     map[int64]wire.Message

	next    int64 // the number of the next output
	unacked []*sent
	live    int // of unacked, those not acknowledged
	spoke   bool
	srtt    time.Duration
	rttvar  time.Duration
	rto     time.Duration
	timer   *time.Timer // of the next tick; nil if there is nothing to look at
	repeats int
}

// sent is a numbered message of the agent's.
type sent struct {
	number  int64
	frame   []byte
	message wire.Message
	at      time.Time // last
	acked   bool
}

// A handler is what input reaches. An error leaves the input unacknowledged.
type handler interface {
	data(p []byte) error
	size(p []byte) error
	flag(p []byte) error
	// run returns when the session is over, with what the service is told of it.
	run() error
	// interrupt makes data and run return.
	interrupt()
}

var (
	errEnded     = errors.New("the session has ended")
	errNotReady  = errors.New("the port is not there yet")
	errTerminate = errors.New("the client ends the session, and is acknowledged")
	errHangUp    = errors.New("the client ends the session")
)

func newAgent(o Options, sessionID string) *agent {
	ctx, cancel := context.WithCancel(context.Background())
	a := &agent{
		options:    o,
		sessionID:  sessionID,
		reacks:     versionAtLeast(o.AgentVersion, reacksFrom),
		ctx:        ctx,
		cancel:     cancel,
		responses:  make(chan wire.Response),
		challenges: make(chan wire.Challenge),
		kept:       map[int64]wire.Message{},
		srtt:       firstSRTT,
		rto:        firstRTO,
	}
	a.changed = sync.NewCond(&a.mu)
	return a
}

// start runs the session.
func (a *agent) start() {
	a.started = time.Now()
	a.wg.Go(func() {
		err := a.run()
		if err == nil {
			a.drain()
		}
		a.stop()
		a.mu.Lock()
		told := !a.silent
		a.mu.Unlock()
		if err != nil && !errors.Is(err, errEnded) {
			a.done(told, err.Error())
		} else {
			a.done(told, "")
		}
	})
}

// stop ends what runs in the session.
func (a *agent) stop() {
	a.cancel()
	a.mu.Lock()
	h := a.handler
	a.ended = true
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	a.changed.Broadcast()
	a.mu.Unlock()
	if h != nil {
		h.interrupt()
	}
}

func (a *agent) run() error {
	a.tell(stateConnected)
	if !a.needsHandshake() {
		h := a.newHandler()
		if !a.begin(h, nil) {
			return errEnded
		}
		return h.run()
	}
	h, err := a.handshake()
	if err != nil {
		return err
	}
	return h.run()
}

// begin lets input reach h. It returns false if the session has ended.
func (a *agent) begin(h handler, keys *sessionKeys) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handler, a.keys = h, keys
	return !a.ended
}

func (a *agent) newHandler() handler {
	switch {
	case a.options.Dial == nil:
		return newCommand(a)
	case a.mux():
		return newMuxPort(a)
	}
	return newBasicPort(a)
}

// receive handles one message of the gateway's. It is the agent's one reader:
// while it blocks, nothing else is read.
func (a *agent) receive(m wire.Message) {
	switch m.Type {
	case wire.StartPublication:
		a.pause(false)
	case wire.PausePublication:
		a.pause(true)
	case wire.ChannelClosed:
		a.stop()
	case wire.Acknowledge:
		a.pause(false)
		if number, err := wire.ParseAcknowledgement(m.Payload); err == nil {
			a.acknowledged(number)
		}
	case wire.Input:
		a.pause(false)
		a.room() // for the acknowledgement
		a.input(m)
	}
}

func (a *agent) pause(paused bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.paused == paused {
		return
	}
	a.paused = paused
	a.arm()
	a.changed.Broadcast()
}

// input handles a numbered message. What is above the expected number is
// acknowledged and kept, what is below was handled before.
func (a *agent) input(m wire.Message) {
	a.mu.Lock()
	expected := a.expected
	a.mu.Unlock()
	switch {
	case m.Number > expected:
		if _, kept := a.kept[m.Number]; kept || len(a.kept) < maxOutOfOrder {
			a.mu.Lock()
			a.kept[m.Number] = m
			a.mu.Unlock()
			a.acknowledge(m)
		}
	case m.Number < expected:
		if a.reacks {
			a.acknowledge(m)
		}
	default:
		switch err := a.process(m); err {
		case nil:
		case errTerminate:
			a.acknowledge(m)
			a.hangUp()
			return
		case errHangUp:
			a.hangUp()
			return
		default:
			return
		}
		a.acknowledge(m)
		for a.advance(&m) {
			if err := a.process(m); err != nil {
				if err == errTerminate || err == errHangUp {
					a.hangUp()
				}
				return
			}
		}
	}
}

// hangUp ends the session without a word to the service.
func (a *agent) hangUp() {
	a.mu.Lock()
	a.silent = true
	a.mu.Unlock()
	a.stop()
}

// advance goes on to the next number and returns whether its message is kept.
func (a *agent) advance(m *wire.Message) (kept bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expected++
	*m, kept = a.kept[a.expected]
	delete(a.kept, a.expected)
	return kept
}

// process does what a numbered message asks for.
func (a *agent) process(m wire.Message) error {
	a.mu.Lock()
	h, keys := a.handler, a.keys
	a.mu.Unlock()
	switch m.PayloadType {
	case wire.HandshakeResponse:
		var r wire.Response
		if err := json.Unmarshal(m.Payload, &r); err != nil {
			return err
		}
		return hand(a.ctx, a.responses, r)
	case wire.EncChallengeResponse:
		var c wire.Challenge
		if err := json.Unmarshal(m.Payload, &c); err != nil {
			return err
		}
		return hand(a.ctx, a.challenges, c)
	}
	if h == nil {
		return nil // too early: acknowledged and thrown away
	}
	switch m.PayloadType {
	case wire.Data:
		p := m.Payload
		if keys != nil {
			var err error
			if p, err = keys.open(p); err != nil {
				return err
			}
		}
		return h.data(p)
	case wire.Size:
		return h.size(m.Payload)
	case wire.Flag:
		return h.flag(m.Payload)
	}
	return nil
}

// hand blocks until somebody takes v, which after the handshake nobody does.
func hand[T any](ctx context.Context, to chan<- T, v T) error {
	select {
	case to <- v:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *agent) acknowledge(m wire.Message) {
	frame := wire.AppendAcknowledgement(nil, m.Type, m.ID, m.Number)
	ack, err := wire.ParseUnverified(frame)
	if err != nil {
		panic(err) // it was made here
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.emit(frame, ack)
}

// emit sends a message, if there is a channel. a.mu is held, which keeps the
// order of numbers.
func (a *agent) emit(frame []byte, m wire.Message) {
	if !a.away && !a.ended {
		a.transmit(frame, m)
	}
}

// output numbers and sends a message.
func (a *agent) output(t wire.PayloadType, payload []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return
	}
	if a.keys != nil && (t == wire.Data || t == wire.StdErr || t == wire.ExitCode) {
		payload = a.keys.seal(payload)
	}
	m := wire.Message{Type: wire.Output, Created: time.Now(), Number: a.next, ID: wire.NewID(), PayloadType: t, Payload: payload}
	if m.Number == 0 {
		m.Flags = wire.SYN
	}
	frame := m.Append(make([]byte, 0, wire.Overhead+len(payload)))
	m.Payload = frame[wire.Overhead:]
	a.next++
	a.spoke = true
	if a.live < maxUnacked {
		a.unacked = append(a.unacked, &sent{number: m.Number, frame: frame, message: m, at: m.Created})
		a.live++
		a.arm()
	}
	if !a.paused { // else it is only kept
		a.emit(frame, m)
	}
}

// tell sends agent_session_state.
func (a *agent) tell(state string) {
	payload, _ := json.Marshal(struct {
		SchemaVersion int
		SessionState  string
		SessionId     string
	}{1, state, a.sessionID})
	m := wire.Message{Type: wire.SessionState, Created: time.Now(), Flags: wire.SYN | wire.FIN, ID: wire.NewID(), Payload: payload}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.emit(m.Append(nil), m)
}

// acknowledged takes a message out of what is repeated, and learns from how long
// it took. The real agent also learns from messages that were repeated.
func (a *agent) acknowledged(number int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i, found := slices.BinarySearchFunc(a.unacked, number, func(s *sent, n int64) int { return cmp.Compare(s.number, n) })
	if !found || a.unacked[i].acked {
		return
	}
	sample := time.Since(a.unacked[i].at)
	a.rttvar += ((a.srtt - sample).Abs() - a.rttvar) / 4
	a.srtt += (sample - a.srtt) / 8
	a.rto = min(a.srtt+max(minVariation, 4*a.rttvar), maxRTO)
	a.unacked[i].acked = true
	a.unacked[i].frame = nil
	a.live--
	for len(a.unacked) > 0 && a.unacked[0].acked {
		a.unacked[0] = nil
		a.unacked = a.unacked[1:]
	}
	if a.live == 0 {
		a.unacked = nil
		a.changed.Broadcast()
	}
}

// arm sets the timer for the next look at the front of what is not acknowledged.
// The real agent looks every 100 ms; here there is no timer while there is
// nothing to repeat. a.mu is held.
func (a *agent) arm() {
	if a.timer != nil || a.live == 0 || a.paused || a.ended {
		return
	}
	a.timer = time.AfterFunc(tick-time.Since(a.started)%tick, a.look)
}

// look repeats the oldest message that is not acknowledged, if its time has come.
func (a *agent) look() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer == nil {
		return
	}
	a.timer = nil
	if a.live == 0 || a.paused || a.ended {
		return
	}
	if front := a.unacked[0]; time.Since(front.at) > a.rto {
		front.at = time.Now()
		a.repeats++
		a.emit(front.frame, front.message)
	}
	a.arm()
}

// drain waits until all is acknowledged, but not long.
func (a *agent) drain() {
	timer := time.AfterFunc(endLimit, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.live = 0
		a.unacked = nil
		a.changed.Broadcast()
	})
	defer timer.Stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.live > 0 && !a.ended {
		a.changed.Wait()
	}
}

// pump sends what r gives until its end. While the agent is paused it reads
// nothing.
func (a *agent) pump(r *pipe, t wire.PayloadType, whole bool) error {
	buf := make([]byte, outputSize)
	held := 0 // bytes of buf that are the beginning of a character
	for {
		if err := a.waitUnpaused(); err != nil {
			return err
		}
		a.room()
		n, err := r.Read(buf[held:])
		n += held
		held = 0
		if whole && err == nil {
			held = incomplete(buf[:n])
		}
		if n > held {
			a.output(t, slices.Clone(buf[:n-held]))
			copy(buf, buf[n-held:n])
		}
		if err != nil {
			return nil
		}
		a.rest()
	}
}

// rest sleeps after a message of output, if it is to.
func (a *agent) rest() {
	if d := a.options.OutputPause; d > 0 {
		time.Sleep(d)
	}
}

func (a *agent) waitUnpaused() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.paused && a.options.SeparateOutput {
		return errors.New("the output ended while no client was there")
	}
	for a.paused && !a.ended {
		a.changed.Wait()
	}
	if a.ended {
		return errEnded
	}
	return nil
}

// setAway takes the agent's own channel away, or gives it a new one.
func (a *agent) setAway(away bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = away
	if !away {
		a.paused = false
		a.arm()
		a.changed.Broadcast()
	}
}

func (a *agent) hasSpoken() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.spoke
}

// incomplete returns how many bytes at the end of b begin a character of UTF-8
// that is cut off.
func incomplete(b []byte) int {
	for n := 1; n <= min(3, len(b)); n++ {
		switch c := b[len(b)-n]; {
		case c&0xc0 == 0x80: // goes on
		case c&0xe0 == 0xc0 && n < 2, c&0xf0 == 0xe0 && n < 3, c&0xf8 == 0xf0 && n < 4:
			return n
		default:
			return 0
		}
	}
	return 0
}

// versionAtLeast compares versions such as "3.2.1041.0"; a missing part is 0.
func versionAtLeast(version, least string) bool {
	return slices.Compare(versionParts(version), versionParts(least)) >= 0
}

func versionParts(v string) []int {
	parts := make([]int, 4)
	fmt.Sscanf(v, "%d.%d.%d.%d", &parts[0], &parts[1], &parts[2], &parts[3])
	return parts
}
