package datachanneltest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"sync"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// A Server is Session Manager: an endpoint that answers StartSession,
// ResumeSession and TerminateSession, the gateway of the data channels on the
// same host, and an agent for each session. Its methods are safe for concurrent
// use.
//
// The embedded endpoint's faults are the gateway's, too: SetNetwork cuts both,
// and what SetRespond returns for a Path of /v1/data-channel/... refuses a
// WebSocket handshake.
type Server struct {
	*ssmresumetest.Server
	pipes bool // in memory, and so perhaps in a bubble

	mu       sync.Mutex
	sessions map[string]*Session
	onStart  func(StartRequest) (Options, error)
	channels map[*channel]bool // those being served
	closed   bool
	wg       sync.WaitGroup // handshakes
}

// NewServer starts a server with plain HTTP/1.1 on the loopback interface.
func NewServer() *Server { return newServer(ssmresumetest.NewServer()) }

// NewTLSServer starts a server with TLS, HTTP/1.1 and HTTP/2, on the loopback
// interface. The HTTP client of its Config trusts its certificate.
func NewTLSServer() *Server { return newServer(ssmresumetest.NewTLSServer()) }

// NewPipeServer starts a server in memory. Only the HTTP client of its Config
// reaches it. Made inside a testing/synctest bubble, it lets the bubble's clock
// move. Close it before the bubble ends.
func NewPipeServer() *Server {
	forgetPooled()
	s := newServer(ssmresumetest.NewPipeServer())
	s.pipes = true
	return s
}

// forgetPooled empties every sync.Pool. smux 1.5.58 keeps channels in one, and a
// channel of one bubble kills the process when another, or no bubble, uses it.
// Not needed once it keeps none.
func forgetPooled() {
	runtime.GC() // what is pooled survives one collection
	runtime.GC()
}

func newServer(endpoint *ssmresumetest.Server) *Server {
	s := &Server{Server: endpoint, sessions: map[string]*Session{}, channels: map[*channel]bool{}}
	endpoint.AddSession("none") // from now on only those that are started exist
	endpoint.SetDataChannel(http.HandlerFunc(s.serveChannel))
	endpoint.SetOperation("StartSession", s.startSession)
	endpoint.SetOperation("TerminateSession", s.terminateSession)
	return s
}

// Close ends all sessions, waits for their programs, and ends the server.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	sessions := s.sessions
	s.sessions = nil
	channels := slices.Collect(maps.Keys(s.channels))
	s.mu.Unlock()
	for _, session := range sessions {
		session.close()
	}
	for _, ch := range channels {
		ch.ws.CloseNow()
	}
	s.Server.Close()
	s.wg.Wait()
	for _, session := range sessions {
		session.wait()
	}
	if s.pipes {
		forgetPooled()
	}
}

// Start starts a session, and returns what StartSession would answer and a handle.
// Its agent comes when the first client does, so that no test waits until the
// agent repeats what nobody was there to hear.
//
// It panics where a session with this ID exists, or the server is closed.
func (s *Server) Start(options Options) (*ssmresume.ResumeSessionOutput, *Session) {
	session := newSession(s, options.withDefaults())
	s.mu.Lock()
	if s.closed || s.sessions[session.id] != nil {
		s.mu.Unlock()
		session.close()
		panic("datachanneltest: no session " + session.id + " can be started: there is one, or the server is closed")
	}
	s.sessions[session.id] = session
	s.mu.Unlock()
	s.AddSession(session.id)
	token, rawURL := s.Issue(session.id)
	first, err := ssmresume.NewOutput(session.id, token, rawURL)
	if err != nil {
		panic("datachanneltest: " + err.Error()) // an ID, or a function of SetStreamURL, that makes no URL
	}
	return first, session
}

// Session returns the handle of a session, also of one that a client has started
// with StartSession; nil if there is none.
func (s *Server) Session(id string) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

// Terminate ends a session as TerminateSession does; see [Session.Terminate].
func (s *Server) Terminate(id string) {
	if session := s.Session(id); session != nil {
		session.Terminate("")
	}
}

// TimeOut is Terminate for the other way that the service knows: ResumeSession
// answers status 200 without a token from then on.
func (s *Server) TimeOut(id string) {
	s.Terminate(id)
	s.Server.TimeOut(id)
}

// A StartRequest is what a client asked of StartSession.
type StartRequest struct {
	Target       string
	DocumentName string
	Reason       string
	Parameters   map[string][]string
}

// SetStart sets what a session is that a client starts with StartSession, such as
// the AWS CLI does. Without it, or where it returns an error, the answer is
// TargetNotConnected.
func (s *Server) SetStart(options func(StartRequest) (Options, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onStart = options
}

func (s *Server) startSession(r ssmresumetest.Request) *ssmresumetest.Response {
	var in StartRequest
	if err := json.Unmarshal(r.Body, &in); err != nil {
		return ssmresumetest.Fail(http.StatusBadRequest, "SerializationException", "")
	}
	s.mu.Lock()
	onStart := s.onStart
	s.mu.Unlock()
	notConnected := func(message string) *ssmresumetest.Response {
		return ssmresumetest.Fail(http.StatusBadRequest, "TargetNotConnected", message)
	}
	if onStart == nil {
		return notConnected(in.Target + " is not connected.")
	}
	options, err := onStart(in)
	if err != nil {
		return notConnected(err.Error())
	}
	if options.TargetID == "" {
		options.TargetID = in.Target
	}
	first, _ := s.Start(options)
	return answer(map[string]string{"SessionId": first.SessionID, "TokenValue": first.TokenValue.Reveal(), "StreamUrl": first.StreamURL.DialURL()})
}

func (s *Server) terminateSession(r ssmresumetest.Request) *ssmresumetest.Response {
	var in struct{ SessionID string }
	if err := json.Unmarshal(r.Body, &in); err != nil {
		return ssmresumetest.Fail(http.StatusBadRequest, "SerializationException", "")
	}
	session := s.Session(in.SessionID)
	if session == nil {
		return ssmresumetest.Fail(http.StatusBadRequest, "DoesNotExistException", "Session "+in.SessionID+" does not exist.")
	}
	session.Terminate("")
	return answer(map[string]string{"SessionId": in.SessionID})
}

func answer(v map[string]string) *ssmresumetest.Response {
	body, _ := json.Marshal(v)
	return ssmresumetest.Raw(http.StatusOK, nil, string(body))
}

func randomHex(digits int) string {
	b := make([]byte, (digits+1)/2)
	rand.Read(b)
	return fmt.Sprintf("%x", b)[:digits]
}
