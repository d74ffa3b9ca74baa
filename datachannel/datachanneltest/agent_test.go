package datachanneltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// A bench holds one agent without a gateway, in a synctest bubble.
type bench struct {
	*agent
	t     *testing.T
	begin time.Time

	mu   sync.Mutex
	sent []wire.Message
	end  string // how the session ended, and when
}

// onBench runs f with an agent that was started.
func onBench(t *testing.T, o Options, f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{agent: newAgent(o.withDefaults(), "test-1"), t: t, begin: time.Now()}
		b.room = func() {}
		b.done = func(told bool, output string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.end = fmt.Sprintf("told %v %q after %v", told, output, time.Since(b.begin))
		}
		b.transmit = func(_ []byte, m wire.Message) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if m.Type != wire.SessionState {
				b.sent = append(b.sent, m)
			}
		}
		b.start()
		synctest.Wait()
		f(b)
		b.stop()
		b.wg.Wait()
	})
}

// take returns what the agent has sent since the last take: first the
// acknowledgements, as "ack 3", then its messages, as "3 text". Which of both is
// first on the wire depends on who runs first.
func (b *bench) take() string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	var all, outputs []string
	for _, m := range b.sent {
		if m.Type == wire.Acknowledge {
			a, _ := wire.ParseAcknowledgement(m.Payload)
			all = append(all, fmt.Sprint("ack ", a))
			continue
		}
		outputs = append(outputs, fmt.Sprintf("%d %s", m.Number, m.Payload))
	}
	b.sent = nil
	return strings.Join(append(all, outputs...), ", ")
}

// wantText is want for a program whose output may be cut anywhere.
func (b *bench) wantText(acks, text string) {
	b.t.Helper()
	synctest.Wait()
	b.mu.Lock()
	got := ""
	b.sent = slices.DeleteFunc(b.sent, func(m wire.Message) bool {
		if m.Type == wire.Output {
			got += string(m.Payload)
		}
		return m.Type == wire.Output
	})
	b.mu.Unlock()
	if got != text {
		b.t.Errorf("the program printed %q, want %q", got, text)
	}
	b.want(acks)
}

func (b *bench) want(want string) {
	b.t.Helper()
	if got := b.take(); got != want {
		b.t.Errorf("the agent sent %q, want %q", got, want)
	}
}

func (b *bench) ended() string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.end
}

func (b *bench) in(number int64, t wire.PayloadType, payload string) {
	b.receive(wire.Message{Type: wire.Input, Number: number, PayloadType: t, Payload: []byte(payload)})
}

func (b *bench) ack(numbers ...int64) {
	for _, n := range numbers {
		m, _ := wire.Parse(wire.AppendAcknowledgement(nil, wire.Output, [16]byte{}, n))
		b.receive(m)
	}
}

func (b *bench) publish(t wire.Type) { b.receive(wire.Message{Type: t}) }

// handshake answers the agent's request.
func (b *bench) handshake(version string) {
	b.take()
	payload, _ := json.Marshal(wire.Response{ClientVersion: version})
	b.ack(0)
	b.in(0, wire.HandshakeResponse, string(payload))
	synctest.Wait()
	b.ack(1)
	b.take()
}

// cat prints a prompt, and what it reads as it is.
func cat(_ context.Context, t *Terminal) int {
	fmt.Fprint(t.Stdout, "$")
	io.Copy(t.Stdout, t.Stdin)
	return 0
}

func TestOrder(t *testing.T) {
	onBench(t, Options{Program: cat}, func(b *bench) {
		b.want("0 $")
		b.ack(0)
		b.in(2, wire.Data, "c")
		b.in(1, wire.Data, "x")
		b.in(1, wire.Data, "b") // what came later replaces it
		b.want("ack 2, ack 1, ack 1")
		b.in(0, wire.Data, "a")
		b.wantText("ack 0", "abc")
		b.in(1, wire.Data, "b")
		b.want("ack 1")
		b.in(3, wire.Data, "d")
		b.wantText("ack 3", "d")
		if b.expected != 4 || len(b.kept) != 0 {
			t.Errorf("expects %d, keeps %d", b.expected, len(b.kept))
		}
	})
}

// TestInvalid: an invalid message at the expected number changes nothing. What was
// kept above it is handled once the number is reached, or replaced.
func TestInvalid(t *testing.T) {
	onBench(t, Options{Program: cat}, func(b *bench) {
		b.take()
		b.ack(0)
		for range 3 {
			b.in(0, wire.HandshakeResponse, "!")
			b.in(0, wire.EncChallengeResponse, "!")
			b.in(0, wire.Size, "!")
		}
		b.want("")
		b.in(1, wire.HandshakeResponse, "!")
		b.in(2, wire.HandshakeResponse, "!")
		b.want("ack 1, ack 2")
		b.in(0, wire.Data, "a")
		b.wantText("ack 0", "a")
		b.in(2, wire.Data, "c")
		b.in(1, wire.Data, "b")
		b.wantText("ack 2, ack 1", "bc")
		b.in(3, wire.PayloadType(99), "unknown")
		b.in(4, wire.Flag, "?")
		b.want("ack 3, ack 4") // shells know no flags
	})
}

// TestInvalidAtPort: a port uses up the number of an invalid size.
func TestInvalidAtPort(t *testing.T) {
	for name, properties := range map[string]map[string]string{"basic": {}, "streams": nil} {
		t.Run(name, func(t *testing.T) {
			onBench(t, Options{Dial: echoService, Properties: properties}, func(b *bench) {
				b.handshake("1.2.764.0")
				b.in(1, wire.Size, "!")
				b.want("ack 1")
				b.in(2, wire.Flag, "?")
				b.want("")
				b.in(2, wire.Flag, string(wire.AppendFlag(nil, wire.TerminateSession)))
				b.want("ack 2")
				if end := b.ended(); !strings.HasPrefix(end, "told false") {
					t.Errorf("the session ended so: %s", end)
				}
			})
		})
	}
}

// TestBlocked: a valid response to no handshake blocks the agent's reader for ever.
func TestBlocked(t *testing.T) {
	for _, p := range []wire.PayloadType{wire.HandshakeResponse, wire.EncChallengeResponse} {
		onBench(t, Options{Program: cat}, func(b *bench) {
			b.take()
			blocked := make(chan struct{})
			go func() {
				b.in(0, p, "{}")
				close(blocked)
			}()
			time.Sleep(time.Hour)
			select {
			case <-blocked:
				t.Errorf("type %d was handled", p)
			default:
			}
		})
	}
}

func TestEarlyInput(t *testing.T) {
	onBench(t, Options{Program: func(ctx context.Context, term *Terminal) int {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return 0
		}
		size := <-term.Resized
		fmt.Fprintf(term.Stdout, "%dx%d", size.Columns, size.Rows)
		io.Copy(term.Stdout, term.Stdin)
		return 0
	}}, func(b *bench) {
		b.in(0, wire.Size, `{"cols":80,"rows":24}`)
		b.in(1, wire.Data, "thrown away")
		b.want("ack 0, ack 1")
		time.Sleep(time.Second)
		b.want("0 80x24")
		b.in(2, wire.Data, "read")
		b.want("ack 2, 1 read")
	})
}

// TestPause: while paused the agent reads nothing more from its program, and sends
// nothing. All that ends the pause is tried.
func TestPause(t *testing.T) {
	clock := func(ctx context.Context, term *Terminal) int { // a line each second
		for i := 0; ctx.Err() == nil; i++ {
			if _, err := fmt.Fprintf(term.Stdout, "%d.", i); err != nil {
				break
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
		return 0
	}
	for name, end := range map[string]func(b *bench){
		"start_publication": func(b *bench) { b.publish(wire.StartPublication) },
		"an input":          func(b *bench) { b.in(0, wire.Data, "") },
		"an invalid input":  func(b *bench) { b.in(0, wire.HandshakeResponse, "!") },
		"an ack":            func(b *bench) { b.ack(0) },
		"its own reconnect": func(b *bench) { b.setAway(true); b.setAway(false) },
	} {
		t.Run(name, func(t *testing.T) {
			onBench(t, Options{Program: clock}, func(b *bench) {
				time.Sleep(time.Millisecond)
				b.want("0 0.")
				b.ack(0)
				b.publish(wire.PausePublication)
				time.Sleep(10 * time.Second)
				b.want("")
				if b.live != 1 {
					t.Errorf("%d messages are kept, want the one that was being read", b.live)
				}
				end(b)
				got := strings.TrimPrefix(b.take(), "ack 0, ")
				if want := "2 2.3.4.5.6.7.8.9.10."; got != want {
					t.Errorf("after the pause: %q, want %q", got, want)
				}
				time.Sleep(tick)
				b.want("1 1.") // the front, repeated
			})
		})
	}
}

// TestAway: without a channel of its own the agent reads on and keeps.
func TestAway(t *testing.T) {
	onBench(t, Options{Program: cat}, func(b *bench) {
		b.take()
		b.ack(0)
		b.setAway(true)
		b.in(0, wire.Data, "a") // was under way
		synctest.Wait()
		time.Sleep(5 * time.Second)
		b.want("")
		if b.live != 1 {
			t.Errorf("%d messages are kept", b.live)
		}
		b.setAway(false)
		time.Sleep(time.Second)
		if got := b.take(); !strings.HasPrefix(got, "1 a") {
			t.Errorf("the agent sent %q", got)
		}
	})
}

// TestFrontOnly: of many unacknowledged messages only the oldest is repeated.
func TestFrontOnly(t *testing.T) {
	onBench(t, Options{Program: func(ctx context.Context, term *Terminal) int {
		for i := range 5 {
			fmt.Fprint(term.Stdout, i)
			time.Sleep(time.Millisecond)
		}
		<-ctx.Done()
		return 0
	}}, func(b *bench) {
		time.Sleep(10 * time.Millisecond)
		b.want("0 0, 1 1, 2 2, 3 3, 4 4")
		time.Sleep(290 * time.Millisecond)
		b.want("0 0")
		b.ack(1, 3)
		time.Sleep(2 * time.Second)
		if got := strings.ReplaceAll(b.take(), "0 0, ", ""); got != "0 0" {
			t.Errorf("the agent sent %q", got)
		}
		b.ack(0)
		time.Sleep(2 * time.Second)
		if got := strings.ReplaceAll(b.take(), "2 2, ", ""); got != "2 2" {
			t.Errorf("the agent sent %q", got)
		}
		b.ack(2, 4)
		time.Sleep(2 * time.Second)
		b.want("")
	})
}

// TestEnd: a program's end waits for acknowledgements, but for 2 s only.
func TestEnd(t *testing.T) {
	quick := func(_ context.Context, term *Terminal) int {
		fmt.Fprint(term.Stdout, "out")
		return 3
	}
	onBench(t, Options{Program: quick}, func(b *bench) {
		b.want("0 out")
		if end := b.ended(); end != "" {
			t.Error(end)
		}
		b.ack(0)
		if end := b.ended(); end != `told true "" after 0s` {
			t.Error(end)
		}
	})
	onBench(t, Options{Program: quick}, func(b *bench) {
		time.Sleep(time.Minute)
		if end := b.ended(); end != `told true "" after 2s` {
			t.Error(end)
		}
	})
	onBench(t, Options{Program: quick, Type: NonInteractiveCommands, SeparateOutput: true}, func(b *bench) {
		b.handshake("1.2.764.0")
		b.publish(wire.PausePublication)
		b.publish(wire.StartPublication)
		time.Sleep(time.Minute)
		if end := b.ended(); !strings.Contains(end, "told true") {
			t.Error(end)
		}
	})
}

// TestPausedCommand: with separated output the session ends in a pause.
func TestPausedCommand(t *testing.T) {
	slow := func(ctx context.Context, term *Terminal) int {
		for ctx.Err() == nil {
			fmt.Fprint(term.Stdout, "out")
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
		return 0
	}
	onBench(t, Options{Program: slow, Type: NonInteractiveCommands, SeparateOutput: true}, func(b *bench) {
		b.handshake("1.2.764.0")
		b.publish(wire.PausePublication)
		time.Sleep(time.Minute)
		if end := b.ended(); !strings.Contains(end, "no client was there") {
			t.Errorf("%q", end)
		}
	})
}

func TestLimits(t *testing.T) {
	onBench(t, Options{Program: func(ctx context.Context, term *Terminal) int {
		fmt.Fprint(term.Stdout, "$")
		<-ctx.Done()
		return 0
	}}, func(b *bench) {
		b.take()
		for n := int64(1); n <= maxOutOfOrder+1; n++ {
			b.in(n, wire.Data, "x")
		}
		synctest.Wait()
		b.in(1, wire.Data, "y") // replaces
		acks := strings.Split(b.take(), ", ")
		if len(acks) != maxOutOfOrder+1 || acks[maxOutOfOrder-1] != fmt.Sprint("ack ", maxOutOfOrder) || acks[maxOutOfOrder] != "ack 1" {
			t.Errorf("%d acknowledgements, the last %v", len(acks), acks[len(acks)-2:])
		}
		for range maxUnacked + 1 {
			b.output(wire.Data, []byte("z"))
		}
		if b.next != maxUnacked+2 || b.live != maxUnacked {
			t.Errorf("next %d, kept %d", b.next, b.live)
		}
	})
}

func TestHandshakeFails(t *testing.T) {
	for name, tc := range map[string]struct {
		kms    *KMS
		answer func(b *bench)
		want   string
	}{
		"no answer": {nil, func(b *bench) { time.Sleep(16 * time.Second) }, "did not answer within 15s"},
		"unsupported": {nil, func(b *bench) {
			b.in(0, wire.HandshakeResponse, `{"ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":3,"Error":"what?"}]}`)
		}, "what?"},
		"no key":       {&KMS{}, func(b *bench) { b.in(0, wire.HandshakeResponse, `{}`) }, "InvalidCiphertext"},
		"no challenge": {&KMS{RequireChallenge: true}, func(b *bench) { b.in(0, wire.HandshakeResponse, `{}`) }, "does not know the challenge"},
	} {
		t.Run(name, func(t *testing.T) {
			onBench(t, Options{Type: NonInteractiveCommands, KMS: tc.kms}, func(b *bench) {
				tc.answer(b)
				if end := b.ended(); !strings.Contains(end, "told true") || !strings.Contains(end, tc.want) {
					t.Errorf("%q", end)
				}
			})
		})
	}
}

func TestKMS(t *testing.T) {
	for name, tc := range map[string]struct {
		kms  *KMS
		want string
	}{
		"good":         {&KMS{KeyID: "key"}, ""},
		"challenge":    {&KMS{KeyID: "key", RequireChallenge: true}, ""},
		"another key":  {&KMS{KeyID: "key", OtherKey: true}, "the client has another key"},
		"agent denied": {&KMS{KeyID: "key", DenyDecrypt: errors.New("AccessDenied")}, "AccessDenied"},
	} {
		t.Run(name, func(t *testing.T) {
			onBench(t, Options{Program: cat, KMS: tc.kms, TargetID: "i-1"}, func(b *bench) {
				var request wire.Handshake
				b.mu.Lock()
				err := json.Unmarshal(b.sent[0].Payload, &request)
				b.mu.Unlock()
				if err != nil || len(request.RequestedClientActions) != 2 {
					t.Fatalf("%+v, %v", request, err)
				}
				var parameters wire.KMSParameters
				json.Unmarshal(request.RequestedClientActions[1].ActionParameters, &parameters)
				encryptionContext := map[string]string{"aws:ssm:SessionId": "test-1", "aws:ssm:TargetId": "i-1"}
				if tc.kms.RequireChallenge {
					encryptionContext["aws:ssm:RandomChallenge"] = parameters.Challenge
				}
				plaintext, ciphertext, err := tc.kms.GenerateDataKey(t.Context(), parameters.KMSKeyID, encryptionContext)
				if err != nil {
					t.Fatal(err)
				}
				b.ack(0)
				b.take()
				payload, _ := json.Marshal(wire.Response{ClientVersion: "1.2.764.0", ProcessedClientActions: []wire.ProcessedAction{
					{ActionType: wire.ActionSessionType, ActionStatus: wire.ActionSuccess},
					{ActionType: wire.ActionKMSEncryption, ActionStatus: wire.ActionSuccess, ActionResult: &wire.KMSResult{KMSCipherTextKey: ciphertext, ChallengeAcknowledgement: tc.kms.RequireChallenge}},
				}})
				b.in(0, wire.HandshakeResponse, string(payload))
				synctest.Wait()
				keys, err := newSessionKeys(slices.Concat(plaintext[32:], plaintext[:32]))
				if err != nil {
					t.Fatal(err)
				}
				answerChallenge(b, keys)
				if tc.want != "" {
					if end := b.ended(); !strings.Contains(end, tc.want) {
						t.Errorf("%q", end)
					}
					return
				}
				b.ack(1, 2, 3)
				if got := b.take(); !strings.Contains(got, kmsGreeting) {
					t.Errorf("the greeting is missing in %q", got)
				}
				b.in(2, wire.Data, "not encrypted")
				b.want("")
				b.in(2, wire.Data, string(keys.seal([]byte("a"))))
				synctest.Wait()
				b.mu.Lock()
				defer b.mu.Unlock()
				if len(b.sent) != 2 {
					t.Fatalf("%+v", b.sent)
				}
				for _, m := range b.sent { // the acknowledgement and what cat repeats, either first
					if m.Type != wire.Output {
						continue
					}
					if text, err := keys.open(m.Payload); err != nil || string(text) != "a" {
						t.Errorf("%q, %v", text, err)
					}
					return
				}
				t.Error("no output")
			})
		})
	}
}

// answerChallenge does so if there is one.
func answerChallenge(b *bench, keys *sessionKeys) {
	b.mu.Lock()
	sent := b.sent
	b.mu.Unlock()
	for _, m := range sent {
		if m.PayloadType != wire.EncChallengeRequest {
			continue
		}
		var challenge wire.Challenge
		json.Unmarshal(m.Payload, &challenge)
		opened, err := keys.open(challenge.Challenge)
		if err != nil {
			opened = make([]byte, 64)
		}
		payload, _ := json.Marshal(wire.Challenge{Challenge: keys.seal(opened)})
		b.in(1, wire.EncChallengeResponse, string(payload))
		synctest.Wait()
	}
}

// TestNotReady: input for a port that is not there yet is not acknowledged.
func TestNotReady(t *testing.T) {
	onBench(t, Options{Properties: map[string]string{}, Dial: func(ctx context.Context) (net.Conn, error) {
		time.Sleep(time.Second)
		return echoService(ctx)
	}}, func(b *bench) {
		b.handshake("1.2.764.0")
		b.in(1, wire.Data, "ea")
		b.want("")
		time.Sleep(2 * time.Second)
		b.in(1, wire.Data, "ea")
		b.want("ack 1, 2 a")
	})
}

// TestBasicPort: the next data after a DisconnectToPort, or after the port's own
// end, dials again.
func TestBasicPort(t *testing.T) {
	var dials int
	onBench(t, Options{AgentVersion: "2.3.900.0", Dial: func(ctx context.Context) (net.Conn, error) {
		dials++
		if dials == 4 {
			return nil, errors.New("refused")
		}
		return echoService(ctx)
	}}, func(b *bench) {
		b.handshake("1.2.764.0")
		b.in(1, wire.Data, "ea")
		synctest.Wait()
		b.in(2, wire.Flag, string(wire.AppendFlag(nil, wire.DisconnectToPort)))
		synctest.Wait()
		b.in(3, wire.Data, "eb")
		synctest.Wait()
		b.in(4, wire.Flag, string(wire.AppendFlag(nil, wire.DisconnectToPort)))
		synctest.Wait()
		b.in(5, wire.Data, "!") // the service hangs up on it
		synctest.Wait()
		b.want("ack 1, ack 2, ack 3, ack 4, ack 5, 2 a, 3 b")
		b.in(6, wire.Data, "e")
		if end := b.ended(); !strings.Contains(end, "refused") || dials != 4 {
			t.Errorf("%q after %d dials", end, dials)
		}
	})
}

func TestUTF8(t *testing.T) {
	for tail, want := range map[string]int{
		"": 0, "a": 0, "é": 0, "\xc3": 1, "a\xe2": 1, "a\xe2\x82": 2, "€": 0, "\xf0": 1, "\xf0\x9f": 2, "a\xf0\x9f\x98": 3, "😀": 0,
		"\x82": 0, "\x82\x82\x82\x82": 0, "\xff": 0, "\xc3a": 0,
	} {
		if got := incomplete([]byte(tail)); got != want {
			t.Errorf("%q: %d, want %d", tail, got, want)
		}
	}
	text := strings.Repeat("x", outputSize-1) + "€" + strings.Repeat("€", 1000)
	onBench(t, Options{Program: func(ctx context.Context, term *Terminal) int {
		fmt.Fprint(term.Stdout, text)
		<-ctx.Done()
		return 0
	}}, func(b *bench) {
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		var all string
		for _, m := range b.sent {
			if incomplete(m.Payload) != 0 || len(m.Payload) > outputSize {
				t.Errorf("a message of %d bytes ends in %x", len(m.Payload), m.Payload[len(m.Payload)-3:])
			}
			all += string(m.Payload)
		}
		if diff := cmp.Diff(text, all); diff != "" {
			t.Error(diff)
		}
	})
}

func TestVersions(t *testing.T) {
	for _, tc := range []struct {
		version, least string
		want           bool
	}{
		{"3.2.1041.0", "3.2.1041.0", true}, {"3.2.1040.9", "3.2.1041.0", false}, {"3.10.0.0", "3.2.1041.0", true},
		{"2.3.900.0", "3.0.196.0", false}, {"1.1.70", "1.1.70", true}, {"1.1.70.0", "1.1.70", true}, {"", "1.1.70", false},
	} {
		if got := versionAtLeast(tc.version, tc.least); got != tc.want {
			t.Errorf("%q at least %q: %v", tc.version, tc.least, got)
		}
	}
}

// muxBytes returns frames of smux: command and data, stream 3.
func muxBytes(frames ...string) string {
	var all string
	for _, f := range frames {
		all += string([]byte{muxVersion, f[0] - '0', byte(len(f) - 1), 0, 3, 0, 0, 0}) + f[1:]
	}
	return all
}

// TestStreams: a stream's end goes both ways, and what cannot be reached is told.
func TestStreams(t *testing.T) {
	const open, end, data = "0", "1", "2"
	var ended chan error // of a bubble
	for name, tc := range map[string]struct {
		dial     func(context.Context) (net.Conn, error)
		in, want string
	}{
		"refused": {func(context.Context) (net.Conn, error) { return nil, errors.New("refused") }, muxBytes(open), "\x00\x00\x00\x03" + muxBytes(end)},
		"the port ends": {func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				io.WriteString(far, "bye")
				far.Close()
			}()
			return near, nil
		}, muxBytes(open), muxBytes(data+"bye", end)},
		"the client ends": {func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				b, err := io.ReadAll(far)
				if string(b) != "last words" {
					err = fmt.Errorf("the port got %q, %w", b, err)
				}
				ended <- err
				far.Close()
			}()
			return near, nil
		}, muxBytes(open, data+"last words", end), muxBytes(end)},
		"no smux": {echoService, "GET / HTTP/1.1\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			onBench(t, Options{Dial: tc.dial}, func(b *bench) {
				ended = make(chan error, 1)
				b.handshake("1.2.764.0")
				b.in(1, wire.Data, tc.in)
				b.wantText("ack 1", tc.want)
				switch name {
				case "the client ends":
					if err := <-ended; err != nil {
						t.Error(err)
					}
				case "no smux":
					if end := b.ended(); !strings.Contains(end, "not smux") {
						t.Errorf("%q", end)
					}
				}
			})
		})
	}
}

// TestStalledStream: a port that reads nothing stalls the session at 4 MiB.
func TestStalledStream(t *testing.T) {
	onBench(t, Options{Dial: func(context.Context) (net.Conn, error) {
		near, _ := net.Pipe()
		return near, nil
	}}, func(b *bench) {
		b.handshake("1.2.764.0")
		b.in(1, wire.Data, muxBytes("0"))
		const size = 32 << 10
		frame := string([]byte{muxVersion, muxPSH, 0, size >> 8, 3, 0, 0, 0}) + strings.Repeat("x", size)
		const n = 1000
		var sending sync.WaitGroup
		sending.Go(func() {
			for i := range int64(n) {
				b.in(2+i, wire.Data, frame)
			}
		})
		time.Sleep(time.Minute)
		acks := strings.Count(b.take(), "ack")
		if least, most := muxBuffer/size, (muxBuffer+2*pipeSize)/size+1; acks < least || acks > most {
			t.Errorf("%d frames of 32 KiB were taken, want %d to %d", acks, least, most)
		}
		b.stop()
		sending.Wait()
	})
}

func TestInterrupt(t *testing.T) {
	onBench(t, Options{Type: NonInteractiveCommands, Program: func(ctx context.Context, term *Terminal) int {
		if n, err := term.Stdin.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("standard input: %d, %v", n, err)
		}
		<-ctx.Done()
		return 1
	}}, func(b *bench) {
		b.handshake("1.2.764.0")
		b.in(1, wire.Data, "text is not read")
		b.want("ack 1")
		if end := b.ended(); end != "" {
			t.Error(end)
		}
		b.in(2, wire.Data, "\x03")
		b.want("ack 2")
		if end := b.ended(); !strings.HasPrefix(end, `told true ""`) {
			t.Error(end)
		}
	})
}

func TestResized(t *testing.T) {
	onBench(t, Options{Program: func(ctx context.Context, term *Terminal) int {
		select {
		case <-time.After(time.Second):
			fmt.Fprint(term.Stdout, <-term.Resized)
		case <-ctx.Done():
		}
		<-ctx.Done()
		return 0
	}}, func(b *bench) {
		b.in(0, wire.Size, `{"cols":1,"rows":2}`)
		b.in(1, wire.Size, `{"cols":3,"rows":4}`)
		time.Sleep(2 * time.Second)
		if got := b.take(); !strings.HasPrefix(got, "ack 0, ack 1, 0 {3 4}") {
			t.Errorf("%q", got)
		}
	})
}

func TestKMSItself(t *testing.T) {
	k := &KMS{KeyID: "key"}
	if _, _, err := k.GenerateDataKey(t.Context(), "other", nil); err == nil {
		t.Error("a data key of another key")
	}
	plaintext, ciphertext, err := k.GenerateDataKey(t.Context(), "key", map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Decrypt(ciphertext, map[string]string{"a": "b"}); err != nil || !slices.Equal(got, plaintext) {
		t.Errorf("%x, %v", got, err)
	}
	if _, err := k.Decrypt(ciphertext, map[string]string{"a": "c"}); err == nil {
		t.Error("decrypted in another context")
	}
	if _, err := k.Decrypt(nil, nil); err == nil {
		t.Error("decrypted nothing")
	}
	k.DenyGenerate = errors.New("denied")
	if _, _, err := k.GenerateDataKey(t.Context(), "key", nil); err != k.DenyGenerate {
		t.Error(err)
	}
}

func TestDefaults(t *testing.T) {
	o := Options{SeparateOutput: true, KMS: &KMS{}}.withDefaults()
	if o.SeparateOutput || o.Type != StandardStream || o.AgentVersion != defaultAgent || o.KMS == nil || o.SessionID == "" || o.TargetID == "" {
		t.Errorf("%+v", o)
	}
	o = Options{Dial: echoService, KMS: &KMS{}}.withDefaults()
	if o.Type != Port || o.KMS != nil || o.Properties["type"] != localPortForwarding {
		t.Errorf("%+v", o)
	}
	o = Options{Type: Port}.withDefaults()
	if _, err := o.Dial(t.Context()); err == nil {
		t.Error("a port without Dial was dialled")
	}
}
