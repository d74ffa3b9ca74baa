package ssmresume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	version = "0.1.0" // of this package, sent in the User-Agent header

	defaultAttemptTimeout = 10 * time.Second
	maxLookup             = time.Minute
)

// shared is what all calls of a client share.
type shared struct {
	signer   signer
	clocks   sync.Map // of endpoint URLs, a *clock each
	pool     pool
	line     line // of its Reconnectors
	warnHTTP sync.Once
}

// A caller makes attempts to resume sessions with one set of options: a client's,
// or those that were edited for one call.
type caller struct {
	*shared
	err error // what is wrong with the options; the rest is not valid then

	endpoint   *url.URL
	url        string // the same
	clock      *clock // the endpoint's
	custom     bool   // the endpoint is Options.BaseEndpoint
	region     string
	streamHost string // in place of a StreamURL's own; empty: none
	userAgent  string
	http       aws.HTTPClient // as given; see pooled and freshClient
	pooled     aws.HTTPClient // the same, with connections for many requests
	retryer    aws.RetryerV2
	timeout    time.Duration // of an attempt; below 0: none
	lookup     time.Duration // of the look-up of a name, beside timeout; 0: it is a part of that
	fresh      bool          // a connection is not used for a second request
	keys       keys
	skew       bool // the clock's offset counts
	logger     *slog.Logger
}

// newCaller is run once for a client, and again only for a call that edits its
// options.
func newCaller(o Options, configErr error, with *shared) *caller {
	c := &caller{
		shared:     with,
		custom:     o.BaseEndpoint != nil,
		region:     o.Region,
		streamHost: o.StreamHost,
		userAgent:  userAgent(o.AppID),
		http:       o.HTTPClient,
		retryer:    asRetryerV2(o.Retryer),
		timeout:    cmp.Or(o.AttemptTimeout, defaultAttemptTimeout),
		keys:       newKeys(o.Credentials),
		skew:       !o.DisableClockSkewCorrection,
		logger:     o.Logger,
	}
	c.endpoint, c.err = endpointURL(o.Region, o.BaseEndpoint,
		o.UseFIPS == aws.FIPSEndpointStateEnabled, o.UseDualStack == aws.DualStackEndpointStateEnabled)
	if c.err == nil {
		c.url = c.endpoint.String()
		known, _ := with.clocks.LoadOrStore(c.url, new(clock))
		c.clock = known.(*clock)
	}
	switch {
	case configErr != nil && (configErr != errResolver || !c.custom):
		c.err = fmt.Errorf("aws.Config: %w", configErr)
	case c.err != nil:
	case o.Credentials == nil:
		c.err = errors.New("no credentials: set Options.Credentials, or load an aws.Config that has some (aws.AnonymousCredentials sends unsigned requests)")
	case isNil(o.HTTPClient) || o.Retryer == nil:
		c.err = errors.New("HTTPClient and Retryer cannot be set to nil for one call: the client's own are already in the options")
	case o.StreamHost != "" && !validHost(&url.URL{Host: o.StreamHost}):
		c.err = errors.New("invalid StreamHost: want a host, or host:port, without a scheme")
	}
	if c.err == nil {
		c.pooled = with.pool.client(o.HTTPClient)
	}
	return c
}

// afresh returns a caller like c for the attempts on connections of their own
// that follow one that failed. Where that one took all its time, it may have spent
// it on the look-up of a name, which starts over: the next one has twice the time
// for that.
func (c *caller) afresh(err error) *caller {
	f := *c
	f.fresh, f.lookup = true, 0
	if errors.As(err, new(*timeoutError)) {
		f.lookup = min(2*max(c.lookup, c.timeout), max(maxLookup, c.timeout))
	}
	return &f
}

// timeoutError is that of an attempt that took all its time.
type timeoutError struct {
	limit time.Duration
	err   error
}

func (e *timeoutError) Error() string {
	return fmt.Sprintf("no complete answer within %v (Options.AttemptTimeout): %v", e.limit, e.err)
}
func (e *timeoutError) Unwrap() error { return e.err }

// within returns the ctx of an attempt.
func (c *caller) within(ctx context.Context) (context.Context, context.CancelFunc) {
	switch {
	case c.timeout < 0:
		return ctx, func() {}
	case c.lookup == 0:
		return context.WithTimeout(ctx, c.timeout)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(c.timeout, func() { cancel(context.DeadlineExceeded) })
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { timer.Reset(c.lookup) },
		DNSDone:  func(httptrace.DNSDoneInfo) { timer.Reset(c.timeout) },
	})
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// bounded returns a caller like c with which nothing hangs.
func (c *caller) bounded() *caller {
	b := *c
	if b.timeout < 0 {
		b.timeout = defaultAttemptTimeout
	}
	b.keys.rests = true
	return &b
}

// asRetryerV2 lets a Retryer without the newer method give its token anyway.
func asRetryerV2(r aws.Retryer) aws.RetryerV2 {
	if v2, ok := r.(aws.RetryerV2); ok {
		return v2
	}
	return retryerV1{r}
}

type retryerV1 struct{ aws.Retryer }

func (r retryerV1) GetAttemptToken(context.Context) (func(error) error, error) {
	return r.GetInitialToken(), nil
}

// userAgent follows the SDK's form. AppID may hold the characters of an HTTP
// token (RFC 9110, section 5.6.2); others become "-".
func userAgent(appID string) string {
	ua := "ssmresume/" + version + " ua/2.1 os/" + runtime.GOOS + " lang/go#" +
		strings.TrimPrefix(strings.Fields(runtime.Version())[0], "go") + " md/GOARCH#" + runtime.GOARCH
	if appID == "" {
		return ua
	}
	return ua + " app/" + strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) {
			return r
		}
		return '-'
	}, appID)
}

// attempt asks once, and at once a second time where the first failed only
// because the local clock is off or the cached credentials are no longer good.
func (c *caller) attempt(ctx context.Context, client aws.HTTPClient, p payload) (*ResumeSessionOutput, error) {
	creds, err := c.keys.retrieve(ctx)
	if err != nil {
		return nil, scrubError(err, "")
	}
	out, err := c.send(ctx, client, p, creds)
	if err == nil {
		return out, nil
	}
	if rejected := (*CredentialsError)(nil); errors.As(err, &rejected) {
		if creds, err = c.keys.renew(ctx, creds, err); err != nil {
			return nil, err
		}
		if out, err = c.send(ctx, client, p, creds); errors.As(err, &rejected) {
			c.keys.failed(err)
		}
	}
	return out, err
}

// send makes one signed request, and at once a second one where the first was
// refused for the time it was signed with.
func (c *caller) send(ctx context.Context, client aws.HTTPClient, p payload, creds aws.Credentials) (*ResumeSessionOutput, error) {
	out, said, err := c.exchange(ctx, client, p, creds, c.clockOffset())
	if c.clock.learn(said, err) {
		c.log(ctx, p, slog.LevelWarn, "ssmresume: the local clock is off, signing with the service's time", slog.Duration("offset", said.corrected()))
		out, said, err = c.exchange(ctx, client, p, creds, said.corrected())
		c.clock.learn(said, err)
	}
	return out, err
}

// exchange makes one signed HTTP request and decodes the answer.
func (c *caller) exchange(ctx context.Context, client aws.HTTPClient, p payload, creds aws.Credentials, offset time.Duration) (_ *ResumeSessionOutput, said reading, _ error) {
	attemptCtx, cancel := c.within(ctx)
	defer cancel()
	secret := creds.SessionToken
	sendError := func(err error) error {
		switch {
		case ctx.Err() != nil:
			return &smithy.CanceledError{Err: ctx.Err()}
		case attemptCtx.Err() != nil:
			err = &timeoutError{c.timeout, err}
		}
		return &smithyhttp.RequestSendError{Err: scrubError(err, secret)}
	}

	req, err := p.newRequest(attemptCtx, c.url, c.userAgent)
	if err != nil {
		return nil, said, err
	}
	said = reading{offset: offset, sent: time.Now()}
	if !c.keys.anonymous {
		if err := c.signer.signCall(ctx, req, p.sha256, creds, c.region, said.sent.Add(offset)); err != nil {
			return nil, said, err
		}
	}
	p.attach(req)
	req.Close = c.fresh // where the transport is no copy that closes its connections

	resp, err := client.Do(req)
	if err == nil && resp == nil {
		err = errors.New("the HTTPClient has returned neither an answer nor an error")
	}
	if err != nil {
		return nil, said, sendError(err)
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	defer resp.Body.Close()
	if c.skew && c.trusted() {
		said.received, said.date = time.Now(), answerDate(resp.Header)
	}
	body, err := readBody(resp)
	if err != nil {
		return nil, said, sendError(&answeredError{header: scrubHeader(resp.Header, secret), err: err})
	}
	out, err := decodeResponse(resp, body, p.sessionID, secret)
	if err != nil {
		if refused := (*CredentialsError)(nil); errors.As(err, &refused) {
			refused.Source = creds.Source
		}
		return nil, said, err
	}
	out.StreamURL = c.place(out.StreamURL)
	if out.StreamURL.Host == "" && !out.StreamURL.IsZero() {
		c.log(ctx, p, slog.LevelWarn, "ssmresume: the answer's StreamUrl is not one this package can parse; only DialURL is set")
	}
	return out, said, nil
}

// place puts Options.StreamHost into u.
func (c *caller) place(u StreamURL) StreamURL {
	if c.streamHost == "" || u.Host == "" || u.Presigned {
		return u
	}
	if moved, err := u.withHost(c.streamHost); err == nil {
		return moved
	}
	return u // ws:// to an AWS host: it stays where a test endpoint put it
}

// clockOffset is what to add to the local time before signing.
func (c *caller) clockOffset() time.Duration {
	if !c.skew {
		return 0
	}
	return c.clock.ahead()
}

// trusted reports whether the endpoint proves who it is, or is on this machine.
func (c *caller) trusted() bool {
	return c.endpoint.Scheme == "https" || isLoopback(c.endpoint.Hostname())
}

// namedRegion returns the Region that named the endpoint; empty if none did.
func (c *caller) namedRegion() string {
	if c.custom {
		return ""
	}
	return c.region
}

// outsideAWS reports whether the caller has chosen an endpoint that is not AWS's.
func (c *caller) outsideAWS() bool { return c.custom && !isAWSHost(c.endpoint.Hostname()) }

// log names the session in each record: a client may have a thousand.
func (c *caller) log(ctx context.Context, p payload, level slog.Level, msg string, attrs ...slog.Attr) {
	if c.logger != nil {
		c.logger.LogAttrs(ctx, level, msg, append([]slog.Attr{slog.String("session", p.sessionID)}, attrs...)...)
	}
}

func (c *caller) warnPlainHTTP(ctx context.Context, p payload) {
	if c.endpoint.Scheme == "http" && !isLoopback(c.endpoint.Hostname()) && c.logger != nil {
		c.warnHTTP.Do(func() {
			c.log(ctx, p, slog.LevelWarn, "ssmresume: the endpoint is plain http, so the session's token crosses the network unencrypted", slog.String("host", c.endpoint.Host))
		})
	}
}
