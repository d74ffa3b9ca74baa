package ssmresume_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// TestNoTokenNoWord: only the service's own answer of success, about this session,
// without any error, says by a missing token that the session has ended. What names
// an error is that error, and all else waits.
func TestNoTokenNoWord(t *testing.T) {
	h := func(kv ...string) http.Header {
		header := http.Header{}
		for i := 0; i < len(kv); i += 2 {
			header[kv[i]] = nil
			if kv[i+1] != "" {
				header[kv[i]] = []string{kv[i+1]}
			}
		}
		return header
	}
	for name, tc := range map[string]struct {
		status int
		header http.Header
		body   string
		want   string // gone, a code, or "" for no word
	}{
		"empty object":         {200, nil, `{}`, "gone"},
		"this session":         {200, nil, `{"SessionId":"` + sessionID + `","StreamUrl":null,"TokenValue":null}`, "gone"},
		"a field unknown here": {200, nil, `{"ErrorCount":0}`, "gone"},
		"json 1.0":             {200, h("Content-Type", "application/x-amz-json-1.0"), `{}`, "gone"},
		"named in the body":    {200, nil, `{"__type":"ThrottlingException"}`, "ThrottlingException"},
		"named by code":        {200, nil, `{"code":"ThrottlingException","message":"m"}`, "ThrottlingException"},
		"named in the header":  {200, h("X-Amzn-Errortype", "ThrottlingException:"), `{}`, "ThrottlingException"},
		"named with 202":       {202, nil, `{"__type":"ThrottlingException"}`, "ThrottlingException"},
		"nested":               {200, nil, `{"Output":{"__type":"ThrottlingException"},"Version":"1.0"}`, ""},
		"a proxy's error":      {200, nil, `{"error":"login required"}`, ""},
		"a gateway's message":  {200, nil, `{"message":"Forbidden"}`, ""},
		"another session":      {200, nil, `{"SessionId":"other"}`, ""},
		"text/html":            {200, h("Content-Type", "text/html"), `{}`, ""},
		"application/json":     {200, h("Content-Type", "application/json"), `{}`, ""},
		"no type":              {200, h("Content-Type", ""), `{}`, ""},
		"no request ID":        {200, h("X-Amzn-Requestid", ""), `{}`, ""},
		"another's request ID": {200, h("X-Amzn-Requestid", "", "X-Amz-Request-Id", "id"), `{}`, ""},
		"the other request ID": {200, h("X-Amzn-Requestid", "", "X-Amz-Requestid", "id"), `{}`, "gone"},
		"created":              {201, nil, `{}`, ""},
		"accepted":             {202, nil, `{}`, ""},
		"not authoritative":    {203, nil, `{}`, ""},
		"partial":              {206, nil, `{}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, client, _ := outage(t)
				resp := ssmresumetest.Raw(tc.status, tc.header, tc.body)
				srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return resp })
				_, err := client.ResumeSession(t.Context(), input, func(o *ssmresume.Options) { o.Retryer = aws.NopRetryer{} })
				var apiErr smithy.APIError
				var wire *smithy.DeserializationError
				switch {
				case errors.Is(err, ssmresume.ErrSessionGone) != (tc.want == "gone"),
					errors.As(err, &wire) != (tc.want == ""),
					tc.want != "" && tc.want != "gone" && (!errors.As(err, &apiErr) || apiErr.ErrorCode() != tc.want):
					t.Errorf("%v, want %q", err, tc.want)
				}
				srv.SetRespond(first(1, resp))
				_, err = ssmresume.NewReconnector(client, sessionID).Resume(t.Context())
				if errors.Is(err, ssmresume.ErrSessionGone) != (tc.want == "gone") || tc.want != "gone" && err != nil {
					t.Errorf("Resume: %v, want %q", err, tc.want)
				}
			})
		})
	}
}

// TestTokenBesideError: who sends a token has resumed the session.
func TestTokenBesideError(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
		return ssmresumetest.Raw(200, http.Header{"X-Amzn-Errortype": {"ThrottlingException"}}, `{"TokenValue":"t","__type":"ThrottlingException"}`)
	})
	if _, err := ssmresume.NewFromConfig(srv.Config()).ResumeSession(t.Context(), input); err != nil {
		t.Error(err)
	}
}

// TestGzip: a packed answer is read, and no more than 64 KiB of it, packed or not.
func TestGzip(t *testing.T) {
	pack := func(s string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		io.WriteString(z, s)
		z.Close()
		return b.Bytes()
	}
	var write func(w io.Writer) error
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("Accept-Encoding: %q", r.Header["Accept-Encoding"])
		}
		w.Header().Set("Content-Encoding", "gzip")
		_ = write(w)
	}))
	defer srv.Close()
	client := ssmresume.New(ssmresume.Options{
		Region: "us-east-2", BaseEndpoint: &srv.URL, Credentials: credentials("id", "secret", ""), Retryer: aws.NopRetryer{},
	})
	write = func(w io.Writer) error { _, err := w.Write(pack(`{"TokenValue":"t"}`)); return err }
	if out, err := client.ResumeSession(t.Context(), input); err != nil || out.TokenValue.Reveal() != "t" {
		t.Errorf("%v, %v", out, err)
	}
	for name, part := range map[string][]byte{"to nothing": pack(""), "to much": pack(strings.Repeat("x", 1<<20))} {
		var written atomic.Int64
		write = func(w io.Writer) error {
			for {
				n, err := w.Write(part)
				if written.Add(int64(n)) > 64<<20 || err != nil {
					return err
				}
			}
		}
		begin := time.Now()
		_, err := client.ResumeSession(t.Context(), input)
		if n := written.Load(); err == nil || n > 32<<20 || time.Since(begin) > 5*time.Second {
			t.Errorf("%s: %v after %v and %d bytes", name, err, time.Since(begin), n)
		}
	}
}
