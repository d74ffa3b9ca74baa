package ssmresumetest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

func TestSetOperation(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.SetOperation("ResumeSession", func(r ssmresumetest.Request) *ssmresumetest.Response {
		srv.Requests() // it may call the server
		return ssmresumetest.Raw(http.StatusOK, nil, `{"TokenValue":"mine","SessionId":"`+r.SessionID+`"}`)
	})
	in := &ssmresume.ResumeSessionInput{SessionID: "ana-0a1b"}
	out, err := ssmresume.NewFromConfig(srv.Config()).ResumeSession(t.Context(), in)
	if err != nil || out.TokenValue.Reveal() != "mine" {
		t.Errorf("%v, %v", out, err)
	}
	cfg := srv.Config()
	srv.ExpireCredentials("AKIAIOSFODNN7EXAMPLE")
	if out, err := ssmresume.NewFromConfig(cfg).ResumeSession(t.Context(), in); err == nil {
		t.Errorf("unverified: %v", out)
	}
}

func TestSetDataChannel(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	get := func() (int, string) {
		t.Helper()
		resp, err := http.Get(srv.URL() + "/v1/data-channel/ana-0a1b?role=publish_subscribe")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	if status, _ := get(); status < 400 {
		t.Errorf("without a data channel: %d", status)
	}
	srv.SetDataChannel(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }))
	if status, body := get(); status != http.StatusOK || body != "/v1/data-channel/ana-0a1b" {
		t.Errorf("%d %s", status, body)
	}
	srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
		return ssmresumetest.Raw(http.StatusForbidden, nil, "")
	})
	if status, _ := get(); status != http.StatusForbidden {
		t.Errorf("refused: %d", status)
	}
}

func TestIssue(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	token, streamURL := srv.Issue("ana-0a1b")
	if out, err := ssmresume.NewOutput("ana-0a1b", token, streamURL); err != nil || srv.LastToken("ana-0a1b") != token {
		t.Errorf("%v, %v", out, err)
	}
	if !strings.HasPrefix(streamURL, "ws"+strings.TrimPrefix(srv.URL(), "http")+"/v1/data-channel/ana-0a1b?") {
		t.Error(streamURL)
	}
	srv.Terminate("ana-0a1b")
	if token, streamURL := srv.Issue("ana-0a1b"); token != "" || streamURL != "" {
		t.Errorf("of a session that is gone: %q, %q", token, streamURL)
	}
}
