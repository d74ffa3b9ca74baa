package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/internal/recorded"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// TestVectors: one frame of each kind, with what an independent decoder read in it.
func TestVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, MessageType string
		Created, Seq      int64
		Flags             uint64
		MessageID         string
		PayloadType       wire.PayloadType
		Payload, Hex      string
	}
	if err := json.Unmarshal(b, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range vectors {
		frame, err := hex.DecodeString(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		m, err := wire.Parse(frame)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		type header struct {
			Type        wire.Type
			Created     time.Time
			Number      int64
			Flags       uint64
			ID          string
			PayloadType wire.PayloadType
		}
		got := header{m.Type, m.Created, m.Number, m.Flags, wire.FormatID(m.ID), m.PayloadType}
		want := header{wire.Type(v.MessageType), time.UnixMilli(v.Created), v.Seq, v.Flags, v.MessageID, v.PayloadType}
		if got != want {
			t.Errorf("%s: %+v, want %+v", v.Name, got, want)
		}
		if m.Payload[0] == '{' && string(m.Payload) != v.Payload { // the others are told in words
			t.Errorf("%s: payload %q, want %q", v.Name, m.Payload, v.Payload)
		}
		if got := m.Append(nil); !bytes.Equal(got, frame) {
			t.Errorf("%s: encoded again\n%x, want\n%x", v.Name, got, frame)
		}
	}
}

// TestRecordings: all that the real agent and clients sent is read, and written
// as they wrote it; and so is the JSON inside.
func TestRecordings(t *testing.T) {
	seen := map[wire.Type]int{}
	payloads := map[wire.PayloadType]int{}
	for _, name := range recorded.Names() {
		lines, err := recorded.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if l.Frame == nil {
				continue
			}
			m, err := wire.Parse(l.Frame)
			if err != nil {
				t.Errorf("%s at %v: %v", name, l.At, err)
				continue
			}
			seen[m.Type]++
			if got := m.Append(nil); !bytes.Equal(got, l.Frame) {
				t.Errorf("%s at %v: encoded again\n%x, want\n%x", name, l.At, got, l.Frame)
			}
			if m.Type == wire.Acknowledge {
				checkAcknowledgement(t, m)
			}
			if m.Type == wire.Input || m.Type == wire.Output {
				payloads[m.PayloadType]++
			}
		}
	}
	for _, typ := range []wire.Type{wire.Input, wire.Output, wire.Acknowledge, wire.ChannelClosed, wire.StartPublication, wire.PausePublication, wire.SessionState} {
		if seen[typ] == 0 {
			t.Errorf("no recording holds %s", typ)
		}
	}
	for _, typ := range []wire.PayloadType{wire.Data, wire.Size, wire.HandshakeRequest, wire.HandshakeResponse, wire.HandshakeComplete,
		wire.EncChallengeRequest, wire.EncChallengeResponse, wire.Flag, wire.StdErr, wire.ExitCode} {
		if payloads[typ] == 0 {
			t.Errorf("no recording holds payload type %d", typ)
		}
	}
}

func checkAcknowledgement(t *testing.T, m wire.Message) {
	t.Helper()
	var a struct {
		Type   wire.Type `json:"AcknowledgedMessageType"`
		ID     string    `json:"AcknowledgedMessageId"`
		Number int64     `json:"AcknowledgedMessageSequenceNumber"`
	}
	if err := json.Unmarshal(m.Payload, &a); err != nil {
		t.Errorf("%s: %v", m.Payload, err)
		return
	}
	if number, err := wire.ParseAcknowledgement(m.Payload); err != nil || number != a.Number {
		t.Errorf("%s: %d, %v", m.Payload, number, err)
	}
	id, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(a.ID), []byte("-"), nil)))
	if err != nil {
		t.Errorf("%s: %v", m.Payload, err)
		return
	}
	made, err := wire.Parse(wire.AppendAcknowledgement(nil, a.Type, [16]byte(id), a.Number))
	if err != nil || made.Type != m.Type || made.Flags != m.Flags || made.Number != m.Number || made.PayloadType != m.PayloadType || !bytes.Equal(made.Payload, m.Payload) {
		t.Errorf("made %+v, %v, want %+v", made, err, m)
	}
}

// TestHandshakeJSON: what the plugin and the agent say in JSON is what our types
// say, byte for byte. The recordings of other clients have other orders.
func TestHandshakeJSON(t *testing.T) {
	checked := map[wire.PayloadType]int{}
	for _, name := range []string{"plugin-20240924-shell-real-agent", "plugin-20260401-newline", "plugin-20260401-shell-real-agent", "plugin-kms-real-agent", "plugin-port-mux-real-agent"} {
		lines, err := recorded.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			m, err := wire.Parse(l.Frame)
			if l.Frame == nil || err != nil {
				continue
			}
			var v any
			switch m.PayloadType {
			case wire.HandshakeRequest:
				v = &wire.Handshake{}
			case wire.HandshakeResponse:
				v = &wire.Response{}
			case wire.HandshakeComplete:
				v = &wire.Complete{}
			case wire.EncChallengeRequest, wire.EncChallengeResponse:
				v = &wire.Challenge{}
			case wire.Size:
				v = &wire.TerminalSize{}
			default:
				continue
			}
			checked[m.PayloadType]++
			if err := json.Unmarshal(m.Payload, v); err != nil {
				t.Errorf("%s: %s: %v", name, m.Payload, err)
				continue
			}
			if r, ok := v.(*wire.Response); ok {
				for i := range r.ProcessedClientActions {
					retype[wire.KMSResult](t, &r.ProcessedClientActions[i].ActionResult)
				}
			}
			if r, ok := v.(*wire.Handshake); ok {
				for i, a := range r.RequestedClientActions {
					var parameters any = &wire.SessionTypeParameters{}
					if a.ActionType == wire.ActionKMSEncryption {
						parameters = &wire.KMSParameters{}
					}
					if err := json.Unmarshal(a.ActionParameters, parameters); err != nil {
						t.Errorf("%s: %v", a.ActionParameters, err)
					}
					r.RequestedClientActions[i].ActionParameters, _ = json.Marshal(parameters)
				}
			}
			if got, err := json.Marshal(v); err != nil || !bytes.Equal(got, m.Payload) {
				t.Errorf("%s: %s, %v, want %s", name, got, err, m.Payload)
			}
		}
	}
	if len(checked) != 6 {
		t.Errorf("checked %v", checked)
	}
}

// retype makes what was read into an any a *T.
func retype[T any](t *testing.T, v *any) {
	t.Helper()
	if *v == nil {
		return
	}
	b, _ := json.Marshal(*v)
	typed := new(T)
	if err := json.Unmarshal(b, typed); err != nil {
		t.Error(err)
	}
	*v = typed
}

// TestRefused: what Parse refuses, and what it takes although it looks wrong.
func TestRefused(t *testing.T) {
	good := (&wire.Message{Type: wire.Output, Created: time.UnixMilli(1), PayloadType: wire.Data, Payload: []byte("text")}).Append(nil)
	edit := func(at int, b ...byte) []byte {
		frame := bytes.Clone(good)
		copy(frame[at:], b)
		return frame
	}
	for name, tc := range map[string]struct {
		frame []byte
		taken bool
	}{
		"as it was":             {good, true},
		"padded with NULs":      {edit(4, append([]byte(wire.Output), make([]byte, 32-len(wire.Output))...)...), true},
		"another schema":        {edit(36, 0, 0, 0, 2), true},
		"a wrong length":        {edit(116, 0, 0, 0, 1), true}, // all that follows is the payload
		"no length, no digest":  {edit(80, append(make([]byte, 32), 0, 0, 0, 1, 0, 0, 0, 0)...), true},
		"empty":                 {nil, false},
		"a type only":           {good[:36], false},
		"cut in the header":     {good[:119], false},
		"cut in the payload":    {good[:len(good)-1], false},
		"more than was sent":    {append(bytes.Clone(good), 'x'), false},
		"another header length": {edit(0, 0, 0, 0, 112), false},
		"a huge header length":  {edit(0, 0xff, 0xff, 0xff, 0xff), false},
		"no type":               {edit(4, bytes.Repeat([]byte(" "), 32)...), false},
		"schema 0":              {edit(36, 0, 0, 0, 0), false},
		"date 0":                {edit(40, make([]byte, 8)...), false},
		"a negative number":     {edit(48, 0xff), false},
		"another payload":       {edit(120, 'T'), false},
	} {
		_, err := wire.Parse(tc.frame)
		if (err == nil) != tc.taken {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := wire.Parse(edit(120, 'T')); !errors.Is(err, wire.ErrDigest) {
		t.Errorf("another payload: %v", err)
	}
	if m, err := wire.ParseUnverified(edit(120, 'T')); err != nil || string(m.Payload) != "Text" {
		t.Errorf("another payload, unverified: %q, %v", m.Payload, err)
	}
	for _, typ := range []wire.Type{wire.StartPublication, wire.PausePublication} {
		frame := append(make([]byte, 4), bytes.Repeat([]byte(" "), 32)...)
		copy(frame[4:], typ)
		for _, frame := range [][]byte{frame, append(frame, make([]byte, 84)...), append(frame, bytes.Repeat([]byte{0xff}, 90)...)} {
			if m, err := wire.Parse(frame); err != nil || m.Type != typ {
				t.Errorf("%x: %v, %v", frame, m.Type, err)
			}
		}
	}
	if _, err := wire.ParseAcknowledgement([]byte(`{"AcknowledgedMessageSequenceNumber":-1}`)); err == nil {
		t.Error("an acknowledgement of -1 was taken")
	}
	for _, b := range [][]byte{nil, {1}, {0, 0, 0, 0, 1}} {
		if _, err := wire.ParseFlag(b); err == nil {
			t.Errorf("a flag %x was taken", b)
		}
	}
	if f, err := wire.ParseFlag(wire.AppendFlag(nil, wire.TerminateSession)); err != nil || f != wire.TerminateSession {
		t.Errorf("flag %d, %v", f, err)
	}
}

func TestNewID(t *testing.T) {
	a, b := wire.NewID(), wire.NewID()
	if a == b || a[6]>>4 != 4 || a[8]>>6 != 2 {
		t.Errorf("%x and %x are not two random UUIDs", a, b)
	}
	if got := wire.FormatID([16]byte{0x74, 0x90, 0xec, 0x13, 0x90, 0x36, 0x4b, 0x13, 0x8c, 0x88, 0x66, 0x8f, 0x5e, 0xaa, 0x90, 0x4d}); got != "7490ec13-9036-4b13-8c88-668f5eaa904d" {
		t.Error(got)
	}
}

// FuzzParse: no frame makes Parse panic, and what it takes is the same once it
// was written and read again.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"plugin-kms-real-agent", "commands-real-agent", "port-basic-real-agent"} {
		lines, err := recorded.Load(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, l := range lines {
			if l.Frame != nil {
				f.Add(l.Frame)
			}
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		given := bytes.Clone(frame)
		m, err := wire.Parse(frame)
		if !bytes.Equal(frame, given) {
			t.Fatal("the frame was changed")
		}
		if err != nil {
			if u, uerr := wire.ParseUnverified(frame); uerr == nil && !errors.Is(err, wire.ErrDigest) {
				t.Fatalf("%v, but unverified %+v", err, u)
			}
			return
		}
		encoded := m.Append(nil)
		again, err := wire.Parse(encoded)
		if err != nil {
			t.Fatalf("%+v cannot be read again: %v", m, err)
		}
		if len(m.Payload) == 0 {
			again.Payload = m.Payload // nil or empty
		}
		if again.Created.Equal(m.Created) {
			again.Created = m.Created // in whatever zone
		}
		if !reflect.DeepEqual(again, m) || !bytes.Equal(again.Append(nil), encoded) {
			t.Fatalf("%+v became %+v", m, again)
		}
	})
}
