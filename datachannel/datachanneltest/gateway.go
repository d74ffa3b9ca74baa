package datachanneltest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// openLimit is how long a client may take to send its first message.
const openLimit = 15 * time.Second

// serveChannel answers a WebSocket handshake and serves the channel until its end.
func (s *Server) serveChannel(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()

	id, err := url.PathUnescape(path.Base(r.URL.EscapedPath()))
	session := s.Session(id)
	if err != nil || session == nil || !session.options.Unsigned || r.Header.Get("Authorization") != "" {
		if err := s.VerifyHandshake(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
	}
	hijacker := &hijackWriter{ResponseWriter: w}
	ws, err := websocket.Accept(hijacker, r, nil)
	if err != nil {
		return // it was answered
	}
	defer ws.CloseNow()
	ch := &channel{ws: ws, raw: hijacker.conn}
	if !s.serving(ch, true) {
		return
	}
	defer s.serving(ch, false)
	if session != nil {
		ws.SetReadLimit(session.options.MaxMessage)
	}
	clientID, problem := s.readOpen(ch, id)
	if problem == "" && (session == nil || !session.open(ch, clientID)) {
		problem = "Session is already terminated"
	}
	if problem != "" {
		ws.Close(websocket.StatusUnsupportedData, "Channel "+id+": "+problem)
		return
	}
	defer session.dropClient(ch, true)
	session.read(ch)
}

// serving notes that ch is being served, or no longer. It returns false if the
// server is closed.
func (s *Server) serving(ch *channel, is bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !is {
		delete(s.channels, ch)
		return true
	}
	if s.closed {
		return false
	}
	s.channels[ch] = true
	return true
}

// hijackWriter remembers the connection that was taken over.
type hijackWriter struct {
	http.ResponseWriter
	conn net.Conn
}

func (w *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.conn = conn
	return conn, rw, err
}

// readOpen reads the first message, and returns what is wrong with it.
func (s *Server) readOpen(ch *channel, id string) (clientID, problem string) {
	ctx, cancel := context.WithTimeout(context.Background(), openLimit)
	defer cancel()
	t, b, err := ch.ws.Read(ctx)
	var open struct{ MessageSchemaVersion, RequestId, TokenValue, ClientId, ClientVersion string }
	switch {
	case err != nil, t != websocket.MessageText, json.Unmarshal(b, &open) != nil, open.TokenValue == "":
		return "", "request to open data channel does not contain token"
	case open.TokenValue != s.LastToken(id):
		return "", "request to open data channel contains an invalid token"
	case open.MessageSchemaVersion != "1.0", open.RequestId == "", open.ClientId == "", open.ClientVersion == "":
		return "", "request to open data channel is not complete"
	}
	return open.ClientId, ""
}

// read passes on what the client sends.
func (s *Session) read(ch *channel) {
	var buf bytes.Buffer
	for {
		t, r, err := ch.ws.Reader(context.Background())
		if err != nil {
			return
		}
		buf.Reset()
		if _, err := io.Copy(&buf, r); err != nil {
			return
		}
		if t != websocket.MessageBinary {
			continue
		}
		m, err := wire.ParseUnverified(bytes.Clone(buf.Bytes()))
		if err != nil || m.Type != wire.Input && m.Type != wire.Acknowledge {
			continue // as the agent does
		}
		s.toAgent.waitRoom()
		if !s.isClient(ch) {
			continue // it is being closed
		}
		s.toAgent.push(parcel{frame: m.Payload, message: m})
	}
}

func (s *Session) isClient(ch *channel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client == ch
}

func (ch *channel) write(frame []byte) error {
	return ch.ws.Write(context.Background(), websocket.MessageBinary, frame)
}
