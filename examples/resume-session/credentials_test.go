package main

import (
	"bytes"
	"context"
	"crypto/sha1" // names the files of the cache
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// newSTS is an STS that assumes roles for the code 123456.
func newSTS(t *testing.T) (endpoint string, asked func() []url.Values) {
	var mu sync.Mutex
	var forms []url.Values
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		mu.Lock()
		defer mu.Unlock()
		forms = append(forms, r.PostForm)
		if r.PostForm.Get("TokenCode") != "123456" {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>MultiFactorAuthentication failed with invalid MFA one time pass code.</Message></Error></ErrorResponse>")
			return
		}
		io.WriteString(w, "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>x</SecretAccessKey>"+
			"<SessionToken>token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>")
	}))
	t.Cleanup(srv.Close)
	return srv.URL, func() []url.Values {
		mu.Lock()
		defer mu.Unlock()
		return forms
	}
}

const mfaConfig = `[profile role]
role_arn = arn:aws:iam::123456789012:role/r
mfa_serial = arn:aws:iam::123456789012:mfa/mary
source_profile = base
region = us-east-2
[profile base]
aws_access_key_id = AKIABASE
aws_secret_access_key = x
`

// TestMFA: the code is asked for once, on standard error.
func TestMFA(t *testing.T) {
	const prompt = "Enter MFA code for arn:aws:iam::123456789012:mfa/mary: "
	for code, want := range map[string]struct {
		status         int
		stdout, stderr string
		asked          int
	}{
		"123456\n": {0, "t\n", prompt, 1},
		"123456":   {0, "t\n", prompt, 1},
		"654321\n": {255, "", prompt + "\nAn error occurred (AccessDenied) when calling the AssumeRole operation: MultiFactorAuthentication failed with invalid MFA one time pass code.\n", 1},
		"\n":       {255, "", prompt + "\n", 0},
		"":         {255, "", prompt + "\n", 0},
	} {
		isolate(t, map[string]string{"AWS_CONFIG_FILE": "config", "AWS_MAX_ATTEMPTS": "1"})
		writeFile(t, "config", mfaConfig)
		sts, asked := newSTS(t)
		t.Setenv("AWS_ENDPOINT_URL_STS", sts)
		srv := newServer(t, &response{Status: 200, Body: `{"TokenValue":"t"}`})
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), []string{"--session-id", mary, "--endpoint-url", srv.URL, "--profile", "role", "--output", "text"}, strings.NewReader(code), &stdout, &stderr)
		forms := asked()
		if status != want.status || stdout.String() != want.stdout || !strings.HasPrefix(stderr.String(), want.stderr) || len(forms) != want.asked {
			t.Errorf("%q: exit status %d, standard output %q, standard error\n%s\nSTS was asked %d times", code, status, &stdout, &stderr, len(forms))
		}
		for _, form := range forms {
			if form.Get("TokenCode") != strings.TrimSpace(code) || form.Get("SerialNumber") != "arn:aws:iam::123456789012:mfa/mary" {
				t.Errorf("STS was asked with %v", form)
			}
		}
		for _, r := range srv.requests() {
			if r.accessKey != "ASIAROLE" {
				t.Errorf("signed with %s", r.accessKey)
			}
		}
	}
}

// TestInterruptAtPrompt: Ctrl-C ends the program while it waits for a code.
func TestInterruptAtPrompt(t *testing.T) {
	isolate(t, map[string]string{"AWS_CONFIG_FILE": "config"})
	writeFile(t, "config", mfaConfig)
	stdin, typed := io.Pipe()
	defer typed.Close()
	ctx, cancel := context.WithCancel(t.Context())
	stderr := writerFunc(func(b []byte) (int, error) {
		if strings.HasPrefix(string(b), "Enter MFA code") {
			cancel()
		}
		return len(b), nil
	})
	if status := run(ctx, []string{"--session-id", mary, "--profile", "role"}, stdin, io.Discard, stderr); status != 130 {
		t.Errorf("exit status %d", status)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestLoginIsOver: the command that the user has to type is named, with the
// profile that has the login.
func TestLoginIsOver(t *testing.T) {
	const config = `[profile dev]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = r
region = us-east-2
[profile old]
sso_start_url = https://corp.example/start
sso_region = us-east-2
sso_account_id = 123456789012
sso_role_name = r
region = us-east-2
[profile console]
login_session = arn:aws:iam::123456789012:user/mary
region = us-east-2
[profile role]
role_arn = arn:aws:iam::123456789012:role/r
source_profile = dev
region = us-east-2
[sso-session corp]
sso_start_url = https://corp.example/start
sso_region = us-east-2
`
	const expired = `{"startUrl":"https://corp.example/start","region":"us-east-2","accessToken":"secret-access-token","expiresAt":"2020-01-01T00:00:00Z"}`
	current := strings.Replace(expired, "2020", "2099", 1)
	const dev = "run: aws sso login --profile dev\n"
	for name, test := range map[string]struct {
		profile, cached, portal, want string // portal is the code that the service answers; "away" means that nobody does
	}{
		"never logged in":         {profile: "dev", want: dev},
		"expired":                 {profile: "dev", cached: expired, want: dev},
		"of before sso-session":   {profile: "old", cached: expired, want: "run: aws sso login --profile old\n"},
		"another profile's login": {profile: "role", cached: expired, want: dev},
		"revoked":                 {profile: "dev", cached: current, portal: "UnauthorizedException", want: dev},
		"no access":               {profile: "dev", cached: current, portal: "ForbiddenException", want: "\nAn error occurred (ForbiddenException) when calling the GetRoleCredentials operation: no\n"},
		"no network":              {profile: "dev", cached: current, portal: "away", want: "\nCould not connect to the endpoint URL: "},
		"aws login":               {profile: "console", want: "run: aws login --profile console\n"},
	} {
		t.Run(name, func(t *testing.T) {
			isolate(t, map[string]string{"AWS_CONFIG_FILE": "config", "AWS_PROFILE": test.profile, "AWS_MAX_ATTEMPTS": "1"})
			writeFile(t, "config", config)
			if test.cached != "" {
				cache := filepath.Join(".aws", "sso", "cache")
				if err := os.MkdirAll(cache, 0o700); err != nil {
					t.Fatal(err)
				}
				for _, key := range []string{"corp", "https://corp.example/start"} {
					writeFile(t, filepath.Join(cache, fmt.Sprintf("%x.json", sha1.Sum([]byte(key)))), test.cached)
				}
			}
			portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusUnauthorized)
				io.WriteString(w, `{"__type":"`+test.portal+`","message":"no"}`)
			}))
			t.Cleanup(portal.Close)
			t.Setenv("AWS_ENDPOINT_URL_SSO", portal.URL)
			if test.portal == "away" {
				portal.Close()
			}
			srv := newServer(t, &response{Status: 200, Body: `{"TokenValue":"t"}`})
			status, stdout, stderr := runCommand(t, []string{"--session-id", mary, "--endpoint-url", srv.URL})
			if status != 255 || stdout != "" || !strings.Contains(stderr, test.want) || strings.Contains(stderr, "secret-access-token") || strings.Contains(stderr, "log in again") != strings.HasPrefix(test.want, "run: ") || len(srv.requests()) > 0 {
				t.Errorf("exit status %d, standard output %q, standard error\n%s", status, stdout, stderr)
			}
		})
	}
}

// TestReload: keys that another program renews in the file are read again.
func TestReload(t *testing.T) {
	keys := func(id string) string {
		return "[default]\naws_access_key_id = " + id + "\naws_secret_access_key = x\naws_session_token = y\n"
	}
	isolate(t, map[string]string{"AWS_SHARED_CREDENTIALS_FILE": "credentials", "AWS_MAX_ATTEMPTS": "1"})
	writeFile(t, "credentials", keys("ASIAOLD"))
	var used []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		used = append(used, newRequest(r, nil).accessKey)
		if len(used) == 1 {
			writeFile(t, "credentials", keys("ASIANEW"))
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}`)
			return
		}
		io.WriteString(w, `{"TokenValue":"t"}`)
	}))
	t.Cleanup(srv.Close)
	status, stdout, stderr := runCommand(t, []string{"--session-id", mary, "--endpoint-url", srv.URL, "--region", "us-east-2", "--output", "text"})
	if status != 0 || stdout != "t\n" || strings.Join(used, " ") != "ASIAOLD ASIANEW" {
		t.Errorf("exit status %d, standard output %q, keys %v, standard error\n%s", status, stdout, used, stderr)
	}
}
