package ssmresume_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// network is that between a client and a pipe server. Beside what the server's
// own can do, it has faults of the dialer.
type network struct {
	srv  *ssmresumetest.Server
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu    sync.Mutex
	fault string
}

// set takes a fault of the dialer, or the name of a state. What is silent stays
// so when the network is up again.
func (n *network) set(state string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range []ssmresumetest.Network{ssmresumetest.Refused, ssmresumetest.Unanswered, ssmresumetest.Silent} {
		if state == s.String() {
			n.srv.SetNetwork(s)
			return
		}
	}
	n.fault = state
	n.srv.ForgetConnections()
	n.srv.SetNetwork(ssmresumetest.Up)
}

func (n *network) get() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fault
}

func (n *network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	switch n.get() {
	case "no DNS":
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}}
	case "switching protocols":
		ours, theirs := net.Pipe()
		go func() {
			if _, err := http.ReadRequest(bufio.NewReader(theirs)); err == nil {
				io.WriteString(theirs, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			}
			io.Copy(io.Discard, theirs)
		}()
		return ours, nil
	case "certificate":
		return nil, &tls.CertificateVerificationError{Err: errors.New("not yet valid")}
	}
	return n.dial(ctx, network, addr)
}

// outage is a pipe server and a client whose network can be cut.
func outage(t *testing.T) (*ssmresumetest.Server, *ssmresume.Client, *network) {
	srv := ssmresumetest.NewPipeServer()
	t.Cleanup(srv.Close)
	cfg := srv.Config()
	tr := cfg.HTTPClient.(*http.Client).Transport.(*http.Transport).Clone()
	n := &network{srv: srv, dial: tr.DialContext}
	tr.DialContext = n.DialContext
	t.Cleanup(tr.CloseIdleConnections)
	cfg.HTTPClient = &http.Client{Transport: tr}
	return srv, ssmresume.NewFromConfig(cfg), n
}

// TestOutages cuts the network in every way, for as long as half an hour, and
// measures on a fake clock how long Resume takes once it is back.
func TestOutages(t *testing.T) {
	for state, limit := range map[string]struct{ median, longest time.Duration }{
		"refused":    {600 * time.Millisecond, 1200 * time.Millisecond},
		"no DNS":     {600 * time.Millisecond, 1200 * time.Millisecond},
		"unanswered": {700 * time.Millisecond, 3500 * time.Millisecond},
		"silent":     {10 * time.Second, 10 * time.Second}, // an attempt is given up after 10 s
	} {
		t.Run(state, func(t *testing.T) {
			var took []time.Duration
			lengths := []time.Duration{time.Second, 5 * time.Second, 15 * time.Second, time.Minute}
			if !testing.Short() {
				lengths = append(lengths, 30*time.Minute) // takes most of the time
			}
			for _, atLeast := range lengths {
				for range 50 { // the median of all then varies by 0.04 s
					away := atLeast + rand.N(time.Second) // in step with nothing
					synctest.Test(t, func(t *testing.T) {
						srv, client, n := outage(t)
						n.set(state)
						back := time.Now().Add(away)
						time.AfterFunc(away, func() { n.set("up") })
						rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
							o.OnWait = func(r ssmresume.Wait) {
								if r.Delay > time.Second {
									t.Errorf("waits %v for %v", r.Delay, r.Err)
								}
							}
						})
						out, err := rc.Resume(t.Context())
						if err != nil || out.TokenValue.Reveal() != srv.LastToken(sessionID) {
							t.Fatal(out, err)
						}
						took = append(took, time.Since(back))
					})
				}
			}
			slices.Sort(took)
			median, longest := took[len(took)/2], took[len(took)-1]
			t.Logf("%d outages: back after %v (median), %v (longest)", len(took), median, longest)
			if median > limit.median || longest > limit.longest {
				t.Errorf("want at most %v and %v", limit.median, limit.longest)
			}
		})
	}
}

// TestInTheWay: what a proxy or a captive portal answers ends no session.
func TestInTheWay(t *testing.T) {
	noID := http.Header{"X-Amzn-Requestid": nil, "X-Amz-Request-Id": {"S3's, and many a gateway's"}, "Content-Type": {"application/json"}}
	for name, resp := range map[string]*ssmresumetest.Response{
		"403":         ssmresumetest.HTML(403),
		"407":         ssmresumetest.HTML(407),
		"503":         ssmresumetest.HTML(503),
		"200":         ssmresumetest.HTML(200),
		"302":         ssmresumetest.Raw(302, http.Header{"Location": {"http://127.0.0.1:1/login"}}, ""),
		"307":         ssmresumetest.Redirect("http://127.0.0.1:1/login"),
		"coded 403":   ssmresumetest.Raw(403, noID, `{"code":"AccessDenied"}`),
		"coded 404":   ssmresumetest.Raw(404, noID, `{"code":"not_found"}`),
		"coded 302":   ssmresumetest.Fail(302, "Moved", ""),
		"gone, 302":   ssmresumetest.Fail(302, "DoesNotExistException", ""),
		"gone, 429":   ssmresumetest.Fail(429, "DoesNotExistException", ""),
		"gone, 500":   ssmresumetest.Fail(500, "DoesNotExistException", ""),
		"denied, 503": ssmresumetest.Fail(503, "AccessDeniedException", ""),
		"gone, no ID": ssmresumetest.Raw(400, noID, `{"__type":"DoesNotExistException"}`),
		"bare {}":     ssmresumetest.Raw(200, noID, "{}"),
		"empty 403":   ssmresumetest.Raw(403, noID, ""),
		"empty 400":   ssmresumetest.Raw(400, noID, ""),
		"404":         ssmresumetest.HTML(404),
		"408":         ssmresumetest.Fail(408, "RequestTimeout", "slow"),
		"timeout":     ssmresumetest.Fail(400, "RequestTimeoutException", "slow"), // the SDK retries it
		"throttling":  ssmresumetest.Throttle(),
		"429":         ssmresumetest.Raw(429, nil, ""),
		"failure":     ssmresumetest.Fail(500, "InternalServerError", "broken"),
		"unavailable": ssmresumetest.Fail(400, "ServiceUnavailable", "broken"),
		"reset":       ssmresumetest.Reset(),
		"cut short":   ssmresumetest.Truncate(30),
		"hang":        ssmresumetest.Hang(),
		"hang body":   ssmresumetest.HangBody(),
		"endless":     ssmresumetest.Endless(),
		"garbage":     ssmresumetest.Raw(200, nil, "{]"),
		"expired":     ssmresumetest.Fail(400, "ExpiredTokenException", "expired"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, client, _ := outage(t)
				srv.SetRespond(first(5, resp))
				var told []ssmresume.Wait
				rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
					o.OnWait = func(r ssmresume.Wait) { told = append(told, r) }
				})
				if _, err := rc.Resume(t.Context()); err != nil {
					t.Fatal(err)
				}
				if len(srv.Requests()) != 6 || len(told) != 5 {
					t.Errorf("%d requests, %d waits, want 6 and 5", len(srv.Requests()), len(told))
				}
				for i, w := range told {
					type facts struct {
						Attempt                                int
						Reason, NegativeDelay, NegativeElapsed bool
					}
					same(t, fmt.Sprintf("wait %d: %+v", i, w), facts{i + 1, true, false, false}, facts{w.Attempt, w.Err != nil, w.Delay < 0, w.Elapsed < 0})
					for _, secret := range []string{"AAEAA", "cell-number", "Signature"} {
						if s := fmt.Sprintf("%+v", w); strings.Contains(s, secret) {
							t.Errorf("wait %d tells a secret: %s", i, s)
						}
					}
				}
			})
		})
	}
}

// TestSwitchingProtocols: net/http hands out the connection as the body of a
// 101, and no ctx ends it.
func TestSwitchingProtocols(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, n := outage(t)
		n.set("switching protocols")
		var respErr *awshttp.ResponseError
		if _, err := client.ResumeSession(t.Context(), input); !errors.As(err, &respErr) || respErr.HTTPStatusCode() != 101 {
			t.Errorf("%v, want a ResponseError of status 101", err)
		}
		waits := 0
		rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.OnWait = func(ssmresume.Wait) {
				if waits++; waits == 3 {
					n.set("up")
				}
			}
		})
		if _, err := rc.Resume(t.Context()); err != nil || waits != 3 {
			t.Errorf("%v after %d waits", err, waits)
		}
	})
}

// TestResumeSparesWhoAnswered: the wait is that after an answer, with its
// Retry-After, where an answer began but cannot be read.
func TestResumeSparesWhoAnswered(t *testing.T) {
	cut := ssmresumetest.Raw(503, http.Header{"Retry-After": {"30"}, "Content-Length": {"100"}}, "x")
	zipped := ssmresumetest.Raw(200, http.Header{"Content-Encoding": {"gzip"}}, "{}")
	for name, tc := range map[string]struct {
		resp     *ssmresumetest.Response
		shortest time.Duration
	}{
		"cut short":  {cut, 30*time.Second + 250*time.Millisecond},
		"not zipped": {zipped, 250 * time.Millisecond},
		"no body":    {ssmresumetest.HangBody(), 250 * time.Millisecond},
		"truncated":  {ssmresumetest.Truncate(30), 250 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			srv, client, _ := outage(t)
			srv.SetRespond(first(1, tc.resp))
			var told []ssmresume.Wait
			_, err := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
				o.OnWait = func(r ssmresume.Wait) { told = append(told, r) }
			}).Resume(t.Context())
			if err != nil || len(told) != 1 {
				t.Fatalf("%s: %v, waits %+v, want one", name, err, told)
			}
			between(t, name, told[0].Delay, tc.shortest, tc.shortest+time.Second)
		})
	}
}

// TestProxyRefuses: a proxy that refuses to connect is somebody too, and what it
// says is escaped. The transport's own hook is asked first.
func TestProxyRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		hookErr error
		want    string // in the error
	}{
		"the proxy's word": {nil, `log in\x1b[31m\u202e`},
		"the hook's word":  {errors.New("the hook's own"), "the hook's own"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			client := behindProxy(t, func() error {
				asked.Add(1)
				return tc.hookErr
			})
			ctx, cancel := context.WithCancel(t.Context())
			var told ssmresume.Wait
			_, err := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
				o.OnWait = func(w ssmresume.Wait) {
					told = w
					cancel()
				}
			}).Resume(ctx)
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			// 9 s of Retry-After, and at least a quarter of the first window.
			if told.Delay < 9250*time.Millisecond || told.Delay > 10*time.Second {
				t.Errorf("waits %v", told.Delay)
			}
			if n := asked.Load(); n != 1 {
				t.Errorf("the transport's own hook was called %d times", n)
			}
			if tc.hookErr != nil && !errors.Is(told.Err, tc.hookErr) {
				t.Errorf("waits for %v, want the hook's error in it", told.Err)
			}
			_, callErr := client.ResumeSession(t.Context(), input, func(o *ssmresume.Options) { o.Retryer = aws.NopRetryer{} })
			for what, err := range map[string]error{"Resume": told.Err, "ResumeSession": callErr} {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("%s: %v, want %s", what, err, tc.want)
				}
			}
		})
	}
}

// behindProxy is a client whose proxy wants a login, with a hook of its own.
func behindProxy(t *testing.T, hook func() error) *ssmresume.Client {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 407 log in\x1b[31m\u202e\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n")
	}))
	t.Cleanup(proxy.Close)
	tr := &http.Transport{
		Proxy:                  func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) },
		OnProxyConnectResponse: func(context.Context, *url.URL, *http.Request, *http.Response) error { return hook() },
	}
	return ssmresume.New(ssmresume.Options{Region: "us-east-2", Credentials: credentials("id", "secret", ""), HTTPClient: &http.Client{Transport: tr}})
}

// TestResumeInParallel: with HTTP/2, requests of one transport would share a
// connection that the first of them closes.
func TestResumeInParallel(t *testing.T) {
	srv := ssmresumetest.NewTLSServer()
	defer srv.Close()
	const sessions = 50
	cfg := srv.Config()
	tr := cfg.HTTPClient.(*http.Client).Transport.(*http.Transport).Clone()
	defer tr.CloseIdleConnections()
	var dials atomic.Int32
	together := make(chan struct{})
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) == sessions {
			close(together)
		}
		<-together
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	cfg.HTTPClient = &http.Client{Transport: tr}
	client := ssmresume.NewFromConfig(cfg, func(o *ssmresume.Options) { o.AttemptTimeout = time.Minute })
	var all sync.WaitGroup
	for range sessions {
		all.Go(func() {
			_, err := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
				o.OnWait = func(r ssmresume.Wait) { t.Errorf("attempt %d failed: %v", r.Attempt, r.Err) }
			}).Resume(t.Context())
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := dials.Load(); n != sessions {
		t.Errorf("%d connections for %d attempts", n, sessions)
	}
}

// TestResumeWithDeadlines: a caller that gives each Resume little time does not
// have it spent on the same wait again and again.
func TestResumeWithDeadlines(t *testing.T) {
	for name, tc := range map[string]struct {
		patience          time.Duration
		shortest, longest time.Duration
	}{
		"refused":   {5 * time.Second, 49500 * time.Millisecond, 51 * time.Second},
		"silent":    {5 * time.Second, 49500 * time.Millisecond, 51 * time.Second},
		"throttled": {200 * time.Millisecond, 5250 * time.Millisecond, 21 * time.Second}, // in windows of 1, 4 and 16 s
	} {
		synctest.Test(t, func(t *testing.T) {
			srv, client, n := outage(t)
			if name == "throttled" {
				srv.SetRespond(first(3, ssmresumetest.Throttle()))
			} else {
				n.set(name)
				time.AfterFunc(49500*time.Millisecond, func() { n.set("up") }) // not at the end of an attempt
			}
			rc := ssmresume.NewReconnector(client, sessionID)
			begin := time.Now()
			for time.Since(begin) < time.Hour {
				ctx, cancel := context.WithTimeout(t.Context(), tc.patience)
				_, err := rc.Resume(ctx)
				cancel()
				if err == nil {
					break
				}
				if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "had been resumed") {
					t.Errorf("%s: %v", name, err)
				}
			}
			if took := time.Since(begin); took < tc.shortest || took > tc.longest {
				t.Errorf("%s: back after %v, want %v to %v", name, took, tc.shortest, tc.longest)
			}
		})
	}
}

// TestResumeCutOffInAnswer: whoever has begun to answer is spared by the next
// Resume, too, although ctx ended before there was an error.
func TestResumeCutOffInAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, _ := outage(t)
		srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return ssmresumetest.HangBody() })
		rc := ssmresume.NewReconnector(client, sessionID)
		for begin := time.Now(); time.Since(begin) < 10*time.Minute; {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			if _, err := rc.Resume(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
		}
		// A quarter of 25 s at least, after three shorter waits.
		if n := len(srv.Requests()); n < 20 || n > 4+600*4/25 {
			t.Errorf("%d requests in 10 minutes", n)
		}
	})
}

// TestResumeAfterStop: the wait before a Resume that follows an error tells that
// error.
func TestResumeAfterStop(t *testing.T) {
	for want, resp := range map[string]*ssmresumetest.Response{
		"not yet":                           ssmresumetest.Fail(400, "AccessDeniedException", "not yet"),
		`the answer is for session "other"`: ssmresumetest.Raw(200, nil, `{"SessionId":"other","TokenValue":"t"}`),
	} {
		synctest.Test(t, func(t *testing.T) {
			srv, client, _ := outage(t)
			srv.SetRespond(first(1, resp))
			var told []ssmresume.Wait
			rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
				o.OnWait = func(r ssmresume.Wait) { told = append(told, r) }
			})
			if _, err := rc.Resume(t.Context()); err == nil || len(told) != 0 {
				t.Errorf("%v, waits %v", err, told)
			}
			if _, err := rc.Resume(t.Context()); err != nil || len(told) != 1 {
				t.Fatalf("%v, waits %+v, want one", err, told)
			}
			type facts struct {
				Attempt int
				Err     string
			}
			same(t, "the wait", facts{0, want}, facts{told[0].Attempt, textOf(told[0].Err, want)})
			between(t, "the wait", told[0].Delay, 250*time.Millisecond, time.Second)
		})
	}
}

// TestResumeClockSetBack: what is owed is waited once more at most.
func TestResumeClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, _ := outage(t)
		rc := ssmresume.NewReconnector(client, sessionID)
		if _, err := rc.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		ssmresume.SetClockBack(rc, 2*time.Hour)
		begin := time.Now()
		for time.Since(begin) < 3*time.Hour {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			_, err := rc.Resume(ctx)
			cancel()
			if err == nil {
				break
			}
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("back after %v", took)
		}
	})
}

// TestProviderCutOff: what a provider says when ctx ends is that ctx ended.
func TestProviderCutOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client := ssmresume.New(ssmresume.Options{Region: "us-east-2", Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		cancel()
		return aws.Credentials{}, errors.New("interrupted")
	})})
	_, err := client.ResumeSession(ctx, input)
	if canceled := (*smithy.CanceledError)(nil); !errors.As(err, &canceled) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want a CanceledError", err)
	}
}

// TestKeysWithLineBreak, as read from a file: they make no header.
func TestKeysWithLineBreak(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	for _, keys := range [][3]string{{"id\n", "secret", ""}, {"id", "secret\r\n", ""}, {"id", "secret", "token\n"}, {"", "", ""}} {
		client := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) {
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: keys[0], SecretAccessKey: keys[1], SessionToken: keys[2], Source: "EnvConfigCredentials"}, nil
			})
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, callErr := client.ResumeSession(ctx, input)
		_, err := ssmresume.NewReconnector(client, sessionID).Resume(ctx)
		cancel()
		for _, err := range []error{callErr, err} {
			same(t, fmt.Sprintf("%q", keys), "the provider returned", textOf(err, "the provider returned"))
			if errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%q: not at once", keys)
			}
		}
	}
	if n := len(srv.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestResumeStops(t *testing.T) {
	as := func(target any) func(error) bool { return func(err error) bool { return errors.As(err, target) } }
	for name, tc := range map[string]struct {
		resp *ssmresumetest.Response
		is   func(error) bool
	}{
		"no such session":   {ssmresumetest.Fail(400, "DoesNotExistException", "gone"), as(new(*ssmresume.DoesNotExistError))},
		"200 without token": {ssmresumetest.TimedOut(), as(new(*ssmresume.SessionTimedOutError))},
		"access denied":     {ssmresumetest.Fail(400, "AccessDeniedException", "no"), as(new(*ssmresume.AccessDeniedError))},
		"signature":         {ssmresumetest.Fail(400, "InvalidSignatureException", "no"), as(new(*ssmresume.SignatureError))},
		"validation":        {ssmresumetest.Fail(400, "ValidationException", "no"), as(new(*ssmresume.ValidationError))},
		"other code":        {ssmresumetest.Fail(400, "ResourceNotFoundException", "no"), as(new(*smithy.GenericAPIError))},
		"no ID, but type":   {ssmresumetest.Raw(400, http.Header{"X-Amzn-Requestid": nil, "Content-Type": {"application/x-amz-json-1.0; charset=utf-8"}}, `{"__type":"DoesNotExistException"}`), as(new(*ssmresume.DoesNotExistError))},
		"no type, but ID":   {ssmresumetest.Raw(400, http.Header{"Content-Type": nil}, `{"__type":"DoesNotExistException"}`), as(new(*ssmresume.DoesNotExistError))},
		"unknown call":      {ssmresumetest.Fail(501, "InternalFailure", "not yet implemented"), func(err error) bool { return strings.Contains(err.Error(), "the endpoint does not know ResumeSession") }},
		"unknown call, raw": {ssmresumetest.HTML(501), func(err error) bool { return strings.Contains(err.Error(), "the endpoint does not know ResumeSession") }},
		"other session":     {ssmresumetest.Raw(200, nil, `{"SessionId":"other","TokenValue":"t"}`), func(err error) bool { return strings.Contains(err.Error(), `the answer is for session "other"`) }},
		"other StreamUrl":   {ssmresumetest.Raw(200, nil, `{"TokenValue":"t","StreamUrl":"wss://h/v1/data-channel/other"}`), func(err error) bool { return strings.Contains(err.Error(), `StreamUrl is for session "other"`) }},
		"broken StreamUrl":  {ssmresumetest.Raw(200, nil, `{"TokenValue":"t","StreamUrl":"u"}`), func(err error) bool { return strings.Contains(err.Error(), "StreamUrl cannot be parsed") }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, client, _ := outage(t)
				srv.SetRespond(first(1, tc.resp))
				begin := time.Now()
				out, err := ssmresume.NewReconnector(client, sessionID).Resume(t.Context())
				took := time.Since(begin)
				if err == nil {
					t.Fatal(out)
				}
				type facts struct {
					Output, IsIt, OperationError bool
					Requests                     int
					Took                         time.Duration
				}
				same(t, err.Error(),
					facts{false, true, true, 1, 0},
					facts{out != nil, tc.is(err), isA[*smithy.OperationError](err), len(srv.Requests()), took})
			})
		})
	}
}

func TestResumeBadOptions(t *testing.T) {
	client := ssmresume.New(ssmresume.Options{HTTPClient: noIO(t), Credentials: credentials("id", "secret", "")})
	if _, err := ssmresume.NewReconnector(client, sessionID).Resume(t.Context()); err == nil || !strings.Contains(err.Error(), "no region") {
		t.Error(err)
	}
	var params *smithy.InvalidParamsError
	if _, err := ssmresume.NewReconnector(client, "").Resume(t.Context()); !errors.As(err, &params) {
		t.Error(err)
	}
}

func TestResumeClockSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, _ := outage(t)
		srv.SetClockOffset(-10 * time.Minute)
		rc := ssmresume.NewReconnector(client, sessionID)
		for call, want := range []int{2, 3} {
			if _, err := rc.Resume(t.Context()); err != nil || len(srv.Requests()) != want {
				t.Errorf("call %d: %v, %d requests, want %d", call, err, len(srv.Requests()), want)
			}
		}
	})
}

// TestResumePace: a channel that opens and drops at once is no hot loop, one
// that lived is resumed at once.
func TestResumePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, _ := outage(t)
		rc := ssmresume.NewReconnector(client, sessionID)
		begin := time.Now()
		for range 100 {
			if _, err := rc.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		soon := 0
		for _, r := range srv.Requests() {
			if r.Time.Sub(begin) < time.Second {
				soon++
			}
		}
		// The windows are 1, 4, 16 and 25 s, of which a quarter at least is waited.
		if soon > 3 {
			t.Errorf("%d calls in the first second", soon)
		}
		between(t, "100 calls", time.Since(begin), 96*25*time.Second/4, 100*25*time.Second)
		time.Sleep(25 * time.Second)
		begin = time.Now()
		if _, err := rc.Resume(t.Context()); err != nil || time.Since(begin) != 0 {
			t.Errorf("%v after %v, want at once", err, time.Since(begin))
		}
	})
}

// TestResumeWindows: after an answer, a wait lies in the upper three quarters of
// a window of 1, 4, 16, 25, 25, ... s, and what Retry-After says comes on top.
func TestResumeWindows(t *testing.T) {
	const retryAfter = 7 * time.Second
	windows := []time.Duration{time.Second, 4 * time.Second, 16 * time.Second, 25 * time.Second, 25 * time.Second}
	shortest, longest := slices.Repeat([]float64{1}, len(windows)), make([]float64, len(windows))
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			srv, client, _ := outage(t)
			busy := ssmresumetest.Throttle()
			busy.Header.Set("Retry-After", "7")
			srv.SetRespond(first(int32(len(windows)), busy))
			rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
				o.OnWait = func(r ssmresume.Wait) {
					i := r.Attempt - 1
					part := float64(r.Delay-retryAfter) / float64(windows[i])
					shortest[i], longest[i] = min(shortest[i], part), max(longest[i], part)
				}
			})
			if _, err := rc.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
	for i, window := range windows {
		// Of 200 waits, one is in the first and one in the last tenth, but for once in 100 million runs.
		if shortest[i] < 0.25 || shortest[i] > 0.325 || longest[i] < 0.925 || longest[i] >= 1 {
			t.Errorf("wait %d was between %.3f and %.3f of %v, want from 0.25 to 1", i+1, shortest[i], longest[i], window)
		}
	}
}

// TestResumeRetryAfterIsBounded: 60 s of it, whatever an answer says.
func TestResumeRetryAfterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, _ := outage(t)
		busy := ssmresumetest.Throttle()
		busy.Header.Set("Retry-After", "86400")
		srv.SetRespond(first(1, busy))
		begin := time.Now()
		_, err := ssmresume.NewReconnector(client, sessionID).Resume(t.Context())
		if err != nil {
			t.Error(err)
		}
		between(t, "back", time.Since(begin), time.Minute, time.Minute+time.Second)
	})
}

// TestResumePaceCountsFromReturn: the time that the channel lived is part of the
// wait, and a channel that lived as long as MaxServiceWait has the backoff start over.
func TestResumePaceCountsFromReturn(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			srv, client, _ := outage(t)
			rc := ssmresume.NewReconnector(client, sessionID)
			for _, lived := range []time.Duration{0, 900 * time.Millisecond, 25 * time.Second, 950 * time.Millisecond} {
				time.Sleep(lived)
				if _, err := rc.Resume(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			// Windows: none, 1 s; none and 1 s again.
			r := srv.Requests()
			for i, longest := range []time.Duration{time.Second, 25 * time.Second, time.Second} {
				if gap := r[i+1].Time.Sub(r[i].Time); gap > longest {
					t.Errorf("%v between calls %d and %d, want at most %v", gap, i+1, i+2, longest)
				}
			}
		})
	}
}

// TestResumeTLS: a peer that answers, but not with the service's certificate or
// not with TLS, is somebody, and is not asked again at once.
func TestResumeTLS(t *testing.T) {
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	defer untrusted.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	picky := httptest.NewUnstartedServer(http.NotFoundHandler())
	picky.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}
	picky.StartTLS() // sends an alert
	defer picky.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	pinned := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true,
		VerifyConnection:   func(tls.ConnectionState) error { return errors.New("not the pinned key") },
	}}}
	proxied := picky.Client().Transport.(*http.Transport).Clone()
	proxied.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(picky.URL) }
	drops := func(hard bool) net.Listener { // in the middle of the handshake, as a network does
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				if hard {
					io.ReadAtLeast(conn, make([]byte, 1), 1)
					conn.(*net.TCPConn).SetLinger(0)
				}
				conn.Close()
			}
		}()
		return l
	}
	for _, srv := range []*httptest.Server{untrusted, plain, picky, closed} {
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	}
	for name, tc := range map[string]struct {
		url      string
		client   *http.Client
		shortest time.Duration
		longest  time.Duration
	}{
		"untrusted": {untrusted.URL, &http.Client{Transport: &http.Transport{}}, 250 * time.Millisecond, time.Second},
		"no TLS":    {strings.Replace(plain.URL, "http:", "https:", 1), plain.Client(), 250 * time.Millisecond, time.Second},
		"alert":     {picky.URL, picky.Client(), 250 * time.Millisecond, time.Second},
		"pinned":    {untrusted.URL, pinned, 250 * time.Millisecond, time.Second},
		"proxy":     {"https://ssm.example.com", &http.Client{Transport: proxied}, 250 * time.Millisecond, time.Second},
		"dropped":   {"https://" + drops(false).Addr().String(), picky.Client(), 0, 50 * time.Millisecond},
		"reset":     {"https://" + drops(true).Addr().String(), picky.Client(), 0, 50 * time.Millisecond},
		"closed":    {strings.Replace(closed.URL, "http:", "https:", 1), closed.Client(), 0, 50 * time.Millisecond},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var told ssmresume.Wait
		client := ssmresume.New(ssmresume.Options{Region: "us-east-2", Credentials: credentials("id", "secret", ""), BaseEndpoint: &tc.url, HTTPClient: tc.client})
		_, err := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.OnWait = func(r ssmresume.Wait) {
				told = r
				cancel()
			}
		}).Resume(ctx)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		between(t, fmt.Sprintf("%s waits for %v", name, told.Err), told.Delay, tc.shortest, tc.longest)
	}
}

// TestConnectIsGivenUp: after 5 s without an answer, each time.
func TestConnectIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, n := outage(t)
		n.set("unanswered")
		ctx, cancel := context.WithTimeout(t.Context(), 16*time.Second)
		defer cancel()
		var at []time.Duration
		_, err := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.OnWait = func(r ssmresume.Wait) { at = append(at, r.Elapsed) }
		}).Resume(ctx)
		if want := []time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second}; err == nil || !slices.Equal(at, want) {
			t.Errorf("gave up after %v, want %v; %v", at, want, err)
		}
	})
}

// TestResumeDay is 24 hours with a recycle every hour.
func TestResumeDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, _ := outage(t)
		srv.AddSession(sessionID)
		rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.OnWait = func(r ssmresume.Wait) { t.Errorf("waits: %v", r) }
		})
		urls := map[string]bool{}
		for range 24 {
			time.Sleep(time.Hour)
			out, err := rc.Resume(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			urls[out.StreamURL.DialURL()] = true
		}
		if len(srv.Requests()) != 24 || len(urls) != 24 {
			t.Errorf("%d requests, %d stream URLs, want 24", len(srv.Requests()), len(urls))
		}
	})
}

// TestResumeWithoutStreamURL: where an answer holds none, the last one counts.
func TestResumeWithoutStreamURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, _ := outage(t)
		rc := ssmresume.NewReconnector(client, sessionID)
		var last ssmresume.StreamURL
		for i, body := range []string{"", `{"TokenValue":"t"}`, "", `{"TokenValue":"t","StreamUrl":null}`, `{"TokenValue":"t","StreamUrl":""}`} {
			srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
				if body == "" {
					return nil
				}
				return ssmresumetest.Raw(200, nil, body)
			})
			out, err := rc.Resume(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if same := out.StreamURL.Equal(last); same != (body != "") {
				t.Errorf("answer %d: the last URL %v, want %v", i, same, body != "")
			}
			last = out.StreamURL
		}
	})
}

func TestResumeContext(t *testing.T) {
	for _, state := range []string{"up", "refused", "unanswered", "silent", "certificate"} {
		t.Run(state, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, client, n := outage(t)
				srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return ssmresumetest.Throttle() })
				n.set(state)
				for _, after := range []time.Duration{0, 20 * time.Millisecond, time.Second, time.Minute, time.Hour} {
					ctx, cancel := context.WithTimeout(t.Context(), after)
					begin := time.Now()
					_, err := ssmresume.NewReconnector(client, sessionID).Resume(ctx)
					cancel()
					if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != after {
						t.Errorf("after %v, want %v: %v", time.Since(begin), after, err)
					}
					if after >= time.Minute && !strings.Contains(err.Error(), "last error: ") {
						t.Errorf("nothing of the last attempt: %v", err)
					}
				}
			})
		})
	}
}

func TestOneResumeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, _ := outage(t)
		srv.SetRespond(first(1, ssmresumetest.Hang()))
		rc := ssmresume.NewReconnector(client, sessionID)
		done := make(chan error)
		go func() {
			_, err := rc.Resume(t.Context())
			done <- err
		}()
		synctest.Wait()
		if _, err := rc.Resume(t.Context()); err == nil || !strings.Contains(err.Error(), "already running") {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestHerd: 500 sessions of a client lose their channel at once, the service allows
// 10 requests a second.
func TestHerd(t *testing.T) {
	for name, tc := range map[string]struct {
		tell     bool
		last     time.Duration
		requests int
	}{
		"no Retry-After": {false, 60 * time.Second, 2300},
		"Retry-After":    {true, 60 * time.Second, 1100},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, client, _ := outage(t)
				srv.SetRateLimit(10, 10, tc.tell)
				begin := time.Now()
				var wg sync.WaitGroup
				for i := range 500 {
					wg.Go(func() {
						if _, err := ssmresume.NewReconnector(client, fmt.Sprint("session-", i)).Resume(t.Context()); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				t.Logf("all back after %v with %d requests", time.Since(begin), len(srv.Requests()))
				if took, n := time.Since(begin), len(srv.Requests()); took > tc.last || n > tc.requests {
					t.Errorf("all back after %v with %d requests, want at most %v and %d", took, n, tc.last, tc.requests)
				}
			})
		})
	}
}

// TestThousandOutages leaves nothing behind: no connection, goroutine or memory
// more than after the first hundred.
func TestThousandOutages(t *testing.T) {
	var requests, opened, open atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1)%2 == 1 {
			panic(http.ErrAbortHandler) // the connection is lost
		}
		w.Header().Set("X-Amzn-Requestid", "1")
		io.WriteString(w, `{"TokenValue":"t"}`)
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	srv.Start()
	defer srv.Close()
	client := ssmresume.New(ssmresume.Options{Region: "us-east-2", BaseEndpoint: &srv.URL, Credentials: credentials("id", "secret", "")})
	rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
		o.MaxServiceWait, o.MaxNetworkWait = time.Nanosecond, time.Nanosecond
	})
	measure := func() (goroutines int, heap uint64) {
		for open.Load() > 0 {
			time.Sleep(time.Millisecond)
		}
		goroutines = settle()
		runtime.GC()
		runtime.GC() // the first leaves what sync.Pool holds
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return goroutines, m.HeapAlloc
	}
	var goroutines int
	var heap uint64
	for i := range 1000 {
		if _, err := rc.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i == 99 {
			goroutines, heap = measure()
		}
	}
	moreGoroutines, moreHeap := measure()
	if moreGoroutines > goroutines {
		t.Errorf("%d goroutines, %d after the first outages", moreGoroutines, goroutines)
	}
	if moreHeap > heap+900*200 { // 200 bytes for each outage
		t.Errorf("%d bytes on the heap, %d after the first outages", moreHeap, heap)
	}
	if requests.Load() != 2000 || opened.Load() != 2000 {
		t.Errorf("%d requests on %d connections, want 2000 on one each", requests.Load(), opened.Load())
	}
}

// settle returns the number of goroutines once it stops falling.
func settle() int {
	n := runtime.NumGoroutine()
	for range 200 {
		runtime.Gosched()
		time.Sleep(time.Millisecond)
		if m := runtime.NumGoroutine(); m < n {
			n = m
		}
	}
	return n
}

// TestSecondAddress: the first of the host's two addresses is dead.
func TestSecondAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, _, n := outage(t)
		cfg := srv.Config()
		// As net.Dialer does: the time is split between the addresses.
		cfg.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			deadline, _ := ctx.Deadline()
			time.Sleep(max(time.Until(deadline)/2, 2*time.Second))
			return n.dial(ctx, network, addr)
		}}}
		rc := ssmresume.NewReconnector(ssmresume.NewFromConfig(cfg), sessionID)
		if _, err := rc.Resume(t.Context()); err != nil || len(srv.Requests()) != 1 {
			t.Error(err)
		}
	})
}

func TestHandshakeHeader(t *testing.T) {
	const (
		inAWS   = "wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/a@b?role=publish_subscribe&cell-number=A+b/c=="
		outside = "wss://example.com/v1/data-channel/s"
	)
	local, custom, overTLS := "http://127.0.0.1:1", "https://vpce-1.ssm.us-east-2.vpce.amazonaws.com", "https://localstack.example"
	for name, tc := range map[string]struct {
		endpoint *string
		url      string
		want     string // in the Authorization header
		err      string
	}{
		"AWS":                     {nil, inAWS, "/eu-west-1/ssmmessages/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token, ", ""},
		"AWS, local endpoint":     {&local, inAWS, "/eu-west-1/ssmmessages/aws4_request", ""},
		"outside":                 {nil, outside, "", `host "example.com" is not one of AWS's`},
		"outside, AWS endpoint":   {&custom, outside, "", `host "example.com" is not one of AWS's`},
		"outside, local endpoint": {&local, outside, "/us-east-2/ssmmessages/aws4_request", ""},
		"ws, local endpoint":      {&local, strings.Replace(outside, "wss:", "ws:", 1), "/us-east-2/ssmmessages/aws4_request", ""},
		"ws, endpoint over TLS":   {&overTLS, strings.Replace(outside, "wss:", "ws:", 1), "", `must not reach host "example.com" unencrypted`},
		"wss, endpoint over TLS":  {&overTLS, outside, "/us-east-2/ssmmessages/aws4_request", ""},
		"ws on this machine":      {&overTLS, "ws://127.0.0.1:1/v1/data-channel/s", "/us-east-2/ssmmessages/aws4_request", ""},
		"presigned":               {nil, outside + "?X-Amz-Signature=1", "", ""},
		"bad escape":              {nil, inAWS + "&x=%zz", "", "query cannot be parsed"},
		"semicolon":               {nil, inAWS + ";x", "", "query cannot be parsed"},
		"empty parameter":         {nil, inAWS + "&&x=1", "", "empty parameter"},
		"trailing &":              {nil, inAWS + "&", "", "empty parameter"},
		"no name":                 {nil, inAWS + "&=1", "", "empty parameter"},
	} {
		u, err := ssmresume.ParseStreamURL(tc.url)
		if err != nil {
			t.Fatal(name, err)
		}
		client := ssmresume.New(ssmresume.Options{Region: "us-east-2", BaseEndpoint: tc.endpoint, Credentials: credentials("id", "secret", secretToken), HTTPClient: noIO(t)})
		h, err := client.HandshakeHeader(t.Context(), u)
		if tc.err != "" {
			same(t, name, tc.err, textOf(err, tc.err))
			if err != nil && strings.Contains(err.Error(), "cell-number") {
				t.Errorf("%s: the error repeats the query: %v", name, err)
			}
			continue
		}
		if err != nil || h == nil {
			t.Errorf("%s: %v, %v", name, h, err)
			continue
		}
		type facts struct {
			Fields int
			Token  string
			Scope  bool
		}
		want := facts{3, secretToken, true}
		if tc.want == "" { // not signed
			want = facts{0, "", true}
		}
		same(t, name, want, facts{len(h), h.Get("X-Amz-Security-Token"), strings.Contains(h.Get("Authorization"), tc.want)})
	}
	client := ssmresume.New(ssmresume.Options{Region: "us-east-2", Credentials: credentials("id", "secret", "")})
	for _, u := range []ssmresume.StreamURL{{}, {Host: "ssmmessages.us-east-2.amazonaws.com"}, {Partition: "aws", Region: "us-east-2", Host: "ssmmessages.us-east-2.amazonaws.com"}, {Presigned: true, Host: "h"}} {
		if _, err := client.HandshakeHeader(t.Context(), u); textOf(err, "was not made by ParseStreamURL") != "was not made by ParseStreamURL" {
			t.Errorf("%+v: %v", u, err)
		}
	}
}

// TestHandshakeHeaderIsVerified by the test endpoint's own SigV4 code, over the
// bytes that arrive.
func TestHandshakeHeaderIsVerified(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	var verified error
	channel := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { verified = srv.VerifyHandshake(r) })}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go channel.Serve(l)
	defer channel.Close()
	srv.SetStreamURL(func(id string) string {
		return "ws://" + l.Addr().String() + "/v1/data-channel/" + id + "?role=publish_subscribe&cell-number=A+b/c==&e"
	})
	srv.SetClockOffset(10 * time.Minute)
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	for _, creds := range []aws.Credentials{{AccessKeyID: "AKID", SecretAccessKey: "secret"}, {AccessKeyID: "ASIA", SecretAccessKey: "secret", SessionToken: "a/b+c=="}} {
		srv.SetCredentials(creds)
		client := ssmresume.NewFromConfig(srv.Config())
		for _, id := range []string{"Mary-Major-07a16060613c408b5", "a.b@c=+d", "with space é"} {
			srv.SetStreamURL(func(string) string {
				return "ws://" + l.Addr().String() + "/v1/data-channel/" + strings.NewReplacer(" ", "%20", "é", "%C3%A9").Replace(id) + "?role=publish_subscribe&cell-number=A+b/c==&e"
			})
			out, err := client.ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: id})
			if err != nil {
				t.Fatal(err)
			}
			header, err := client.HandshakeHeader(t.Context(), out.StreamURL)
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequest("GET", strings.Replace(out.StreamURL.DialURL(), "ws:", "http:", 1), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = header
			verified = errors.New("no request came")
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if verified != nil {
				t.Errorf("%s: %v", id, verified)
			}
		}
	}
}
