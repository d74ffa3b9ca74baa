package ssmresume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithytime "github.com/aws/smithy-go/time"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	serviceID     = "SSM" // the SDK's name of the service
	operationName = "ResumeSession"
	version       = "0.1.0" // of this package, sent in the User-Agent header

	defaultAttemptTimeout = 10 * time.Second
)

// Options configure a [Client]. The zero value of every field but Region and
// Credentials works. A function that edits Options must not keep the pointer.
type Options struct {
	// Region is the AWS Region of the session, such as "us-east-2". Required.
	Region string

	// Credentials sign the requests. Required; aws.AnonymousCredentials sends
	// them unsigned. They are retrieved for every attempt, so wrap a provider
	// that is slow in aws.NewCredentialsCache, as the SDK's config package does.
	Credentials aws.CredentialsProvider

	// HTTPClient sends the requests; nil means a new awshttp.BuildableClient.
	//
	// An *http.Client is used through a copy that follows no redirect, because
	// a redirect would carry the request's signature and security token to
	// another host. Any other implementation must not follow redirects itself.
	//
	// After a transport error the next attempt dials a new connection, on a copy
	// of the transport of a BuildableClient or of an *http.Client on an
	// *http.Transport. An HTTPClient, or an http.RoundTripper in an *http.Client,
	// of any other type is used as it is, such as what BuildableClient.Freeze
	// returns: set DisableKeepAlives on the transport inside it, or it may reuse a
	// connection that is dead.
	HTTPClient aws.HTTPClient

	// BaseEndpoint is a custom endpoint, such as "http://127.0.0.1:4566". Its
	// scheme, host, port and path are kept. It cannot be combined with UseFIPS or
	// UseDualStack. Nil means the endpoint of Region.
	BaseEndpoint *string

	// UseFIPS selects the FIPS endpoint of Region.
	UseFIPS aws.FIPSEndpointState

	// UseDualStack selects the endpoint of Region that is reachable over IPv4
	// and IPv6.
	UseDualStack aws.DualStackEndpointState

	// Retryer decides which failures are tried again, how often and after which
	// wait. Nil means retry.NewStandard, with 3 attempts. aws.NopRetryer makes one
	// attempt. A second attempt with refreshed credentials or a corrected clock
	// is made at once and does not count.
	Retryer aws.Retryer

	// AttemptTimeout bounds one HTTP attempt, from dialling to the last byte of
	// the body. Zero means 10 s; below zero means no bound but ctx's.
	AttemptTimeout time.Duration

	// DisableClockSkewCorrection signs with the local clock, whatever the answers
	// say. By default a request that is refused because the local clock is more
	// than 4 minutes off is signed once more with the service's time, and later
	// requests at once.
	DisableClockSkewCorrection bool

	// AppID is added to the User-Agent header, to tell programs apart in logs.
	AppID string

	// Logger gets a record of each retry (level Debug) and of what is odd but
	// not an error (level Warn). It never gets a secret. Nil means silence.
	Logger *slog.Logger

	// err is what NewFromConfig found wrong, for the first call to return.
	err error
}

// A Client calls ResumeSession. It is safe for concurrent use. Make it once:
// it keeps connections, signing keys, retry quota and the learned clock offset.
type Client struct {
	options Options // with Retryer and HTTPClient filled in
	call    *settings
	signer  *v4.Signer // one per client: it caches derived keys

	offset   atomic.Int64 // nanoseconds that the service's clock is ahead of ours
	warnHTTP sync.Once
}

// NewFromConfig returns a client with the settings of cfg, which are usually
// made by config.LoadDefaultConfig. It never fails; what is wrong with the
// settings is returned by the first call.
//
// Used are Region, Credentials, HTTPClient, Retryer, RetryMaxAttempts,
// RetryMode, BaseEndpoint, AppID, DisableClockSkewCorrection and, from
// ConfigSources, the endpoint URL for SSM (AWS_ENDPOINT_URL_SSM, the services
// section of a profile), the switch that ignores configured endpoint URLs, FIPS
// and dual-stack.
//
// Not used are APIOptions, Interceptors and ServiceOptions (wrap HTTPClient
// instead), ClientLogMode and Logger (set [Options.Logger]), DefaultsMode (set
// [Options.AttemptTimeout] and Retryer), EndpointResolver and
// EndpointResolverWithOptions (set [Options.BaseEndpoint]), and all that has no
// meaning for this call.
func NewFromConfig(cfg aws.Config, optFns ...func(*Options)) *Client {
	o := Options{
		Region:                     cfg.Region,
		Credentials:                cfg.Credentials,
		HTTPClient:                 cfg.HTTPClient,
		BaseEndpoint:               cfg.BaseEndpoint,
		DisableClockSkewCorrection: cfg.DisableClockSkewCorrection,
		AppID:                      cfg.AppID,
	}
	o.Retryer = configRetryer(cfg)
	o.err = errors.Join(
		configEndpoint(cfg, &o),
		fromSources(cfg.ConfigSources, func(s fipsSource) (found bool, err error) {
			o.UseFIPS, found, err = s.GetUseFIPSEndpoint(context.Background())
			return found, err
		}),
		fromSources(cfg.ConfigSources, func(s dualStackSource) (found bool, err error) {
			o.UseDualStack, found, err = s.GetUseDualStackEndpoint(context.Background())
			return found, err
		}),
	)
	return New(o, optFns...)
}

// The methods by which the SDK's config sources hand out settings. The SDK
// keeps these interfaces in an internal package.
type (
	fipsSource interface {
		GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error)
	}
	dualStackSource interface {
		GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error)
	}
	endpointSource interface {
		GetServiceBaseEndpoint(ctx context.Context, sdkID string) (string, bool, error)
	}
	ignoreEndpointsSource interface {
		GetIgnoreConfiguredEndpoints(context.Context) (bool, bool, error)
	}
)

// fromSources calls get for each source that has its method, until one has a
// value or fails.
func fromSources[S any](sources []any, get func(S) (found bool, err error)) error {
	for _, source := range sources {
		if s, ok := source.(S); ok {
			if found, err := get(s); found || err != nil {
				return err
			}
		}
	}
	return nil
}

func configRetryer(cfg aws.Config) aws.Retryer {
	var r aws.Retryer
	switch {
	case cfg.Retryer != nil:
		r = cfg.Retryer()
	case cfg.RetryMode == aws.RetryModeAdaptive:
		r = retry.NewAdaptiveMode()
	default:
		r = retry.NewStandard()
	}
	if r != nil && cfg.RetryMaxAttempts != 0 {
		r = retry.AddWithMaxAttempts(r, cfg.RetryMaxAttempts)
	}
	return r
}

// configEndpoint applies the SDK's precedence: the service's own URL before the
// global one, and within that the environment before the profile. The global
// URL is already in cfg.BaseEndpoint.
func configEndpoint(cfg aws.Config, o *Options) error {
	_, global := os.LookupEnv("AWS_ENDPOINT_URL")
	_, specific := os.LookupEnv("AWS_ENDPOINT_URL_SSM")
	if global && !specific {
		return nil
	}
	var ignore bool
	err := fromSources(cfg.ConfigSources, func(s ignoreEndpointsSource) (found bool, err error) {
		ignore, found, err = s.GetIgnoreConfiguredEndpoints(context.Background())
		return found, err
	})
	if ignore || err != nil {
		return err
	}
	return fromSources(cfg.ConfigSources, func(s endpointSource) (bool, error) {
		v, found, err := s.GetServiceBaseEndpoint(context.Background(), serviceID)
		if found && err == nil {
			o.BaseEndpoint = &v
		}
		return found, err
	})
}

// New returns a client with the given options, edited by optFns. It never
// fails; what is wrong with the options is returned by the first call.
func New(options Options, optFns ...func(*Options)) *Client {
	for _, fn := range optFns {
		fn(&options)
	}
	if options.Retryer == nil {
		options.Retryer = retry.NewStandard()
	}
	if options.HTTPClient == nil {
		options.HTTPClient = awshttp.NewBuildableClient()
	}
	return &Client{options: options, call: derive(options), signer: v4.NewSigner()}
}

// settings are what a call needs, derived from Options.
type settings struct {
	Options
	err       error // what is wrong with the Options
	endpoint  *url.URL
	url       string // endpoint's text
	local     bool   // the endpoint is on this machine
	anonymous bool   // requests are not signed
	retryer   aws.RetryerV2
	timeout   time.Duration // 0: none
	userAgent string

	pooled aws.HTTPClient // the caller's, refusing redirects

	credentialsTimeout time.Duration // 0: none but ctx's
}

// derive is run by New, and again only for a call that edits its options.
func derive(o Options) *settings {
	s := &settings{
		Options:   o,
		retryer:   asRetryerV2(o.Retryer),
		timeout:   o.AttemptTimeout,
		anonymous: aws.IsCredentialsProvider(o.Credentials, (*aws.AnonymousCredentials)(nil)),
		userAgent: userAgent(o.AppID),
		pooled:    noRedirects(o.HTTPClient),
	}
	if s.timeout == 0 {
		s.timeout = defaultAttemptTimeout
	}
	s.endpoint, s.err = endpointURL(o)
	switch {
	case o.err != nil:
		s.err = fmt.Errorf("aws.Config: %w", o.err)
	case s.err != nil:
	case o.Credentials == nil:
		s.err = errors.New("no credentials: set Options.Credentials, or load an aws.Config that has some (aws.AnonymousCredentials sends unsigned requests)")
	case o.HTTPClient == nil || o.Retryer == nil:
		s.err = errors.New("HTTPClient and Retryer cannot be set to nil for one call: the client's own are already in the options")
	default:
		s.url = s.endpoint.String()
		s.local = isLoopback(s.endpoint.Hostname())
	}
	return s
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

// ResumeSession asks for a fresh token and stream URL for a session whose data
// channel is disconnected. A terminated session cannot be resumed. The token
// that was issued before stops working.
//
// Failures that may pass are tried again as Options.Retryer says; the package
// comment lists the errors. When ctx ends, the error wraps ctx.Err(). optFns
// edit a copy of the client's options for this call only.
//
// The operation is described in the AWS Systems Manager API Reference:
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ResumeSession.html
func (c *Client) ResumeSession(ctx context.Context, in *ResumeSessionInput, optFns ...func(*Options)) (*ResumeSessionOutput, error) {
	s := c.call
	if len(optFns) > 0 {
		o := c.options // a copy: an edit for this call must not reach the next
		for _, fn := range optFns {
			fn(&o)
		}
		s = derive(o)
	}
	out, err := c.resume(ctx, s, in)
	if err != nil {
		return nil, operationError(err)
	}
	return out, nil
}

func operationError(err error) error {
	return &smithy.OperationError{ServiceID: serviceID, OperationName: operationName, Err: err}
}

// resume is the retry loop.
func (c *Client) resume(ctx context.Context, s *settings, in *ResumeSessionInput) (*ResumeSessionOutput, error) {
	if err := in.validate(); err != nil {
		return nil, err
	}
	if s.err != nil {
		return nil, s.err
	}
	c.warnPlainHTTP(ctx, s)

	p := newPayload(in)
	do := s.pooled.Do
	releaseRetry := func(error) error { return nil }
	for attempt := 1; ; attempt++ {
		if ctx.Err() != nil {
			return nil, &smithy.CanceledError{Err: ctx.Err()}
		}
		releaseAttempt, err := s.retryer.GetAttemptToken(ctx)
		if err != nil {
			return nil, fmt.Errorf("no token for an attempt: %w", err)
		}
		out, err := c.try(ctx, s, do, p)
		// A quota token that cannot be given back costs later calls a retry, not
		// this one its result.
		_, _ = releaseRetry(err), releaseAttempt(err)
		if err == nil {
			return out, nil
		}

		if !s.retryer.IsErrorRetryable(err) {
			return nil, err
		}
		if n := s.retryer.MaxAttempts(); n > 0 && attempt >= n {
			return nil, &retry.MaxAttemptsError{Attempt: attempt, Err: err}
		}
		var quotaErr error
		if releaseRetry, quotaErr = s.retryer.GetRetryToken(ctx, err); quotaErr != nil {
			return nil, errors.Join(err, quotaErr)
		}
		delay, delayErr := s.retryer.RetryDelay(attempt, err)
		if delayErr != nil {
			return nil, errors.Join(err, delayErr)
		}
		// At most 5 s more than the backoff, as in the SDK's retry middleware.
		delay = max(delay, min(retryAfterOf(err), delay+5*time.Second))
		s.log(ctx, slog.LevelDebug, "ssmresume: trying again", slog.Int("attempt", attempt), slog.Duration("delay", delay), slog.Any("error", err))
		if ctxErr := smithytime.SleepWithContext(ctx, delay); ctxErr != nil {
			return nil, &aws.RequestCanceledError{Err: fmt.Errorf("%w; last attempt: %w", ctxErr, err)}
		}
		if sendErr := (*smithyhttp.RequestSendError)(nil); errors.As(err, &sendErr) {
			do = freshClient(s.HTTPClient).Do // the pool may hold more connections that are dead
		}
	}
}

// try makes one attempt, and at once a second one where the first failed only
// because the local clock is off or the cached credentials are no longer good.
func (c *Client) try(ctx context.Context, s *settings, do doFunc, p payload) (*ResumeSessionOutput, error) {
	creds, err := s.retrieve(ctx)
	if err != nil {
		return nil, err
	}
	offset := c.clockOffset(s)
	out, err := c.send(ctx, s, do, p, creds, offset)
	if err == nil {
		return out, nil
	}
	if isClockError(err) && (c.clockOffset(s)-offset).Abs() > maxClockSkew {
		s.log(ctx, slog.LevelWarn, "ssmresume: the local clock is off, signing with the service's time", slog.Duration("offset", c.clockOffset(s)))
		out, err = c.send(ctx, s, do, p, creds, c.clockOffset(s))
	}
	if rejected := (*CredentialsError)(nil); errors.As(err, &rejected) {
		renewed, renewErr := s.renew(ctx, creds)
		switch {
		case renewErr != nil:
			return nil, fmt.Errorf("%w; for new credentials: %w", err, renewErr)
		case !sameKeys(renewed, creds):
			return c.send(ctx, s, do, p, renewed, c.clockOffset(s))
		}
	}
	return out, err
}

type doFunc func(*http.Request) (*http.Response, error)

// send makes one signed HTTP request and decodes the answer.
func (c *Client) send(ctx context.Context, s *settings, do doFunc, p payload, creds aws.Credentials, offset time.Duration) (*ResumeSessionOutput, error) {
	attemptCtx := ctx
	if s.timeout > 0 {
		var cancel context.CancelFunc
		attemptCtx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	sendError := func(err error) error {
		switch {
		case ctx.Err() != nil:
			return &smithy.CanceledError{Err: ctx.Err()}
		case attemptCtx.Err() != nil:
			err = fmt.Errorf("no complete answer within %v (Options.AttemptTimeout): %w", s.timeout, err)
		}
		return &smithyhttp.RequestSendError{Err: escapedError{err}}
	}

	req, err := s.newRequest(attemptCtx)
	if err != nil {
		return nil, err
	}
	if !s.anonymous {
		if err := c.signer.SignHTTP(ctx, creds, req, p.sha256, signingName, s.Region, time.Now().Add(offset)); err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
	}
	p.attach(req)

	resp, err := do(req)
	if err != nil {
		return nil, sendError(err)
	}
	defer resp.Body.Close()
	c.learnClockOffset(s, resp.Header)
	body, err := readBody(resp)
	if err != nil {
		return nil, sendError(&answeredError{resp.Header, err})
	}
	out, err := decodeResponse(resp, body, creds)
	if err != nil {
		return nil, responseError(resp, err)
	}
	if out.StreamURL.Host == "" && !out.StreamURL.IsZero() {
		s.log(ctx, slog.LevelWarn, "ssmresume: the answer's StreamUrl is not one this package can parse; only DialURL is set")
	}
	return out, nil
}

func (s *settings) log(ctx context.Context, level slog.Level, msg string, attrs ...slog.Attr) {
	if s.Logger != nil {
		s.Logger.LogAttrs(ctx, level, msg, attrs...)
	}
}

func (c *Client) warnPlainHTTP(ctx context.Context, s *settings) {
	if s.endpoint.Scheme == "http" && !s.local && s.Logger != nil {
		c.warnHTTP.Do(func() {
			s.log(ctx, slog.LevelWarn, "ssmresume: the endpoint is plain http, so the session's token crosses the network unencrypted", slog.String("host", s.endpoint.Host))
		})
	}
}
