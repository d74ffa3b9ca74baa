package ssmresume_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// longToken is as AWS's session tokens are.
const longToken = "IQoJb3JpZ2luX2VjEJf//////////wEaCXVzLWVhc3QtMiJHMEUCIQDx8Zc5mY1q+Zk0oVbYp3v7sKcGm2t4JwqRk+5h2xVd3gIgYl0eS9b/TnP8u6QyXwR4cF1jVtKzH7aLmEo2sDpNqUi=="

// tells reports whether text holds 10 characters of the token in a row, white
// space and escapes aside.
func tells(text string) bool {
	text = strings.Join(strings.Fields(text), "")
	if plain, err := url.PathUnescape(text); err == nil {
		text += plain
	}
	for i := range len(longToken) - 10 {
		if strings.Contains(text, longToken[i:i+10]) {
			return true
		}
	}
	return false
}

// tellsAnywhere looks at all that may print an error.
func tellsAnywhere(err error) string {
	seen := []string{}
	var walk func(error)
	walk = func(e error) {
		if e == nil {
			return
		}
		seen = append(seen, fmt.Sprintf("%v %+v %#v %q", e, e, e, e.Error()))
		if b, jsonErr := json.Marshal(e); jsonErr == nil {
			seen = append(seen, string(b))
		}
		switch e := e.(type) {
		case interface{ Unwrap() []error }:
			for _, e := range e.Unwrap() {
				walk(e)
			}
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		}
	}
	walk(err)
	var re *awshttp.ResponseError
	if errors.As(err, &re) {
		b, _ := json.Marshal([]any{re.Response.Header, re.Response.Status, re.RequestID})
		seen = append(seen, string(b))
	}
	var apiErr smithy.APIError
	if errors.As(err, &apiErr) {
		seen = append(seen, apiErr.ErrorCode()+apiErr.ErrorMessage())
	}
	for _, s := range seen {
		if tells(s) {
			return s
		}
	}
	return ""
}

// TestTokenIsMasked: whoever repeats the session token, wherever and however, it
// does not leave.
func TestTokenIsMasked(t *testing.T) {
	forms := map[string]string{
		"verbatim":     longToken,
		"twice":        longToken + " and " + longToken,
		"for a query":  url.QueryEscape(longToken),
		"twice so":     url.QueryEscape(url.QueryEscape(longToken)),
		"for HTML":     html.EscapeString(strings.NewReplacer("+", "&#43;", "/", "&#x2F;", "=", "&#61;").Replace(longToken)),
		"for JSON":     strings.NewReplacer("+", `\u002b`, "/", `\/`, "=", `\x3d`).Replace(longToken),
		"wrapped":      longToken[:40] + " \t " + longToken[40:80] + "  " + longToken[80:],
		"without end":  longToken[:50] + "...",
		"without head": "..." + longToken[50:],
	}
	var logged bytes.Buffer
	for form, text := range forms {
		for place, resp := range map[string]*ssmresumetest.Response{
			"message":      ssmresumetest.Fail(400, "InvalidSignatureException", "should have been "+text+" it says"),
			"broken":       ssmresumetest.Fail(400, "InvalidSignatureException", strings.ReplaceAll(text, "Z", "Z\n")),
			"type":         ssmresumetest.Fail(400, text, "m"),
			"error header": ssmresumetest.Raw(400, http.Header{"X-Amzn-Errortype": {text}}, ""),
			"request ID":   ssmresumetest.Raw(400, http.Header{"X-Amzn-Requestid": {text}}, ""),
			"any header":   ssmresumetest.Raw(503, http.Header{"X-Cache": {"HIT", text}}, ""),
			"busy":         ssmresumetest.Fail(503, "ServiceUnavailable", text),
			"2xx":          ssmresumetest.Raw(200, http.Header{"X-Amzn-Errortype": {text}}, "{}"),
		} {
			srv := ssmresumetest.NewServer()
			srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return resp })
			_, err := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) {
				o.Credentials = credentials("id", "secret", longToken)
				o.Retryer = noBackoff()
				o.Logger = slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
			}).ResumeSession(t.Context(), input)
			if err == nil {
				t.Errorf("%s, %s: no error", place, form)
			} else if s := tellsAnywhere(err); s != "" {
				t.Errorf("%s, %s: %s", place, form, s)
			}
			srv.Close()
		}
	}
	if tells(logged.String()) || !strings.Contains(logged.String(), "redacted") {
		t.Errorf("log:\n%s", logged.String())
	}
}

// TestEscapedTokenIsMasked: to the last character, however many are escaped.
func TestEscapedTokenIsMasked(t *testing.T) {
	const dense = "a+b/c+d/e+f/g+h/i+j/k+l/m+n/o=p="
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	client := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) { o.Credentials = credentials("id", "secret", dense) })
	for form, text := range map[string]string{
		"verbatim":        dense,
		"for a query":     url.QueryEscape(dense),
		"in lower case":   strings.ToLower(url.QueryEscape(dense)),
		"HTML, decimal":   strings.NewReplacer("+", "&#43;", "/", "&#47;", "=", "&#61;").Replace(dense),
		"HTML, hex":       strings.NewReplacer("+", "&#x2b;", "/", "&#x2F;", "=", "&#x3D;").Replace(dense),
		"HTML, names":     strings.NewReplacer("+", "&plus;", "/", "&sol;", "=", "&equals;").Replace(dense),
		"JSON":            strings.NewReplacer("+", `\u002b`, "/", `\/`, "=", `\u003D`).Replace(dense),
		"Go":              strings.NewReplacer("+", `\x2b`, "/", `\x2F`).Replace(dense),
		"wrapped":         strings.ReplaceAll(dense, "/", "/\r\n\t "),
		"wrapped, quoted": strings.ReplaceAll(dense, "/", `/\r\n`),
	} {
		srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
			return ssmresumetest.Fail(400, "InvalidSignatureException", "<"+text+"& 50% of &what; \\")
		})
		_, err := client.ResumeSession(t.Context(), input)
		var refused *ssmresume.SignatureError
		if want := "<[redacted]& 50% of &what; \\"; !errors.As(err, &refused) || refused.Message != want {
			t.Errorf("%s: %v, want the message %s", form, err, want)
		}
	}
}

// TestTokenIsMaskedOnTheWire: what is no answer may repeat the token too.
func TestTokenIsMaskedOnTheWire(t *testing.T) {
	for name, answer := range map[string]string{
		"reason phrase": "HTTP/1.1 403 " + longToken + "\x1b[31m\r\nContent-Length: 0\r\n\r\n",
		"no HTTP":       longToken + "\r\n\r\n",
		"broken header": "HTTP/1.1 200 OK\r\n" + longToken + "\r\n\r\n",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			io.WriteString(conn, answer)
		}))
		_, err := ssmresume.New(ssmresume.Options{
			Region: "us-east-2", BaseEndpoint: &srv.URL, Credentials: credentials("id", "secret", longToken), Retryer: aws.NopRetryer{},
		}).ResumeSession(t.Context(), input)
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if s := tellsAnywhere(err); s != "" {
			t.Errorf("%s: %s", name, s)
		}
		var re *awshttp.ResponseError
		if errors.As(err, &re) && strings.Contains(re.Response.Status, "\x1b") {
			t.Errorf("%s: status %q", name, re.Response.Status)
		}
		srv.Close()
	}
}

// TestProvidersText is others' text too.
func TestProvidersText(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
		return ssmresumetest.Fail(400, "ExpiredTokenException", "")
	})
	said := errors.New("STS: \x1b[31mred\u202e, asked with " + longToken + strings.Repeat("x", 1<<20))
	asked := 0
	client := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			if asked++; asked > 1 {
				return aws.Credentials{}, said
			}
			return aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret", SessionToken: longToken}, nil
		})
	})
	_, err := client.ResumeSession(t.Context(), input)
	if s := tellsAnywhere(err); err == nil || s != "" {
		t.Errorf("%v tells %.100s", err, s)
	}
	said = errors.New("STS: \x1b[31mred\u202e" + strings.Repeat("x", 1<<20))
	_, second := client.ResumeSession(t.Context(), input)
	for _, err := range []error{err, second} {
		if text := err.Error(); strings.ContainsAny(text, "\x1b\u202e") || !strings.Contains(text, `\x1b[31mred`) || len(text) > 3<<10 {
			t.Errorf("%d bytes: %.300q", len(text), text)
		}
	}
	if !errors.Is(second, said) {
		t.Error("the provider's own error is lost")
	}
}

// TestTextIsBounded: what others say is kept in parts of 1 KiB.
func TestTextIsBounded(t *testing.T) {
	long := strings.Repeat("é", 20<<10)
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	client := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) { o.Retryer = aws.NopRetryer{} })
	for name, resp := range map[string]*ssmresumetest.Response{
		"code":       ssmresumetest.Raw(400, http.Header{"X-Amzn-Errortype": {long}}, ""),
		"type":       ssmresumetest.Fail(400, long, ""),
		"message":    ssmresumetest.Fail(400, "DoesNotExistException", long),
		"request ID": ssmresumetest.Raw(400, http.Header{"X-Amzn-Requestid": {long}}, ""),
		"header":     ssmresumetest.Raw(400, http.Header{"X-Other": {long}}, ""),
	} {
		srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return resp })
		_, err := client.ResumeSession(t.Context(), input)
		var re *awshttp.ResponseError
		var apiErr smithy.APIError
		if !errors.As(err, &re) || !errors.As(err, &apiErr) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, s := range []string{apiErr.ErrorCode(), apiErr.ErrorMessage(), re.RequestID, re.Response.Header.Get("X-Other"), re.Response.Header.Get("X-Amzn-Errortype")} {
			if len(s) > 1<<10 || strings.ContainsRune(s, '\ufffd') {
				t.Errorf("%s: %d bytes, %.20q ... %q", name, len(s), s, s[len(s)-10:])
			}
		}
		if n := len(err.Error()); n > 3<<10 {
			t.Errorf("%s: an error of %d bytes", name, n)
		}
	}
}

// TestHeaderIsBounded: at most 1 MiB of it is read.
func TestHeaderIsBounded(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	client := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) { o.Retryer = noBackoff() })
	for size, ok := range map[int]bool{900 << 10: true, 2 << 20: false} {
		resp := ssmresumetest.Raw(400, http.Header{"X-Amzn-Errortype": {"DoesNotExistException"}, "X-Other": {strings.Repeat("x", size)}}, "")
		srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return resp })
		if _, err := client.ResumeSession(t.Context(), input); err == nil || errors.Is(err, ssmresume.ErrSessionGone) != ok {
			t.Errorf("%d bytes: %v", size, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.OnWait = func(ssmresume.Wait) { cancel() }
		}).Resume(ctx)
		if errors.Is(err, ssmresume.ErrSessionGone) != ok {
			t.Errorf("%d bytes: Resume: %v", size, err)
		}
		cancel()
	}
}
