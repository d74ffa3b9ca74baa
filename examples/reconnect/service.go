package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"

	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// A service stands in for Session Manager: an SSM endpoint, and a data channel
// server that echoes every text, behind a path that can be cut. It takes a
// channel only with a signed handshake and the last token that was issued.
type service struct {
	ssm  *ssmresumetest.Server
	path *path
	url  string // of the SSM endpoint, over the path

	http   *httptest.Server
	echoes *mailbox // of the one session that there is
	texts  *tally   // that arrived

	mu      sync.Mutex
	channel *websocket.Conn
	ended   chan struct{} // closed when channel's handler is done
}

func startService(sessionID string) (*service, error) {
	s := &service{
		ssm:    ssmresumetest.NewServer(),
		path:   newPath(),
		echoes: newMailbox(),
		texts:  newTally(),
	}
	s.http = httptest.NewServer(s)
	ssmAddr, err := s.path.to(strings.TrimPrefix(s.ssm.URL(), "http://"))
	if err != nil {
		s.close()
		return nil, err
	}
	channelAddr, err := s.path.to(strings.TrimPrefix(s.http.URL, "http://"))
	if err != nil {
		s.close()
		return nil, err
	}
	s.url = "http://" + ssmAddr
	s.ssm.AddSession(sessionID)
	s.ssm.SetStreamURL(func(id string) string {
		cell := make([]byte, 36)
		rand.Read(cell)
		return "ws://" + channelAddr + "/v1/data-channel/" + url.PathEscape(id) +
			"?role=publish_subscribe&cell-number=AA+/" + base64.StdEncoding.EncodeToString(cell)
	})
	return s, nil
}

func (s *service) close() {
	if channel := s.current(); channel != nil {
		channel.CloseNow()
	}
	s.path.close()
	s.http.Close()
	s.ssm.Close()
}

// recycle closes the channel, as Session Manager does about once an hour.
func (s *service) recycle() {
	if channel := s.current(); channel != nil {
		channel.Close(websocket.StatusNormalClosure, "Bye")
	}
}

// current returns the session's channel, or nil.
func (s *service) current() *websocket.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.channel
}

// ServeHTTP is one data channel.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.ssm.VerifyHandshake(r); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer conn.CloseNow()
	if err := s.verifyOpenMessage(r, conn); err != nil {
		conn.Close(websocket.StatusPolicyViolation, err.Error())
		return
	}
	defer s.takeOver(conn)()
	s.echoes.run(r.Context(), conn, func(text string) {
		s.texts.add(text)
		s.echoes.send(text)
	})
}

func (s *service) verifyOpenMessage(r *http.Request, conn *websocket.Conn) error {
	ctx, cancel := context.WithTimeout(r.Context(), openTimeout)
	defer cancel()
	kind, data, err := conn.Read(ctx)
	if err != nil || kind != websocket.MessageText {
		return errors.New("the first message is not a text")
	}
	var open struct{ MessageSchemaVersion, RequestId, TokenValue, ClientId, ClientVersion string }
	if err := json.Unmarshal(data, &open); err != nil {
		return errors.New("the first message is not JSON")
	}
	id := strings.TrimPrefix(r.URL.Path, "/v1/data-channel/")
	switch {
	case open.MessageSchemaVersion != "1.0" || len(open.RequestId) != 36 || len(open.ClientId) != 36 || open.ClientVersion == "":
		return errors.New("the first message lacks a field")
	case open.TokenValue == "" || open.TokenValue != s.ssm.LastToken(id):
		return fmt.Errorf("the token is not the last one of session %s", id)
	}
	return nil
}

// takeOver ends the channel before, whose client may have gone in silence, and
// makes conn the session's channel. The function that it returns ends that.
func (s *service) takeOver(conn *websocket.Conn) func() {
	ended := make(chan struct{})
	s.mu.Lock()
	before, beforeEnded := s.channel, s.ended
	s.channel, s.ended = conn, ended
	s.mu.Unlock()
	if before != nil {
		before.CloseNow()
		<-beforeEnded
	}
	return func() {
		s.mu.Lock()
		if s.channel == conn {
			s.channel = nil
		}
		s.mu.Unlock()
		close(ended)
	}
}
