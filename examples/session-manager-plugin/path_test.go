//go:build !windows

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// runPlugin is what programs do that start sessions: docs/adopt.md quotes it. It
// knows nothing of this plugin, which PATH finds.
func runPlugin(ctx context.Context, cfg aws.Config, target, profile, endpoint string, in io.Reader, out io.Writer) error {
	request := &ssm.StartSessionInput{Target: &target}
	started, err := ssm.NewFromConfig(cfg).StartSession(ctx, request)
	if err != nil {
		return err
	}
	response, err := json.Marshal(started)
	if err != nil {
		return err
	}
	parameters, err := json.Marshal(map[string]string{"Target": target})
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "session-manager-plugin", "AWS_SSM_START_SESSION_RESPONSE", cfg.Region, "StartSession", profile, string(parameters), endpoint)
	cmd.Env = append(os.Environ(), "AWS_SSM_START_SESSION_RESPONSE="+string(response))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, os.Stderr
	return cmd.Run()
}

// inPath is an environment in which PATH finds the plugin first, and a session that
// repeats what it gets and is cut once.
func inPath(t *testing.T) *datachanneltest.Server {
	srv := datachanneltest.NewServer()
	t.Cleanup(srv.Close)
	srv.SetStart(func(datachanneltest.StartRequest) (datachanneltest.Options, error) {
		return datachanneltest.Options{SessionID: "ana-0a1b", Program: func(ctx context.Context, t *datachanneltest.Terminal) int {
			io.WriteString(t.Stdout, "$ ")
			b := make([]byte, 1)
			var line []byte
			for !bytes.HasSuffix(line, []byte("exit")) {
				if _, err := t.Stdin.Read(b); err != nil {
					return 1
				}
				if line = append(line, b[0]); bytes.HasSuffix(line, []byte("cut")) {
					srv.Session("ana-0a1b").Cut()
				}
			}
			t.Stdout.Write(line)
			return 0
		}}, nil
	})
	keys, err := srv.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	for name, value := range map[string]string{
		"PATH": filepath.Dir(binary(t)) + string(filepath.ListSeparator) + os.Getenv("PATH"), "HOME": home,
		"AWS_ENDPOINT_URL_SSM": srv.URL(), "AWS_REGION": ssmresumetest.Region, "AWS_DEFAULT_REGION": ssmresumetest.Region,
		"AWS_ACCESS_KEY_ID": keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY": keys.SecretAccessKey, "AWS_SESSION_TOKEN": keys.SessionToken,
		"AWS_CONFIG_FILE": filepath.Join(home, "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(home, "none"), "AWS_PROFILE": "",
	} {
		if value == "" {
			t.Setenv(name, "") // has it put back at the end
			os.Unsetenv(name)
			continue
		}
		t.Setenv(name, value)
	}
	return srv
}

// TestPath: a program that runs the plugin needs no change, its PATH does.
func TestPath(t *testing.T) {
	srv := inPath(t)
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = runPlugin(t.Context(), cfg, "i-0123456789abcdef0", "", srv.URL(), strings.NewReader("cut, and exit"), &out)
	if err != nil || !strings.Contains(out.String(), "cut, and exit") {
		t.Errorf("%v, %q", err, &out)
	}
	if n := srv.Session("ana-0a1b").Stats().Opened; n != 2 {
		t.Errorf("%d channels, want 2", n)
	}
}

// TestPathPython is the same by boto3, which has no plugin of its own either.
func TestPathPython(t *testing.T) {
	if err := exec.CommandContext(t.Context(), "python3", "-c", "import boto3").Run(); err != nil {
		t.Skip("there is no boto3: ", err)
	}
	srv := inPath(t)
	cmd := exec.CommandContext(t.Context(), "python3", "testdata/start.py", "i-0123456789abcdef0")
	cmd.Stdin = strings.NewReader("cut, and exit")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "cut, and exit") {
		t.Errorf("%v, %q", err, out)
	}
	if n := srv.Session("ana-0a1b").Stats().Opened; n != 2 {
		t.Errorf("%d channels, want 2", n)
	}
}

// TestWhichPlugin: by the commands of docs/adopt.md it can be told from AWS's, whose
// words it has.
func TestWhichPlugin(t *testing.T) {
	const command = `go version -m "$(command -v session-manager-plugin)" | grep -w path`
	guide, err := os.ReadFile("../../docs/adopt.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(guide), "\n"+command+"\n") {
		t.Error("docs/adopt.md has another command")
	}
	t.Setenv("PATH", filepath.Dir(binary(t))+string(filepath.ListSeparator)+os.Getenv("PATH"))
	out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "github.com/ssmresume/ssmresume/examples/session-manager-plugin") {
		t.Errorf("%v, %s", err, out)
	}
}
