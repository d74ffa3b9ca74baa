package datachanneltest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// FuzzAgent: whatever a client sends, no agent panics, and every one ends when it
// is told to. Each message is four bytes that say what it is, and its payload.
func FuzzAgent(f *testing.F) {
	f.Add([]byte("\x00\x00\x01\x03one\x00\x01\x01\x03two\x00\x03\x03\x02{}\x00\x02\x01\x01x"))
	f.Add([]byte("\x00\x00\x06\x02{}\x00\x01\x01\x10\x01\x00\x00\x00\x03\x00\x00\x00\x01\x02\x00\x00\x03\x00\x00\x00\x00\x02\x0a\x04\x00\x00\x00\x01"))
	f.Add([]byte("\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x00\x00\x06\x01!"))
	kinds := []Options{
		{Program: cat},
		{Program: cat, Type: NonInteractiveCommands, SeparateOutput: true},
		{Program: cat, KMS: &KMS{}},
		{Dial: echoService, Properties: map[string]string{}},
		{Dial: echoService, AgentVersion: "2.3.900.0"},
		{Dial: echoService},
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		for _, o := range kinds {
			synctest.Test(t, func(t *testing.T) {
				a := newAgent(o.withDefaults(), "test-1")
				a.room = func() {}
				a.done = func(bool, string) {}
				var next int64
				a.transmit = func(frame []byte, m wire.Message) {
					if _, err := wire.Parse(frame); err != nil {
						t.Errorf("sent %x: %v", frame, err)
					}
					if m.Type == wire.Output && m.Number > next {
						t.Errorf("number %d after %d", m.Number, next-1)
					}
					if m.Type == wire.Output && m.Number == next {
						next++
					}
				}
				a.start()
				done := make(chan struct{})
				go func() {
					defer close(done)
					if o.Dial != nil || o.Type == NonInteractiveCommands {
						a.receive(wire.Message{Type: wire.Input, PayloadType: wire.HandshakeResponse, Payload: []byte(`{"ClientVersion":"1.2.764.0"}`)})
					}
					for script := script; len(script) >= 4; {
						n := min(int(script[3]), len(script)-4)
						m := wire.Message{Number: int64(script[1]), PayloadType: wire.PayloadType(script[2]), Payload: script[4 : 4+n]}
						m.Type = []wire.Type{wire.Input, wire.Acknowledge, wire.PausePublication, wire.StartPublication, wire.ChannelClosed, "unknown"}[script[0]%6]
						a.receive(m)
						time.Sleep(10 * time.Millisecond)
						script = script[4+n:]
					}
				}()
				time.Sleep(time.Minute)
				a.stop()
				<-done
				a.wg.Wait()
			})
		}
	})
}
