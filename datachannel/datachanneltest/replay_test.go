package datachanneltest

import (
	order "cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ssmresume/ssmresume/datachannel/internal/recorded"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// A conversation is one session of a recording, as its agent saw it.
type conversation struct {
	start time.Duration // when the agent's channel was open
	end   time.Duration // of the last line
	lines []recordedLine
}

type recordedLine struct {
	recorded.Line
	message wire.Message // where Frame is not nil
}

// conversations splits a recording by the agent's ClientId.
func conversations(t *testing.T, name string) []conversation {
	t.Helper()
	lines, err := recorded.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	var all []conversation
	agent := ""
	for _, l := range lines {
		if l.From == "agent" && l.Text != "" {
			var open struct{ ClientId string }
			if err := json.Unmarshal([]byte(l.Text), &open); err != nil {
				t.Fatal(err)
			}
			if open.ClientId != agent {
				agent = open.ClientId
				all = append(all, conversation{start: l.At})
			}
		}
		if len(all) == 0 || l.From == "harness" {
			continue
		}
		c := &all[len(all)-1]
		r := recordedLine{Line: l}
		if l.Frame != nil {
			if r.message, err = wire.Parse(l.Frame); err != nil {
				t.Fatal(err)
			}
		}
		c.lines = append(c.lines, r)
		c.end = l.At
	}
	return all
}

// What an agent said, reduced to what must be the same each time.
type said struct {
	Acks    []int64  // the numbers it acknowledged, in order
	Outputs []string // its numbered messages, each where it was first sent
	States  []string // of the session, as it told the service
}

func (s *said) add(m wire.Message, seen map[int64]int) {
	switch m.Type {
	case wire.Acknowledge:
		a, _ := wire.ParseAcknowledgement(m.Payload)
		s.Acks = append(s.Acks, a)
	case wire.Output:
		if seen[m.Number]++; seen[m.Number] > 1 {
			return
		}
		payload := m.Payload
		if m.PayloadType == wire.HandshakeRequest || m.PayloadType == wire.HandshakeComplete {
			payload = nil // holds versions and times
		}
		s.Outputs = append(s.Outputs, fmt.Sprintf("%d: type %d, flags %d, %q", m.Number, m.PayloadType, m.Flags, payload))
	case wire.SessionState:
		var state struct{ SessionState string }
		json.Unmarshal(m.Payload, &state)
		s.States = append(s.States, state.SessionState)
	}
}

// inOrder sorts Outputs by number: in a pause the first sending was not recorded,
// or a later number was sent before.
func (s *said) inOrder() { slices.SortStableFunc(s.Outputs, byNumber) }

func byNumber(a, b string) int {
	var i, j int
	fmt.Sscan(a[:strings.Index(a, ":")], &i)
	fmt.Sscan(b[:strings.Index(b, ":")], &j)
	return i - j
}

// delay returns how long a message of the client took from the gateway to the
// agent and the acknowledgement back.
func (c conversation) delay() time.Duration {
	shortest := time.Second
	sent := map[int64]time.Duration{}
	for _, l := range c.lines {
		switch {
		case l.Frame == nil || l.Dropped():
		case l.From == "client" && l.message.Type == wire.Input:
			if _, again := sent[l.message.Number]; !again {
				sent[l.message.Number] = l.At
			}
		case l.From == "agent" && l.message.Type == wire.Acknowledge:
			a, _ := wire.ParseAcknowledgement(l.message.Payload)
			shortest = min(shortest, l.At-sent[a])
		}
	}
	return shortest
}

// replay runs an agent through a conversation: the same input, acknowledgements
// and publications at the same time, and a program that prints the same.
//
// Acknowledgements that the real agent did not get are left out: those that the
// gateway dropped, and those that came before it had its message in its buffer.
// It is known by its repeating the message. raced are numbers that it repeated at
// another pace for having got another acknowledgement too early.
func (c conversation) replay(t *testing.T, options Options, raced []int64) {
	t.Helper()
	var want said
	wantSeen := map[int64]int{}
	missed := map[int]bool{} // lines with acknowledgements that the real agent did not get
	lastAck := map[int64]int{}
	printed := map[int64]time.Duration{}
	pauses := []time.Duration{}
	delay := c.delay()
	for i, l := range c.lines {
		switch {
		case l.From == "service>agent" && l.message.Type == wire.PausePublication:
			pauses = append(pauses, l.At)
		case l.Frame == nil:
		case l.From == "client" && l.message.Type == wire.Acknowledge && !l.Dropped():
			a, _ := wire.ParseAcknowledgement(l.message.Payload)
			lastAck[a] = i
		case l.From == "agent":
			want.add(l.message, wantSeen)
			if l.message.Type == wire.Output {
				if i, acked := lastAck[l.message.Number]; acked && l.At > c.lines[i].At+delay {
					missed[i] = true
				}
				if _, ok := printed[l.message.Number]; !ok {
					printed[l.message.Number] = l.At
				}
			}
		}
	}
	var script []printing // what the program prints, and when
	numbers := slices.Sorted(maps.Keys(printed))
	for i := len(numbers) - 1; i >= 0; i-- {
		n := numbers[i]
		if i+1 < len(numbers) && printed[numbers[i+1]] < printed[n] {
			// Its first sending was not recorded: it was made in a pause before the next.
			printed[n] = printed[numbers[i+1]]
			for _, p := range pauses {
				if p < printed[numbers[i+1]] {
					printed[n] = p + 20*time.Millisecond
				}
			}
		}
	}
	for _, n := range numbers {
		for _, l := range c.lines {
			if l.From == "agent" && l.message.Type == wire.Output && l.message.Number == n {
				if m := l.message; m.PayloadType == wire.Data || m.PayloadType == wire.StdErr || m.PayloadType == wire.ExitCode {
					script = append(script, printing{printed[n] - c.start, m})
				}
				break
			}
		}
	}

	type event struct {
		at time.Duration // since c.start
		do func(*agent)
		in *wire.Message
	}
	var events []event
	for i, l := range c.lines {
		at := l.At - c.start
		switch {
		case l.Frame == nil && l.From == "agent" && l.Note == "gone":
			events = append(events, event{at: at, do: func(a *agent) { a.setAway(true) }})
		case l.Frame == nil && l.From == "agent" && l.Note == "opened":
			events = append(events, event{at: at, do: func(a *agent) { a.setAway(false) }})
		case l.Frame == nil, l.Dropped(), missed[i]:
		case l.From == "service>agent":
			events = append(events, event{at: at, in: &l.message})
		case l.From == "client":
			events = append(events, event{at: at + delay*9/10, in: &l.message})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return order.Compare(a.at, b.at) })

	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		if options.Dial == nil {
			options.Program = scripted(begin, script, slices.Contains(want.States, stateTerminated))
		}
		var mu sync.Mutex
		var got said
		gotSeen := map[int64]int{}
		var log []string
		a := newAgent(options.withDefaults(), "user-0123456789abcdef0")
		a.room = func() {}
		over := false
		a.done = func(told bool, _ string) {
			mu.Lock()
			defer mu.Unlock()
			if told && !over {
				got.States = append(got.States, stateTerminated)
			}
		}
		a.transmit = func(frame []byte, m wire.Message) {
			if read, err := wire.Parse(frame); err != nil || !cmp.Equal(read.Payload, m.Payload) || read.Number != m.Number || read.PayloadType != m.PayloadType {
				t.Errorf("%+v is not the frame %x: %v", m, frame, err)
			}
			mu.Lock()
			defer mu.Unlock()
			got.add(m, gotSeen)
			log = append(log, fmt.Sprintf("%v %s %d", time.Since(begin), m.Type, m.Number))
		}
		// The agent's reader is one goroutine, as the WebSocket's is.
		input := make(chan wire.Message, len(c.lines))
		var reader sync.WaitGroup
		reader.Go(func() {
			for m := range input {
				a.receive(m)
			}
		})
		a.start()
		for _, e := range events {
			time.Sleep(e.at - time.Since(begin))
			synctest.Wait()
			if e.in != nil {
				input <- *e.in
			} else {
				e.do(a)
			}
		}
		time.Sleep(c.end - c.start - time.Since(begin))
		synctest.Wait()
		mu.Lock()
		over = true
		mu.Unlock()
		a.stop()
		close(input)
		reader.Wait()
		a.wg.Wait()

		want.inOrder()
		got.inOrder()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the real agent (-) and this one (+) differ:\n%s\n%s", diff, strings.Join(log[:min(len(log), 40)], "\n"))
		}
		for n, times := range wantSeen {
			if slices.Contains(raced, n) {
				continue
			}
			if off := gotSeen[n] - times; off > 1+times/20 || -off > 1+times/20 {
				t.Errorf("output %d was sent %d times, by the real agent %d times", n, gotSeen[n], times)
			}
		}
		if t.Failed() {
			t.Log(wantSeen, gotSeen)
		}
	})
}

type printing struct {
	at      time.Duration // since the agent's start
	message wire.Message
}

// scripted prints what the real session printed, when it did.
func scripted(begin time.Time, script []printing, ends bool) Program {
	return func(ctx context.Context, terminal *Terminal) int {
		go io.Copy(io.Discard, terminal.Stdin) // until the program returns
		code := 0
		for _, p := range script {
			select {
			case <-time.After(p.at - time.Since(begin)):
			case <-ctx.Done():
				return 1
			}
			switch p.message.PayloadType {
			case wire.Data:
				terminal.Stdout.Write(p.message.Payload)
			case wire.StdErr:
				terminal.Stderr.Write(p.message.Payload)
			case wire.ExitCode:
				fmt.Sscanf(string(p.message.Payload), "EXIT_CODE: %d", &code)
			}
			time.Sleep(time.Microsecond) // so that it is one message
		}
		if !ends {
			<-ctx.Done()
		}
		return code
	}
}

// echoService is what the recorded ports had at their other end: after an "e" it
// repeats what comes.
func echoService(context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		first := make([]byte, 1)
		if _, err := io.ReadFull(far, first); err == nil && first[0] == 'e' {
			io.Copy(far, far)
		}
	}()
	return near, nil
}

// TestAsTheRealAgent feeds the agent what real clients sent, and compares what it
// answers with what the real agent did.
func TestAsTheRealAgent(t *testing.T) {
	const version = "3.3.0.0" // the recorded one
	shell := Options{AgentVersion: version}
	ssh := Options{AgentVersion: version, Dial: echoService, Properties: map[string]string{"portNumber": "22"}}
	basic := Options{AgentVersion: version, Dial: echoService} // its client is too old for streams
	for name, sessions := range map[string][]Options{
		"shell-real-agent":                     {shell},
		"takeover-real-agent":                  {shell},
		"plugin-20240924-shell-real-agent":     {shell},
		"plugin-20260401-shell-real-agent":     {shell},
		"plugin-20260401-attach":               {shell},
		"plugin-20260401-newline":              {ssh},
		"lost-ack-lost-output-plugin":          {shell},
		"lost-ack-lost-output-reacking-client": {shell},
		"traps-real-agent":                     {ssh, ssh},
		"port-basic-real-agent":                {basic, ssh},
		"attach-real-agent":                    {shell},
		"attach-agent-without-reack":           {{AgentVersion: "3.2.1040.0"}},
		"plugin-port-mux-real-agent":           {{AgentVersion: version, Dial: echoService}},
		"proto-port-mux-real-agent":            {{AgentVersion: version, Dial: echoService}},
		"commands-real-agent": {
			{AgentVersion: version, Type: InteractiveCommands},
			{AgentVersion: version, Type: NonInteractiveCommands},
			{AgentVersion: version, Type: NonInteractiveCommands, SeparateOutput: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := conversations(t, name)
			if len(all) != len(sessions) {
				t.Fatalf("%d sessions, want %d", len(all), len(sessions))
			}
			for i, options := range sessions {
				t.Run(fmt.Sprint(i), func(t *testing.T) {
					all[i].replay(t, options, map[string][]int64{
						"shell-real-agent": {30}, // it learned 2 s from the acknowledgement of 16, which came before it had noted the repeat
					}[name])
				})
			}
		})
	}
}

// TestKMSRecording decrypts what the real agent and plugin sent, with the code
// that encrypts here: each key is for one direction, and the agent's nonce counts.
func TestKMSRecording(t *testing.T) {
	plaintext := make([]byte, 64) // the recording's key is 00..3f
	for i := range plaintext {
		plaintext[i] = byte(i)
	}
	agent, err := newSessionKeys(plaintext)
	if err != nil {
		t.Fatal(err)
	}
	client, err := newSessionKeys(append(slices.Clone(plaintext[32:]), plaintext[:32]...))
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	var challenge, answer, nonce []byte
	for _, c := range conversations(t, "plugin-kms-real-agent") {
		for _, l := range c.lines {
			m := l.message
			reader := agent // reads what the client sends
			if l.From == "agent" {
				reader = client
			}
			switch {
			case l.Frame == nil, m.Type != wire.Input && m.Type != wire.Output:
			case m.PayloadType == wire.EncChallengeRequest, m.PayloadType == wire.EncChallengeResponse:
				var sealed wire.Challenge
				if err := json.Unmarshal(m.Payload, &sealed); err != nil {
					t.Fatal(err)
				}
				opened, err := reader.open(sealed.Challenge)
				if err != nil {
					t.Fatal(err)
				}
				if m.PayloadType == wire.EncChallengeRequest {
					challenge, nonce = opened, sealed.Challenge[:12]
				} else {
					answer = opened
				}
			case m.PayloadType == wire.Data:
				p, err := reader.open(m.Payload)
				if err != nil {
					t.Fatal(err)
				}
				text = append(text, l.From+": "+string(p))
				if l.From != "agent" {
					continue
				}
				k := sessionKeys{sending: client.sending, nonce: [12]byte(nonce)}
				k.seal(nil)
				if nonce = m.Payload[:12]; !slices.Equal(k.nonce[:], nonce) {
					t.Errorf("nonce %x, want %x", k.nonce, nonce)
				}
			}
		}
	}
	if len(challenge) != 64 || string(answer) != string(challenge) {
		t.Errorf("the client answered %x to %x", answer, challenge)
	}
	want := []string{"agent: # ", "client: echo secret=$((6*7))\n", "agent: echo secret=$((6*7))\r\n", "agent: secret=42\r\n# ", "client: exit\n", "agent: exit\r\n"}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Error(diff)
	}
}
