package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
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

// TestMFA: a profile with an MFA device makes it ask.
func TestMFA(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.SetCredentials(aws.Credentials{AccessKeyID: "ASIAROLE", SecretAccessKey: "x", SessionToken: "token"})
	codes := make(chan string, 1)
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		codes <- r.PostFormValue("TokenCode")
		io.WriteString(w, "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>x</SecretAccessKey>"+
			"<SessionToken>token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>")
	}))
	defer sts.Close()
	config := filepath.Join(t.TempDir(), "config")
	err := os.WriteFile(config, []byte("[profile role]\nrole_arn = arn:aws:iam::123456789012:role/r\nmfa_serial = arn:aws:iam::123456789012:mfa/mary\nsource_profile = base\n"+
		"[profile base]\naws_access_key_id = AKIABASE\naws_secret_access_key = x\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", "ana-0a1b")
	inherited := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "AWS_") })
	cmd.Env = append(inherited, "AWS_ENDPOINT_URL_SSM="+srv.URL(), "AWS_ENDPOINT_URL_STS="+sts.URL, "AWS_REGION="+ssmresumetest.Region,
		"AWS_PROFILE=role", "AWS_CONFIG_FILE="+config, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)
	cmd.Stdin = strings.NewReader("123456\n")
	got, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(got), "Assume Role MFA token code: ana-0a1b [redacted]") {
		t.Fatalf("%v\n%s", err, got)
	}
	if code := <-codes; code != "123456" {
		t.Errorf("STS was sent the code %q", code)
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
