package ssmresumetest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"
)

// TestVectors holds each step of the verification to what botocore calculates.
func TestVectors(t *testing.T) {
	data, err := os.ReadFile("../testdata/signing.json")
	if err != nil {
		t.Fatal(err)
	}
	var facts struct {
		Count   int
		Vectors []struct {
			Name, Time, Region, SecretAccessKey, URL, SignedHeaders, Body string
			Headers                                                       map[string]string
			CanonicalRequest, StringToSign, Authorization                 string
		}
	}
	if err := json.Unmarshal(data, &facts); err != nil {
		t.Fatal(err)
	}
	if len(facts.Vectors) == 0 || len(facts.Vectors) != facts.Count {
		t.Fatalf("%d vectors, want %d", len(facts.Vectors), facts.Count)
	}
	for _, v := range facts.Vectors {
		_, rest, _ := strings.Cut(v.URL, "://")
		path := ""
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			path = rest[i:]
		}
		auth, problem := parseAuthorization(v.Authorization)
		if problem != "" {
			t.Errorf("%s: %s", v.Name, problem)
			continue
		}
		canonical := canonicalRequest("POST", path, "", auth.signedHeaders, func(name string) []string { return []string{v.Headers[name]} }, []byte(v.Body))
		if diff := cmp.Diff(v.CanonicalRequest, canonical); diff != "" {
			t.Errorf("%s: canonical request (-want +got):\n%s", v.Name, diff)
		}
		toSign := stringToSign(v.Headers["x-amz-date"], auth.scope(), canonical)
		if diff := cmp.Diff(v.StringToSign, toSign); diff != "" {
			t.Errorf("%s: string to sign (-want +got):\n%s", v.Name, diff)
		}
		if got := sign(v.SecretAccessKey, auth, toSign); got != auth.signature {
			t.Errorf("%s: signature %s, want %s", v.Name, got, auth.signature)
		}
		if auth.region != v.Region || strings.Join(auth.signedHeaders, ";") != v.SignedHeaders {
			t.Errorf("%s: Authorization parsed as %+v", v.Name, auth)
		}
	}
}

func TestCanonicalQuery(t *testing.T) {
	for query, want := range map[string]string{
		"":                           "",
		"b=2&a=1":                    "a=1&b=2",
		"a-b=1&a=2&a=1":              "a=1&a=2&a-b=1",
		"role=x&cell-number=A+b/c==": "cell-number=A%20b%2Fc%3D%3D&role=x",
		"k&e=%7E%2f":                 "e=~%2F&k=",
	} {
		if got := canonicalQuery(query); got != want {
			t.Errorf("canonicalQuery(%q) = %q, want %q", query, got, want)
		}
	}
}

// post sends a request signed by the SDK's signer, edited before and after.
func post(t *testing.T, s *Server, body string, before, after func(*http.Request)) (*http.Response, string, error) {
	t.Helper()
	creds, err := s.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return postAs(t.Context(), s, creds, time.Now(), Region, "ssm", body, before, after)
}

func postAs(ctx context.Context, s *Server, creds aws.Credentials, at time.Time, region, service, body string, before, after func(*http.Request)) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", s.URL(), strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonSSM.ResumeSession")
	if before != nil {
		before(req)
	}
	if err := v4.NewSigner().SignHTTP(ctx, creds, req, hexSHA256([]byte(body)), service, region, at); err != nil {
		return nil, "", err
	}
	if after != nil {
		after(req)
	}
	client := s.client
	if client == nil {
		client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

const goodBody = `{"SessionId":"ana-0a1b"}`

func TestAnswer(t *testing.T) {
	for name, start := range map[string]func() *Server{"http": NewServer, "tls": NewTLSServer} {
		t.Run(name, func(t *testing.T) {
			s := start()
			defer s.Close()
			tokens := map[string]bool{}
			for range 3 {
				resp, body, err := post(t, s, goodBody, nil, nil)
				if err != nil || resp.StatusCode != 200 {
					t.Fatal(err, resp, body)
				}
				var out struct{ SessionId, TokenValue, StreamUrl string }
				if err := json.Unmarshal([]byte(body), &out); err != nil {
					t.Fatal(err)
				}
				if out.SessionId != "ana-0a1b" || len(out.TokenValue) < 700 || tokens[out.TokenValue] || out.TokenValue != s.LastToken("ana-0a1b") {
					t.Errorf("answer %s, last token %q", body, s.LastToken("ana-0a1b"))
				}
				if !strings.Contains(out.StreamUrl, "/v1/data-channel/ana-0a1b?role=publish_subscribe&cell-number=") || strings.Contains(body, `\u0026`) {
					t.Errorf("StreamUrl in %s", body)
				}
				tokens[out.TokenValue] = true
				if h := resp.Header; len(h.Get("X-Amzn-Requestid")) != 36 || h.Get("Date") == "" || h.Get("Content-Type") != "application/x-amz-json-1.1" {
					t.Errorf("header %v", h)
				}
			}
			if got := s.Requests(); len(got) != 3 || got[0].SessionID != "ana-0a1b" || string(got[0].Body) != goodBody || got[0].Proto == "" {
				t.Errorf("Requests() = %+v", got)
			}
			if name == "tls" && s.Requests()[0].Proto != "HTTP/2.0" && !strings.Contains(os.Getenv("GODEBUG"), "http2") {
				t.Errorf("spoke %s, want HTTP/2.0", s.Requests()[0].Proto)
			}
		})
	}
	t.Run("tls http/1.1", func(t *testing.T) {
		s := NewTLSServer()
		defer s.Close()
		tr := s.client.Transport.(*http.Transport)
		tr.ForceAttemptHTTP2, tr.TLSNextProto = false, map[string]func(string, *tls.Conn) http.RoundTripper{}
		if resp, _, err := post(t, s, goodBody, nil, nil); err != nil || resp.Proto != "HTTP/1.1" {
			t.Error(err, resp)
		}
	})
}

// resign edits a signed request and signs it anew, with what a client that
// makes mistakes would put into SignedHeaders.
func resign(creds aws.Credentials, body string, edit func(*http.Request), signed func([]string) []string) func(*http.Request) {
	return func(r *http.Request) {
		if edit != nil {
			edit(r)
		}
		auth, _ := parseAuthorization(r.Header.Get("Authorization"))
		auth.signedHeaders = signed(auth.signedHeaders)
		canonical := canonicalRequest(r.Method, "/", "", auth.signedHeaders, func(name string) []string {
			if name == "host" {
				return []string{r.URL.Host}
			}
			return headerValues(r, name)
		}, []byte(body))
		signature := sign(creds.SecretAccessKey, auth, stringToSign(headerValue(r, "X-Amz-Date"), auth.scope(), canonical))
		r.Header.Set("Authorization", algorithm+" Credential="+auth.accessKeyID+"/"+auth.scope()+
			", SignedHeaders="+strings.Join(auth.signedHeaders, ";")+", Signature="+signature)
	}
}

// sorted leaves names as they are.
func sorted(names []string) []string { return names }

func TestRefusals(t *testing.T) {
	s := NewServer()
	defer s.Close()
	long := aws.Credentials{AccessKeyID: "AKIDLONG", SecretAccessKey: "long"}
	temporary := aws.Credentials{AccessKeyID: "ASIATEMP", SecretAccessKey: "temp", SessionToken: "the/token=="}
	s.SetCredentials(long, temporary, aws.Credentials{AccessKeyID: "ASIAOLD", SecretAccessKey: "old"})
	s.ExpireCredentials("ASIAOLD")
	s.AddSession("known")
	s.AddSession("ended")
	s.Terminate("ended")

	type call struct {
		creds           aws.Credentials
		age             time.Duration
		region, service string
		body            string
		before, after   func(*http.Request)
		want            string // in the answer; empty means 200
	}
	known := `{"SessionId":"known"}`
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	add := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add(name, value) }
	}
	replace := func(old, with string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, with, 1))
		}
	}
	for name, c := range map[string]call{
		"good":              {body: known},
		"good, temporary":   {creds: temporary, body: known},
		"extra signed":      {body: known, before: header("Amz-Sdk-Request", "attempt=1; max=3")},
		"4 minutes old":     {age: 4 * time.Minute, body: known},
		"4 minutes early":   {age: -4 * time.Minute, body: known},
		"unsigned":          {body: known, after: func(r *http.Request) { r.Header.Del("Authorization") }, want: "#MissingAuthenticationTokenException"},
		"other algorithm":   {body: known, after: header("Authorization", "Basic abc"), want: "#IncompleteSignatureException"},
		"no signature":      {body: known, after: replace("Signature=", "Sig="), want: "#IncompleteSignatureException"},
		"no date":           {body: known, after: header("X-Amz-Date", "yesterday"), want: "#IncompleteSignatureException"},
		"short scope":       {body: known, after: replace("/aws4_request", ""), want: "#IncompleteSignatureException"},
		"unknown key":       {creds: aws.Credentials{AccessKeyID: "X", SecretAccessKey: "y"}, body: known, want: "#UnrecognizedClientException"},
		"expired":           {creds: aws.Credentials{AccessKeyID: "ASIAOLD", SecretAccessKey: "old"}, body: known, want: "#ExpiredTokenException"},
		"wrong secret":      {creds: aws.Credentials{AccessKeyID: "AKIDLONG", SecretAccessKey: "short"}, body: known, want: "The request signature we calculated does not match"},
		"token missing":     {creds: temporary, body: known, after: func(r *http.Request) { r.Header.Del("X-Amz-Security-Token") }, want: "#UnrecognizedClientException"},
		"token differs":     {creds: temporary, body: known, after: header("X-Amz-Security-Token", "other"), want: "#UnrecognizedClientException"},
		"token unsigned":    {creds: temporary, body: known, after: replace(";x-amz-security-token", ""), want: "#UnrecognizedClientException"},
		"token superfluous": {body: known, after: header("X-Amz-Security-Token", "other"), want: "#UnrecognizedClientException"},
		"region":            {region: "us-west-2", body: known, want: "Credential should be scoped to a valid region."},
		"service":           {service: "ec2", body: known, want: "Credential should be scoped to correct service: 'ssm'."},
		"scope's date":      {body: known, after: replace(time.Now().UTC().Format("20060102"), "20200101"), want: "Date in Credential scope does not match"},
		"6 minutes old":     {age: 6 * time.Minute, body: known, want: "Signature expired: "},
		"6 minutes early":   {age: -6 * time.Minute, body: known, want: "Signature not yet current: "},
		"host unsigned":     {body: known, after: replace("host;", ""), want: "'Host' or ':authority' must be a 'SignedHeader'"},
		"header unsigned":   {body: known, after: header("X-Amz-Other", "1"), want: "'x-amz-other' must be a 'SignedHeader'"},
		"header changed":    {body: known, after: header("Content-Type", "application/json"), want: "The request signature we calculated does not match"},
		"signature":         {body: known, after: replace("Signature=", "Signature=0"), want: "The request signature we calculated does not match"},
		"date's fraction": {body: known, after: resign(long, known, func(r *http.Request) {
			r.Header.Set("X-Amz-Date", strings.Replace(r.Header.Get("X-Amz-Date"), "Z", ".5Z", 1))
		}, sorted), want: "Date must be in ISO-8601"},
		"dates":             {body: known, after: resign(long, known, func(r *http.Request) { r.Header.Add("X-Amz-Date", r.Header.Get("X-Amz-Date")) }, sorted), want: "Date must be in ISO-8601"},
		"targets":           {body: known, before: add("X-Amz-Target", "AmazonSSM.ResumeSession"), want: "#UnknownOperationException"},
		"content types":     {body: known, before: add("Content-Type", "application/x-amz-json-1.1"), want: "#UnknownOperationException"},
		"tokens":            {creds: temporary, body: known, after: resign(temporary, known, add("X-Amz-Security-Token", temporary.SessionToken), sorted), want: "#UnrecognizedClientException"},
		"authorizations":    {body: known, after: func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, want: "#IncompleteSignatureException"},
		"signatures":        {body: known, after: func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")+", Signature=0") }, want: "two 'Signature' parameters"},
		"signed as it is":   {body: known, after: resign(long, known, nil, sorted)},
		"signed unsorted":   {body: known, after: resign(long, known, nil, func(names []string) []string { slices.Reverse(names); return names }), want: "SignedHeaders must name"},
		"signed twice":      {body: known, after: resign(long, known, nil, func(names []string) []string { return append(names, names[len(names)-1]) }), want: "SignedHeaders must name"},
		"signed absent":     {body: known, after: resign(long, known, nil, func(names []string) []string { return append(names, "x-amz-zone") }), want: "SignedHeaders must name"},
		"signed nameless":   {body: known, after: resign(long, known, nil, func(names []string) []string { return append([]string{""}, names...) }), want: "SignedHeaders must name"},
		"signed upper case": {body: known, after: resign(long, known, nil, func(names []string) []string { return append([]string{"Host"}, names...) }), want: "SignedHeaders must name"},
		"signed nothing":    {body: known, after: resign(long, known, nil, func([]string) []string { return nil }), want: "requires 'SignedHeaders' parameter"},
		"body changed":      {body: known, after: func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"SessionId":"knoWn"}`)) }, want: "The request signature we calculated does not match"},
		"target":            {body: known, before: header("X-Amz-Target", "AmazonSSM.StartSession"), want: "#UnknownOperationException"},
		"content type":      {body: known, before: header("Content-Type", "application/json"), want: "#UnknownOperationException"},
		"path":              {body: known, before: func(r *http.Request) { r.URL.Path = "/x" }, want: "#UnknownOperationException"},
		"path, signature":   {body: known, before: func(r *http.Request) { r.URL.Path = "/x" }, after: replace("Signature=", "Signature=0"), want: "The request signature we calculated does not match"},
		"method":            {body: known, before: func(r *http.Request) { r.Method = "PUT" }, want: "#UnknownOperationException"},
		"not JSON":          {body: "known", want: "#SerializationException"},
		"not UTF-8":         {body: "{\"SessionId\":\"kno\xffn\"}", want: "#SerializationException"},
		"null":              {body: "null", want: "#SerializationException"},
		"number":            {body: `{"SessionId":7}`, want: "#SerializationException"},
		"no session":        {body: `{"sessionId":"known"}`, want: `"ValidationException","message":"1 validation error detected: Value null at 'sessionId'`},
		"empty session":     {body: `{"SessionId":""}`, want: "Member must have length greater than or equal to 1"},
		"96 characters":     {body: `{"SessionId":"` + strings.Repeat("é", 96) + `"}`, want: "DoesNotExistException"},
		"97 characters":     {body: `{"SessionId":"` + strings.Repeat("é", 97) + `"}`, want: "Member must have length less than or equal to 96"},
		"unknown session":   {body: `{"SessionId":"<who>"}`, want: `{"Message":"Session <who> does not exist.","__type":"DoesNotExistException"}`},
		"ended session":     {body: `{"SessionId":"ended"}`, want: `"__type":"DoesNotExistException"`},
	} {
		t.Run(name, func(t *testing.T) {
			if c.creds.AccessKeyID == "" {
				c.creds = long
			}
			if c.region == "" {
				c.region = Region
			}
			if c.service == "" {
				c.service = "ssm"
			}
			resp, body, err := postAs(t.Context(), s, c.creds, time.Now().Add(-c.age), c.region, c.service, c.body, c.before, c.after)
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				if resp.StatusCode != 200 {
					t.Errorf("refused: %s", body)
				}
				return
			}
			var fields map[string]string
			if err := json.Unmarshal([]byte(body), &fields); err != nil {
				t.Fatal(err)
			}
			keys := []string{}
			for _, k := range []string{"Message", "__type", "message"} {
				if v, ok := fields[k]; ok {
					keys = append(keys, `"`+k+`":"`+v+`"`)
				}
			}
			flat := "{" + strings.Join(keys, ",") + "}"
			if resp.StatusCode < 400 || !strings.Contains(flat, c.want) && !strings.Contains(body, c.want) {
				t.Errorf("answer %d %s, want %s", resp.StatusCode, flat, c.want)
			}
		})
	}
}

func TestSetRegion(t *testing.T) {
	s := NewServer()
	defer s.Close()
	s.SetRegion("eu-west-1")
	cfg := s.Config()
	creds, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil || cfg.Region != "eu-west-1" {
		t.Fatal(err, cfg.Region)
	}
	for region, want := range map[string]int{cfg.Region: 200, Region: 400} {
		resp, body, err := postAs(t.Context(), s, creds, time.Now(), region, "ssm", goodBody, nil, nil)
		if err != nil || resp.StatusCode != want {
			t.Errorf("signed for %s: %v, %s", region, err, body)
		}
	}
}

func TestFaults(t *testing.T) {
	s := NewServer()
	defer s.Close()
	for name, tc := range map[string]struct {
		resp   *Response
		status int
		body   string // in it
		fails  bool
	}{
		"fail":      {resp: Fail(500, "InternalServerError", "broken"), status: 500, body: `"Message":"broken"`},
		"throttle":  {resp: Throttle(), status: 400, body: "ThrottlingException"},
		"timed out": {resp: TimedOut(), status: 200, body: `"StreamUrl"`},
		"redirect":  {resp: Redirect("http://127.0.0.1:1/"), status: 307},
		"html":      {resp: HTML(503), status: 503, body: "<title>Service Unavailable"},
		"raw":       {resp: Raw(299, http.Header{"x-a": {"b"}}, "text"), status: 299, body: "text"},
		"reset":     {resp: Reset(), fails: true},
		"truncate":  {resp: Truncate(20), fails: true},
		"normal":    {resp: nil, status: 200, body: "TokenValue"},
	} {
		s.SetRespond(func(r Request) *Response { return tc.resp })
		resp, body, err := post(t, s, goodBody, nil, nil)
		if tc.fails {
			if err == nil {
				t.Errorf("%s: %d %s, want a failure", name, resp.StatusCode, body)
			}
			continue
		}
		if err != nil || resp.StatusCode != tc.status || !strings.Contains(body, tc.body) {
			t.Errorf("%s: %v %q %v", name, resp, body, err)
		}
		if name == "timed out" && strings.Contains(body, "TokenValue") {
			t.Errorf("%s: %s", name, body)
		}
		if name == "html" && resp.Header.Get("X-Amzn-Requestid") != "" {
			t.Errorf("%s: a proxy's page has a request ID", name)
		}
	}
}

// TestMistakes: what cannot be answered is said, in the goroutine that asked for
// it where that is known.
func TestMistakes(t *testing.T) {
	s := NewServer()
	defer s.Close()
	for name, mistake := range map[string]func(){
		"Status 0":      func() { Raw(0, nil, "") },
		"Status 100":    func() { Raw(100, nil, "") },
		"Status 1000":   func() { Fail(1000, "Code", "") },
		"Status -1":     func() { HTML(-1) },
		"Truncate(-1)":  func() { Truncate(-1) },
		"Network(7)":    func() { s.SetNetwork(7) },
		"a burst of 0":  func() { s.SetRateLimit(1, 0, false) },
		"a burst of -1": func() { s.SetRateLimit(1, -1, false) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "ssmresumetest: ") || !strings.Contains(got, name) {
					t.Errorf("%s: %s", name, got)
				}
			}()
			mistake()
		}()
	}

	for want, respond := range map[string]func(Request) *Response{
		"Status 0":   func(Request) *Response { return &Response{Body: []byte("{}")} },
		"a user's":   func(Request) *Response { panic("a user's") },
		"goroutine ": func(Request) *Response { panic("any") },
	} {
		var logged strings.Builder
		log.SetOutput(&logged)
		s.SetRespond(respond)
		_, _, err := post(t, s, goodBody, nil, nil)
		log.SetOutput(os.Stderr)
		if err == nil || !strings.Contains(logged.String(), want) || !strings.Contains(logged.String(), "ssmresumetest: ") {
			t.Errorf("%v, and no %q in %q", err, want, logged.String())
		}
	}
	for name, fault := range map[string]*Response{"reset": Reset(), "truncate": Truncate(1)} {
		var logged strings.Builder
		log.SetOutput(&logged)
		s.SetRespond(func(Request) *Response { return fault })
		post(t, s, goodBody, nil, nil)
		log.SetOutput(os.Stderr)
		if logged.Len() > 0 {
			t.Errorf("%s is logged: %s", name, logged.String())
		}
	}
}

// TestRequestsAreBounded: a server that runs for days does not grow.
func TestRequestsAreBounded(t *testing.T) {
	s := NewServer()
	defer s.Close()
	const more = 3 * maxRequests
	for n := range more {
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(strconv.Itoa(n))))
	}
	got := s.Requests()
	if len(got) != maxRequests || cap(s.requests) > 2*maxRequests {
		t.Fatalf("%d requests, in memory for %d", len(got), cap(s.requests))
	}
	for i, n := range map[int]int{0: more - maxRequests, maxRequests - 1: more - 1} {
		if string(got[i].Body) != strconv.Itoa(n) {
			t.Errorf("request %d of those kept is %s, want %d", i, got[i].Body, n)
		}
	}
}

// TestHangs shows on a fake clock that nothing comes, and that Close ends it.
func TestHangs(t *testing.T) {
	for name, fault := range map[string]*Response{"header": Hang(), "body": HangBody()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := NewPipeServer()
				s.SetRespond(func(Request) *Response { return fault })
				creds, _ := s.Config().Credentials.Retrieve(t.Context())
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				start := time.Now()
				_, _, err := postAs(ctx, s, creds, time.Now(), Region, "ssm", goodBody, nil, nil)
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Hour {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
				done := make(chan error)
				go func() {
					_, _, err := postAs(t.Context(), s, creds, time.Now(), Region, "ssm", goodBody, nil, nil)
					done <- err
				}()
				synctest.Wait()
				s.Close()
				if err := <-done; err == nil {
					t.Error("Close did not end the request")
				}
			})
		})
	}
}

func TestEndlessEndsWithTheServer(t *testing.T) {
	s := NewServer()
	s.SetRespond(func(Request) *Response { return Endless() })
	read := 0
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL(), strings.NewReader(goodBody))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for buf := make([]byte, 64<<10); read < 4<<20; {
		n, err := resp.Body.Read(buf)
		if err != nil {
			t.Fatalf("the body ended after %d bytes: %v", read, err)
		}
		read += n
	}
	s.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("the body ended as if it were whole")
	}
}

// Close waits for nobody: neither for a client that has stopped reading.
func TestCloseBesideAClientThatDoesNotRead(t *testing.T) {
	s := NewServer()
	s.SetRespond(func(Request) *Response { return Endless() })
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); len(s.Requests()) == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // the kernel's buffers fill; if they do not, Close is as fast
	s.Close()
}

// TestFunctionsMayCallTheServer: none of them runs under a lock.
func TestFunctionsMayCallTheServer(t *testing.T) {
	for name, set := range map[string]func(s *Server, call func()){
		"respond": func(s *Server, call func()) {
			s.SetRespond(func(Request) *Response { call(); return nil })
		},
		"stream URL": func(s *Server, call func()) {
			s.SetStreamURL(func(string) string { call(); return "wss://host/" })
		},
		"stream URL of a fault": func(s *Server, call func()) {
			s.SetStreamURL(func(string) string { call(); return "wss://host/" })
			s.SetRespond(func(Request) *Response { return TimedOut() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewServer()
			called := make(chan struct{})
			set(s, func() {
				cfg := s.Config()
				if _, err := cfg.Credentials.Retrieve(t.Context()); err != nil {
					t.Error(err)
				}
				s.URL()
				s.AddSession("ana-0a1b")
				s.Terminate("other")
				s.TimeOut("third")
				s.LastToken("ana-0a1b")
				s.SetRegion(cfg.Region)
				s.SetCredentials(aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"})
				s.ExpireCredentials("other")
				s.SetClockOffset(time.Second)
				s.SetRateLimit(100, 100, true)
				s.SetNetwork(Up)
				if _, err := s.Listen(); err != nil {
					t.Error(err)
				}
				if err := s.VerifyHandshake(&http.Request{URL: &url.URL{}}); err == nil {
					t.Error("VerifyHandshake accepts what is not signed")
				}
				if len(s.Requests()) != 1 {
					t.Error("the request is not among Requests()")
				}
				s.SetStreamURL(nil)
				s.SetRespond(nil)
				close(called)
			})
			creds, err := s.Config().Credentials.Retrieve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			go postAs(t.Context(), s, creds, time.Now(), Region, "ssm", goodBody, nil, nil)
			select {
			case <-called:
			case <-time.After(10 * time.Second):
				t.Fatal("a function that calls the server hangs") // and so would Close
			}
			s.Close()
		})
	}
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewPipeServer()
		defer s.Close()
		s.SetRateLimit(2, 3, true)
		var got []string
		send := func() {
			resp, _, err := post(t, s, goodBody, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, resp.Status[:3]+resp.Header.Get("Retry-After"))
		}
		for range 6 {
			send()
		}
		time.Sleep(time.Second) // two tokens
		for range 3 {
			send()
		}
		want := []string{"200", "200", "200", "4001", "4001", "4002", "200", "200", "4001"}
		if !slices.Equal(got, want) {
			t.Errorf("status and Retry-After %v, want %v", got, want)
		}
	})
}

func TestClockOffset(t *testing.T) {
	s := NewServer()
	defer s.Close()
	s.SetClockOffset(10 * time.Minute)
	resp, body, err := post(t, s, goodBody, nil, nil)
	if err != nil || !strings.Contains(body, "Signature expired") {
		t.Fatal(err, body)
	}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if off := time.Until(date); err != nil || off < 9*time.Minute || off > 11*time.Minute {
		t.Errorf("Date is %v ahead, %v", off, err)
	}
}

func TestVerifyHandshake(t *testing.T) {
	s := NewServer()
	defer s.Close()
	creds := aws.Credentials{AccessKeyID: "ASIATEMP", SecretAccessKey: "temp", SessionToken: "the/token=="}
	s.SetCredentials(creds)
	handshake := func(edit func(*http.Request)) error {
		const url = "ws://127.0.0.1:80/v1/data-channel/a@b%20c?role=publish_subscribe&cell-number=A+b/c=="
		req, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := v4.NewSigner().SignHTTP(t.Context(), creds, req, hexSHA256(nil), "ssmmessages", Region, time.Now()); err != nil {
			t.Fatal(err)
		}
		req.RequestURI = strings.TrimPrefix(url, "ws://127.0.0.1:80") // what is dialled, not what the signer leaves
		if edit != nil {
			edit(req)
		}
		return s.VerifyHandshake(req)
	}
	if err := handshake(nil); err != nil {
		t.Error(err)
	}
	for name, edit := range map[string]func(*http.Request){
		"unsigned":  func(r *http.Request) { r.Header.Del("Authorization") },
		"query":     func(r *http.Request) { r.RequestURI = strings.Replace(r.RequestURI, "A+b", "A%2Bb", 1) },
		"path":      func(r *http.Request) { r.RequestURI = strings.Replace(r.RequestURI, "a@b", "a%40b", 1) },
		"host":      func(r *http.Request) { r.Host = "127.0.0.1:81" },
		"presigned": func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=1" },
	} {
		if err := handshake(edit); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
