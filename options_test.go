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
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// noIO fails the test if anything is sent.
func noIO(t *testing.T) aws.HTTPClient {
	return roundTrip(func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return nil, errNoNetwork
	})
}

func TestBadInput(t *testing.T) {
	client := ssmresume.New(ssmresume.Options{Region: "us-east-2", Credentials: credentials("id", "secret", ""), HTTPClient: noIO(t)})
	for name, tc := range map[string]struct {
		in   *ssmresume.ResumeSessionInput
		want string
	}{
		"nil":           {nil, "missing required field, ResumeSessionInput.SessionID."},
		"empty":         {&ssmresume.ResumeSessionInput{}, "missing required field, ResumeSessionInput.SessionID."},
		"invalid UTF-8": {&ssmresume.ResumeSessionInput{SessionID: "a\xffb"}, "not valid UTF-8, ResumeSessionInput.SessionID."},
	} {
		out, err := client.ResumeSession(t.Context(), tc.in)
		var params *smithy.InvalidParamsError
		var value smithy.InvalidParamsError // which the SDK's clients return
		var op *smithy.OperationError
		if !errors.As(err, &params) || !errors.As(err, &op) {
			t.Errorf("%s: %v, want an OperationError around an InvalidParamsError", name, err)
			continue
		}
		type facts struct {
			Output, AsValue         bool
			Wrong                   int
			Service, Operation, Err string
		}
		same(t, name,
			facts{false, true, 1, "SSM", "ResumeSession", tc.want},
			facts{out != nil, errors.As(err, &value), value.Len(), op.ServiceID, op.OperationName, textOf(err, tc.want)})
		outer := smithy.InvalidParamsError{Context: "Outer"} // takes the inner one's errors over
		outer.AddNested("In", *params)
		if !strings.Contains(outer.Error(), "Outer.In.SessionID.") {
			t.Errorf("%s, nested: %v", name, outer)
		}
	}
}

func TestBadOptions(t *testing.T) {
	good := ssmresume.Options{Region: "us-east-2", Credentials: credentials("id", "secret", "")}
	endpoint := func(s string) func(*ssmresume.Options) {
		return func(o *ssmresume.Options) { o.BaseEndpoint = &s }
	}
	for name, tc := range map[string]struct {
		edit func(*ssmresume.Options)
		want string
	}{
		"no region":      {func(o *ssmresume.Options) { o.Region = "" }, "no region: set Options.Region"},
		"region spaces":  {func(o *ssmresume.Options) { o.Region = "us east 2" }, `invalid region "us east 2"`},
		"region path":    {func(o *ssmresume.Options) { o.Region = "../x" }, `invalid region "../x"`},
		"region host":    {func(o *ssmresume.Options) { o.Region = "a.b/c" }, `invalid region "a.b/c"`},
		"region labels":  {func(o *ssmresume.Options) { o.Region = "a.b" }, `invalid region "a.b"`},
		"region hyphen":  {func(o *ssmresume.Options) { o.Region = "us-east-" }, `invalid region "us-east-"`},
		"region and URL": {func(o *ssmresume.Options) { o.Region = "é"; endpoint("http://127.0.0.1")(o) }, "invalid region"},
		"no credentials": {func(o *ssmresume.Options) { o.Credentials = nil }, "no credentials: set Options.Credentials"},
		"empty keys":     {func(o *ssmresume.Options) { o.Credentials = credentials("", "", "") }, "get credentials: the provider returned empty keys"},
		"half a key":     {func(o *ssmresume.Options) { o.Credentials = credentials("id", "", "") }, "get credentials: the provider returned empty keys"},
		"FIPS and URL":   {func(o *ssmresume.Options) { o.UseFIPS = aws.FIPSEndpointStateEnabled; endpoint("http://127.0.0.1")(o) }, "a custom endpoint cannot be combined with FIPS or dual-stack"},
		"dual and URL": {func(o *ssmresume.Options) {
			o.UseDualStack = aws.DualStackEndpointStateEnabled
			endpoint("http://127.0.0.1")(o)
		}, "a custom endpoint cannot be combined with FIPS or dual-stack"},
		"empty URL":        {endpoint(""), "invalid BaseEndpoint: want an absolute URL"},
		"no scheme":        {endpoint("127.0.0.1:4566"), "invalid BaseEndpoint: want an absolute URL"},
		"host only":        {endpoint("localhost"), "invalid BaseEndpoint: want an absolute URL"},
		"ftp":              {endpoint("ftp://localhost"), "invalid BaseEndpoint: want an absolute URL"},
		"no host":          {endpoint("https:///ssm"), "invalid BaseEndpoint: want an absolute URL"},
		"port":             {endpoint("https://localhost:65536"), "invalid BaseEndpoint: want an absolute URL"},
		"space in host":    {endpoint("https://local host"), "invalid BaseEndpoint: want an absolute URL"},
		"control":          {endpoint("https://localhost/\x00"), "invalid BaseEndpoint: want an absolute URL"},
		"password":         {endpoint("https://user:PASSWORD@localhost"), "it holds a user name or password"},
		"broken password":  {endpoint("https://user:PASS/WORD@localhost"), "invalid BaseEndpoint: want an absolute URL"},
		"broken password2": {endpoint("https://user:PASS WORD@localhost"), "invalid BaseEndpoint: want an absolute URL"},
		"query":            {endpoint("https://localhost/?PASSWORD"), "it holds a query or a fragment"},
		"fragment":         {endpoint("https://localhost/#PASSWORD"), "it holds a query or a fragment"},
	} {
		o := good
		o.HTTPClient = noIO(t)
		tc.edit(&o)
		_, err := ssmresume.New(o).ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: sessionID})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q in it", name, err, tc.want)
			continue
		}
		if strings.Contains(err.Error(), "PASS") {
			t.Errorf("%s: the error holds the password: %v", name, err)
		}
		// The same for one call only.
		good.HTTPClient = noIO(t)
		if _, err := ssmresume.New(good).ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: sessionID}, tc.edit); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s, for one call: %v", name, err)
		}
	}

	// What only one call can do: New fills these in.
	for name, edit := range map[string]func(*ssmresume.Options){
		"client":  func(o *ssmresume.Options) { o.HTTPClient = nil },
		"retryer": func(o *ssmresume.Options) { o.Retryer = nil },
	} {
		if _, err := ssmresume.New(good).ResumeSession(t.Context(), input, edit); err == nil || !strings.Contains(err.Error(), "cannot be set to nil for one call") {
			t.Errorf("no %s for one call: %v", name, err)
		}
	}

	o := good
	o.Region = ""
	_, err := ssmresume.New(o).ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: sessionID})
	var missing *aws.MissingRegionError
	if !errors.As(err, &missing) {
		t.Errorf("no region: %v is no MissingRegionError", err)
	}
}

func TestFailingCredentials(t *testing.T) {
	cause := errors.New("no instance role")
	o := ssmresume.Options{
		Region:     "us-east-2",
		HTTPClient: noIO(t),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, cause
		}),
	}
	_, err := ssmresume.New(o).ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: sessionID})
	if !errors.Is(err, cause) {
		t.Errorf("%v does not wrap the provider's error", err)
	}
	if want := "operation error SSM: ResumeSession, get credentials: no instance role"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// source is a config source as config.LoadDefaultConfig makes them.
type source struct {
	endpoint  string
	ignore    bool
	fips      aws.FIPSEndpointState
	dualStack aws.DualStackEndpointState
	err       error
}

func (s source) GetServiceBaseEndpoint(_ context.Context, sdkID string) (string, bool, error) {
	return s.endpoint, s.endpoint != "" && sdkID == "SSM", s.err
}
func (s source) GetIgnoreConfiguredEndpoints(context.Context) (bool, bool, error) {
	return s.ignore, s.ignore, nil
}
func (s source) GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error) {
	return s.fips, s.fips != aws.FIPSEndpointStateUnset, nil
}
func (s source) GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error) {
	return s.dualStack, s.dualStack != aws.DualStackEndpointStateUnset, nil
}

func TestNewFromConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		cfg  aws.Config
		env  map[string]string
		want string // the URL called
	}{
		"region":            {want: "https://ssm.us-east-2.amazonaws.com/"},
		"base endpoint":     {cfg: aws.Config{BaseEndpoint: aws.String("http://127.0.0.1:1/base")}, want: "http://127.0.0.1:1/base"},
		"escaped path":      {cfg: aws.Config{BaseEndpoint: aws.String("http://127.0.0.1:1/a%2Fb%20c")}, want: "http://127.0.0.1:1/a%2Fb%20c"},
		"IPv6":              {cfg: aws.Config{BaseEndpoint: aws.String("http://[::1]:1")}, want: "http://[::1]:1/"},
		"IPv6, port 80":     {cfg: aws.Config{BaseEndpoint: aws.String("http://[::1]:80")}, want: "http://[::1]/"},
		"IPv6, port 443":    {cfg: aws.Config{BaseEndpoint: aws.String("https://[::1]:443/base")}, want: "https://[::1]/base"},
		"service endpoint":  {cfg: aws.Config{BaseEndpoint: aws.String("http://127.0.0.1:1"), ConfigSources: []any{1, source{endpoint: "http://127.0.0.1:2"}, source{endpoint: "http://127.0.0.1:3"}}}, want: "http://127.0.0.1:2/"},
		"ignored":           {cfg: aws.Config{ConfigSources: []any{source{endpoint: "http://127.0.0.1:2"}, source{ignore: true}}}, want: "https://ssm.us-east-2.amazonaws.com/"},
		"global in the env": {cfg: aws.Config{BaseEndpoint: aws.String("http://127.0.0.1:1"), ConfigSources: []any{source{endpoint: "http://127.0.0.1:2"}}}, env: map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, want: "http://127.0.0.1:1/"},
		"both in the env":   {cfg: aws.Config{BaseEndpoint: aws.String("http://127.0.0.1:1"), ConfigSources: []any{source{endpoint: "http://127.0.0.1:2"}}}, env: map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_SSM": "http://127.0.0.1:2"}, want: "http://127.0.0.1:2/"},
		"FIPS":              {cfg: aws.Config{ConfigSources: []any{source{fips: aws.FIPSEndpointStateEnabled}}}, want: "https://ssm-fips.us-east-2.amazonaws.com/"},
		"first FIPS":        {cfg: aws.Config{ConfigSources: []any{source{fips: aws.FIPSEndpointStateDisabled}, source{fips: aws.FIPSEndpointStateEnabled}}}, want: "https://ssm.us-east-2.amazonaws.com/"},
		"dual-stack":        {cfg: aws.Config{ConfigSources: []any{source{dualStack: aws.DualStackEndpointStateEnabled}}}, want: "https://ssm.us-east-2.api.aws/"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			var got *http.Request
			tc.cfg.Region, tc.cfg.Credentials, tc.cfg.AppID = "us-east-2", credentials("id", "secret", ""), "my app/\x7f1"
			tc.cfg.HTTPClient = roundTrip(func(r *http.Request) (*http.Response, error) {
				got = r
				return nil, errNoNetwork
			})
			tc.cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
			_, err := ssmresume.NewFromConfig(tc.cfg).ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: sessionID})
			if !errors.Is(err, errNoNetwork) {
				t.Fatal(err)
			}
			if got.URL.String() != tc.want {
				t.Errorf("called %s, want %s", got.URL, tc.want)
			}
			if got.Host != got.URL.Host {
				t.Errorf("Host: %s", got.Host)
			}
			if ua := got.UserAgent(); !strings.HasPrefix(ua, "ssmresume/") || !strings.HasSuffix(ua, " app/my-app--1") {
				t.Errorf("User-Agent: %s", ua)
			}
		})
	}
}

func TestNewFromConfigErrors(t *testing.T) {
	cause := errors.New("profile is broken")
	cfg := aws.Config{Region: "us-east-2", Credentials: credentials("id", "secret", ""), HTTPClient: noIO(t), ConfigSources: []any{source{endpoint: "x", err: cause}}}
	if _, err := ssmresume.NewFromConfig(cfg).ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: sessionID}); !errors.Is(err, cause) {
		t.Errorf("%v, want the source's error", err)
	}
}

// TestEndpointResolver: a request never goes elsewhere than the configuration says,
// unless a BaseEndpoint says where.
func TestEndpointResolver(t *testing.T) {
	resolver := aws.EndpointResolverWithOptionsFunc(func(string, string, ...any) (aws.Endpoint, error) {
		t.Error("the resolver was called")
		return aws.Endpoint{}, nil
	})
	for name, edit := range map[string]func(*aws.Config){
		"WithOptions": func(cfg *aws.Config) {
			//lint:ignore SA1019 older set-ups have it
			cfg.EndpointResolverWithOptions = resolver
		},
		"old": func(cfg *aws.Config) {
			//lint:ignore SA1019 older set-ups have it
			cfg.EndpointResolver = aws.EndpointResolverFunc(func(a, b string) (aws.Endpoint, error) { return resolver(a, b) })
		},
	} {
		local := "http://127.0.0.1:4566"
		for _, tc := range []struct {
			cfg    aws.Config
			client []func(*ssmresume.Options)
			call   []func(*ssmresume.Options)
			sent   bool
		}{
			{sent: false},
			{cfg: aws.Config{BaseEndpoint: &local}, sent: true},
			{cfg: aws.Config{ConfigSources: []any{source{endpoint: local}}}, sent: true},
			{client: []func(*ssmresume.Options){func(o *ssmresume.Options) { o.BaseEndpoint = &local }}, sent: true},
			{call: []func(*ssmresume.Options){func(o *ssmresume.Options) { o.BaseEndpoint = &local }}, sent: true},
		} {
			sent := ""
			tc.cfg.Region, tc.cfg.Credentials = "us-east-2", credentials("id", "secret", "")
			tc.cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
			tc.cfg.HTTPClient = roundTrip(func(r *http.Request) (*http.Response, error) {
				sent = r.URL.Host
				return nil, errNoNetwork
			})
			edit(&tc.cfg)
			_, err := ssmresume.NewFromConfig(tc.cfg, tc.client...).ResumeSession(t.Context(), input, tc.call...)
			if tc.sent && (sent != "127.0.0.1:4566" || !errors.Is(err, errNoNetwork)) {
				t.Errorf("%s: sent to %q, %v", name, sent, err)
			}
			if !tc.sent && (sent != "" || err == nil || !strings.Contains(err.Error(), "EndpointResolverWithOptions are not used: set BaseEndpoint instead")) {
				t.Errorf("%s: sent to %q, %v", name, sent, err)
			}
		}
	}
}

func TestNewFromConfigRetries(t *testing.T) {
	for name, tc := range map[string]struct {
		cfg  aws.Config
		want int
	}{
		"default":      {aws.Config{}, 3},
		"max attempts": {aws.Config{RetryMaxAttempts: 2}, 2},
		"adaptive":     {aws.Config{RetryMaxAttempts: 2, RetryMode: aws.RetryModeAdaptive}, 2},
		"retryer":      {aws.Config{Retryer: func() aws.Retryer { return retry.AddWithMaxAttempts(noBackoff(), 4) }}, 4},
		"nil retryer":  {aws.Config{Retryer: func() aws.Retryer { return nil }}, 3},
		"many":         {aws.Config{Retryer: func() aws.Retryer { return unlimited() }}, 50},
		"version 1":    {aws.Config{Retryer: func() aws.Retryer { return struct{ aws.Retryer }{noBackoff()} }}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ssmresume.NewFromConfig(tc.cfg, func(o *ssmresume.Options) {
				if adaptive := strings.Contains(fmt.Sprintf("%#v", o.Retryer), "AdaptiveMode"); adaptive != (tc.cfg.RetryMode == aws.RetryModeAdaptive) {
					t.Errorf("the retryer is %#v", o.Retryer)
				}
			})
			sent := 0
			tc.cfg.Region, tc.cfg.Credentials = "us-east-2", credentials("id", "secret", "")
			tc.cfg.HTTPClient = roundTrip(func(*http.Request) (*http.Response, error) {
				sent++
				return nil, errNoNetwork
			})
			_, err := ssmresume.NewFromConfig(tc.cfg).ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: sessionID})
			maxErr, ok := errors.AsType[*retry.MaxAttemptsError](err)
			if !ok {
				t.Fatal(err)
			}
			type facts struct{ Attempts, Requests int }
			same(t, err.Error(), facts{tc.want, tc.want}, facts{maxErr.Attempt, sent})
		})
	}
}

func TestOptionsOfOneCall(t *testing.T) {
	var hosts []string
	client := ssmresume.New(ssmresume.Options{
		Region:      "us-east-2",
		Credentials: credentials("id", "secret", ""),
		Retryer:     aws.NopRetryer{},
		HTTPClient: roundTrip(func(r *http.Request) (*http.Response, error) {
			hosts = append(hosts, r.URL.Host)
			return nil, errNoNetwork
		}),
	})
	edit := func(o *ssmresume.Options) { o.Region = "eu-west-1" }
	for _, optFns := range [][]func(*ssmresume.Options){nil, {edit}, nil} {
		if _, err := client.ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: sessionID}, optFns...); !errors.Is(err, errNoNetwork) {
			t.Fatal(err)
		}
	}
	if got, want := strings.Join(hosts, " "), "ssm.us-east-2.amazonaws.com ssm.eu-west-1.amazonaws.com ssm.us-east-2.amazonaws.com"; got != want {
		t.Errorf("called %s, want %s", got, want)
	}
}

func TestPlainHTTPIsWarnedAboutOnce(t *testing.T) {
	for endpoint, want := range map[string]int{
		"http://ssm.example.com":  1,
		"http://192.0.2.1":        1,
		"http://[2001:db8::1]":    1,
		"http://127.0.0.1:1":      0,
		"http://[::1]:1":          0,
		"http://localhost":        0,
		"https://ssm.example.com": 0,
	} {
		var logged bytes.Buffer
		client := ssmresume.New(ssmresume.Options{
			Region:       "us-east-2",
			Credentials:  credentials("id", "secret", ""),
			BaseEndpoint: &endpoint,
			Retryer:      aws.NopRetryer{},
			Logger:       slog.New(slog.NewTextHandler(&logged, nil)),
			HTTPClient:   roundTrip(func(*http.Request) (*http.Response, error) { return nil, errNoNetwork }),
		})
		for range 3 {
			if _, err := client.ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: sessionID}); !errors.Is(err, errNoNetwork) {
				t.Fatal(err)
			}
		}
		if got := strings.Count(logged.String(), "plain http"); got != want {
			t.Errorf("%s: warned %d times, want %d:\n%s", endpoint, got, want, logged.String())
		}
	}
}

// TestBaseEndpointKeepsItsPath: escapes and the slash at the end included.
func TestBaseEndpointKeepsItsPath(t *testing.T) {
	for base, want := range map[string]string{
		"https://proxy.example":           "https://proxy.example/",
		"https://proxy.example/":          "https://proxy.example/",
		"https://proxy.example:8443/a/b":  "https://proxy.example:8443/a/b",
		"https://proxy.example/a/b/":      "https://proxy.example/a/b/",
		"https://proxy.example/a%2Fb%20c": "https://proxy.example/a%2Fb%20c",
		"https://proxy.example/a%2Fb/":    "https://proxy.example/a%2Fb/",
	} {
		req, _, err := request(t, ssmresume.Options{Region: "us-east-2", BaseEndpoint: &base}, sessionID)
		if !errors.Is(err, errNoNetwork) || req.URL.String() != want {
			t.Errorf("%s: %v, request to %v, want %s", base, err, req.URL, want)
		}
	}
}

// TestRegionsOfOtherPartitions have every character that a Region's name may.
func TestRegionsOfOtherPartitions(t *testing.T) {
	for region, want := range map[string]string{
		"us-isob-azAZ09-190": "https://ssm.us-isob-azAZ09-190.sc2s.sgov.gov/",
		"us-isob-a-b":        "https://ssm.us-isob-a-b.amazonaws.com/",
	} {
		req, _, err := request(t, ssmresume.Options{Region: region}, sessionID)
		if !errors.Is(err, errNoNetwork) || req.URL.String() != want {
			t.Errorf("%s: %v, request to %v, want %s", region, err, req.URL, want)
		}
	}
}

// TestBodyLimit: 64 KiB of an answer are read, and no more, whatever its
// Content-Length says.
func TestBodyLimit(t *testing.T) {
	const limit = 64 << 10
	for _, tc := range []struct {
		status int
		body   string
		size   int
		code   string // "" for a token
	}{
		{200, `{"TokenValue":"t"}`, limit, ""},
		{299, `{"TokenValue":"t"}`, limit, ""},
		{200, `{"TokenValue":"t"}`, limit + 1, "none"},
		{400, `{"__type":"DoesNotExistException"}`, limit, "DoesNotExistException"},
		{400, `{"__type":"DoesNotExistException"}`, limit + 1, "UnknownError"},
		{300, `{"TokenValue":"t"}`, limit, "UnknownError"},
		{199, `{"TokenValue":"t"}`, limit, "UnknownError"},
	} {
		for _, contentLength := range []int64{-1, 0, int64(tc.size), 1 << 62} {
			client := ssmresume.New(ssmresume.Options{
				Region: "us-east-2", Credentials: credentials("id", "secret", ""), Retryer: aws.NopRetryer{},
				HTTPClient: roundTrip(func(*http.Request) (*http.Response, error) {
					body := tc.body + strings.Repeat(" ", tc.size-len(tc.body))
					return &http.Response{StatusCode: tc.status, ContentLength: contentLength, Body: io.NopCloser(strings.NewReader(body))}, nil
				}),
			})
			_, err := client.ResumeSession(t.Context(), input)
			var apiErr smithy.APIError
			got := ""
			if errors.As(err, &apiErr) {
				got = apiErr.ErrorCode()
			} else if err != nil {
				got = "none"
			}
			if got != tc.code {
				t.Errorf("status %d, %d bytes, Content-Length %d: %v, want code %q", tc.status, tc.size, contentLength, err, tc.code)
			}
		}
	}
}

// TestNilClient: a pointer that is nil is no client, and one that returns nothing
// has failed.
func TestNilClient(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	for name, c := range map[string]aws.HTTPClient{"http.Client": (*http.Client)(nil), "BuildableClient": (*awshttp.BuildableClient)(nil)} {
		cfg := srv.Config()
		cfg.HTTPClient = c
		client := ssmresume.NewFromConfig(cfg)
		if _, err := client.ResumeSession(t.Context(), input); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := client.ResumeSession(t.Context(), input, func(o *ssmresume.Options) { o.HTTPClient = c }); err == nil || !strings.Contains(err.Error(), "cannot be set to nil") {
			t.Errorf("%s, for one call: %v", name, err)
		}
		if client.HandshakeClient() == nil {
			t.Errorf("%s: no client for the handshake", name)
		}
	}
	for name, answer := range map[string]*http.Response{"nothing": nil, "no body": {StatusCode: 500, Header: http.Header{}}} {
		_, err := ssmresume.New(ssmresume.Options{
			Region: "us-east-2", Credentials: credentials("id", "secret", ""), Retryer: aws.NopRetryer{},
			HTTPClient: roundTrip(func(*http.Request) (*http.Response, error) { return answer, nil }),
		}).ResumeSession(t.Context(), input)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
