package compat

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/google/go-cmp/cmp"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// request is a generated call: a session ID and what an AWS client is configured
// by.
type request struct {
	sessionID string
	env       map[string]string
	config    string // the shared config file
	options   config.LoadOptions

	// Set on the loaded aws.Config, as programs do.
	baseEndpoint string
	anonymous    bool

	odd bool // all is usual but baseEndpoint
}

func (r request) String() string {
	o := r.options
	return fmt.Sprintf("session %q\nenvironment %q\nconfig file %q\noptions: region %q, profile %q, FIPS %v, dual-stack %v, base endpoint %q, app %q; then base endpoint %q, anonymous %t",
		r.sessionID, r.env, r.config, o.Region, o.SharedConfigProfile, o.UseFIPSEndpoint, o.UseDualStackEndpoint, o.BaseEndpoint, o.AppID, r.baseEndpoint, r.anonymous)
}

// sent is the request that a client sends, or that it refuses to.
type sent struct {
	Refused                               bool
	Method, Host, Path, Target, MediaType string
	Body, SecurityToken, Scope            string
	App                                   string // of the User-Agent header
	Retryer                               string // mode and attempts
	Region                                string // as loaded
	Answer                                string // "ok", or the server's error code
}

func (s sent) String() string {
	if s.Refused {
		return "refused"
	}
	return fmt.Sprintf("%s %s%s %s, scope %s: %s", s.Method, s.Host, s.Path, s.Body, s.Scope, s.Answer)
}

func newRequest(data []byte) request {
	c := &choices{data}
	r := request{env: map[string]string{}, sessionID: newSessionID(c)}
	maybe := func(n int, set func(string), values ...string) {
		if c.rarely(n) {
			set(pick(c, values...))
		}
	}
	env := func(name string) func(string) { return func(v string) { r.env[name] = v } }

	r.env["AWS_ACCESS_KEY_ID"], r.env["AWS_SECRET_ACCESS_KEY"] = longTerm.AccessKeyID, longTerm.SecretAccessKey
	if c.rarely(3) {
		r.env["AWS_ACCESS_KEY_ID"], r.env["AWS_SECRET_ACCESS_KEY"], r.env["AWS_SESSION_TOKEN"] = temporary.AccessKeyID, temporary.SecretAccessKey, temporary.SessionToken
	}
	if c.rarely(20) {
		r.env["AWS_REGION"] = pick(c, "us-east-1-fips", "fips-us-gov-west-1", "us-fips-east-1")
		return r
	}
	if c.rarely(6) {
		r.sessionID, r.env["AWS_REGION"], r.baseEndpoint, r.odd = sessionID, "us-east-2", oddEndpoint(c), true
		return r
	}

	regions := []string{"us-east-2", "eu-west-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1", "eusc-de-east-1",
		"ap-southeast-9", "aws-global", "aws-us-gov-global", "mars-north-1", "local", "US-EAST-1", "a.b", "-x", "x-", "x_y", "", c.text(10)}
	r.env["AWS_REGION"] = pick(c, regions...)
	maybe(8, env("AWS_DEFAULT_REGION"), regions...)
	maybe(8, func(v string) { r.options.Region = v }, regions...)

	r.anonymous = c.rarely(20)

	endpoint := newEndpoint(c)
	endpoints := []string{endpoint, endpoint, "http://127.0.0.1:4566", "https://vpce-0a1b.ssm.eu-west-1.vpce.amazonaws.com", newEndpoint(c), ""}
	truth := []string{"true", "true", "false", "TRUE"}
	maybe(5, env("AWS_ENDPOINT_URL_SSM"), endpoints...)
	maybe(5, env("AWS_ENDPOINT_URL"), endpoints...)
	maybe(10, env("AWS_ENDPOINT_URL_S3"), endpoints...)
	maybe(6, env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), truth...)
	maybe(8, env("AWS_USE_FIPS_ENDPOINT"), truth...)
	maybe(8, env("AWS_USE_DUALSTACK_ENDPOINT"), truth...)
	maybe(10, env("AWS_SDK_UA_APP_ID"), "app", "my app/1", "é", c.text(8))
	maybe(10, env("AWS_RETRY_MODE"), "standard", "adaptive", "Adaptive")
	maybe(10, env("AWS_MAX_ATTEMPTS"), "1", "2", "5", "0")
	maybe(10, func(v string) { r.options.BaseEndpoint = v }, endpoints...)
	maybe(10, func(v string) { r.options.AppID = v }, "option", "ä+b")
	maybe(12, func(v string) { r.baseEndpoint = v }, endpoints...)
	if c.rarely(12) {
		r.options.UseFIPSEndpoint = pick(c, aws.FIPSEndpointStateDisabled, aws.FIPSEndpointStateEnabled)
	}
	if c.rarely(12) {
		r.options.UseDualStackEndpoint = pick(c, aws.DualStackEndpointStateDisabled, aws.DualStackEndpointStateEnabled)
	}

	profile := func(name string) string {
		section := []string{"[" + name + "]"}
		line := func(key string) func(string) {
			return func(v string) {
				if !strings.ContainsAny(v, "\r\n\"'") { // of a lone quote the SDK's parser panics
					section = append(section, key+" = "+v)
				}
			}
		}
		maybe(3, line("region"), regions...)
		maybe(3, line("endpoint_url"), endpoints...)
		maybe(3, line("services"), "local", "other", "none")
		maybe(6, line("ignore_configured_endpoint_urls"), "true", "false")
		maybe(6, line("use_fips_endpoint"), "true", "false")
		maybe(6, line("use_dualstack_endpoint"), "true", "false")
		maybe(6, line("sdk_ua_app_id"), "profile", "profile app")
		maybe(6, line("retry_mode"), "standard", "adaptive")
		maybe(6, line("max_attempts"), "1", "4")
		return strings.Join(section, "\n") + "\n"
	}
	if c.rarely(2) {
		r.config = profile("default") + profile("profile p") +
			"[services local]\nssm =\n  endpoint_url = " + pick(c, endpoints[:4]...) + "\ns3 =\n  endpoint_url = http://s3.example.com\n" +
			"[services other]\ns3 =\n  endpoint_url = http://s3.example.com\n"
		maybe(3, env("AWS_PROFILE"), "p", "default")
		maybe(6, func(v string) { r.options.SharedConfigProfile = v }, "p", "default")
	}
	return r
}

func newSessionID(c *choices) string {
	return pick(c, sessionID, sessionID, "ana@example.com-0a1b", "a<&>b\"\\/\u2028", "\x00\x1f\x7f", "é🚀", strings.Repeat("x", 97), "", "\xff", "a\xc3", c.text(20))
}

func newEndpoint(c *choices) string {
	return pick(c, "http", "https", "HTTP") + "://" +
		pick(c, "ssm.example.com", "ssm.example.com:443", "ssm.example.com:80", "localhost:4566", "127.0.0.1", "127.0.0.1:80", "ssm.us-east-2.amazonaws.com", "SSM.example.com", "host.", "host.:443", "[::1]", "[::1]:4566", "my_service", "my_service:4566", "-a-") +
		pick(c, "", "", "/", "/base", "/base/", "//", "/a%2Fb/c%20d", "/é", "/a b", "/.", "/a/../b", "/;x", "/%41", "/"+strings.Map(pathOnly, c.text(6)))
}

func pathOnly(r rune) rune {
	if r < ' ' || r == 0x7f || strings.ContainsRune("?#%", r) {
		return -1
	}
	return r
}

// oddEndpoint returns what is hardly meant as an endpoint.
func oddEndpoint(c *choices) string {
	if c.rarely(3) {
		return pick(c, "localhost", "127.0.0.1:4566", "ftp://ssm.example.com", "http:ssm.example.com", "://", "http://", "/path", "http://ssm.example.com/%", "http://ssm.example.com/\x00", c.text(20))
	}
	return pick(c, "http", "https") + "://" +
		pick(c, "", "", "user@", "user:password@") +
		pick(c, "ssm.example.com", "[::1]", "[fe80::1%25eth0]", "a..b", ".a", "é.example.com", "a%20b", "a%41b", "[::ffff:127.0.0.1]", "[127.0.0.1]", "my_service", strings.Repeat("l", 64)+".example.com", strings.Repeat("l.", 130), c.text(6)) +
		pick(c, "", "", ":4566", ":443", ":80", ":0", ":65536", ":", ":080", ":http") +
		pick(c, "", "/", "/base") +
		pick(c, "", "", "?q=1", "?", "#f", "#")
}

var (
	longTerm  = aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	temporary = aws.Credentials{AccessKeyID: "ASIAIOSFODNN7EXAMPLE", SecretAccessKey: "secret", SessionToken: "the/session+token=="}
)

// recorder is the test endpoint, behind every URL. It verifies signatures with
// its own code.
type recorder struct {
	srv    *ssmresumetest.Server
	client *http.Client
	dir    string

	mu   sync.Mutex
	last *ssmresumetest.Request
}

func newRecorder(t testing.TB) *recorder {
	s := &recorder{srv: ssmresumetest.NewServer(), dir: t.TempDir()}
	t.Cleanup(s.srv.Close)
	s.srv.SetCredentials(longTerm, temporary)
	s.srv.SetRespond(func(r ssmresumetest.Request) *ssmresumetest.Response {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.last = &r
		return nil
	})
	s.client = pool(t, toServer(strings.TrimPrefix(s.srv.URL(), "http://")))
	return s
}

// load makes a configuration as a program does.
func (s *recorder) load(t *testing.T, r request) (aws.Config, error) {
	file := filepath.Join(s.dir, "config")
	if err := os.WriteFile(file, []byte(r.config), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Setenv("AWS_CONFIG_FILE", file)
	defer os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	return config.LoadDefaultConfig(t.Context(), func(o *config.LoadOptions) error {
		*o = r.options
		o.HTTPClient = s.client
		return nil
	})
}

func (s *recorder) check(t *testing.T, data []byte, seen map[string]int) {
	r := newRequest(data)
	sdk, ours, err := s.ask(t, r)
	if err != nil {
		seen["not loaded"]++ // by the SDK's own config package
		return
	}
	if sdk.Refused {
		seen["refused"]++
	}
	hold(t, requestDifferences, seen, r, sdk, ours)
}

// ask makes the call with both clients.
func (s *recorder) ask(t *testing.T, r request) (sdk, ours sent, err error) {
	for name, value := range r.env {
		if strings.ContainsRune(value, 0) {
			return sdk, ours, errors.New("no environment can hold this")
		}
		os.Setenv(name, value)
		defer os.Unsetenv(name)
	}
	cfg, err := s.load(t, r)
	if err != nil {
		return sdk, ours, err
	}
	if r.baseEndpoint != "" || r.odd {
		cfg.BaseEndpoint = &r.baseEndpoint
	}
	if r.anonymous {
		cfg.Credentials = aws.AnonymousCredentials{}
	}
	s.srv.SetRegion(cfg.Region)

	var retryer aws.Retryer // as configured; the call makes one attempt
	theirs := callSDK(t.Context(), forSDK(cfg), r.sessionID, func(o *ssm.Options) {
		retryer, o.Retryer, o.RetryMaxAttempts = describable(o.Retryer, o.RetryMaxAttempts), aws.NopRetryer{}, 0
	})
	sdk = s.sent(theirs, cfg.Region, retryer)
	our := callOurs(t.Context(), cfg, r.sessionID, func(o *ssmresume.Options) {
		retryer, o.Retryer = o.Retryer, aws.NopRetryer{}
	})
	return sdk, s.sent(our, cfg.Region, retryer), nil
}

// describable does what the SDK does after the options have been edited.
func describable(r aws.Retryer, maxAttempts int) aws.Retryer {
	if maxAttempts == 0 {
		return r
	}
	return retry.AddWithMaxAttempts(r, maxAttempts)
}

// sent returns what was recorded since the last time.
func (s *recorder) sent(r result, region string, retryer aws.Retryer) sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.last
	s.last = nil
	if last == nil {
		return sent{Refused: true}
	}
	out := sent{
		Method:        last.Method,
		Host:          last.Host,
		Path:          last.Path,
		Target:        last.Header.Get("X-Amz-Target"),
		MediaType:     last.Header.Get("Content-Type"),
		Body:          string(last.Body),
		SecurityToken: last.Header.Get("X-Amz-Security-Token"),
		Retryer:       fmt.Sprintf("%s, %d attempts", retryMode(retryer), retryer.MaxAttempts()),
		Region:        region,
		Answer:        r.Code,
	}
	if r.OK {
		out.Answer = "ok"
	}
	if credential, _, ok := strings.Cut(last.Header.Get("Authorization"), ", "); ok {
		scope := strings.SplitN(credential, "/", 3)
		out.Scope = scope[0] + "/" + scope[2] // without the date
	}
	for _, field := range strings.Fields(last.Header.Get("User-Agent")) {
		if app, ok := strings.CutPrefix(field, "app/"); ok {
			out.App = app
		}
	}
	return out
}

// retryMode looks through the type that retry.AddWithMaxAttempts adds.
func retryMode(r aws.Retryer) string {
	v := reflect.ValueOf(r)
	for v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
		inner := v.Elem().FieldByName("RetryerV2")
		if !inner.IsValid() {
			break
		}
		v = inner.Elem()
	}
	return v.Type().String()
}

func TestNoSessionID(t *testing.T) {
	_, sdk := ssm.New(ssm.Options{}).ResumeSession(t.Context(), nil)
	_, ours := ssmresume.New(ssmresume.Options{}).ResumeSession(t.Context(), nil)
	if diff := cmp.Diff(failure(sdk), failure(ours)); diff != "" || !failure(ours).finds("InvalidParamsError") {
		t.Errorf("ssmresume (-want +got):\n%s", diff)
	}
}

func TestRequests(t *testing.T) {
	s := newRecorder(t)
	seen := map[string]int{}
	forEachInput(t, "FuzzRequest", func(t *testing.T, data []byte) { s.check(t, data, seen) })
	allSeen(t, requestDifferences, seen)
	t.Logf("%5d  refused by the SDK", seen["refused"])
	if n := seen["not loaded"]; n > *inputs/20 {
		t.Errorf("%d configurations were not loaded", n)
	}
}

func FuzzRequest(f *testing.F) {
	s := newRecorder(f)
	for i := range byte(64) {
		f.Add([]byte(strings.Repeat(string([]byte{i, 3 * i, 7 * i, 31 * i}), 48)))
	}
	f.Fuzz(func(t *testing.T, data []byte) { s.check(t, data, map[string]int{}) })
}
