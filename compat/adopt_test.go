package compat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// What docs/adopt.md quotes, and what becomes of it.

var errStartAgain = errors.New("the session has ended: start a new one")

// resumed is what a program makes of an answer.
type resumed struct {
	token, url string
	document   []byte // for session-manager-plugin
}

func before(ctx context.Context, cfg aws.Config, id string) (resumed, error) {
	client := ssm.NewFromConfig(cfg)
	out, err := client.ResumeSession(ctx, &ssm.ResumeSessionInput{SessionId: &id})
	var gone *types.DoesNotExistException
	if errors.As(err, &gone) {
		return resumed{}, errStartAgain
	}
	if err != nil {
		return resumed{}, err
	}
	token, url := *out.TokenValue, *out.StreamUrl
	document, err := json.Marshal(out)
	return resumed{token, url, document}, err
}

func after(ctx context.Context, cfg aws.Config, id string) (resumed, error) {
	client := ssmresume.NewFromConfig(cfg)
	out, err := client.ResumeSession(ctx, &ssmresume.ResumeSessionInput{SessionID: id})
	if errors.Is(err, ssmresume.ErrSessionGone) {
		return resumed{}, errStartAgain
	}
	if err != nil {
		return resumed{}, err
	}
	token, url := out.TokenValue.Reveal(), out.StreamURL.DialURL()
	document, err := out.SecretJSON()
	return resumed{token, url, document}, err
}

// leftover is of a program that has left the SDK's SSM package, but for this.
func leftover(err error) error {
	var gone *types.DoesNotExistException
	if errors.As(err, &gone) { // compiles, and is never true
		return errStartAgain
	}
	return err
}

func codes(err error) error {
	var apiErr smithy.APIError
	if errors.As(err, &apiErr) && apiErr.ErrorCode() == "DoesNotExistException" { // half of it
		return errStartAgain
	}
	return err
}

// endings are the two in which a session may be gone.
var endings = map[string]func(*ssmresumetest.Server){
	"DoesNotExistException": func(srv *ssmresumetest.Server) { srv.Terminate("ana-0a1b") },
	"200 without a token":   func(srv *ssmresumetest.Server) { srv.TimeOut("ana-0a1b") },
}

func newServer(t *testing.T) (*ssmresumetest.Server, aws.Config) {
	srv := ssmresumetest.NewServer()
	t.Cleanup(srv.Close)
	srv.AddSession("ana-0a1b")
	return srv, srv.Config()
}

// TestAdopt: both programs do the same, but where the SDK calls an end a success.
func TestAdopt(t *testing.T) {
	for name, resume := range map[string]func(context.Context, aws.Config, string) (resumed, error){"before": before, "after": after} {
		srv, cfg := newServer(t)
		got, err := resume(t.Context(), cfg, "ana-0a1b")
		if err != nil {
			t.Fatal(name, err)
		}
		var document map[string]any
		if err := json.Unmarshal(got.document, &document); err != nil {
			t.Fatal(name, err)
		}
		delete(document, "ResultMetadata") // the SDK's own
		want := map[string]any{"SessionId": "ana-0a1b", "TokenValue": got.token, "StreamUrl": got.url}
		if diff := cmp.Diff(want, document); diff != "" || got.token != srv.LastToken("ana-0a1b") {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}

	gone := func(resume func(context.Context, aws.Config, string) (resumed, error), end func(*ssmresumetest.Server)) (err error) {
		srv, cfg := newServer(t)
		end(srv)
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v", r)
			}
		}()
		_, err = resume(t.Context(), cfg, "ana-0a1b")
		return err
	}
	for name, end := range endings {
		if err := gone(after, end); err != errStartAgain {
			t.Errorf("after, %s: %v", name, err)
		}
	}
	if err := gone(before, endings["DoesNotExistException"]); err != errStartAgain {
		t.Errorf("before: %v", err)
	}
	if err := gone(before, endings["200 without a token"]); err == nil || !strings.HasPrefix(err.Error(), "panic: ") {
		t.Errorf("before, 200 without a token: %v, want the panic of which docs/adopt.md tells", err)
	}
}

// TestLeftover: the SDK's type compiles, and never matches; the code is half of it.
func TestLeftover(t *testing.T) {
	for name, end := range endings {
		srv, cfg := newServer(t)
		end(srv)
		_, sdkErr := ssm.NewFromConfig(cfg).ResumeSession(t.Context(), &ssm.ResumeSessionInput{SessionId: aws.String("ana-0a1b")})
		_, err := ssmresume.NewFromConfig(cfg).ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: "ana-0a1b"})
		if err == nil {
			t.Fatal(name)
		}
		exists := name == "DoesNotExistException"
		if got := leftover(sdkErr) == errStartAgain; got != exists {
			t.Errorf("%s: the SDK's type matches the SDK's error: %t", name, got)
		}
		if leftover(err) == errStartAgain {
			t.Errorf("%s: the SDK's type matches", name)
		}
		if got := codes(err) == errStartAgain; got != exists {
			t.Errorf("%s: the code matches: %t", name, got)
		}
		if !errors.Is(err, ssmresume.ErrSessionGone) {
			t.Errorf("%s: ErrSessionGone does not match", name)
		}
	}
}

// TestFindLeftovers: the command of docs/adopt.md finds them.
func TestFindLeftovers(t *testing.T) {
	const command = `git grep -nE 'types\.(DoesNotExistException|InternalServerError)\b' -- '*.go'`
	guide, err := os.ReadFile("../docs/adopt.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(guide), "\n"+command+"\n") {
		t.Error("docs/adopt.md has another command")
	}
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	if err := exec.CommandContext(t.Context(), "git", "ls-files", "--error-unmatch", "adopt_test.go").Run(); err != nil {
		t.Skip("not in a clone")
	}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := strings.Count(string(out), "adopt_test.go:"); n < 2 {
		t.Errorf("found %d in this file, want 2 at least:\n%s", n, out)
	}
}
