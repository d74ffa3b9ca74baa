package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/gorilla/websocket"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// asProgram makes the test binary the program.
const asProgram = "FIRST_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

const clientID = "74d66468-126a-5db3-b534-99287bbca9e0"

const target = "i-02573cafcfEXAMPLE"

// newServer returns a service on which a session can be started that prints a
// prompt. Its keys have a session token to sign, and to leak.
func newServer(t *testing.T) *datachanneltest.Server {
	t.Helper()
	srv := datachanneltest.NewServer()
	t.Cleanup(srv.Close)
	srv.SetCredentials(aws.Credentials{AccessKeyID: "ASIAIOSFODNN7EXAMPLE", SecretAccessKey: "secret", SessionToken: "a/b+c=="})
	srv.SetStart(func(r datachanneltest.StartRequest) (datachanneltest.Options, error) {
		if r.Target != target {
			return datachanneltest.Options{}, fmt.Errorf("%s is not connected.", r.Target) //nolint:staticcheck // the service's words
		}
		return datachanneltest.Options{SessionID: "ana-0a1b", Program: func(ctx context.Context, t *datachanneltest.Terminal) int {
			fmt.Fprint(t.Stdout, "$ ")
			<-ctx.Done()
			return 0
		}}, nil
	})
	return srv
}

// A running program is read line by line.
type running struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	all   strings.Builder
}

func start(t *testing.T, srv *datachanneltest.Server) *running {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], target)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "AWS_") })
	cmd.Env = append(cmd.Env, asProgram+"=1", "AWS_ENDPOINT_URL_SSM="+srv.URL(), "AWS_REGION="+ssmresumetest.Region,
		"AWS_ACCESS_KEY_ID=ASIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=secret", "AWS_SESSION_TOKEN=a/b+c==",
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &running{t: t, cmd: cmd, lines: bufio.NewScanner(out)}
}

// waitFor reads until a line has text.
func (r *running) waitFor(text string) {
	r.t.Helper()
	for r.lines.Scan() {
		fmt.Fprintln(&r.all, r.lines.Text())
		if strings.Contains(r.lines.Text(), text) {
			return
		}
	}
	r.t.Fatalf("no %q in:\n%s", text, &r.all)
}

// end reads the rest, and checks that the program failed and printed no secret.
func (r *running) end(secrets ...string) {
	r.t.Helper()
	for r.lines.Scan() {
		fmt.Fprintln(&r.all, r.lines.Text())
	}
	if err := r.cmd.Wait(); r.cmd.ProcessState.ExitCode() != 1 {
		r.t.Errorf("%v:\n%s", err, &r.all)
	}
	for _, secret := range append(secrets, "a/b+c==", "cell-number") {
		if strings.Contains(r.all.String(), secret) {
			r.t.Errorf("%q is printed:\n%s", secret, &r.all)
		}
	}
}

// calls returns how often ResumeSession was called.
func calls(srv *datachanneltest.Server) (n int) {
	for _, r := range srv.Requests() {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".ResumeSession") {
			n++
		}
	}
	return n
}

func TestFirst(t *testing.T) {
	srv := newServer(t)
	p := start(t, srv)
	p.waitFor("open: ana-0a1b")
	p.waitFor("a message of ")
	if n := calls(srv); n != 0 {
		t.Errorf("%d calls of ResumeSession for a session that was just started", n)
	}
	srv.SetNetwork(ssmresumetest.Refused)
	p.waitFor("lost: ")
	p.waitFor("waiting ") // since it was lost so soon
	p.waitFor("connection refused")
	srv.SetNetwork(ssmresumetest.Up)
	p.waitFor("open: ana-0a1b")
	p.waitFor("a message of ") // the agent's, which nobody acknowledges

	token := srv.LastToken("ana-0a1b")
	session := srv.Session("ana-0a1b")
	session.Terminate("")
	session.Cut()
	p.waitFor("DoesNotExistException")
	p.end(token)
}

// TestRefused: a channel that IAM refuses is left at once.
func TestRefused(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		srv := newServer(t)
		srv.SetRespond(func(r ssmresumetest.Request) *ssmresumetest.Response {
			if strings.HasPrefix(r.Path, "/v1/data-channel/") {
				return ssmresumetest.Raw(status, nil, "")
			}
			return nil
		})
		p := start(t, srv)
		p.waitFor(fmt.Sprintf("the credentials need ssmmessages:OpenDataChannel: %d", status))
		p.end()
		if n := calls(srv); n != 0 {
			t.Errorf("%d: %d calls of ResumeSession", status, n)
		}
	}
}

// TestSilentDeath: nothing but a ping notices it.
func TestSilentDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := datachanneltest.NewPipeServer()
		defer srv.Close()
		first, _ := srv.Start(datachanneltest.Options{})
		conn, err := dial(t.Context(), ssmresume.NewFromConfig(srv.Config()), first, clientID)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(10*pingInterval, func() { srv.SetNetwork(ssmresumetest.Silent) })
		start := time.Now()
		err = serve(t.Context(), conn)
		if took := time.Since(start); err == nil || took < 10*pingInterval || took > 12*pingInterval {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// TestDialErrorHasNoQuery, which is not for logs.
func TestDialErrorHasNoQuery(t *testing.T) {
	srv := newServer(t)
	first, _ := srv.Start(datachanneltest.Options{})
	srv.SetNetwork(ssmresumetest.Refused)
	_, err := dial(t.Context(), ssmresume.NewFromConfig(srv.Config()), first, clientID)
	if err == nil || strings.Contains(err.Error(), "cell-number") {
		t.Error(err)
	}
}

// TestGorilla: the header is for every WebSocket package.
func TestGorilla(t *testing.T) {
	srv := newServer(t)
	first, _ := srv.Start(datachanneltest.Options{})
	header, err := ssmresume.NewFromConfig(srv.Config()).HandshakeHeader(t.Context(), first.StreamURL)
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range []http.Header{header, nil} {
		conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), first.StreamURL.DialURL(), header)
		if err == nil {
			conn.Close()
		} else if resp == nil {
			t.Fatal(err)
		}
		if (resp.StatusCode == http.StatusSwitchingProtocols) != (header != nil) {
			t.Errorf("with the header %v: %s", header, resp.Status)
		}
	}
}

// TestDocs: what the package comment of ssmresume quotes stands in this program.
func TestDocs(t *testing.T) {
	code := read(t, "main.go")
	_, quote, _ := strings.Cut(read(t, "../../doc.go"), "examples/first does it:\n//\n")
	quote, _, _ = strings.Cut(quote, "\n//\n//")
	rest, lines := code, 0
	for line := range strings.Lines(quote + "\n") {
		line = strings.TrimPrefix(line, "//")
		if line == "\t...\n" {
			continue
		}
		_, after, ok := strings.Cut(rest, line)
		if !ok {
			t.Fatalf("main.go does not hold, after the lines before it:\n%s", line)
		}
		rest, lines = after, lines+1
	}
	if lines < 5 {
		t.Errorf("only %d lines quoted", lines)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
