package ssmresume_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

var input = &ssmresume.ResumeSessionInput{SessionID: sessionID}

// first answers the first n requests with the fault and the others normally.
func first(n int32, fault *ssmresumetest.Response) func(ssmresumetest.Request) *ssmresumetest.Response {
	var seen atomic.Int32
	return func(ssmresumetest.Request) *ssmresumetest.Response {
		if seen.Add(1) <= n {
			return fault
		}
		return nil
	}
}

func TestResumeSession(t *testing.T) {
	for name, start := range map[string]func() *ssmresumetest.Server{"http": ssmresumetest.NewServer, "https": ssmresumetest.NewTLSServer} {
		t.Run(name, func(t *testing.T) {
			srv := start()
			defer srv.Close()
			for _, creds := range []aws.Credentials{
				{AccessKeyID: "AKIDUSER", SecretAccessKey: "secret"},
				{AccessKeyID: "ASIATEMP", SecretAccessKey: "secret", SessionToken: "the/session+token=="},
			} {
				srv.SetCredentials(creds)
				out, err := ssmresume.NewFromConfig(srv.Config()).ResumeSession(t.Context(), input)
				if err != nil {
					t.Fatal(err)
				}
				type facts struct {
					SessionID     string
					Token         string
					RequestID     int // its length
					StreamSession string
					Role          ssmresume.Role
					Region        string
				}
				same(t, "output",
					facts{sessionID, srv.LastToken(sessionID), 36, sessionID, ssmresume.RolePublishSubscribe, ""},
					facts{out.SessionID, out.TokenValue.Reveal(), len(out.RequestID), out.StreamURL.SessionID, out.StreamURL.Role, out.StreamURL.Region})
			}
		})
	}
}

// TestRetries is about failures that pass: each takes two requests.
func TestRetries(t *testing.T) {
	for name, fault := range map[string]*ssmresumetest.Response{
		"throttling":   ssmresumetest.Throttle(),
		"failure":      ssmresumetest.Fail(500, "InternalServerError", "broken"),
		"bad gateway":  ssmresumetest.HTML(502),
		"429 no code":  ssmresumetest.Raw(429, nil, ""),
		"reset":        ssmresumetest.Reset(),
		"cut short":    ssmresumetest.Truncate(40),
		"hang":         ssmresumetest.Hang(),
		"hanging body": ssmresumetest.HangBody(),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := ssmresumetest.NewPipeServer()
				defer srv.Close()
				srv.SetRespond(first(1, fault))
				out, err := ssmresume.NewFromConfig(srv.Config()).ResumeSession(t.Context(), input)
				if err != nil || out.TokenValue.Reveal() != srv.LastToken(sessionID) {
					t.Errorf("%v, %v", out, err)
				}
				if n := len(srv.Requests()); n != 2 {
					t.Errorf("%d requests, want 2", n)
				}
			})
		})
	}
}

// endless is a Retryer that never has enough, as MaxAttempts 0 says.
type endless struct{ aws.Retryer }

func (endless) MaxAttempts() int { return 0 }

func TestEndlessRetries(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.SetRespond(first(20, ssmresumetest.Fail(503, "ServiceUnavailable", "")))
	cfg := srv.Config()
	cfg.Retryer = func() aws.Retryer { return endless{unlimited()} }
	if _, err := ssmresume.NewFromConfig(cfg).ResumeSession(t.Context(), input); err != nil || len(srv.Requests()) != 21 {
		t.Errorf("%v after %d requests", err, len(srv.Requests()))
	}
}

// TestAttemptTimeout shows on a fake clock that an attempt takes no longer than
// it may, headers and body.
func TestAttemptTimeout(t *testing.T) {
	for name, fault := range map[string]*ssmresumetest.Response{"header": ssmresumetest.Hang(), "body": ssmresumetest.HangBody()} {
		for timeout, want := range map[time.Duration]time.Duration{0: 10 * time.Second, 3 * time.Second: 3 * time.Second, -1: time.Hour} {
			t.Run(fmt.Sprint(name, timeout), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := ssmresumetest.NewPipeServer()
					defer srv.Close()
					srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return fault })
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					begin := time.Now()
					_, err := ssmresume.NewFromConfig(srv.Config()).ResumeSession(ctx, input, func(o *ssmresume.Options) {
						o.AttemptTimeout, o.Retryer = timeout, aws.NopRetryer{}
					})
					if took := time.Since(begin); took != want {
						t.Errorf("it took %v, want %v", took, want)
					}
					type facts struct{ SendError, Canceled, NamesTimeout bool }
					want := facts{SendError: true, NamesTimeout: true} // the attempt ended
					if timeout < 0 {
						want = facts{Canceled: true} // ctx ended
						if !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("%v, want DeadlineExceeded in it", err)
						}
					}
					same(t, err.Error(), want, facts{isA[*smithyhttp.RequestSendError](err), isA[*smithy.CanceledError](err), strings.Contains(err.Error(), "Options.AttemptTimeout")})
				})
			})
		}
	}
}

// errorTexts answers each call with one of the answers and looks for a text in
// its error.
func errorTexts(t *testing.T, cases map[string]answerAndText) {
	t.Helper()
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	client := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) { o.Retryer = aws.NopRetryer{} })
	for name, tc := range cases {
		srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return tc.resp })
		if _, err := client.ResumeSession(t.Context(), input); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}

type answerAndText struct {
	resp *ssmresumetest.Response
	want string
}

// TestTooMuch: a body is read up to 64 KiB, and an error's code counts without it.
func TestTooMuch(t *testing.T) {
	const tooLong = "deserialization failed, the body is longer than 65536 bytes"
	long := `{"TokenValue":"` + strings.Repeat("x", 100<<10) + `"}`
	errorTexts(t, map[string]answerAndText{
		"endless":      {ssmresumetest.Endless(), tooLong},
		"100 KiB":      {ssmresumetest.Raw(200, nil, long), tooLong},
		"400, 100 KiB": {ssmresumetest.Raw(400, http.Header{"X-Amzn-Errortype": {"DoesNotExistException"}}, long), "DoesNotExistException: "},
		"deep":         {ssmresumetest.Raw(200, nil, strings.Repeat(`{"a":`, 12000)+"1"+strings.Repeat("}", 12000)), tooLong},
	})
}

// TestNotTheServices: what no answer of the service is.
func TestNotTheServices(t *testing.T) {
	errorTexts(t, map[string]answerAndText{
		"no request ID": {ssmresumetest.Raw(200, http.Header{"X-Amzn-Requestid": nil}, "{}"), "deserialization failed, the answer holds no TokenValue and has no request ID"},
		"not gzip":      {ssmresumetest.Raw(200, http.Header{"Content-Encoding": {"gzip"}}, "\x1f\x8b garbage"), "request send failed, gzip: invalid header"},
		"binary":        {ssmresumetest.Raw(200, nil, "\x00\xff\xfe{"), "deserialization failed, the body is not a JSON object"},
	})
}

// TestWhiteSpace: what JSON does not call white space is more than an object.
func TestWhiteSpace(t *testing.T) {
	const more = "deserialization failed, the body holds more than a JSON object"
	errorTexts(t, map[string]answerAndText{
		"vertical tab": {ssmresumetest.Raw(200, nil, `{"TokenValue":"t"}`+"\v"), more},
		"hard space":   {ssmresumetest.Raw(200, nil, `{"TokenValue":"t"}`+"\u00a0"), more},
	})
}

// TestErrorFields: what is not text is as if it were absent.
func TestErrorFields(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	for body, want := range map[string]string{
		`{"__type":"ExpiredToken","__type":null,"message":"m","Message":null}`: "ExpiredToken: m",
		`{"__type":{"a":1},"code":"ExpiredToken","message":["m"]}`:             "ExpiredToken: UnknownError",
		`{"__type":7,"code":8,"message":9}`:                                    "api error UnknownError: UnknownError",
	} {
		srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return ssmresumetest.Raw(400, nil, body) })
		_, err := ssmresume.NewFromConfig(srv.Config()).ResumeSession(t.Context(), input)
		if err == nil || !strings.HasSuffix(err.Error(), ", "+want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

// TestErrorTypes goes through all documented codes: the type, whose fault it is,
// and what else the type says.
func TestErrorTypes(t *testing.T) {
	type want struct {
		typ     string
		fault   smithy.ErrorFault
		expired bool
	}
	denied := want{"*ssmresume.AccessDeniedError", smithy.FaultClient, false}
	credentials := want{"*ssmresume.CredentialsError", smithy.FaultClient, false}
	expired := want{"*ssmresume.CredentialsError", smithy.FaultClient, true}
	signature := want{"*ssmresume.SignatureError", smithy.FaultClient, false}
	throttling := want{"*ssmresume.ThrottlingError", smithy.FaultClient, false}
	validation := want{"*ssmresume.ValidationError", smithy.FaultClient, false}
	internal := want{"*ssmresume.InternalServerError", smithy.FaultServer, false}
	generic := want{"*smithy.GenericAPIError", smithy.FaultUnknown, false}
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	client := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) { o.Retryer = aws.NopRetryer{} })
	check := func(status int, code string, want want) {
		t.Helper()
		resp := ssmresumetest.Fail(status, code, "m")
		if code == "" {
			resp = ssmresumetest.Raw(status, nil, "")
			code = "UnknownError"
		}
		srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return resp })
		_, err := client.ResumeSession(t.Context(), input)
		var apiErr smithy.APIError
		if !errors.As(err, &apiErr) {
			t.Errorf("%d %s: %v", status, code, err)
			return
		}
		typ := fmt.Sprintf("%T", apiErr)
		if errors.As(err, new(*smithy.GenericAPIError)) {
			typ = "*smithy.GenericAPIError"
		}
		type facts struct {
			Type, Code string
			Fault      smithy.ErrorFault
			Expired    bool
		}
		c, _ := errors.AsType[*ssmresume.CredentialsError](err)
		same(t, fmt.Sprint(status, " ", code),
			facts{want.typ, code, want.fault, want.expired},
			facts{typ, apiErr.ErrorCode(), apiErr.ErrorFault(), c != nil && c.Expired})
	}
	for want, codes := range map[want]string{
		{"*ssmresume.DoesNotExistError", smithy.FaultClient, false}: "DoesNotExistException",
		denied:      "AccessDeniedException AccessDenied NotAuthorized OptInRequired UnauthorizedOperation",
		credentials: "UnrecognizedClientException InvalidClientTokenId InvalidToken MissingAuthenticationToken MissingAuthenticationTokenException",
		expired:     "ExpiredTokenException ExpiredToken TokenRefreshRequired",
		signature:   "InvalidSignatureException SignatureDoesNotMatch IncompleteSignature IncompleteSignatureException AuthFailure RequestExpired RequestTimeTooSkewed",
		throttling:  "ThrottlingException Throttling ThrottledException RequestThrottledException TooManyRequestsException RequestLimitExceeded SlowDown",
		validation:  "ValidationException ValidationError SerializationException UnknownOperationException InvalidParameterValue InvalidParameterCombination",
		internal:    "InternalServerError InternalServerException InternalFailure InternalError ServiceUnavailable ServiceUnavailableException",
		generic:     "ResourceNotFoundException InvalidInstanceId Invalid",
	} {
		for code := range strings.FieldsSeq(codes) {
			check(400, code, want)
		}
	}
	// The status counts where there is no code, or one that says nothing here.
	for status, want := range map[int]want{400: generic, 401: denied, 402: generic, 403: denied, 404: generic, 429: throttling, 499: generic, 500: internal, 503: internal, 599: internal} {
		check(status, "", want)
	}
	check(403, "Odd", generic)
	check(429, "Odd", throttling)
	check(500, "Odd", internal)

	srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return ssmresumetest.TimedOut() })
	_, err := client.ResumeSession(t.Context(), input)
	gone, ok := errors.AsType[*ssmresume.SessionTimedOutError](err)
	if !ok {
		t.Fatal(err)
	}
	type facts struct {
		Code  string
		Fault smithy.ErrorFault
	}
	same(t, "200 without a token", facts{"SessionTimedOut", smithy.FaultClient}, facts{gone.ErrorCode(), gone.ErrorFault()})
}

// TestRedirect shows that nothing reaches the other host, whatever the client.
func TestRedirect(t *testing.T) {
	other := ssmresumetest.NewServer()
	defer other.Close()
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	caller := &http.Client{Transport: &http.Transport{}}
	defer caller.CloseIdleConnections()
	for name, client := range map[string]aws.HTTPClient{
		"default":         nil,
		"BuildableClient": awshttp.NewBuildableClient(),
		"http.Client":     caller,
	} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
				return ssmresumetest.Raw(status, http.Header{"Location": {other.URL()}}, "")
			})
			cfg := srv.Config()
			cfg.HTTPClient = client
			c := ssmresume.NewFromConfig(cfg)
			_, err := c.ResumeSession(t.Context(), input)
			var respErr *awshttp.ResponseError
			if !errors.As(err, &respErr) || respErr.HTTPStatusCode() != status {
				t.Errorf("%s, %d: %v", name, status, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			rc := ssmresume.NewReconnector(c, sessionID, func(o *ssmresume.ReconnectorOptions) {
				o.OnWait = func(ssmresume.Wait) { cancel() }
			})
			if _, err := rc.Resume(ctx); !errors.As(err, &respErr) || respErr.HTTPStatusCode() != status {
				t.Errorf("%s, %d: Resume: %v", name, status, err)
			}
		}
	}
	if got := other.Requests(); len(got) != 0 {
		t.Errorf("a redirect was followed: %+v", got)
	}
	if caller.CheckRedirect != nil {
		t.Error("the caller's client was changed")
	}
}

// TestDeadConnection: the connection in the pool is dead without a word. The
// next attempt must dial, over HTTP/1.1 and HTTP/2, and the Reconnector must not
// even try the dead one.
func TestDeadConnection(t *testing.T) {
	for name, tc := range map[string]struct {
		start func() *ssmresumetest.Server
		proto string
		build func(tr *http.Transport) aws.HTTPClient
	}{
		"HTTP/1.1, http.Client":     {ssmresumetest.NewServer, "HTTP/1.1", func(tr *http.Transport) aws.HTTPClient { return &http.Client{Transport: tr} }},
		"HTTP/1.1, BuildableClient": {ssmresumetest.NewServer, "HTTP/1.1", func(*http.Transport) aws.HTTPClient { return awshttp.NewBuildableClient() }},
		"HTTP/2, http.Client":       {ssmresumetest.NewTLSServer, http2, func(tr *http.Transport) aws.HTTPClient { return &http.Client{Transport: tr} }},
		"HTTP/2, BuildableClient": {ssmresumetest.NewTLSServer, http2, func(tr *http.Transport) aws.HTTPClient {
			return awshttp.NewBuildableClient().WithTransportOptions(func(b *http.Transport) { b.TLSClientConfig.RootCAs = tr.TLSClientConfig.RootCAs })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := tc.start()
			defer srv.Close()
			cfg := srv.Config()
			tr := &http.Transport{}
			if c, ok := cfg.HTTPClient.(*http.Client); ok {
				tr = c.Transport.(*http.Transport)
			}
			defer tr.CloseIdleConnections()
			cfg.HTTPClient = tc.build(tr)
			cfg.Retryer = noBackoff
			client := ssmresume.NewFromConfig(cfg)

			if _, err := client.ResumeSession(t.Context(), input); err != nil {
				t.Fatal(err)
			}
			srv.ForgetConnections()
			if _, err := client.ResumeSession(t.Context(), input, func(o *ssmresume.Options) { o.AttemptTimeout = time.Second }); err != nil {
				t.Errorf("after the pooled connection died: %v", err)
			}
			rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
				o.OnWait = func(r ssmresume.Wait) { t.Errorf("Resume waits: %v", r) }
			})
			if _, err := rc.Resume(t.Context()); err != nil {
				t.Errorf("Resume: %v", err)
			}
			conns := map[string]bool{}
			for _, r := range srv.Requests() {
				conns[r.RemoteAddr] = true
				if r.Proto != tc.proto {
					t.Errorf("spoke %s, want %s", r.Proto, tc.proto)
				}
			}
			if len(conns) != 3 {
				t.Errorf("%d connections, want one for each call", len(conns))
			}
		})
	}
}

// cache is a provider like the SDK's: it hands out what it has until told to
// forget.
type cache struct {
	mu          sync.Mutex
	current     aws.Credentials
	next        aws.Credentials
	invalidated int
}

func (c *cache) Retrieve(context.Context) (aws.Credentials, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current, nil
}

func (c *cache) Invalidate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current, c.invalidated = c.next, c.invalidated+1
}

func TestExpiredCredentialsAreRenewedOnce(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	old := aws.Credentials{AccessKeyID: "ASIAOLD", SecretAccessKey: "old", SessionToken: "oldtoken"}
	good := aws.Credentials{AccessKeyID: "ASIANEW", SecretAccessKey: "new", SessionToken: "newtoken"}
	srv.SetCredentials(good, old)
	srv.ExpireCredentials("ASIAOLD")
	for name, tc := range map[string]struct {
		next     aws.Credentials
		requests int
		ok       bool
	}{
		"renewed":     {good, 2, true},
		"the same":    {old, 1, false},
		"another bad": {aws.Credentials{AccessKeyID: "ASIABAD", SecretAccessKey: "bad"}, 2, false},
	} {
		before := len(srv.Requests())
		provider := &cache{current: old, next: tc.next}
		cfg := srv.Config()
		cfg.Credentials = provider
		_, err := ssmresume.NewFromConfig(cfg).ResumeSession(t.Context(), input)
		type facts struct {
			OK, Refused             bool
			Requests, Invalidations int
		}
		same(t, name,
			facts{tc.ok, !tc.ok, tc.requests, 1},
			facts{err == nil, isA[*ssmresume.CredentialsError](err), len(srv.Requests()) - before, provider.invalidated})
	}
}

// TestNewCredentialsAreFound: other keys than the rejected ones are tried, one
// field is enough, and a cache that has them is not told to forget.
func TestNewCredentialsAreFound(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
		return ssmresumetest.Fail(400, "ExpiredTokenException", "expired")
	})
	old := aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret", SessionToken: "token", Source: "a"}
	for name, tc := range map[string]struct {
		next                   aws.Credentials
		requests, invalidation int
	}{
		"id":     {aws.Credentials{AccessKeyID: "x", SecretAccessKey: "secret", SessionToken: "token"}, 2, 0},
		"secret": {aws.Credentials{AccessKeyID: "id", SecretAccessKey: "x", SessionToken: "token"}, 2, 0},
		"token":  {aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret", SessionToken: "x"}, 2, 0},
		"source": {aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret", SessionToken: "token", Source: "b"}, 1, 1},
	} {
		before := len(srv.Requests())
		provider := &turning{cache: cache{current: old, next: tc.next}, then: tc.next}
		cfg := srv.Config()
		cfg.Credentials = provider
		_, err := ssmresume.NewFromConfig(cfg).ResumeSession(t.Context(), input)
		type facts struct {
			Failed                  bool
			Requests, Invalidations int
		}
		same(t, "another "+name, facts{true, tc.requests, tc.invalidation}, facts{err != nil, len(srv.Requests()) - before, provider.invalidated})
	}
}

// turning is a cache that renews by itself after the first Retrieve.
type turning struct {
	cache
	then aws.Credentials
}

func (c *turning) Retrieve(ctx context.Context) (aws.Credentials, error) {
	creds, err := c.cache.Retrieve(ctx)
	c.current = c.then
	return creds, err
}

// TestClockSkewTolerance is that of the SDK, 4 minutes, and counts from the time
// that was signed, not from the local one.
func TestClockSkewTolerance(t *testing.T) {
	for offset, want := range map[time.Duration]int{
		4 * time.Minute:              1,
		4*time.Minute + time.Second:  2,
		-4 * time.Minute:             1,
		-4*time.Minute - time.Second: 2,
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := ssmresumetest.NewPipeServer() // whose bubble begins at a full second, so that Date is exact
			defer srv.Close()
			srv.SetClockOffset(offset)
			srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
				return ssmresumetest.Fail(403, "InvalidSignatureException", "no")
			})
			client := ssmresume.NewFromConfig(srv.Config())
			for call, want := range []int{want, 1} {
				before := len(srv.Requests())
				_, err := client.ResumeSession(t.Context(), input)
				var refused *ssmresume.SignatureError
				if n := len(srv.Requests()) - before; !errors.As(err, &refused) || n != want {
					t.Errorf("%v off, call %d: %d requests, want %d; %v", offset, call, n, want, err)
				}
			}
		})
	}
}

func TestAnonymous(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	cfg := srv.Config()
	cfg.Credentials = aws.AnonymousCredentials{}
	_, err := ssmresume.NewFromConfig(cfg).ResumeSession(t.Context(), input)
	var refused *ssmresume.CredentialsError
	if !errors.As(err, &refused) || refused.Code != "MissingAuthenticationTokenException" {
		t.Error(err)
	}
	if r := srv.Requests(); len(r) != 1 || r[0].Header.Get("Authorization") != "" {
		t.Errorf("sent %+v", r)
	}
}

func TestClockSkew(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	for _, offset := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		srv.SetClockOffset(offset)
		client := ssmresume.NewFromConfig(srv.Config())
		for call, want := range []int{2, 1} {
			before := len(srv.Requests())
			if _, err := client.ResumeSession(t.Context(), input); err != nil {
				t.Error(err)
			}
			if n := len(srv.Requests()) - before; n != want {
				t.Errorf("%v off, call %d: %d requests, want %d", offset, call, n, want)
			}
		}
		// The clock is put right again: learned anew.
		srv.SetClockOffset(0)
		for call, want := range []int{2, 1} {
			before := len(srv.Requests())
			if _, err := client.ResumeSession(t.Context(), input); err != nil {
				t.Error(err)
			}
			if n := len(srv.Requests()) - before; n != want {
				t.Errorf("put right, call %d: %d requests, want %d", call, n, want)
			}
		}
		srv.SetClockOffset(offset)
		_, err := client.ResumeSession(t.Context(), input, func(o *ssmresume.Options) { o.DisableClockSkewCorrection = true })
		var refused *ssmresume.SignatureError
		if !errors.As(err, &refused) {
			t.Errorf("correction disabled: %v", err)
		}
	}
}

// TestClockSkewIsNotBelieved: neither from plain HTTP, nor from a cache.
func TestClockSkewIsNotBelieved(t *testing.T) {
	for name, tc := range map[string]struct {
		endpoint, age string
		want          int
	}{
		"https":      {"https://ssm.example.com", "", 2},
		"loopback":   {"http://127.0.0.1:1", "", 2},
		"plain http": {"http://ssm.example.com", "", 1},
		"cached":     {"https://ssm.example.com", "7", 1},
	} {
		sent := 0
		client := ssmresume.New(ssmresume.Options{
			Region: "us-east-2", BaseEndpoint: &tc.endpoint, Credentials: credentials("id", "secret", ""),
			HTTPClient: roundTrip(func(*http.Request) (*http.Response, error) {
				sent++
				h := http.Header{"Date": {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}, "X-Amzn-Errortype": {"InvalidSignatureException"}}
				if tc.age != "" {
					h.Set("Age", tc.age)
				}
				return &http.Response{StatusCode: 400, Header: h, Body: http.NoBody}, nil
			}),
		})
		if _, err := client.ResumeSession(t.Context(), input); err == nil || sent != tc.want {
			t.Errorf("%s: %d requests, want %d (%v)", name, sent, tc.want, err)
		}
	}
}

func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := ssmresumetest.NewPipeServer()
		defer srv.Close()
		client := ssmresume.NewFromConfig(srv.Config())
		for name, tc := range map[string]struct {
			fault    *ssmresumetest.Response
			requests int
		}{
			"before the call":  {nil, 0},
			"during a request": {ssmresumetest.Hang(), 1},
			"during a body":    {ssmresumetest.HangBody(), 1},
			"during a wait":    {ssmresumetest.Raw(503, http.Header{"X-Amz-Retry-After": {"60000"}}, ""), 1},
		} {
			before := len(srv.Requests())
			srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return tc.fault })
			ctx, cancel := context.WithCancel(t.Context())
			if tc.fault == nil {
				cancel()
			}
			done := make(chan error)
			go func() {
				_, err := client.ResumeSession(ctx, input)
				done <- err
			}()
			if tc.fault != nil {
				synctest.Wait()
				cancel()
			}
			begin := time.Now()
			err := <-done
			type facts struct {
				Canceled, SaysSo bool
				Took             time.Duration
			}
			var v interface{ CanceledError() bool }
			same(t, name+": "+fmt.Sprint(err),
				facts{true, true, 0},
				facts{errors.Is(err, context.Canceled), errors.As(err, &v) && v.CanceledError(), time.Since(begin)})
			if n := len(srv.Requests()) - before; n != tc.requests {
				t.Errorf("%s: %d requests, want %d", name, n, tc.requests)
			}
			if strings.Contains(name, "wait") && !strings.Contains(err.Error(), "last attempt: ") {
				t.Errorf("%s: %v says nothing of the last attempt", name, err)
			}
			cancel()
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for name, tc := range map[string]struct {
		header http.Header
		want   time.Duration // at least
	}{
		"milliseconds": {http.Header{"X-Amz-Retry-After": {"1500"}}, 1500 * time.Millisecond},
		"seconds":      {http.Header{"Retry-After": {"4"}}, 4 * time.Second},
		"date":         {http.Header{"Retry-After": {"Sat, 01 Jan 2000 00:00:03 GMT"}, "Date": {"Sat, 01 Jan 2000 00:00:00 GMT"}}, 3 * time.Second},
		"not even":     {http.Header{"Retry-After": {"4"}, "X-Amz-Retry-After": {"0"}}, 0},
		"no Date":      {http.Header{"Retry-After": {"Sat, 01 Jan 2000 00:00:03 GMT"}, "Date": nil}, 0},
		"past date":    {http.Header{"Retry-After": {"Sat, 01 Jan 2000 00:00:03 GMT"}, "Date": {"Sat, 01 Jan 2000 00:00:04 GMT"}}, 0},
		"too long":     {http.Header{"Retry-After": {"86400"}}, 5 * time.Second},
		"nonsense":     {http.Header{"Retry-After": {"-1"}, "X-Amz-Retry-After": {"soon"}}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := ssmresumetest.NewPipeServer()
			defer srv.Close()
			srv.SetRespond(first(1, ssmresumetest.Raw(503, tc.header, "")))
			cfg := srv.Config()
			cfg.Retryer = noBackoff
			begin := time.Now()
			if _, err := ssmresume.NewFromConfig(cfg).ResumeSession(t.Context(), input); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took != tc.want {
				t.Errorf("%s: waited %v, want %v", name, took, tc.want)
			}
		})
	}
}

func TestThrottlingErrorTellsRetryAfter(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	client := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) { o.Retryer = aws.NopRetryer{} })
	const year = 8760 * time.Hour
	for header, want := range map[string]time.Duration{
		"Retry-After: 7":                              7 * time.Second,
		"Retry-After: 31536000":                       year,
		"Retry-After: 31536001":                       year,
		"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT":  year,
		"X-Amz-Retry-After: 7":                        7 * time.Millisecond,
		"X-Amz-Retry-After: 9223372036854775807":      year,
		"X-Amz-Retry-After: 99999999999999999999 ms.": 0,
	} {
		resp := ssmresumetest.Throttle()
		name, value, _ := strings.Cut(header, ": ")
		resp.Header.Set(name, value)
		srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return resp })
		_, err := client.ResumeSession(t.Context(), input)
		var throttled *ssmresume.ThrottlingError
		if !errors.As(err, &throttled) || throttled.RetryAfter != want {
			t.Errorf("%s: %v, %+v, want %v", header, err, throttled, want)
		}
	}
}

// TestNoErrorLeaks lets the service repeat what it was sent, and looks for it in
// the error, the log and every value that errors.As finds.
func TestNoErrorLeaks(t *testing.T) {
	var logged bytes.Buffer
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.SetCredentials(aws.Credentials{AccessKeyID: "ASIATEMP", SecretAccessKey: "secret", SessionToken: secretToken})
	for name, resp := range map[string]*ssmresumetest.Response{
		"wrong signature": ssmresumetest.Fail(403, "InvalidSignatureException", "The Canonical String should have been\nx-amz-security-token:"+secretToken),
		"throttling":      ssmresumetest.Fail(400, "ThrottlingException", secretToken+", once more "+secretToken),
		"cut token":       ssmresumetest.Raw(200, nil, `{"TokenValue":"`+secretToken),
		"typed token":     ssmresumetest.Raw(200, nil, `{"TokenValue":["`+secretToken+`"]}`),
		"trailing":        ssmresumetest.Raw(200, nil, `{} `+secretToken),
		"html":            ssmresumetest.Raw(200, nil, `<html>`+secretToken),
		"odd URL":         ssmresumetest.Raw(200, nil, `{"TokenValue":"`+secretToken+`","StreamUrl":"https://h/?`+secretQuery+`"}`),
	} {
		srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return resp })
		out, err := ssmresume.NewFromConfig(srv.Config()).ResumeSession(t.Context(), input, func(o *ssmresume.Options) {
			o.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
			o.Retryer = noBackoff()
		})
		if (err == nil) != (name == "odd URL") {
			t.Errorf("%s: %v", name, err)
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if s := fmt.Sprintf("%v %+v %#v %q", e, e, e, e.Error()); leaks(s) {
				t.Errorf("%s: %T prints %s", name, e, s)
			}
		}
		if s := fmt.Sprintf("%v %+v", out, out); leaks(s) {
			t.Errorf("%s: output prints %s", name, s)
		}
	}
	type facts struct{ Leaks, Retries, BadURL bool }
	log := logged.String()
	same(t, "log:\n"+log, facts{false, true, true}, facts{leaks(log), strings.Contains(log, "trying again"), strings.Contains(log, "StreamUrl")})
}

// TestConcurrency mixes everything that a client shares: pool, signing keys,
// quota, clock, credentials.
func TestConcurrency(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	old := aws.Credentials{AccessKeyID: "ASIAOLD", SecretAccessKey: "old"}
	good := aws.Credentials{AccessKeyID: "ASIANEW", SecretAccessKey: "new"}
	srv.SetCredentials(good, old)
	srv.SetClockOffset(10 * time.Minute)
	var n atomic.Int64
	srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
		switch n.Add(1) % 9 {
		case 3:
			return ssmresumetest.Reset()
		case 6:
			return ssmresumetest.Fail(503, "ServiceUnavailable", "")
		}
		return nil
	})
	cfg := srv.Config()
	cfg.Credentials = &cache{current: old, next: good}
	cfg.HTTPClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	defer cfg.HTTPClient.(*http.Client).CloseIdleConnections()
	cfg.Retryer = func() aws.Retryer { return unlimited() }
	client := ssmresume.NewFromConfig(cfg)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for call := range 20 {
				if i == 0 && call == 10 {
					srv.ExpireCredentials("ASIAOLD")
				}
				id := fmt.Sprintf("session-%d-%d", i, call)
				out, err := client.ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: id})
				if err != nil {
					t.Error(err)
					continue
				}
				type facts struct{ SessionID, StreamSession, Token string }
				same(t, id, facts{id, id, srv.LastToken(id)}, facts{out.SessionID, out.StreamURL.SessionID, out.TokenValue.Reveal()})
			}
		})
	}
	wg.Wait()
}

// FuzzAnswer decodes any answer: no panic, no leak, an error or a token.
func FuzzAnswer(f *testing.F) {
	f.Add(200, "", "id", `{"SessionId":"s","TokenValue":"TOKENTOKENTOKEN","StreamUrl":"wss://h/v1/data-channel/s?SIGNATURESIGNATURE"}`)
	f.Add(400, "", "id", `{"__type":"a#DoesNotExistException","message":"m"}`)
	f.Add(429, "ThrottlingException:http://x", "", ``)
	f.Add(200, "", "", `{"TokenValue":null} `)
	f.Fuzz(func(t *testing.T, status int, errorType, requestID, body string) {
		if status < 100 || status > 999 {
			return
		}
		client := ssmresume.New(ssmresume.Options{
			Region: "us-east-2", Credentials: credentials("id", "secret", ""), Retryer: aws.NopRetryer{},
			HTTPClient: roundTrip(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: status, ContentLength: -1, Body: io.NopCloser(strings.NewReader(body)),
					Header: http.Header{"X-Amzn-Errortype": {errorType}, "X-Amzn-Requestid": {requestID}}}, nil
			}),
		})
		out, err := client.ResumeSession(t.Context(), input)
		if (out == nil) == (err == nil) {
			t.Fatalf("%v, %v", out, err)
		}
		if err == nil {
			if status/100 != 2 || out.TokenValue.IsZero() {
				t.Errorf("status %d, output %v", status, out)
			}
			return
		}
		var respErr *awshttp.ResponseError
		if !errors.As(err, &respErr) || respErr.HTTPStatusCode() != status {
			t.Errorf("no ResponseError: %v", err)
		}
		if strings.ContainsAny(err.Error(), "\x00\x07\n\r\x1b\x7f\u202e\u2066\u2028") {
			t.Errorf("control characters in %q", err)
		}
		if status/100 == 2 && leaks(err.Error()) {
			t.Errorf("%v", err)
		}
	})
}
