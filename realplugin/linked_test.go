package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

const (
	linked        = "testdata/linked" // on AWS's packages
	linkedAdapted = "../examples/session-manager-plugin/src/testdata/linked"

	awsPackages = "github.com/aws/session-manager-plugin/"
	ourPackages = "github.com/ssmresume/ssmresume/examples/session-manager-plugin/"
)

// TestImports: from AWS's packages to the adapter nothing changes but imports.
func TestImports(t *testing.T) {
	before, err := os.ReadFile(filepath.Join(linked, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(linkedAdapted, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	if got := bytes.ReplaceAll(before, []byte(awsPackages), []byte(ourPackages)); !bytes.Equal(got, after) {
		t.Errorf("%s, with other imports, is not %s", linked, linkedAdapted)
	}
}

// TestLinked runs a program that links AWS's packages, and the same with the
// adapter's in their place.
func TestLinked(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("AWS's plugin is not built there")
	}
	for name, module := range map[string]string{linked: ".", linkedAdapted: "../examples"} {
		t.Run(name, func(t *testing.T) {
			pkg, err := filepath.Rel(module, name)
			if err != nil {
				t.Fatal(err)
			}
			program, err := build(t.Context(), t.TempDir(), module, "./"+pkg)
			if err != nil {
				t.Fatal(err)
			}
			runLinked(t, program)
		})
	}
}

func runLinked(t *testing.T, program string) {
	srv := datachanneltest.NewServer()
	defer srv.Close()
	srv.SetStart(func(datachanneltest.StartRequest) (datachanneltest.Options, error) {
		return datachanneltest.Options{SessionID: "ana-0a1b", Program: parrot}, nil
	})
	keys, err := srv.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "i-0123456789abcdef0")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TERM=xterm",
		"AWS_ENDPOINT_URL_SSM=" + srv.URL(), "AWS_REGION=" + ssmresumetest.Region,
		"AWS_ACCESS_KEY_ID=" + keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + keys.SecretAccessKey,
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	var shown strings.Builder
	shows := func(text string) {
		t.Helper()
		for b := make([]byte, 1); !strings.HasSuffix(shown.String(), text); {
			if _, err := out.Read(b); err != nil {
				t.Fatalf("%v, and no %q in:\n%s", err, text, &shown)
			}
			shown.Write(b)
		}
	}
	shows("Starting session with SessionId: ana-0a1b")
	shows("$ ")
	io.WriteString(in, "one\n")
	shows("you said one")
	srv.Session("ana-0a1b").CloseChannel(1000, "Bye")
	for srv.Session("ana-0a1b").Stats().Opened < 2 && ctx.Err() == nil { // a key before that ends AWS's
		time.Sleep(10 * time.Millisecond)
	}
	io.WriteString(in, "two\n")
	shows("you said two")
	io.WriteString(in, "exit\n")
	shows("Exiting session with sessionId: ana-0a1b.")
	io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v:\n%s", err, &shown)
	}
}

// parrot repeats each line, until "exit".
func parrot(_ context.Context, t *datachanneltest.Terminal) int {
	fmt.Fprint(t.Stdout, "$ ")
	var line strings.Builder
	for b := make([]byte, 1); ; {
		if _, err := t.Stdin.Read(b); err != nil {
			return 0
		}
		if b[0] != '\r' && b[0] != '\n' {
			line.Write(b)
			continue
		}
		if line.String() == "exit" {
			return 0
		}
		fmt.Fprintf(t.Stdout, "you said %s\r\n$ ", &line)
		line.Reset()
	}
}
