package compat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

var (
	lapsed = aws.Credentials{AccessKeyID: "ASIALAPSED", SecretAccessKey: "old", SessionToken: "oldtoken"}
	fresh  = aws.Credentials{AccessKeyID: "ASIAFRESH", SecretAccessKey: "new", SessionToken: "newtoken"}
)

// home is a HOME with nothing in it but the files, and an SSM endpoint that takes
// fresh and calls lapsed expired.
func home(t *testing.T, files map[string]string) (*ssmresumetest.Server, string) {
	dir := t.TempDir()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // has it put back at the end
			os.Unsetenv(name)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	srv := ssmresumetest.NewServer()
	t.Cleanup(srv.Close)
	srv.SetCredentials(fresh, lapsed)
	srv.ExpireCredentials(lapsed.AccessKeyID)
	for name, value := range map[string]string{
		"HOME": dir, "AWS_CONFIG_FILE": dir + "/config", "AWS_SHARED_CREDENTIALS_FILE": dir + "/credentials",
		"AWS_REGION": "us-east-2", "AWS_ENDPOINT_URL_SSM": srv.URL(), "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	return srv, dir
}

// stops returns the error of a Resume that stops in time.
func stops(t *testing.T, client *ssmresume.Client, limit time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	begin := time.Now()
	_, err := ssmresume.NewReconnector(client, sessionID).Resume(ctx)
	if took := time.Since(begin); err == nil || ctx.Err() != nil || took > limit {
		t.Errorf("stopped after %v: %v", took, err)
	}
	return err
}

func load(t *testing.T, optFns ...func(*config.LoadOptions) error) *ssmresume.Client {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(t.Context(), optFns...)
	if err != nil {
		t.Fatal(err)
	}
	return ssmresume.NewFromConfig(cfg)
}

func fileOf(keys aws.Credentials) string {
	return fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n", keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken)
}

// TestFirstRun: the SDK's own providers, with nothing to provide.
func TestFirstRun(t *testing.T) {
	const never = "there are no credentials, and there never were any"
	const sso = "[default]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n[sso-session s]\nsso_region = us-east-2\nsso_start_url = https://example.awsapps.com/start\n"
	for name, tc := range map[string]struct {
		config string
		env    map[string]string
		want   string
	}{
		"nothing":            {"", nil, never},
		"nobody is at IMDS":  {"", map[string]string{"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}, never},
		"SSO, no login":      {sso, nil, never},
		"helper fails":       {"[default]\ncredential_process = false\n", nil, never},
		"static environment": {"", map[string]string{"AWS_ACCESS_KEY_ID": lapsed.AccessKeyID, "AWS_SECRET_ACCESS_KEY": "old", "AWS_SESSION_TOKEN": "oldtoken"}, "source EnvConfigCredentials do not change in this process: start it again"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "helper fails" && runtime.GOOS == "windows" {
				t.Skip("false is no command there")
			}
			home(t, map[string]string{"config": tc.config})
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			limit := 2 * time.Second // a second, and one for a busy machine
			if name == "nobody is at IMDS" {
				limit = 10 * time.Second // the SDK itself tries for 4 s
			}
			if err := stops(t, load(t), limit); err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

// TestFileOfKeys: the SDK reads it once, ReloadCredentials as often as is needed.
func TestFileOfKeys(t *testing.T) {
	srv, dir := home(t, map[string]string{"credentials": fileOf(lapsed)})
	if err := stops(t, load(t), 2*time.Second); err != nil && !strings.Contains(err.Error(), dir+"/credentials do not change in this process: use ReloadCredentials") {
		t.Error(err)
	}

	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Credentials = ssmresume.ReloadCredentials(func(ctx context.Context) (aws.CredentialsProvider, error) {
		cfg, err := config.LoadDefaultConfig(ctx)
		return cfg.Credentials, err
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	rc := ssmresume.NewReconnector(ssmresume.NewFromConfig(cfg), sessionID, func(o *ssmresume.ReconnectorOptions) {
		o.OnWait = func(ssmresume.Wait) {
			if err := os.WriteFile(dir+"/credentials", []byte(fileOf(fresh)), 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	if _, err := rc.Resume(ctx); err != nil {
		t.Error(err)
	}
	if n := len(srv.Requests()); n != 1+2 && n != 1+3 { // refused, and then the reloaded ones, in one attempt or after the old ones
		t.Errorf("%d requests", n)
	}
}

// TestRoleOfTheEnvironment: STS answers as it does for expired base keys, at first
// or once the role's own keys have expired.
func TestRoleOfTheEnvironment(t *testing.T) {
	for name, assumed := range map[string]int32{"at once": 0, "later": 1} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/xml")
				if asked.Add(1) <= assumed {
					fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`, lapsed.AccessKeyID, lapsed.SecretAccessKey, lapsed.SessionToken)
					return
				}
				w.WriteHeader(http.StatusForbidden)
				io.WriteString(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>ExpiredToken</Code><Message>The security token included in the request is expired</Message></Error><RequestId>74d66468-126a-5db3-b534-99287bbca9e0</RequestId></ErrorResponse>`)
			}))
			defer sts.Close()
			home(t, map[string]string{"config": "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/r\ncredential_source = Environment\n"})
			t.Setenv("AWS_ACCESS_KEY_ID", "ASIABASE")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "base")
			t.Setenv("AWS_SESSION_TOKEN", "basetoken")
			t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
			err := stops(t, load(t, config.WithSharedConfigProfile("role")), 2*time.Second)
			if err != nil && !strings.Contains(err.Error(), "the keys that the role is assumed from have expired and do not change in this process") {
				t.Error(err)
			}
			if _, ok := errors.AsType[*ssmresume.CredentialsError](err); ok != (assumed > 0) {
				t.Errorf("what the service said of the keys: %v", err)
			}
		})
	}
}

// TestLoginHelper has credential_process give lapsed keys once and fail from then
// on: it is run a few times, for all sessions together.
func TestLoginHelper(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a shell script")
	}
	_, dir := home(t, map[string]string{"helper": fmt.Sprintf(`#!/bin/sh
echo >>"$0.runs"
[ "$(wc -l <"$0.runs")" -gt 1 ] && exit 1
echo '{"Version":1,"AccessKeyId":%q,"SecretAccessKey":%q,"SessionToken":%q}'
`, lapsed.AccessKeyID, lapsed.SecretAccessKey, lapsed.SessionToken)})
	if err := os.WriteFile(dir+"/config", []byte("[default]\ncredential_process = "+dir+"/helper\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	client := load(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	done := make(chan error)
	for range 20 {
		go func() {
			_, err := ssmresume.NewReconnector(client, sessionID).Resume(ctx)
			done <- err
		}()
	}
	for range 20 {
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
	runs, err := os.ReadFile(dir + "/helper.runs")
	if n := len(runs); err != nil || n < 3 || n > 4 { // the lapsed keys, then after 0 and 1 s
		t.Errorf("run %d times in 4 s for 20 sessions, %v", n, err)
	}
}
