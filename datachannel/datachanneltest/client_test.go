package datachanneltest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// client is as little of a client as tests of the agent need. It acknowledges
// what comes, shakes hands, and gives the rest to the test.
type client struct {
	t     *testing.T
	srv   *datachanneltest.Server
	id    string
	ws    *websocket.Conn
	in    chan wire.Message // all that came, but repeats of numbered messages
	wg    sync.WaitGroup
	next  int64
	mu    sync.Mutex
	seen  map[int64]bool
	err   error          // why the channel ended
	proto string         // ClientVersion of the handshake
	kept  []wire.Message // came, and was not wanted yet
}

// open opens the data channel of out.
func open(t *testing.T, srv *datachanneltest.Server, out *ssmresume.ResumeSessionOutput) *client {
	t.Helper()
	c := &client{t: t, srv: srv, id: out.SessionID, in: make(chan wire.Message, 1<<16), seen: map[int64]bool{}, proto: "1.2.764.0"}
	c.connect(out)
	t.Cleanup(c.close)
	return c
}

func (c *client) close() {
	if c.ws != nil {
		c.ws.CloseNow()
	}
	c.wg.Wait()
}

func dial(t *testing.T, srv *datachanneltest.Server, out *ssmresume.ResumeSessionOutput) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	return dialWith(t, srv, out, nil)
}

// dialWith edits the handshake's header.
func dialWith(t *testing.T, srv *datachanneltest.Server, out *ssmresume.ResumeSessionOutput, edit func(http.Header)) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	cfg := srv.Config()
	header, err := ssmresume.NewFromConfig(cfg).HandshakeHeader(t.Context(), out.StreamURL)
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(header)
	}
	options := &websocket.DialOptions{HTTPHeader: header}
	if hc, ok := cfg.HTTPClient.(*http.Client); ok {
		tr := hc.Transport.(*http.Transport).Clone()
		tr.DisableKeepAlives = true
		tr.TLSNextProto = nil
		tr.ForceAttemptHTTP2 = false
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetHTTP1(true)
		options.HTTPClient = &http.Client{Transport: tr}
	}
	return websocket.Dial(t.Context(), out.StreamURL.DialURL(), options)
}

// connect opens the channel, again where there was one.
func (c *client) connect(out *ssmresume.ResumeSessionOutput) {
	c.t.Helper()
	c.close()
	ws, _, err := dial(c.t, c.srv, out)
	if err != nil {
		c.t.Fatal(err)
	}
	ws.SetReadLimit(1 << 20)
	message, err := out.OpenMessage("29f14229-70e6-4a15-b7c7-a077aeb94cf1")
	if err != nil {
		c.t.Fatal(err)
	}
	if err := ws.Write(c.t.Context(), websocket.MessageText, message); err != nil {
		c.t.Fatal(err)
	}
	c.ws = ws
	c.wg.Go(func() { c.read(ws) })
}

// resume opens the channel again with what ResumeSession answers.
func (c *client) resume() {
	c.t.Helper()
	out, err := ssmresume.NewFromConfig(c.srv.Config()).ResumeSession(c.t.Context(), &ssmresume.ResumeSessionInput{SessionID: c.id})
	if err != nil {
		c.t.Fatal(err)
	}
	c.connect(out)
}

func (c *client) read(ws *websocket.Conn) {
	for {
		_, b, err := ws.Read(context.Background())
		if err != nil {
			c.mu.Lock()
			c.err = err
			c.mu.Unlock()
			c.in <- wire.Message{Type: "closed"}
			return
		}
		m, err := wire.Parse(b)
		if err != nil {
			c.t.Errorf("%x: %v", b, err)
			continue
		}
		if m.Type == wire.Output {
			ws.Write(context.Background(), websocket.MessageBinary, wire.AppendAcknowledgement(nil, m.Type, m.ID, m.Number))
			if c.seen[m.Number] {
				continue
			}
			c.seen[m.Number] = true
		}
		c.in <- m
	}
}

// send sends input with the next number.
func (c *client) send(t wire.PayloadType, payload []byte) {
	c.sendAt(c.next, t, payload)
	c.next++
}

func (c *client) sendAt(number int64, t wire.PayloadType, payload []byte) {
	c.t.Helper()
	m := wire.Message{Type: wire.Input, Created: time.Now(), Number: number, ID: wire.NewID(), PayloadType: t, Payload: payload}
	if err := c.ws.Write(c.t.Context(), websocket.MessageBinary, m.Append(nil)); err != nil {
		c.t.Error(err)
	}
}

// want returns the next message of type t and, if it is numbered, of payload type p.
func (c *client) want(t wire.Type, p wire.PayloadType) wire.Message {
	c.t.Helper()
	wanted := func(m wire.Message) bool { return m.Type == t && (m.Type != wire.Output || m.PayloadType == p) }
	if i := slices.IndexFunc(c.kept, wanted); i >= 0 {
		m := c.kept[i]
		c.kept = slices.Delete(c.kept, i, i+1)
		return m
	}
	timeout := time.After(20 * time.Second)
	for {
		select {
		case m := <-c.in:
			if wanted(m) {
				return m
			}
			c.kept = append(c.kept, m)
		case <-timeout:
			c.t.Fatalf("no %s of type %d", t, p)
		}
	}
}

// wantOutput reads data until it is text.
func (c *client) wantOutput(text string) {
	c.t.Helper()
	got := ""
	for len(got) < len(text) {
		got += string(c.want(wire.Output, wire.Data).Payload)
	}
	if got != text {
		c.t.Fatalf("output %q, want %q", got, text)
	}
}

// shake does the handshake of sessions without KMS.
func (c *client) shake() {
	c.t.Helper()
	var request wire.Handshake
	if err := json.Unmarshal(c.want(wire.Output, wire.HandshakeRequest).Payload, &request); err != nil {
		c.t.Fatal(err)
	}
	payload, _ := json.Marshal(wire.Response{
		ClientVersion:          c.proto,
		ProcessedClientActions: []wire.ProcessedAction{{ActionType: wire.ActionSessionType, ActionStatus: wire.ActionSuccess}},
	})
	c.send(wire.HandshakeResponse, payload)
	c.want(wire.Output, wire.HandshakeComplete)
}
