// Package ssmresumetest is a Systems Manager endpoint in a test process, as
// net/http/httptest is a web server in one. It answers ResumeSession, and it
// refuses what AWS would refuse: it verifies the SigV4 signature with its own
// code, and checks the target, the content type and the body.
//
//	srv := ssmresumetest.NewServer()
//	defer srv.Close()
//	client := ssmresume.NewFromConfig(srv.Config())
//
// Most tests need no more than that, with [Server.Terminate] and
// [Server.SetNetwork]. A program that uses package datachannel is tested with
// package [github.com/ssmresume/ssmresume/datachannel/datachanneltest], whose
// server is this one and a data channel with an agent behind it.
//
// Every AWS client can be pointed at it: the SDKs, the AWS CLI, boto3.
//
// # What a test can order
//
// At any time, from any goroutine:
//
//   - Sessions: [Server.AddSession], [Server.Issue], and their ends,
//     [Server.Terminate] and [Server.TimeOut].
//   - Faults of the service, or of a proxy before it: [Server.SetRespond], with
//     [Fail], [Throttle], [Hang], [Reset] and the other answers;
//     [Server.SetRateLimit].
//   - Faults of the network: [Server.SetNetwork], [Server.ResetConnections] and
//     [Server.ForgetConnections].
//   - Credentials and clock: [Server.SetCredentials], [Server.ExpireCredentials]
//     and [Server.SetClockOffset].
//   - What else there is: [Server.SetOperation] for other calls of the service,
//     [Server.SetDataChannel] for the WebSocket, and [Server.Listen] for what is
//     not HTTP.
//
// [Server.Requests] has what came. In a testing/synctest bubble use
// [NewPipeServer].
package ssmresumetest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	// Region is the Region of [Server.Config] and of the signatures that the
	// server accepts, unless [Server.SetRegion] changes it.
	Region = "us-east-2"

	maxRequests     = 10_000 // of 1.4 KiB each, as a rule
	maxRequestBody  = 1 << 20
	maxSessionID    = 96 // characters, by the service's model
	tokenBytes      = 525
	cellNumberBytes = 37
)

// A Request is what the server has seen of a request.
type Request struct {
	Time       time.Time // when it came, by the local clock
	RemoteAddr string    // tells connections apart
	Proto      string    // "HTTP/1.1" or "HTTP/2.0"
	Method     string
	Host       string
	Path       string // escaped, with the query if any
	Header     http.Header
	Body       []byte
	SessionID  string // of the body; empty if it holds none
}

// A Server answers ResumeSession. Its methods are safe for concurrent use. Until
// [Server.AddSession] is called, every session that was not ended exists.
type Server struct {
	http    *httptest.Server
	link    link
	client  *http.Client // that reaches the server; nil if every client does
	pipes   bool         // it listens in memory
	done    chan struct{}
	closing sync.Once

	mu          sync.Mutex
	requests    []Request
	respond     func(Request) *Response
	region      string
	credentials []aws.Credentials
	expired     map[string]bool // by access key ID
	strict      bool            // only sessions that were added exist
	sessions    map[string]*session
	streamURL   func(sessionID string) string
	clockOffset time.Duration
	limit       *bucket
	operations  map[string]func(Request) *Response // by X-Amz-Target
	dataChannel http.Handler
}

type session struct {
	gone  gone
	token string // the last one issued
}

type gone int

const (
	alive gone = iota
	doesNotExist
	timedOut
)

// NewServer starts a server with plain HTTP/1.1 on the loopback interface.
func NewServer() *Server {
	s := newServer()
	s.http.Listener = s.link.listenOnLoopback()
	s.http.Start()
	return s
}

// NewTLSServer starts a server with TLS, HTTP/1.1 and HTTP/2, on the loopback
// interface. The HTTP client of its Config trusts its certificate.
func NewTLSServer() *Server {
	s := newServer()
	s.http.Listener = s.link.listenOnLoopback()
	// httptest would offer it, and net/http not speak it.
	s.http.EnableHTTP2 = !strings.Contains(os.Getenv("GODEBUG"), "http2server=0")
	s.http.StartTLS()
	s.client = s.http.Client()
	return s
}

// NewPipeServer starts a server in memory. Only the HTTP client of its Config
// reaches it, whatever the address it dials. Made inside a testing/synctest bubble,
// it lets the bubble's clock move while a client waits for it, which a socket does
// not. Close it before the bubble ends.
func NewPipeServer() *Server {
	s := newServer()
	s.http.Listener = s.link.listen()
	s.http.Start()
	s.client = &http.Client{Transport: &http.Transport{DialContext: s.link.dial}}
	s.pipes = true
	return s
}

// Listen opens another listener behind the same network, at an address of its own:
// on loopback, or in memory for a pipe server, whose HTTP client dials it too.
// SetNetwork, ResetConnections and ForgetConnections are for its connections as
// for the server's. It is for what is not HTTP or not ResumeSession, such as a
// data channel. Close closes it.
func (s *Server) Listen() (net.Listener, error) {
	if s.pipes {
		return s.link.listen(), nil
	}
	l, err := listenTCP()
	if err != nil {
		return nil, err
	}
	return s.link.listenOn(l), nil
}

// SetNetwork makes the network between clients and the server what n says, from
// when it returns. At first it is Up.
//
// What is written on a connection while it is silent, at most 64 KiB each way, is
// held. When the network is Up again it arrives, as what TCP sends again does,
// unless an end has closed the connection in the meantime: then it is lost, and
// the other end gets a reset. Refused resets all connections, so that what they
// held is lost. To lose silent connections without a word call ForgetConnections.
//
// It panics if n is none of the four.
func (s *Server) SetNetwork(n Network) {
	if n < Up || n > Silent {
		panic(fmt.Sprintf("ssmresumetest: SetNetwork(%v)", n))
	}
	s.link.set(n)
}

// ResetConnections resets all connections there are, whatever the network: both
// ends fail.
func (s *Server) ResetConnections() { s.link.each((*wire).reset) }

// ForgetConnections makes all connections that there are silent for good, as a
// NAT on the way does that has forgotten them, or a change of the client's
// address. Neither end is told. New connections are as the network is.
func (s *Server) ForgetConnections() { s.link.each((*wire).die) }

func newServer() *Server {
	s := &Server{
		done:        make(chan struct{}),
		region:      Region,
		expired:     map[string]bool{},
		sessions:    map[string]*session{},
		credentials: []aws.Credentials{{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Source: "ssmresumetest"}},
	}
	s.http = &httptest.Server{Config: &http.Server{
		Handler:  s,
		ErrorLog: log.New(io.Discard, "", 0), // net/http complains about the faults
	}}
	return s
}

// Close ends the server, its connections and every fault that hangs. It may be
// called again.
func (s *Server) Close() {
	s.closing.Do(func() { close(s.done) })
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	s.http.CloseClientConnections()
	s.http.Close()
	s.link.close()
}

// URL returns the endpoint, such as "http://127.0.0.1:20480".
func (s *Server) URL() string { return s.http.URL }

// Config returns a configuration for AWS clients with the server's endpoint,
// Region and first accepted credentials, and with an HTTP client where only that
// one reaches the server.
func (s *Server) Config() aws.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	cfg := aws.Config{
		Region:       s.region,
		BaseEndpoint: aws.String(s.URL()),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.credentials[0], nil
		}),
	}
	if s.client != nil {
		cfg.HTTPClient = s.client
	}
	return cfg
}

// Requests returns the requests so far, the refused ones too, but of more than
// 10,000 the last 10,000. Count in the function of [Server.SetRespond] if there
// may be more.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// AddSession makes a session that can be resumed. From the first call on, only
// sessions that were added exist.
func (s *Server) AddSession(id string) { s.setSession(id, alive) }

// Terminate ends a session: it answers DoesNotExistException from now on.
func (s *Server) Terminate(id string) { s.setSession(id, doesNotExist) }

// TimeOut ends a session in the other way that the service knows: it answers
// status 200 without a token from now on.
func (s *Server) TimeOut(id string) { s.setSession(id, timedOut) }

func (s *Server) setSession(id string, g gone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g == alive {
		s.strict = true
	}
	s.sessions[id] = &session{gone: g}
}

// LastToken returns the token last issued for a session, which is the only one
// that its data channel takes; empty if there was none.
func (s *Server) LastToken(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if session := s.sessions[id]; session != nil {
		return session.token
	}
	return ""
}

// SetRespond sets a function that decides what the next requests get. It comes
// before every check, as a proxy in the way does: what it returns is sent,
// whatever the signature and the session. If it returns nil, the request is
// answered as usual. It may be called by several requests at once, and may itself
// call any method of the server but Close, which waits for it.
func (s *Server) SetRespond(respond func(Request) *Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.respond = respond
}

// SetRegion sets the Region of Config and the only one that the server accepts
// in a signature.
func (s *Server) SetRegion(region string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.region = region
}

// SetCredentials sets the credentials that the server accepts from now on, at
// least one. Those with a SessionToken are temporary ones.
func (s *Server) SetCredentials(first aws.Credentials, more ...aws.Credentials) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credentials = append([]aws.Credentials{first}, more...)
}

// ExpireCredentials makes requests with this access key ID get
// ExpiredTokenException from now on. A Reconnector with the credentials of Config
// then waits for others until its ctx ends.
func (s *Server) ExpireCredentials(accessKeyID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expired[accessKeyID] = true
}

// SetStreamURL sets the function that makes the StreamUrl of the answers. Nil
// means a URL on the server's own host with a new cell-number each time; there is
// no data channel to dial there without [Server.SetDataChannel]. It may be called
// by several requests at once, and may itself call any method of the server but
// Close, which waits for it.
func (s *Server) SetStreamURL(streamURL func(sessionID string) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streamURL = streamURL
}

// SetClockOffset sets how far the server's clock is ahead of the local one.
func (s *Server) SetClockOffset(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clockOffset = d
}

// SetRateLimit throttles requests beyond burst at once and perSecond in the
// long run. With retryAfter the answer tells the place in the queue: a
// Retry-After of so many whole seconds as it takes to serve all who were sent
// away before. perSecond 0 ends the limit. It panics if burst is below 1, which
// would serve nobody.
func (s *Server) SetRateLimit(perSecond float64, burst int, retryAfter bool) {
	if perSecond > 0 && burst < 1 {
		panic(fmt.Sprintf("ssmresumetest: SetRateLimit with a burst of %d", burst))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = nil
	if perSecond > 0 {
		s.limit = &bucket{rate: perSecond, burst: float64(burst), tokens: float64(burst), last: time.Now(), tell: retryAfter}
	}
}

// bucket is a token bucket.
type bucket struct {
	rate, burst, tokens float64
	last                time.Time
	tell                bool
	queue               time.Time // when all who were told a time will have been served
}

// take returns whether a request is served and, if not, when to come back.
func (b *bucket) take(now time.Time) (ok bool, retryAfter time.Duration) {
	b.tokens = min(b.burst, b.tokens+b.rate*now.Sub(b.last).Seconds())
	b.last = now
	if b.tokens >= 1 {
		b.tokens--
		return true, 0
	}
	if b.queue.Before(now) {
		b.queue = now
	}
	b.queue = b.queue.Add(time.Duration(float64(time.Second) / b.rate))
	return false, b.queue.Sub(now)
}

// ServeHTTP answers one request. It is exported by http.Handler only; use URL.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p != http.ErrAbortHandler {
			log.Printf("ssmresumetest: a request from %s is not answered: %v\n%s", r.RemoteAddr, p, debug.Stack())
		}
		panic(http.ErrAbortHandler)
	}()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBody))
	if err != nil {
		return // the client went away, or sent more than any client of this call
	}
	seen := Request{
		Time:       time.Now(),
		RemoteAddr: r.RemoteAddr,
		Proto:      r.Proto,
		Method:     r.Method,
		Host:       r.Host,
		Path:       r.RequestURI,
		Header:     r.Header.Clone(),
		Body:       body,
	}
	var in map[string]any         // a struct's field would take sessionid, too
	_ = json.Unmarshal(body, &in) // a wrong body is refused below
	seen.SessionID, _ = in["SessionId"].(string)

	s.mu.Lock()
	if len(s.requests) == maxRequests {
		s.requests[0] = Request{} // until append moves the others, it is still referred to
		s.requests = s.requests[1:]
	}
	s.requests = append(s.requests, seen)
	respond, now, dataChannel := s.respond, time.Now().Add(s.clockOffset), s.dataChannel
	s.mu.Unlock()

	var resp *Response
	if respond != nil {
		resp = respond(seen)
	}
	if resp == nil && dataChannel != nil && strings.HasPrefix(r.URL.Path, dataChannelPath) {
		dataChannel.ServeHTTP(w, r)
		return
	}
	if resp == nil {
		resp = s.answer(r, seen, now)
	}
	h := w.Header()
	h.Set("Date", now.UTC().Format(http.TimeFormat))
	h.Set("X-Amzn-Requestid", newUUID())
	h.Set("Content-Type", "application/x-amz-json-1.1")
	resp.write(w, r, s.done, func() *Response { return s.success(seen.SessionID) })
}

// success is the answer for a session that has not been ended, without any check.
func (s *Server) success(id string) *Response {
	s.mu.Lock()
	out := s.issue(id, s.sessionFor(id))
	s.mu.Unlock() // the function that makes the URL may call the server
	out.StreamUrl = s.newStreamURL(id)
	return jsonResponse(http.StatusOK, out)
}

// answer is the answer without a fault.
func (s *Server) answer(r *http.Request, seen Request, now time.Time) *Response {
	target := headerValue(r, "X-Amz-Target")
	s.mu.Lock()
	refused, operation := s.refuse(r, seen, now), s.operations[target]
	s.mu.Unlock()
	switch {
	case refused != nil:
		return refused
	case operation != nil:
		return operation(seen)
	case target == targetPrefix+"ResumeSession":
		return s.resumeSession(seen)
	}
	return Fail(http.StatusBadRequest, "UnknownOperationException", "")
}

// refuse returns what refuses a request whatever it asks for, or nil. s.mu is
// held.
func (s *Server) refuse(r *http.Request, seen Request, now time.Time) *Response {
	if refused := s.verify(r, seen.Body, "ssm", now); refused != nil {
		return refused
	}
	if r.Method != http.MethodPost || r.URL.Path != "/" {
		return Fail(http.StatusNotFound, "UnknownOperationException", "")
	}
	if mediaType, _, _ := strings.Cut(headerValue(r, "Content-Type"), ";"); strings.TrimSpace(mediaType) != "application/x-amz-json-1.1" {
		return Fail(http.StatusBadRequest, "UnknownOperationException", "")
	}
	return nil
}

// resumeSession answers ResumeSession.
func (s *Server) resumeSession(seen Request) *Response {
	s.mu.Lock()
	refused := s.refuseResume(seen)
	s.mu.Unlock()
	if refused != nil {
		return refused
	}
	return s.success(seen.SessionID)
}

// refuseResume returns the answer to a session that cannot be resumed, or nil.
// s.mu is held.
func (s *Server) refuseResume(seen Request) *Response {
	var in map[string]any
	if err := json.Unmarshal(seen.Body, &in); err != nil || in == nil || !utf8.Valid(seen.Body) {
		return Fail(http.StatusBadRequest, "SerializationException", "Start of structure or map found where not expected.")
	}
	id, isString := in["SessionId"].(string)
	const invalid = "1 validation error detected: Value %s at 'sessionId' failed to satisfy constraint: "
	switch n := utf8.RuneCountInString(id); {
	case in["SessionId"] == nil:
		return Fail(http.StatusBadRequest, "ValidationException", fmt.Sprintf(invalid+"Member must not be null", "null"))
	case !isString:
		return Fail(http.StatusBadRequest, "SerializationException", "Expected a string for sessionId")
	case n == 0:
		return Fail(http.StatusBadRequest, "ValidationException", fmt.Sprintf(invalid+"Member must have length greater than or equal to 1", "''"))
	case n > maxSessionID:
		return Fail(http.StatusBadRequest, "ValidationException", fmt.Sprintf(invalid+"Member must have length less than or equal to %d", "'"+id+"'", maxSessionID))
	}
	if s.limit != nil {
		if ok, after := s.limit.take(time.Now()); !ok {
			resp := Throttle()
			if s.limit.tell {
				resp.Header.Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
			}
			return resp
		}
	}
	if session := s.sessionFor(id); session == nil || session.gone == doesNotExist {
		return Fail(http.StatusBadRequest, "DoesNotExistException", "Session "+id+" does not exist.")
	}
	return nil
}

// resumed is the service's answer.
type resumed struct {
	SessionId  string
	TokenValue string `json:",omitempty"`
	StreamUrl  string
}

// issue makes an answer, but for its StreamUrl, with a new token, which session,
// if any, remembers. There is none if the session has timed out.
func (s *Server) issue(id string, session *session) resumed {
	out := resumed{SessionId: id}
	if session != nil && session.gone == timedOut {
		return out
	}
	out.TokenValue = "AAEAA+/" + randomBase64(tokenBytes) + "="
	if session != nil {
		session.token = out.TokenValue
	}
	return out
}

// sessionFor returns nil if there is no such session.
func (s *Server) sessionFor(id string) *session {
	if s.sessions[id] == nil && !s.strict {
		s.sessions[id] = &session{}
	}
	return s.sessions[id]
}

func (s *Server) newStreamURL(id string) string {
	s.mu.Lock()
	streamURL := s.streamURL
	s.mu.Unlock()
	if streamURL != nil {
		return streamURL(id)
	}
	scheme := "ws"
	if strings.HasPrefix(s.http.URL, "https:") {
		scheme = "wss"
	}
	_, host, _ := strings.Cut(s.http.URL, "://")
	return scheme + "://" + host + dataChannelPath + (&url.URL{Path: id}).EscapedPath() +
		"?role=publish_subscribe&cell-number=AAEA+/" + randomBase64(cellNumberBytes) + "=="
}

func randomBase64(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return base64.RawStdEncoding.EncodeToString(b)
}

func newUUID() string {
	b := make([]byte, 16)
	rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
