package ssmresume_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// counting is a Retryer that notes what becomes of its tokens.
type counting struct {
	aws.RetryerV2
	attempts, retries []bool // whether each was released as a success
	given             int    // tokens for a retry
}

func (c *counting) GetAttemptToken(context.Context) (func(error) error, error) {
	return func(err error) error { c.attempts = append(c.attempts, err == nil); return nil }, nil
}

func (c *counting) GetRetryToken(context.Context, error) (func(error) error, error) {
	c.given++
	return func(err error) error { c.retries = append(c.retries, err == nil); return nil }, nil
}

// TestTokensOfRetryer: each is given back with what became of the attempt.
func TestTokensOfRetryer(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.SetRespond(first(2, ssmresumetest.Fail(503, "ServiceUnavailable", "")))
	r := &counting{RetryerV2: noBackoff().(aws.RetryerV2)}
	if _, err := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) { o.Retryer = r }).ResumeSession(t.Context(), input); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.attempts, []bool{false, false, true}) || !slices.Equal(r.retries, []bool{false, true}) || r.given != 2 {
		t.Errorf("attempts %v, retries %v of %d", r.attempts, r.retries, r.given)
	}
}

// TestFreshClientIsTheCallers: an attempt on a connection of its own has the
// client's time limit and its cookies.
func TestFreshClientIsTheCallers(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return ssmresumetest.Hang() })
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := url.Parse(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	jar.SetCookies(endpoint, []*http.Cookie{{Name: "kept", Value: "1"}})
	const limit = 300 * time.Millisecond
	for name, c := range map[string]aws.HTTPClient{
		"http.Client":     &http.Client{Timeout: limit, Jar: jar, Transport: &http.Transport{}},
		"BuildableClient": awshttp.NewBuildableClient().WithTimeout(limit),
	} {
		cfg := srv.Config()
		cfg.HTTPClient, cfg.Retryer = c, func() aws.Retryer { return aws.NopRetryer{} }
		client := ssmresume.NewFromConfig(cfg, func(o *ssmresume.Options) { o.AttemptTimeout = time.Minute })
		before := len(srv.Requests())
		begin := time.Now()
		_, callErr := client.ResumeSession(t.Context(), input)
		ctx, cancel := context.WithCancel(t.Context())
		var told error
		_, resumeErr := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.OnWait = func(w ssmresume.Wait) { told = w.Err; cancel() }
		}).Resume(ctx)
		cancel()
		if took := time.Since(begin); callErr == nil || told == nil || !errors.Is(resumeErr, context.Canceled) || took < 2*limit || took > 10*time.Second {
			t.Errorf("%s: %v, %v after %v, want two times %v", name, callErr, told, took, limit)
		}
		for _, r := range srv.Requests()[before:] {
			if cookie := r.Header.Get("Cookie"); (cookie == "kept=1") != (name == "http.Client") {
				t.Errorf("%s: cookie %q", name, cookie)
			}
		}
	}
}

// TestFreshClientHasHTTP2OfItsOwn: a transport whose HTTP/2 was set up by hand has
// a TLSNextProto that leads to a pool.
func TestFreshClientHasHTTP2OfItsOwn(t *testing.T) {
	srv, clients := overHTTP2(t)
	set := clients["http.Client"].(*http.Client).Transport.(*http.Transport)
	cfg := srv.Config()
	cfg.HTTPClient = &http.Client{Transport: set}
	if _, err := ssmresume.NewFromConfig(cfg).ResumeSession(t.Context(), input); err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: set.TLSClientConfig.Clone(), TLSNextProto: set.TLSNextProto}
	tr.TLSClientConfig.NextProtos = []string{"h2", "http/1.1"}
	defer tr.CloseIdleConnections()
	cfg.HTTPClient = &http.Client{Transport: tr}
	client := ssmresume.NewFromConfig(cfg, func(o *ssmresume.Options) { o.AttemptTimeout = 3 * time.Second })
	srv.ForgetConnections() // the one in set's pool
	before := len(srv.Requests())
	for range 2 {
		_, err := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.OnWait = func(w ssmresume.Wait) { t.Errorf("waits for %v", w.Err) }
		}).Resume(t.Context())
		if err != nil {
			t.Fatal(err)
		}
	}
	seen := srv.Requests()[before:]
	if len(seen) != 2 || seen[0].Proto != "HTTP/2.0" || seen[0].RemoteAddr == seen[1].RemoteAddr {
		t.Errorf("%d requests, with %s from %s and %s; want HTTP/2, and a connection each", len(seen), seen[0].Proto, seen[0].RemoteAddr, seen[1].RemoteAddr)
	}
}

// TestFreshToTheEnd: once an attempt of a call has lost its connection, none of its
// later ones is on the pool, whatever they are answered.
func TestFreshToTheEnd(t *testing.T) {
	var mu sync.Mutex
	var closes []bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		closes = append(closes, r.Close)
		n := len(closes)
		mu.Unlock()
		if n == 1 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer srv.Close()
	_, err := ssmresume.New(ssmresume.Options{
		Region: "us-east-2", BaseEndpoint: &srv.URL, Credentials: credentials("id", "secret", ""), Retryer: noBackoff(),
	}).ResumeSession(t.Context(), input)
	if want := []bool{false, true, true}; err == nil || !slices.Equal(closes, want) {
		t.Errorf("%v, requests that close: %v, want %v", err, closes, want)
	}
}

// TestProxyAnswers: whatever a proxy answers to CONNECT, it has answered. That holds
// for one that repeats the session token, too, which is masked.
func TestProxyAnswers(t *testing.T) {
	for _, status := range []int{204, 302, 307, 403, 502} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nRetry-After: 7\r\nLocation: http://127.0.0.1:1/login\r\nContent-Length: 0\r\n\r\n", status, longToken)
		}))
		tr := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }}
		client := ssmresume.New(ssmresume.Options{Region: "us-east-2", Credentials: credentials("id", "secret", longToken), HTTPClient: &http.Client{Transport: tr}})
		ctx, cancel := context.WithCancel(t.Context())
		var told ssmresume.Wait
		_, err := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.OnWait = func(w ssmresume.Wait) { told = w; cancel() }
		}).Resume(ctx)
		if !errors.Is(err, context.Canceled) || told.Delay < 7*time.Second || !strings.Contains(told.Err.Error(), "the proxy does not connect") || tellsAnywhere(told.Err) != "" {
			t.Errorf("%d: %v, waits %v for %v", status, err, told.Delay, told.Err)
		}
		cancel()
		proxy.Close()
	}
}
