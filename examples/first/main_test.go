package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// TestFirst runs the program as its user does, but for the endpoint.
func TestFirst(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	creds, err := srv.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", "ana-0a1b")
	inherited := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "AWS_") })
	cmd.Env = append(inherited, "AWS_ENDPOINT_URL_SSM="+srv.URL(), "AWS_REGION="+ssmresumetest.Region,
		"AWS_ACCESS_KEY_ID="+creds.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+creds.SecretAccessKey,
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)
	got, err := cmd.CombinedOutput()
	want := "ana-0a1b [redacted] ws" + strings.TrimPrefix(srv.URL(), "http") + "/v1/data-channel/ana-0a1b?[redacted]\n"
	if err != nil || string(got) != want {
		t.Errorf("%v\n got %s\nwant %s", err, got, want)
	}
}

// TestREADME: the first program of the README is this one.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(program), "\n") // without the comment
	if !strings.Contains(string(readme), "```go\n"+code+"```\n") {
		t.Errorf("README.md does not hold this program:\n%s", code)
	}
}
