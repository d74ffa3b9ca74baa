package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	sessionID    = "Mary-Major-07a16060613c408b5"
	sessionToken = "IQoJb3JpZ2luX2VjEXAMPLE"

	loopback  = "" // where the server really listens
	overTLS   = "https://ssm.us-east-2.amazonaws.com"
	plainHTTP = "http://ssm.example.com"
)

// response is a generated answer, and how it is asked for.
type response struct {
	status      int
	header      http.Header
	body        string
	missing     int           // bytes that Content-Length promises beyond the body
	fault       string        // instead of an answer
	date        time.Duration // of the Date header, from now
	noDate      bool
	endpoint    string
	maxAttempts int
}

// usual is the answer that the pinned examples begin with.
func usual(status int, body string) response {
	return response{status: status, body: body, header: http.Header{}, maxAttempts: 3}
}

func (r response) String() string {
	return fmt.Sprintf("status %d, header %q, body of %d (and %d missing) %.1000q, fault %q, date %v %t, endpoint %q, attempts %d",
		r.status, r.header, len(r.body), r.missing, r.body, r.fault, r.date, !r.noDate, r.endpoint, r.maxAttempts)
}

func (r response) get(name string) string { return strings.Trim(r.header.Get(name), " ") }

func (r response) success() bool { return r.status/100 == 2 }

// broken reports whether the body cannot be read to its end, or to the limit.
func (r response) broken() bool {
	return r.missing > 0 && len(r.body) <= 64<<10 || r.get("Content-Encoding") == "gzip" && r.body != ""
}

func newResponse(data []byte) response {
	c := &choices{data}
	r := response{
		status:      pick(c, 200, 200, 200, 200, 400, 400, 400, 403, 500, 503, 200+c.upTo(400), pick(c, 202, 204, 300, 301, 302, 303, 304, 307, 308, 401, 404, 407, 408, 413, 429, 429, 429, 501, 502, 504, 599)),
		endpoint:    pick(c, loopback, loopback, overTLS, plainHTTP),
		maxAttempts: pick(c, 3, 3, 2, 1),
		header:      http.Header{},
	}
	if c.rarely(40) {
		return response{fault: pick(c, "end", "reset", "malformed", "refused", "unknown"), header: r.header, endpoint: r.endpoint, maxAttempts: r.maxAttempts}
	}
	add := func(name string, values ...string) {
		if v := strings.Map(dropControl, pick(c, values...)); v != "" {
			r.header.Set(name, v)
		}
	}
	for range c.upTo(3) {
		switch c.upTo(7) {
		case 0, 1:
			add("X-Amzn-ErrorType", code(c))
		case 2:
			add("Retry-After", "0", "Sun, 06 Nov 1994 08:49:37 GMT", "soon", "-1", "")
			add("x-amz-retry-after", "", "0", "-5", "1.5")
		case 3:
			add("Content-Type", "text/html", "application/json; charset=utf-8", "text/plain")
		case 4:
			add("Location", "/redirected", "http://ssm.example.com/redirected")
		case 5:
			add("Age", "7", "0")
		case 6:
			add("Content-Encoding", "", "", "", "", "identity", "gzip")
		}
	}
	add("x-amzn-RequestId", "74d66468-126a-5db3-b534-99287bbca9e0", "a", "", " spaced ", "turned\u202eround", "line\u2028")
	add("x-amz-RequestId", "", "2c4f8a40-0000-5555-9999-99287bbca9e0")
	if r.noDate = c.rarely(3); !r.noDate {
		r.date = pick(c, 0, time.Hour, -time.Hour, 10*time.Minute, -10*time.Minute, 2*time.Minute, -2*time.Minute)
	}
	r.body = body(c, r.success())
	switch {
	case r.status == http.StatusNoContent || r.status == http.StatusNotModified:
		r.body = ""
	case c.rarely(20):
		r.missing = 1 + c.upTo(10)
	}
	return r
}

// dropControl is for headers: with control characters in one there is no answer,
// but a malformed one.
func dropControl(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

// code returns an error code in one of the forms in which services send it.
func code(c *choices) string {
	name := pick(c,
		"DoesNotExistException", "AccessDeniedException", "ThrottlingException", "ValidationException", "InternalServerError", // with a type in the SDK
		"InvalidInstanceId", "TooManyUpdates", "UnsupportedFeatureRequiredException", // of other operations
		"AccessDenied", "NotAuthorized", "OptInRequired", "UnauthorizedOperation",
		"ExpiredTokenException", "ExpiredToken", "TokenRefreshRequired", "UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken",
		"MissingAuthenticationToken", "MissingAuthenticationTokenException",
		"InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature", "IncompleteSignatureException", "AuthFailure", "RequestExpired", "RequestTimeTooSkewed",
		"ValidationError", "SerializationException", "UnknownOperationException", "InvalidParameterValue",
		"InternalServerException", "InternalFailure", "InternalError", "ServiceUnavailable", "ServiceUnavailableException",
		"Throttling", "TooManyRequestsException", "SlowDown", "LimitExceededException", "RequestTimeout", "RequestTimeoutException",
		"UnknownError", "NotImplemented", "Ünknown", "",
		c.text(8),
	)
	if !c.rarely(3) {
		return name
	}
	return pick(c, "", "com.amazonaws.ssm#", "com.amazon.coral.service#", "a#b#", "#", ":") + name +
		pick(c, "", ":", ":http://internal.amazon.com/coral/com.amazon.coral.validate/", "#", "#x:y")
}

// body returns a body, most of them such as the service's.
func body(c *choices, success bool) string {
	var s string
	switch kind := c.upTo(16); {
	case kind < 10 && success:
		s = object(c, "TokenValue", "StreamUrl", "SessionId", "TokenValue")
	case kind < 10:
		s = object(c, "__type", pick(c, "message", "Message"), pick(c, "Other", "code", "Code", "__type", "message", "MESSAGE", "QuotaCode", "errorMessage"))
	case kind == 10:
		s = pick(c, "", " \r\n", "null", "[]", `"text"`, "5", "true", "{", "{}", "{} {}", `{"TokenValue":"t"}{`, `{"__type":"ExpiredToken"} x`, "nul", "\x00", "upstream timed out")
	case kind == 11:
		s = "<html><head><title>502 Bad Gateway</title></head></html>"
	case kind == 12:
		s = "\ufeff" + object(c, "TokenValue", "__type")
	case kind == 13 && c.rarely(4):
		depth := pick(c, 9_999, 10_000, 10_001)
		s = pick(c, `{"a":`, `{"__type":"ExpiredToken","a":`, `{"TokenValue":"t","a":`) + strings.Repeat("[", depth) + strings.Repeat("]", depth) + "}"
	case kind == 14 && c.rarely(8):
		s = `{"TokenValue":"t","__type":"ExpiredToken","a":"` + strings.Repeat("a", pick(c, 60<<10, 70<<10)) + `"}`
	case kind == 15:
		s = c.text(40)
	default:
		s = object(c, "TokenValue", "__type", "message", "code")
	}
	switch {
	case c.rarely(20):
		s = s[:len(s)-min(len(s), 1+c.upTo(12))]
	case c.rarely(20):
		at := c.upTo(len(s) + 1)
		s = s[:at] + pick(c, ",", `"`, "\\", "}", "\x00", "\x80", " ", "0", `,"a":1`) + s[at:]
	}
	return s
}

// object returns a JSON object with these keys, or others, as their spelling or
// number goes.
func object(c *choices, keys ...string) string {
	var fields []string
	for _, key := range keys {
		switch {
		case c.rarely(8):
			continue
		case c.rarely(12):
			key = pick(c, strings.ToLower(key), strings.ToUpper(key), strings.ToLower(key[:1])+key[1:], `\u0053`+key[1:], "ſ"+key[1:])
		case c.rarely(12):
			key = pick(c, "SessionId", "TokenValue", "StreamUrl", "__type", "code", "message", "Message")
		}
		fields = append(fields, `"`+key+`"`+pick(c, ":", ":", " :\t")+value(c, key))
	}
	return pick(c, "{", "{", " { ", "\n{") + strings.Join(fields, pick(c, ",", ",", " ,\n")) + pick(c, "}", "}", " }\n", "} x")
}

func value(c *choices, key string) string {
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	if c.rarely(8) {
		return pick(c, "null", `""`, "7", "-0.5e+7", "true", "[]", "{}", `["t"]`, `{"a":{"b":[null]}}`, "01", "1.", "tru", "'t'")
	}
	if c.rarely(8) {
		return `"` + pick(c, `\u00e9\ud83d\ude80`, `\ud800`, `\ud800\u0041`, "é\u2028", "\xff\xfe", "\x80\\n", `a\/b\"`, `\x`, `\u12`, "tab\t", "\x7f", sessionToken, strings.Repeat("t", 700)) + `"`
	}
	switch key {
	case "TokenValue":
		return quote(pick(c, "AAEAAVbT+saOnyvcUoNG/ifbv5r==", "t", c.text(12)))
	case "StreamUrl":
		return quote(pick(c, "wss://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/"+sessionID+"?role=publish_subscribe&cell-number=AA+/==", "http://elsewhere/", "not a URL", c.text(12)))
	case "__type", "code", "Code":
		return quote(code(c))
	case "message", "Message":
		return quote(pick(c, "Session does not exist.", "", "a\r\n\x1b[31mred", "for x-amz-security-token:"+sessionToken, c.text(12)))
	}
	return quote(pick(c, sessionID, "other", c.text(12)))
}

// responder serves one answer, to all who ask.
type responder struct {
	*httptest.Server
	client   *http.Client // that reaches it, whatever the URL
	answer   atomic.Pointer[response]
	requests atomic.Int64
	hanging  func() // called by the fault "hang"
}

func newResponder(t testing.TB) *responder {
	s := &responder{}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	s.client = pool(t, toServer(s.Listener.Addr().String()))
	return s
}

// toServer dials addr for every URL, without TLS for https too, so that the
// default endpoints can be called.
func toServer(addr string) *http.Transport {
	dial := func(ctx context.Context, network, name string) (net.Conn, error) {
		switch name {
		case "refused.example.com:80":
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		case "unknown.example.com:80":
			return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	return &http.Transport{DialContext: dial, DialTLSContext: dial}
}

// forSDK gives the SDK a request body of its own. It closes its body once it has
// the header of the answer, and net/http the connection if it was not done with
// the request: an answer of 60 KB from a server as near as this one broke off.
func forSDK(cfg aws.Config) aws.Config {
	client := *cfg.HTTPClient.(*http.Client)
	client.Transport = ownBody{client.Transport}
	cfg.HTTPClient = &client
	return cfg
}

type ownBody struct{ http.RoundTripper }

func (t ownBody) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return t.RoundTripper.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body.Close()
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return t.RoundTripper.RoundTrip(r)
}

func (s *responder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	io.Copy(io.Discard, r.Body)
	if r.URL.Path == "/redirected" {
		io.WriteString(w, `{"TokenValue":"redirected"}`)
		return
	}
	a := s.answer.Load()
	switch a.fault {
	case "hang":
		s.hanging()
		<-r.Context().Done()
		return
	case "stall":
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, a.body)
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	if a.fault != "" {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		switch a.fault {
		case "reset":
			conn.(*net.TCPConn).SetLinger(0)
		case "malformed":
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Amzn-Requestid: \x00\r\n\r\n")
		}
		return
	}
	h := w.Header()
	h["Date"] = nil
	if !a.noDate {
		h.Set("Date", time.Now().Add(a.date).UTC().Format(http.TimeFormat))
	}
	h.Set("Content-Type", "application/x-amz-json-1.1")
	maps.Copy(h, a.header)
	if a.status != http.StatusNoContent && a.status != http.StatusNotModified {
		h.Set("Content-Length", strconv.Itoa(len(a.body)+a.missing)) // too many, and net/http closes the connection
	}
	w.WriteHeader(a.status)
	io.WriteString(w, a.body)
}

// ask makes the call with both clients.
func (s *responder) ask(ctx context.Context, a response) (sdk, ours result) {
	s.answer.Store(&a)
	cfg := aws.Config{
		Region:     "us-east-2",
		HTTPClient: s.client,
		Retryer:    func() aws.Retryer { return noBackoff(a.maxAttempts) },
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "ASIAIOSFODNN7EXAMPLE", SecretAccessKey: "secret", SessionToken: sessionToken}, nil
		}),
	}
	switch a.endpoint {
	case loopback:
		cfg.BaseEndpoint = aws.String(s.URL)
	case plainHTTP:
		cfg.BaseEndpoint = aws.String(plainHTTP)
	}
	if a.fault == "refused" || a.fault == "unknown" {
		cfg.BaseEndpoint = aws.String("http://" + a.fault + ".example.com")
	}
	sdk = callSDK(ctx, forSDK(cfg), sessionID)
	sdk.Requests = int(s.requests.Swap(0))
	ours = callOurs(ctx, cfg, sessionID)
	ours.Requests = int(s.requests.Swap(0))
	return sdk, ours
}

func (s *responder) check(t *testing.T, data []byte, seen map[string]int) {
	a := newResponse(data)
	sdk, ours := s.ask(t.Context(), a)
	hold(t, responseDifferences, seen, a, sdk, ours)
}

func TestResponses(t *testing.T) {
	s := newResponder(t)
	seen := map[string]int{}
	forEachInput(t, "FuzzResponse", func(t *testing.T, data []byte) { s.check(t, data, seen) })
	allSeen(t, responseDifferences, seen)
}

func FuzzResponse(f *testing.F) {
	s := newResponder(f)
	for i := range byte(64) {
		f.Add(slices.Repeat([]byte{i, 3 * i, 7 * i, 31 * i}, 32))
	}
	f.Fuzz(func(t *testing.T, data []byte) { s.check(t, data, map[string]int{}) })
}
