package datachannel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/internal/recorded"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// A playback is what a client of a recorded session got, on each channel.
type playback struct {
	channels [][]recorded.Line
}

// playbacks splits a recording into its sessions: each has one agent.
func playbacks(t *testing.T, name string) []playback {
	t.Helper()
	lines, err := recorded.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	var all []playback
	agent := ""
	client := 0 // the channel that is open; 0: none
	for _, l := range lines {
		if l.From == "agent" && l.Text != "" {
			var open struct{ ClientId string }
			if err := json.Unmarshal([]byte(l.Text), &open); err != nil {
				t.Fatal(err)
			}
			if open.ClientId != agent {
				agent = open.ClientId
				all = append(all, playback{})
			}
		}
		if len(all) == 0 {
			continue
		}
		p := &all[len(all)-1]
		switch {
		case l.From == "client" && l.Note == "opened":
			client = l.Conn
			p.channels = append(p.channels, nil)
		case l.From == "client" && l.Note == "gone" && l.Conn == client:
			client = 0
		case client == 0 || l.Frame == nil || l.Dropped():
		case l.From == "agent" || l.From == "service>client":
			last := &p.channels[len(p.channels)-1]
			*last = append(*last, l)
		}
	}
	return all
}

// want is what the client must give its user: the data of each number once.
func (p playback) want(t *testing.T, keys *recordedKeys) string {
	t.Helper()
	data := map[int64]string{}
	for _, channel := range p.channels {
		for _, l := range channel {
			m, err := wire.Parse(l.Frame)
			if err != nil {
				t.Fatal(err)
			}
			if m.Type == wire.Output && (m.PayloadType == wire.Data || m.PayloadType == wire.StdErr) {
				data[m.Number] = string(keys.open(t, m.Payload))
			}
		}
	}
	var b strings.Builder
	for _, number := range slices.Sorted(maps.Keys(data)) {
		b.WriteString(data[number])
	}
	return b.String()
}

// A player is the gateway of one session.
type player struct {
	t        *testing.T
	playback playback
	mu       sync.Mutex
	opened   int
	acked    map[int64]bool
	inputs   map[int64][]byte // frames by number: a repeat must be the same
	answers  map[wire.PayloadType]chan struct{}
	played   chan struct{} // closed when all is acknowledged
	done     chan struct{} // closed at the test's end
}

func (p *player) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow()
	if kind, open, err := ws.Read(r.Context()); err != nil || kind != websocket.MessageText || !json.Valid(open) {
		p.t.Errorf("the first message: %v, %s, %v", kind, open, err)
	}
	p.mu.Lock()
	n := p.opened
	p.opened++
	p.mu.Unlock()
	go func() {
		for {
			_, frame, err := ws.Read(context.Background())
			if err != nil {
				return
			}
			p.take(frame)
		}
	}()
	if n >= len(p.playback.channels) {
		<-p.done
		return
	}
	numbers, closed := map[int64]bool{}, false
	for _, l := range p.playback.channels[n] {
		m, err := wire.Parse(l.Frame)
		if err != nil {
			p.t.Error(err)
		}
		if m.Type == wire.Output {
			numbers[m.Number] = true
		}
		closed = closed || m.Type == wire.ChannelClosed // which the agent's service sends when it has what it waits for
		switch m.PayloadType {
		case wire.EncChallengeRequest:
			<-p.answers[wire.HandshakeResponse]
		case wire.HandshakeComplete:
			if p.answers[wire.EncChallengeResponse] != nil {
				<-p.answers[wire.EncChallengeResponse]
			}
			<-p.answers[wire.HandshakeResponse]
		}
		if err := ws.Write(context.Background(), websocket.MessageBinary, l.Frame); err != nil {
			p.t.Errorf("channel %d: the client has ended: %v", n, err)
			return
		}
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		missing := 0
		for number := range numbers {
			if !p.acked[number] {
				missing++
			}
		}
		p.mu.Unlock()
		if missing == 0 || closed {
			break
		}
		if time.Now().After(deadline) {
			p.t.Errorf("channel %d: %d messages of the agent are not acknowledged", n, missing)
			break
		}
	}
	if n == len(p.playback.channels)-1 {
		close(p.played)
		<-p.done
	}
	ws.Close(websocket.StatusNormalClosure, "Bye")
}

func (p *player) take(frame []byte) {
	m, err := wire.Parse(frame)
	if err != nil {
		p.t.Errorf("the client sent what the agent cannot read: %v", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch m.Type {
	case wire.Acknowledge:
		number, err := wire.ParseAcknowledgement(m.Payload)
		if err != nil || m.Flags != wire.SYN|wire.FIN {
			p.t.Errorf("an acknowledgement %s, flags %d: %v", m.Payload, m.Flags, err)
		}
		p.acked[number] = true
	case wire.Input:
		if before, ok := p.inputs[m.Number]; ok && !bytes.Equal(before, frame) {
			p.t.Errorf("input %d is not the same when it is sent again", m.Number)
		}
		_, again := p.inputs[m.Number]
		p.inputs[m.Number] = bytes.Clone(frame)
		if answered := p.answers[m.PayloadType]; answered != nil && !again {
			close(answered) // a second answer under another number would block the agent, and panics here
		}
		switch m.PayloadType {
		case wire.HandshakeResponse:
			var r struct {
				ProcessedClientActions []struct{ ActionStatus wire.ActionStatus }
			}
			err := json.Unmarshal(m.Payload, &r)
			for _, action := range r.ProcessedClientActions {
				if action.ActionStatus != wire.ActionSuccess {
					err = fmt.Errorf("an action's status is %d", action.ActionStatus)
				}
			}
			if err != nil || m.Number != 0 || len(r.ProcessedClientActions) == 0 {
				p.t.Errorf("the handshake's answer, number %d: %s, %v", m.Number, m.Payload, err)
			}
		}
	default:
		p.t.Errorf("the client sent a message of type %s", m.Type)
	}
}

// recordedKeys are those of plugin-kms-real-agent: bytes 00 to 3f.
type recordedKeys struct{}

func (*recordedKeys) GenerateDataKey(context.Context, string, map[string]string) (plaintext, ciphertext []byte, err error) {
	plaintext = make([]byte, 64)
	for i := range plaintext {
		plaintext[i] = byte(i)
	}
	return plaintext, []byte("ciphertext of the 64 byte key"), nil
}

func (k *recordedKeys) open(t *testing.T, payload []byte) []byte {
	t.Helper()
	if k == nil {
		return payload
	}
	key, _, _ := k.GenerateDataKey(t.Context(), "", nil)
	data, err := aead(t, key[:32]).Open(nil, payload[:12], payload[12:], nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The client gets what a client of the real agent got, and must answer so that
// the agent would have gone on: acknowledge each message, answer the handshake
// once, and give its user all output in order and once.
func TestRecordings(t *testing.T) {
	for _, test := range []struct {
		name      string
		encrypted bool
	}{
		{"shell-real-agent", false},
		{"takeover-real-agent", false},
		{"plugin-20240924-shell-real-agent", false},
		{"plugin-20260401-shell-real-agent", false},
		{"commands-real-agent", false},
		{"plugin-20260401-newline", false},
		{"lost-ack-lost-output-reacking-client", false},
		{"plugin-kms-real-agent", true},
	} {
		for i, recording := range playbacks(t, test.name) {
			t.Run(fmt.Sprint(test.name, "/", i), func(t *testing.T) {
				var keys *recordedKeys
				p := &player{t: t, playback: recording, acked: map[int64]bool{}, inputs: map[int64][]byte{}, played: make(chan struct{}), done: make(chan struct{}),
					answers: map[wire.PayloadType]chan struct{}{wire.HandshakeResponse: make(chan struct{})}}
				defer close(p.done)
				if test.encrypted {
					keys = &recordedKeys{}
					p.answers[wire.EncChallengeResponse] = make(chan struct{})
				}
				const id = "user-0123456789abcdef0"
				srv := ssmresumetest.NewServer()
				defer srv.Close()
				srv.SetDataChannel(p)
				srv.AddSession(id)
				token, url := srv.Issue(id)
				first, err := ssmresume.NewOutput(id, token, url)
				if err != nil {
					t.Fatal(err)
				}
				ctx, leave := context.WithCancel(t.Context()) // Close would wait for an acknowledgement that nobody gives
				defer leave()
				s, err := datachannel.Open(ctx, ssmresume.NewFromConfig(srv.Config()), first, quick, func(o *datachannel.Options) {
					o.TargetID = "mi-0123456789abcdef0"
					if keys != nil {
						o.DataKeys = keys
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				want := recording.want(t, keys)
				got := make([]byte, len(want))
				if n, err := io.ReadFull(s, got); err != nil || string(got) != want {
					t.Errorf("read %d bytes, %v:\n%q\nwant\n%q", n, err, got[:n], want)
				}
				<-p.played
			})
		}
	}
}
