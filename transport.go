package ssmresume

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// dialTimeout bounds the connect of a fresh connection, from the first of the
// host's addresses to the last, and not the look-up before it. Less would cut off
// the second address of a host: net.Dialer splits the time between them, 2 s
// at least for each. Nor would it help much: Linux sends a SYN again each second
// for as long. Before 6.5 it does not; 2 s would gain 0.3 s there (median, see
// study/results/sweep.csv).
const dialTimeout = 5 * time.Second

// maxIdle is how many connections a pool of our own keeps. A BuildableClient's keeps
// 10 for a host: 1,000 goroutines with 20 calls each dialled 12,000 times.
const maxIdle = 1024

// A pool is what a client keeps of its connections.
type pool struct {
	of   *awshttp.BuildableClient
	kept *http.Client // like of, but its idle connections can be closed

	suspectUntil atomic.Int64 // Unix time in nanoseconds
}

func newPool(c aws.HTTPClient) pool {
	b, ok := c.(*awshttp.BuildableClient)
	if !ok {
		return pool{}
	}
	tr := b.GetTransport() // a copy
	if tr.MaxIdleConnsPerHost == awshttp.DefaultHTTPTransportMaxIdleConnsPerHost {
		tr.MaxIdleConns, tr.MaxIdleConnsPerHost = maxIdle, maxIdle
	}
	boundHeader(tr)
	return pool{of: b, kept: noRedirects(&http.Client{Transport: tr, Timeout: b.GetTimeout()}).(*http.Client)}
}

// client returns c as it is to be used for requests that share connections.
func (p *pool) client(c aws.HTTPClient) aws.HTTPClient {
	if b, ok := c.(*awshttp.BuildableClient); ok && b == p.of {
		return p.kept
	}
	return noRedirects(c)
}

// suspect says that the pool has held a dead connection, on which there may be
// other requests, of timeout at most.
func (p *pool) suspect(timeout time.Duration) {
	if timeout < 0 {
		timeout = defaultAttemptTimeout
	}
	p.suspectUntil.Store(time.Now().Add(timeout).UnixNano())
}

// isSuspect reports whether the next request must not use client's connections.
// With HTTP/2, no request's deadline takes a dead connection out of the pool while
// there are others on it: they get no more, until it is idle and can be closed.
func (p *pool) isSuspect(client aws.HTTPClient) bool {
	until := p.suspectUntil.Load()
	if until == 0 {
		return false
	}
	if c, ok := client.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
	return time.Now().UnixNano() < until || !p.suspectUntil.CompareAndSwap(until, 0)
}

// noRedirects returns c, or a copy of it, that hands out 3xx answers instead
// of following them. A BuildableClient follows only a 307 or 308, and only if
// the request has a GetBody.
func noRedirects(c aws.HTTPClient) aws.HTTPClient {
	hc, ok := c.(*http.Client)
	if !ok {
		return c
	}
	copied := *hc
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &copied
}

// boundHeader has tr read no more than 1 MiB of an answer's header; net/http's own
// limit is 10.
func boundHeader(tr *http.Transport) {
	const limit = 1 << 20
	if tr.MaxResponseHeaderBytes <= 0 || tr.MaxResponseHeaderBytes > limit {
		tr.MaxResponseHeaderBytes = limit
	}
}

// freshClient returns a client like c for one request: it dials a connection and
// keeps none. A pooled connection may be dead without anybody knowing; with
// HTTP/2 not even a request's timeout takes it out of the pool, and requests at
// the same time share one although keep-alives are off.
func freshClient(c aws.HTTPClient) aws.HTTPClient {
	var tr *http.Transport
	hc := &http.Client{}
	switch c := c.(type) {
	case *awshttp.BuildableClient:
		tr = c.GetTransport() // a copy
		hc.Timeout = c.GetTimeout()
	case *http.Client:
		rt := c.Transport
		if rt == nil {
			rt = http.DefaultTransport
		}
		orig, ok := rt.(*http.Transport)
		if !ok {
			return noRedirects(c)
		}
		tr = orig.Clone()
		*hc = *c
	default:
		return c
	}

	tr.DisableKeepAlives = true
	boundHeader(tr)
	if cfg := tr.TLSClientConfig; cfg != nil && slices.Contains(cfg.NextProtos, "h2") {
		// The original has set up HTTP/2: its TLSNextProto leads to its own pool,
		// and where Clone leaves it nil the copy would not speak what it offers.
		tr.TLSNextProto = nil
		tr.ForceAttemptHTTP2 = true
	}
	dial := tr.DialContext
	//lint:ignore SA1019 a transport that uses the old field is left as it is
	if dial == nil && tr.Dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	if dial != nil {
		tr.DialContext = boundConnect(dial)
	}
	onConnect := tr.OnProxyConnectResponse
	tr.OnProxyConnectResponse = func(ctx context.Context, proxy *url.URL, req *http.Request, resp *http.Response) error {
		var err error
		if onConnect != nil {
			err = onConnect(ctx, proxy, req, resp)
		}
		if err == nil && resp.StatusCode != http.StatusOK {
			err = errors.New("the proxy does not connect: " + resp.Status)
		}
		if err != nil {
			return &answeredError{scrubHeader(resp.Header, ""), err, resp.StatusCode}
		}
		return nil
	}
	hc.Transport = &dialEach{tr}
	return noRedirects(hc)
}

// HandshakeClient returns a client for the WebSocket handshake with the data
// channel: it dials as Options.HTTPClient does, with its proxy, its trusted
// certificates and its dialer, speaks HTTP/1.1 only, which an upgrade needs,
// refuses redirects, which would take the signature elsewhere, and has no
// timeout of its own. An HTTPClient whose transport cannot be copied, such as
// one that is wrapped for tracing, is used as it is.
//
// Give it to a WebSocket package that takes an *http.Client. For one that takes
// a dialer and a TLS configuration, read those of the transport that you gave to
// Options.HTTPClient.
func (c *Client) HandshakeClient() *http.Client {
	hc, ok := freshClient(c.options.HTTPClient).(*http.Client)
	if !ok {
		return noRedirects(&http.Client{Transport: roundTripper{c.options.HTTPClient}}).(*http.Client)
	}
	hc.Timeout = 0
	if d, ok := hc.Transport.(*dialEach); ok {
		d.tr.ForceAttemptHTTP2 = false
		d.tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
		if cfg := d.tr.TLSClientConfig; cfg != nil {
			cfg.NextProtos = slices.DeleteFunc(slices.Clone(cfg.NextProtos), func(p string) bool { return p == "h2" })
		}
	}
	return hc
}

// roundTripper is an HTTPClient of another type.
type roundTripper struct{ client aws.HTTPClient }

func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return r.client.Do(req) }

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// boundConnect returns a dial that gives a connect up after dialTimeout. What the
// look-up of the name takes does not count, nor what else a dialer of the caller's
// own does: net.Dialer tells when it connects.
func boundConnect(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c := &connectContext{Context: ctx, done: make(chan struct{})}
		c.ready()
		defer context.AfterFunc(ctx, func() { c.finish(ctx.Err()) })()
		defer c.finish(context.Canceled)
		return dial(httptrace.WithClientTrace(c, &httptrace.ClientTrace{
			DNSDone:      func(httptrace.DNSDoneInfo) { c.ready() },
			ConnectStart: func(_, _ string) { c.connecting() },
			ConnectDone: func(_, _ string, err error) {
				if err == nil {
					c.connected()
				}
			},
		}), network, addr)
	}
}

// A connectContext ends dialTimeout after a connect has begun.
type connectContext struct {
	context.Context
	done chan struct{}

	mu    sync.Mutex
	err   error
	end   time.Time   // of a connect, if it begins as soon as it can; zero: it is made
	timer *time.Timer // until then; nil: none has begun
}

func (c *connectContext) ready() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil {
		c.end = time.Now().Add(dialTimeout)
	}
}

func (c *connectContext) connecting() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil { // else it is a host's next address
		c.end = time.Now().Add(dialTimeout)
		c.timer = time.AfterFunc(dialTimeout, func() { c.finish(context.DeadlineExceeded) })
	}
}

func (c *connectContext) connected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
		c.timer, c.end = nil, time.Time{}
	}
}

func (c *connectContext) finish(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.err == nil {
		c.err = err
		close(c.done)
	}
}

// Deadline is asked by net.Dialer before it looks a name up, where it must not be
// later than Dialer.Timeout, and between that and the connect, when it splits the
// time that is left between the host's addresses.
func (c *connectContext) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	outer, ok := c.Context.Deadline()
	if c.end.IsZero() || ok && outer.Before(c.end) {
		return outer, ok
	}
	return c.end, true
}

func (c *connectContext) Done() <-chan struct{} { return c.done }

func (c *connectContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// dialEach is a RoundTripper over a transport with keep-alives off.
type dialEach struct{ tr *http.Transport }

func (d *dialEach) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := d.tr.RoundTrip(req)
	if err != nil {
		// A transport goes on dialling for the next request. There is none: end it.
		d.tr.CloseIdleConnections()
	}
	return resp, err
}
