package ssmresume_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// TestHandshakeClient: it reaches the channel as the client reaches the service,
// by proxy, certificates and dialer, with what an upgrade needs.
func TestHandshakeClient(t *testing.T) {
	var proto string
	channel := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto = r.Proto
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
	}))
	channel.EnableHTTP2 = http2 == "HTTP/2.0"
	channel.StartTLS()
	defer channel.Close()
	var proxied, dialled bool
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxied = r.Method == http.MethodConnect
		there, err := net.Dial("tcp", r.Host)
		if err != nil {
			t.Error(err)
			return
		}
		defer there.Close()
		w.WriteHeader(http.StatusOK)
		here, sent, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer here.Close()
		go io.Copy(there, sent)
		io.Copy(here, there)
	}))
	defer proxy.Close()

	spoken := channel.Client() // its transport has set up HTTP/2 once it has spoken it
	tr := spoken.Transport.(*http.Transport)
	tr.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled = true
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	spoken.Timeout = time.Minute
	resp, err := spoken.Get(channel.URL)
	if err != nil || proto != http2 {
		t.Fatalf("%v, %s, want %s", err, proto, http2)
	}
	resp.Body.Close()
	built := awshttp.NewBuildableClient().WithTimeout(time.Minute).WithTransportOptions(func(b *http.Transport) {
		b.Proxy, b.DialContext = tr.Proxy, tr.DialContext
		b.TLSClientConfig.RootCAs = tr.TLSClientConfig.RootCAs
	})
	for name, o := range map[string]ssmresume.Options{"http.Client": {HTTPClient: spoken}, "BuildableClient": {HTTPClient: built}} {
		client := ssmresume.New(o).HandshakeClient()
		if client.Timeout != 0 {
			t.Errorf("%s: a timeout of %v would end the channel", name, client.Timeout)
		}
		for path, want := range map[string]int{"/": http.StatusSwitchingProtocols, "/redirect": http.StatusFound} {
			proxied, dialled = false, false
			req, err := http.NewRequest(http.MethodGet, channel.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
			resp, err := client.Do(req)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			resp.Body.Close()
			if resp.StatusCode != want || proto != "HTTP/1.1" || !proxied || !dialled {
				t.Errorf("%s: status %d with %s, by proxy %v, by the dialer %v", name, resp.StatusCode, proto, proxied, dialled)
			}
		}
	}
	tr.CloseIdleConnections() // for main_test.go, which finds what HandshakeClient left

	wrapped := ssmresume.New(ssmresume.Options{HTTPClient: roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {"/"}}, Body: http.NoBody}, nil
	})})
	if resp, err := wrapped.HandshakeClient().Get("http://127.0.0.1:1"); err != nil || resp.StatusCode != http.StatusFound {
		t.Errorf("another HTTPClient: %v, %v", resp, err)
	}
}

// overHTTP2 is a server, and clients of it that speak HTTP/2.
func overHTTP2(t *testing.T) (*ssmresumetest.Server, map[string]aws.HTTPClient) {
	t.Helper()
	needsHTTP2(t)
	srv := ssmresumetest.NewTLSServer()
	t.Cleanup(srv.Close)
	tr := srv.Config().HTTPClient.(*http.Client).Transport.(*http.Transport)
	t.Cleanup(tr.CloseIdleConnections)
	return srv, map[string]aws.HTTPClient{
		"http.Client": &http.Client{Transport: tr},
		"BuildableClient": awshttp.NewBuildableClient().WithTransportOptions(func(b *http.Transport) {
			b.TLSClientConfig.RootCAs = tr.TLSClientConfig.RootCAs
		}),
	}
}

// TestDeadConnectionAndDeadlines: what a caller's deadline cut off does not meet the
// next call, nor does the pool hold it for ever.
func TestDeadConnectionAndDeadlines(t *testing.T) {
	t.Parallel()
	srv, clients := overHTTP2(t)
	for name, httpClient := range clients {
		cfg := srv.Config()
		cfg.HTTPClient = httpClient
		client := ssmresume.NewFromConfig(cfg, func(o *ssmresume.Options) { o.AttemptTimeout = time.Second })
		call := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			_, err := client.ResumeSession(ctx, input)
			return err
		}
		if err := call(); err != nil {
			t.Fatal(err)
		}
		srv.ForgetConnections()
		if err := call(); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%s: %v, want a pooled connection that is dead", name, err)
		}
		if err := call(); err != nil {
			t.Errorf("%s: the second call: %v", name, err)
		}
		time.Sleep(time.Second) // the pool is used again
		for i := range 3 {
			if err := call(); err != nil {
				t.Errorf("%s: call %d on the pool: %v", name, i, err)
			}
		}
	}
}

// wrapped is a transport that cannot be copied, as one that traces.
type wrapped struct{ http.RoundTripper }

// TestDeadConnectionOfWrapped: the request says that its connection is not to be
// used again, so that only one attempt meets the dead one.
func TestDeadConnectionOfWrapped(t *testing.T) {
	t.Parallel()
	srv, clients := overHTTP2(t)
	cfg := srv.Config()
	cfg.HTTPClient = &http.Client{Transport: wrapped{clients["http.Client"].(*http.Client).Transport}}
	client := ssmresume.NewFromConfig(cfg, func(o *ssmresume.Options) { o.AttemptTimeout = time.Second })
	if _, err := client.ResumeSession(t.Context(), input); err != nil {
		t.Fatal(err)
	}
	srv.ForgetConnections()
	waits := 0
	_, err := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
		o.OnWait = func(ssmresume.Wait) { waits++ }
	}).Resume(t.Context())
	if err != nil || waits != 1 {
		t.Errorf("%v after %d waits, want 1", err, waits)
	}
}

// TestConnectionsOfManyCalls: each goroutine's connection is kept for its next call.
func TestConnectionsOfManyCalls(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 5 s of two processors")
	}
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	var dials atomic.Int32
	cfg := srv.Config()
	cfg.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return dial(ctx, network, addr)
		}
	})
	client := ssmresume.NewFromConfig(cfg)
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			for range 20 {
				if _, err := client.ResumeSession(t.Context(), input); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := dials.Load(); n > 2000 {
		t.Errorf("%d connections", n)
	}
}
