package ssmresume_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/ssmresume/ssmresume"
)

const sessionID = "Mary-Major-07a16060613c408b5"

// facts reads a list of testdata/: what real AWS clients do.
func facts[T any](t *testing.T, file, list string) []T {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	var rows []T
	var count int
	if err := errors.Join(json.Unmarshal(members[list], &rows), json.Unmarshal(members["count"], &count)); err != nil {
		t.Fatal(err)
	}
	if len(rows) == 0 || len(rows) != count {
		t.Fatalf("%s has %d rows, its count is %d", file, len(rows), count)
	}
	return rows
}

// roundTrip is an HTTPClient made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) Do(req *http.Request) (*http.Response, error) { return f(req) }

var errNoNetwork = errors.New("no network in this test")

// request returns the request that a call with these options makes.
func request(t *testing.T, o ssmresume.Options, sessionID string) (req *http.Request, body string, err error) {
	t.Helper()
	o.HTTPClient = roundTrip(func(r *http.Request) (*http.Response, error) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		req, body = r, string(b)
		return nil, errNoNetwork
	})
	o.Retryer = aws.NopRetryer{}
	if o.Credentials == nil {
		o.Credentials = credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "")
	}
	_, err = ssmresume.New(o).ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: sessionID})
	return req, body, err
}

func credentials(id, secret, token string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token, Source: "test"}, nil
	})
}

func TestEndpoints(t *testing.T) {
	for _, row := range facts[struct {
		Region                string
		UseFIPS, UseDualStack bool
		URL, Error            string
	}](t, "endpoints.json", "endpoints") {
		o := ssmresume.Options{Region: row.Region}
		if row.UseFIPS {
			o.UseFIPS = aws.FIPSEndpointStateEnabled
		}
		if row.UseDualStack {
			o.UseDualStack = aws.DualStackEndpointStateEnabled
		}
		req, _, err := request(t, o, sessionID)
		if row.Error != "" {
			if req != nil || err == nil {
				t.Errorf("%+v: sent %v, err %v, want an error before any I/O", row, req, err)
			}
			continue
		}
		if !errors.Is(err, errNoNetwork) {
			t.Errorf("%+v: %v", row, err)
			continue
		}
		if got := strings.TrimSuffix(req.URL.String(), "/"); got != row.URL {
			t.Errorf("region %q fips %t dual-stack %t: endpoint %s, want %s", row.Region, row.UseFIPS, row.UseDualStack, got, row.URL)
		}
	}
}

func TestPartitions(t *testing.T) {
	checked := 0
	for _, row := range facts[struct {
		Partition   string
		Ssmmessages []struct{ Region, Host, DualStackHost string }
	}](t, "partitions.json", "partitions") {
		for _, m := range row.Ssmmessages {
			for _, host := range []string{m.Host, m.DualStackHost, strings.Replace(m.Host, "ssmmessages.", "ssmmessages-fips.", 1)} {
				u, err := ssmresume.ParseStreamURL("wss://" + host + "/v1/data-channel/s")
				type facts struct{ Partition, Region, Err string }
				same(t, host, facts{row.Partition, m.Region, ""}, facts{u.Partition, u.Region, textOf(err, "")})
				checked++
			}
		}
	}
	if checked < 60 {
		t.Errorf("only %d hosts checked", checked)
	}
}

func TestBodies(t *testing.T) {
	for _, row := range facts[struct{ SessionID, GoSDK string }](t, "bodies.json", "bodies") {
		req, body, err := request(t, ssmresume.Options{Region: "us-east-2"}, row.SessionID)
		if !errors.Is(err, errNoNetwork) {
			t.Fatal(err)
		}
		if body != row.GoSDK {
			t.Errorf("body for %q\n got %s\nwant %s", row.SessionID, body, row.GoSDK)
		}
		if req.ContentLength != int64(len(body)) {
			t.Errorf("Content-Length %d for %d bytes", req.ContentLength, len(body))
		}
		if req.GetBody != nil {
			t.Error("GetBody is set: net/http would send the body to where a redirect points")
		}
	}
}

// TestBodyOfDEL is about the only character that the encoder leaves as it is and
// the SDK's request escapes.
func TestBodyOfDEL(t *testing.T) {
	_, body, err := request(t, ssmresume.Options{Region: "us-east-2"}, "a\x7f\x7fb")
	if want := `{"SessionId":"a\u007f\u007fb"}`; !errors.Is(err, errNoNetwork) || body != want {
		t.Errorf("%s, %v, want %s", body, err, want)
	}
}

// TestSigning compares the Authorization header byte for byte, for all vectors
// whose body is the one that this package sends. Package ssmresumetest has a
// test of all vectors.
func TestSigning(t *testing.T) {
	compared := 0
	for _, v := range facts[struct {
		Name, Region, URL, Body, Authorization     string
		AccessKeyID, SecretAccessKey, SessionToken string
		Time                                       time.Time
	}](t, "signing.json", "vectors") {
		var in struct{ SessionId *string }
		if err := json.Unmarshal([]byte(v.Body), &in); err != nil || in.SessionId == nil {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(v.Time)) // the bubble's clock begins in 2000
			req, body, err := request(t, ssmresume.Options{
				Region:       v.Region,
				BaseEndpoint: &v.URL,
				Credentials:  credentials(v.AccessKeyID, v.SecretAccessKey, v.SessionToken),
			}, *in.SessionId)
			if !errors.Is(err, errNoNetwork) {
				t.Fatalf("%s: %v", v.Name, err)
			}
			if body != v.Body || strings.TrimSuffix(req.URL.String(), "/") != strings.TrimSuffix(v.URL, "/") {
				return // the Python client's spacing or escapes
			}
			compared++
			if got := req.Header.Get("Authorization"); got != v.Authorization {
				t.Errorf("%s\n got %s\nwant %s", v.Name, got, v.Authorization)
			}
			if got := req.Header.Get("X-Amz-Security-Token"); got != v.SessionToken {
				t.Errorf("%s: security token %q, want %q", v.Name, got, v.SessionToken)
			}
		})
	}
	if compared < 30 {
		t.Errorf("only %d vectors compared", compared)
	}
}

type errorCase struct {
	Name            string
	Status          int
	Headers         [][2]string
	Body            string
	BodyBase64      string
	ContentLength   *int
	Close           bool
	DateSkewSeconds *int
	GoSDK           errorOutcome
}

// errorOutcome is what a client makes of an answer.
type errorOutcome struct {
	Outcome, Code, Message, Type string
	RequestID                    string
	Error                        string
	Attempts                     int
	Output                       map[string]string
}

// better lists every answer of errors.json of which this package makes
// something else than the Go SDK, as DESIGN asks, and why.
var better = map[string]func(*errorOutcome){
	// The SDKs call an answer without a token a success.
	"200 with empty body":               notAnAnswer("the body is not a JSON object"),
	"204 without body":                  notAnAnswer("the body is not a JSON object"),
	"200 with null fields":              timedOut,
	"200 with empty strings":            timedOut,
	"200 with lower-case first letters": timedOut,

	// What follows the object is not the service's.
	"200 JSON then garbage": notAnAnswer("the body holds more than a JSON object"),

	// The same failure, in words that never repeat the body.
	"200 with null":               notAnAnswer("the body is not a JSON object"),
	"200 with an array":           notAnAnswer("the body is not a JSON object"),
	"200 after a byte order mark": notAnAnswer("the body is not a JSON object"),
	"200 with SessionId boolean":  notAnAnswer("SessionId is not a JSON string"),
	"200 with StreamUrl array":    notAnAnswer("StreamUrl is not a JSON string"),

	// A connection lost in mid-answer is tried again.
	"200 connection closed in the middle of the body": transportError,
	"400 connection closed in the middle of the body": transportError,

	// A body that is not JSON, or absent, leaves the status to say what happened.
	"empty body 403":                 byStatus("*ssmresume.AccessDeniedError", 1, "403 Forbidden"),
	"empty body 413":                 byStatus("*smithy.GenericAPIError", 1, "413 Request Entity Too Large"),
	"empty body 429":                 byStatus("*ssmresume.ThrottlingError", 3, "429 Too Many Requests"), // and retried
	"empty body 502":                 byStatus("*ssmresume.InternalServerError", 3, "502 Bad Gateway"),
	"empty body 504":                 byStatus("*ssmresume.InternalServerError", 3, "504 Gateway Timeout"),
	"HTML body 502 from a proxy":     byStatus("*ssmresume.InternalServerError", 3, "502 Bad Gateway"),
	"HTML body 407 from a proxy":     byStatus("*smithy.GenericAPIError", 1, "407 Proxy Authentication Required"),
	"HTML body 413 from a proxy":     byStatus("*smithy.GenericAPIError", 1, "413 Request Entity Too Large"),
	"HTML body 503 with a doctype":   byStatus("*ssmresume.InternalServerError", 3, "503 Service Unavailable"),
	"plain text body 400":            byStatus("*smithy.GenericAPIError", 1, "400 Bad Request"),
	"truncated JSON 400":             byStatus("*smithy.GenericAPIError", 1, "400 Bad Request"),
	"truncated JSON 500":             byStatus("*ssmresume.InternalServerError", 3, "500 Internal Server Error"),
	"body string 400":                byStatus("*smithy.GenericAPIError", 1, "400 Bad Request"),
	"302 with Location":              byStatus("*smithy.GenericAPIError", 1, "302 Found"),
	"307 with Location":              byStatus("*smithy.GenericAPIError", 1, "307 Temporary Redirect"),
	"308 with Location":              byStatus("*smithy.GenericAPIError", 1, "308 Permanent Redirect"),
	"503 with Retry-After date":      byStatus("*ssmresume.InternalServerError", 3, "503 Service Unavailable"),
	"503 with x-amz-retry-after 400": func(o *errorOutcome) { o.Attempts = 3 },
	"__type is a number": func(o *errorOutcome) {
		o.Outcome, o.Code, o.Message, o.Type = "apiError", "UnknownError", "number", "*smithy.GenericAPIError"
		o.Error = errorText(400, o.RequestID, "api error UnknownError: number")
	},

	// Terminal escapes do not pass through Error, only through ErrorMessage.
	"message with non-ASCII and control characters": func(o *errorOutcome) {
		o.Error = errorText(400, o.RequestID, "DoesNotExistException: Séance \\u2028\\x1b[31mred\\x1b[0m\\r\\nline 2 🚀")
	},
	// The second attempt's clock is right, so the last error is plain.
	"AccessDeniedException, Date 1 hour behind": func(o *errorOutcome) {
		o.Error = strings.Replace(o.Error, "Probable clock skew error: ", "", 1)
	},
}

func errorText(status int, requestID, text string) string {
	return fmt.Sprintf("operation error SSM: ResumeSession, https response error StatusCode: %d, RequestID: %s, %s", status, requestID, text)
}

func notAnAnswer(reason string) func(*errorOutcome) {
	return func(o *errorOutcome) {
		status := 200
		if o.Outcome == "ok" && o.Error == "" && reason == "the body is not a JSON object" && o.Type == "204" {
			status = 204
		}
		*o = errorOutcome{Outcome: "deserializationError", RequestID: o.RequestID, Attempts: 1, Error: errorText(status, o.RequestID, "deserialization failed, "+reason)}
	}
}

func timedOut(o *errorOutcome) {
	const message = "the service returned no token: the session has ended and cannot be resumed"
	*o = errorOutcome{Outcome: "apiError", Code: "SessionTimedOut", Message: message, Type: "*ssmresume.SessionTimedOutError", RequestID: o.RequestID, Attempts: 1,
		Error: errorText(200, o.RequestID, "SessionTimedOut: "+message)}
}

func transportError(o *errorOutcome) {
	*o = errorOutcome{Outcome: "otherError", Attempts: 3, Error: "operation error SSM: ResumeSession, exceeded maximum number of attempts, 3, request send failed, unexpected EOF"}
}

func byStatus(typ string, attempts int, status string) func(*errorOutcome) {
	return func(o *errorOutcome) {
		code, _ := strconv.Atoi(status[:3])
		message := "the answer has no error code, its status is " + status
		prefix := ""
		if typ == "*smithy.GenericAPIError" {
			prefix = "api error "
		}
		*o = errorOutcome{Outcome: "apiError", Code: "UnknownError", Message: message, Type: typ, RequestID: o.RequestID, Attempts: attempts,
			Error: errorText(code, o.RequestID, prefix+"UnknownError: "+message)}
	}
}

// typeNames maps the code to the type that stands for it here; the SDK has
// types for other codes.
var typeNames = map[string]string{
	"DoesNotExistException": "*ssmresume.DoesNotExistError",
	"InternalServerError":   "*ssmresume.InternalServerError", "ServiceUnavailable": "*ssmresume.InternalServerError", "NotImplemented": "*ssmresume.InternalServerError",
	"ThrottlingException": "*ssmresume.ThrottlingError", "Throttling": "*ssmresume.ThrottlingError", "TooManyRequestsException": "*ssmresume.ThrottlingError", "LimitExceededException": "*ssmresume.ThrottlingError",
	"ExpiredTokenException": "*ssmresume.CredentialsError", "UnrecognizedClientException": "*ssmresume.CredentialsError", "MissingAuthenticationToken": "*ssmresume.CredentialsError",
	"InvalidSignatureException": "*ssmresume.SignatureError", "RequestExpired": "*ssmresume.SignatureError", "IncompleteSignature": "*ssmresume.SignatureError",
	"AccessDeniedException": "*ssmresume.AccessDeniedError", "OptInRequired": "*ssmresume.AccessDeniedError",
	"ValidationException": "*ssmresume.ValidationError", "UnknownOperationException": "*ssmresume.ValidationError", "SerializationException": "*ssmresume.ValidationError",
}

func TestErrors(t *testing.T) {
	cases := facts[errorCase](t, "errors.json", "cases")
	names := map[string]bool{}
	for _, tc := range cases {
		names[tc.Name] = true
		t.Run(tc.Name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				tc.answer(t, w, r)
			}))
			defer srv.Close()

			out, err := ssmresume.New(ssmresume.Options{
				Region:       "us-east-2",
				BaseEndpoint: &srv.URL,
				Credentials:  credentials("AKIAIOSFODNN7EXAMPLE", "secret", ""),
				HTTPClient:   srv.Client(), // follows redirects, if it is let
				Retryer:      noBackoff(),
			}).ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: sessionID})

			got := outcome(out, err)
			got.Attempts = int(requests.Load())
			if diff := cmp.Diff(tc.want(), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for name := range better {
		if !names[name] {
			t.Errorf("better lists %q, which is no row", name)
		}
	}
}

func noBackoff() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
	})
}

func (tc errorCase) answer(t *testing.T, w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/redirected" {
		t.Error("the redirect was followed")
	}
	body := []byte(tc.Body)
	if tc.BodyBase64 != "" {
		body, _ = base64.StdEncoding.DecodeString(tc.BodyBase64)
	}
	h := w.Header()
	h["Date"] = nil
	for _, kv := range tc.Headers {
		h[http.CanonicalHeaderKey(kv[0])] = []string{kv[1]}
	}
	if tc.DateSkewSeconds != nil {
		h.Set("Date", time.Now().Add(time.Duration(*tc.DateSkewSeconds)*time.Second).UTC().Format(http.TimeFormat))
	}
	if tc.ContentLength != nil {
		h.Set("Content-Length", strconv.Itoa(*tc.ContentLength)) // more than follows: net/http cuts the connection
	}
	w.WriteHeader(tc.Status)
	w.Write(body)
}

// want is what the SDK makes of the answer, in this package's types, or what
// better says.
func (tc errorCase) want() errorOutcome {
	want := tc.GoSDK
	if typ, ok := typeNames[want.Code]; ok {
		want.Type = typ
	} else if want.Code == "UnknownError" && tc.Status >= 500 {
		want.Type = "*ssmresume.InternalServerError"
	} else if want.Type != "" {
		want.Type = "*smithy.GenericAPIError"
	}
	// The SDK says "api error" before codes that it has no type for, and none
	// before those that it has.
	generic := "api error " + want.Code + ":"
	if want.Type == "*smithy.GenericAPIError" {
		if !strings.Contains(want.Error, generic) {
			want.Error = strings.Replace(want.Error, want.Code+":", generic, 1)
		}
	} else {
		want.Error = strings.Replace(want.Error, generic, want.Code+":", 1)
	}
	if f := better[tc.Name]; f != nil {
		if tc.Status == 204 {
			want.Type = "204"
		}
		f(&want)
	}
	if want.Attempts > 1 && want.Error != "" && !strings.Contains(want.Error, "exceeded maximum") && want.Code != "AccessDeniedException" {
		want.Error = strings.Replace(want.Error, "ResumeSession, ", fmt.Sprintf("ResumeSession, exceeded maximum number of attempts, %d, ", want.Attempts), 1)
	}
	return want
}

func outcome(out *ssmresume.ResumeSessionOutput, err error) errorOutcome {
	if err == nil {
		fields := map[string]string{}
		for name, value := range map[string]string{"SessionId": out.SessionID, "TokenValue": out.TokenValue.Reveal(), "StreamUrl": out.StreamURL.DialURL()} {
			if value != "" {
				fields[name] = value
			}
		}
		return errorOutcome{Outcome: "ok", RequestID: out.RequestID, Output: fields}
	}
	got := errorOutcome{Outcome: "otherError", Error: err.Error()}
	var respErr *awshttp.ResponseError
	if errors.As(err, &respErr) {
		got.RequestID = respErr.ServiceRequestID()
	}
	var decErr *smithy.DeserializationError
	if errors.As(err, &decErr) {
		got.Outcome = "deserializationError"
	}
	var apiErr smithy.APIError
	if errors.As(err, &apiErr) {
		got.Outcome, got.Code, got.Message, got.Type = "apiError", apiErr.ErrorCode(), apiErr.ErrorMessage(), fmt.Sprintf("%T", apiErr)
		if generic := (*smithy.GenericAPIError)(nil); errors.As(err, &generic) {
			got.Type = "*smithy.GenericAPIError"
		}
	}
	return got
}

// unlimited is noBackoff with as many attempts as a test of many faults needs.
func unlimited() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 50
		o.RateLimiter = ratelimit.NewTokenRateLimit(1_000_000)
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		o.Retryables = append(o.Retryables, retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
			var e *ssmresume.InternalServerError
			return aws.BoolTernary(errors.As(err, &e))
		}))
	})
}
