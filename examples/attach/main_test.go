//go:build !windows

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/examples/internal/ptytest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

const runVariable = "ATTACH_TEST_RUN"

// TestMain is the program itself where a test runs it.
func TestMain(m *testing.M) {
	if os.Getenv(runVariable) != "" {
		main()
	}
	flag.Set("test.parallel", "16") // they wait, mostly
	os.Exit(m.Run())
}

// program returns a command that runs the program, with nothing of the
// environment that it would look at but env.
func program(env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append([]string{
		runVariable + "=1",
		"PATH=" + os.Getenv("PATH"),
		"TERM=xterm-256color",
		"LC_ALL=C.UTF-8",
		"HOME=/nonexistent",
		"AWS_EC2_METADATA_DISABLED=true",
	}, env...)
	return cmd
}

// A service is Session Manager, with a session that somebody has left.
type service struct {
	*datachanneltest.Server
	session *datachanneltest.Session
	env     []string
}

func newService(t *testing.T, o datachanneltest.Options) *service {
	t.Helper()
	s := &service{Server: datachanneltest.NewServer()}
	t.Cleanup(s.Close)
	first, session := s.Start(o)
	s.session = session
	cfg := s.Config()
	keys, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.env = []string{"AWS_REGION=" + cfg.Region, "AWS_ACCESS_KEY_ID=" + keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + keys.SecretAccessKey}
	if keys.SessionToken != "" {
		s.env = append(s.env, "AWS_SESSION_TOKEN="+keys.SessionToken)
	}
	if o.Dial != nil {
		return s
	}
	shell, err := datachannel.Open(t.Context(), ssmresume.NewFromConfig(cfg), first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(shell, make([]byte, len("ready\r\n"))); err != nil {
		t.Fatal(err)
	}
	if _, err := shell.Detach(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *service) attach(t *testing.T, args ...string) *ptytest.Terminal {
	t.Helper()
	args = append([]string{"--endpoint-url", s.URL(), s.session.ID()}, args...)
	return ptytest.Start(t, program(s.env, args...))
}

// counter numbers the lines that it gets, and tells the size when it has changed.
func counter(_ context.Context, t *datachanneltest.Terminal) int {
	fmt.Fprint(t.Stdout, "ready\r\n")
	lines := make(chan string)
	go func() {
		defer close(lines)
		for in := bufio.NewReader(t.Stdin); ; {
			line, err := in.ReadString('\r')
			if err != nil {
				return
			}
			lines <- strings.TrimSuffix(line, "\r")
		}
	}()
	for n := 0; ; {
		select {
		case size := <-t.Resized:
			fmt.Fprintf(t.Stdout, "[%d x %d]\r\n", size.Columns, size.Rows)
		case line, ok := <-lines:
			if !ok || line == "exit" {
				return 0
			}
			n++
			fmt.Fprintf(t.Stdout, "line %d: %s\r\n", n, line)
		}
	}
}

// TestLocal is what a newcomer tries: all in one process, a real shell, no AWS.
func TestLocal(t *testing.T) {
	t.Parallel()
	s := ptytest.Start(t, program([]string{"SHELL=/bin/sh", "PS1=$ "}, "--local"))
	s.WaitFor("Ctrl-] n   cuts the network")
	s.WaitFor("$ ")
	s.Press("echo one-$((20+1))\r")
	s.WaitFor("one-21\r\n")

	s.Press("\x1dn")
	s.WaitFor("network lost, 1 s; the session is kept")
	s.Press("echo two-$((20+2))\r")
	s.WaitFor("s; the session is kept; 19 bytes typed")
	if strings.Contains(s.Text(), "two-") {
		t.Error("the network is not cut")
	}
	s.Press("\x1dn")
	s.WaitFor("two-22\r\n")
	s.Press("\x1dc")
	s.WaitFor("the channel is back after")
	s.Press("echo three-$((20+3))\r")
	s.WaitFor("three-23\r\n")

	s.Press("\x1d?")
	s.WaitFor("n network off/on")
	s.Press("\x1dd")
	s.WaitFor("Left; the shell goes on.")
	s.Press("\r")
	s.Press("echo four-$((20+4)) $((COLUMNS+0))\r")
	s.WaitFor("four-24")
	s.Press("exit\r")
	if status := s.End(); status != 0 {
		t.Errorf("status %d", status)
	}
	for _, once := range []string{"one-21", "two-22", "three-23", "four-24"} {
		if n := strings.Count(s.Text(), once); n != 1 {
			t.Errorf("%s came %d times", once, n)
		}
	}
}

// TestLocalIsQuit ends the shell with the program.
func TestLocalIsQuit(t *testing.T) {
	t.Parallel()
	s := ptytest.Start(t, program([]string{"SHELL=/bin/sh", "PS1=pid-$$ "}, "--local"))
	s.WaitFor("pid-")
	s.Press("\x1dd")
	s.WaitFor("q ends the shell")
	s.Press("q")
	if status := s.End(); status != 0 {
		t.Errorf("status %d", status)
	}
	_, after, _ := strings.Cut(s.Text(), "pid-")
	var pid int
	if _, err := fmt.Sscan(after, &pid); err != nil {
		t.Skipf("this sh does not expand PS1: %v", err)
	}
	for end := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the shell goes on")
		}
	}
}

func TestAttach(t *testing.T) {
	t.Parallel()
	srv := newService(t, datachanneltest.Options{Program: counter})
	s := srv.attach(t)
	s.WaitFor("attaching to " + srv.session.ID())
	s.WaitForTimes("[80 x 24]\r\n", 2) // drawn anew
	s.Press("a\r")
	s.WaitFor("line 1: a\r\n")
	s.Resize(100, 30)
	s.WaitFor("[100 x 30]\r\n")
	s.Press("\x1d\x1d\x03\r")
	s.WaitFor("line 2: \x1d\x03\r\n")
	s.Press("\x1dd")
	if status := s.End(); status != 0 {
		t.Errorf("status %d", status)
	}
	s.WaitFor("attach: left; the session goes on. To come back: attach --endpoint-url " + srv.URL() + " " + srv.session.ID() + "\r\n")

	again := srv.attach(t)
	again.WaitFor("[80 x 24]\r\n")
	again.Press("b\rexit\r")
	again.WaitFor("line 3: b\r\n")
	if status := again.End(); status != 0 {
		t.Errorf("status %d", status)
	}
}

// TestState leaves in an outage, with keys that were not delivered, and then by a
// closed window.
func TestState(t *testing.T) {
	t.Parallel()
	srv := newService(t, datachanneltest.Options{Program: counter})
	file := filepath.Join(t.TempDir(), "state")
	s := srv.attach(t, "--state", file)
	s.WaitFor("[80 x 24]\r\n")
	s.Press("a\r")
	s.WaitFor("line 1: a\r\n")
	srv.SetNetwork(ssmresumetest.Refused)
	s.WaitFor("network lost, 1 s; the session is kept")
	s.Press("b\r")
	s.Press("\x1dd")
	if status := s.End(); status != 0 {
		t.Errorf("status %d", status)
	}
	s.WaitFor("attach: left;")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("the file's mode is %v", info.Mode())
	}

	srv.SetNetwork(ssmresumetest.Up)
	again := ptytest.Start(t, program(srv.env, "--endpoint-url", srv.URL(), "--state", file)) // it knows the ID
	again.WaitFor("line 2: b\r\n")
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the state is used, and there still: %v", err)
	}
	again.Press("c\r")
	again.WaitFor("line 3: c\r\n")
	again.Signal(syscall.SIGHUP)
	if status := again.End(); status != 129 {
		t.Errorf("status %d", status)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("a closed window: %v", err)
	}
	for _, once := range []string{"line 1: a", "line 2: b", "line 3: c"} {
		if n := strings.Count(s.Text()+again.Text(), once); n != 1 {
			t.Errorf("%s came %d times", once, n)
		}
	}
}

// TestStateIsNotKept leaves where no file can be written.
func TestStateIsNotKept(t *testing.T) {
	t.Parallel()
	srv := newService(t, datachanneltest.Options{Program: counter})
	s := srv.attach(t, "--state", filepath.Join(t.TempDir(), "nowhere", "state"))
	s.WaitFor("[80 x 24]\r\n")
	s.Press("\x1dd")
	if status := s.End(); status != 1 {
		t.Errorf("status %d", status)
	}
	s.WaitFor("the session goes on, but the place where it was left is not kept")
}

// TestEnds has every way to end give the terminal back.
func TestEnds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end    func(*service, *ptytest.Terminal)
		status int
		text   string
	}{
		"the shell ends": {func(_ *service, s *ptytest.Terminal) { s.Press("exit\r") }, 0, ""},
		"terminated":     {func(srv *service, _ *ptytest.Terminal) { srv.session.Terminate("Terminated by an administrator.") }, 1, "administrator"},
		"gone meanwhile": {func(srv *service, s *ptytest.Terminal) {
			srv.SetNetwork(ssmresumetest.Refused)
			s.WaitFor("network lost, 1 s; the session is kept")
			srv.TimeOut(srv.session.ID())
			srv.SetNetwork(ssmresumetest.Up)
		}, 1, "Start a new one: aws ssm start-session"},
		"left":             {func(_ *service, s *ptytest.Terminal) { s.Press("\x1dd") }, 0, "attach: left; the session goes on"},
		"SIGTERM":          {func(_ *service, s *ptytest.Terminal) { s.Signal(syscall.SIGTERM) }, 143, "attach: left; the session goes on"},
		"SIGHUP":           {func(_ *service, s *ptytest.Terminal) { s.Signal(syscall.SIGHUP) }, 129, "attach: left; the session goes on"},
		"SIGINT, not keys": {func(_ *service, s *ptytest.Terminal) { s.Signal(syscall.SIGINT) }, 130, "attach: left; the session goes on"},
		"in an outage": {func(srv *service, s *ptytest.Terminal) {
			srv.SetNetwork(ssmresumetest.Refused)
			s.WaitFor("network lost, 1 s; the session is kept")
			s.Press("b\x1dd")
		}, 0, "attach: what was typed in the outage was not delivered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newService(t, datachanneltest.Options{Program: counter})
			s := srv.attach(t)
			s.WaitFor("[80 x 24]\r\n")
			if !s.Raw() {
				t.Error("the terminal is not in raw mode")
			}
			test.end(srv, s)
			if status := s.End(); status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			s.WaitFor(test.text)
		})
	}
}

// TestRefusals looks for the words that tell what to do.
func TestRefusals(t *testing.T) {
	t.Parallel()
	fail := func(srv *service, path string, status int, code string) {
		srv.SetRespond(func(r ssmresumetest.Request) *ssmresumetest.Response {
			if strings.HasPrefix(r.Path, path) {
				return ssmresumetest.Fail(status, code, "User is not authorized")
			}
			return nil
		})
	}
	for name, test := range map[string]struct {
		options datachanneltest.Options
		order   func(*service)
		text    string
	}{
		"gone":          {order: func(srv *service) { srv.Terminate(srv.session.ID()) }, text: "Start a new one: aws ssm start-session"},
		"a port":        {options: datachanneltest.Options{Dial: dialNothing}, text: "start a new session"},
		"IAM":           {order: func(srv *service) { fail(srv, "/", 400, "AccessDeniedException") }, text: "need the IAM permissions ssm:ResumeSession and"},
		"IAM, channel":  {order: func(srv *service) { fail(srv, "/v1/data-channel/", 403, "Forbidden") }, text: "need the IAM permission ssmmessages:OpenDataChannel"},
		"expired keys":  {order: func(srv *service) { fail(srv, "/", 400, "ExpiredTokenException") }, text: "set new ones, or unset"},
		"agent is away": {order: func(srv *service) { srv.session.DisconnectAgent() }, text: "the agent has acknowledged nothing for 20s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.options.Dial == nil {
				test.options.Program = counter
			}
			if name == "agent is away" && testing.Short() {
				t.Skip("20 s")
			}
			srv := newService(t, test.options)
			if test.order != nil {
				test.order(srv)
			}
			s := srv.attach(t)
			s.WaitFor(test.text)
			if status := s.End(); status != 1 {
				t.Errorf("status %d", status)
			}
		})
	}
}

func dialNothing(context.Context) (net.Conn, error) { return nil, net.ErrClosed }

// TestNoCredentials is refused before anything is opened.
func TestNoCredentials(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config")
	const profiles = "[profile work]\nregion = eu-west-1\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = admin\n" +
		"[sso-session corp]\nsso_start_url = https://example.com/start\nsso_region = eu-west-1\n[profile bare]\n"
	if err := os.WriteFile(file, []byte(profiles), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ args, text string }{
		"none":       {"--region eu-west-1", "set AWS_PROFILE or --profile, or run aws configure"},
		"SSO":        {"--profile work", "run aws sso login --profile work"},
		"no profile": {"--profile nobody", `there is no profile "nobody"`},
		"no Region":  {"--profile bare", "no Region: give --region"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append(strings.Fields(test.args), "someone-0123456789abcdef0")
			s := ptytest.Start(t, program([]string{"AWS_CONFIG_FILE=" + file}, args...))
			if status := s.End(); status != 1 {
				t.Errorf("status %d", status)
			}
			s.WaitFor(test.text)
		})
	}
}

// TestCommandLines needs no terminal to say what is wrong.
func TestCommandLines(t *testing.T) {
	t.Parallel()
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, text := range map[string]string{
		"":                    "which session?",
		"a b":                 `one session at a time: "a" and "b"`,
		"--local a":           "--local is for itself",
		"--nothing":           "flag provided but not defined",
		"a --state " + bad:    "remove it",
		"a":                   "must be a terminal",
		"--local":             "must be a terminal",
		"--local --profile x": "--local is for itself",
	} {
		cmd := program(nil, strings.Fields(args)...)
		out, _ := cmd.CombinedOutput()
		if status := cmd.ProcessState.ExitCode(); status != 2 || !strings.Contains(string(out), text) {
			t.Errorf("attach %s: status %d, want 2: %s", args, status, out)
		}
	}
}

// TestGiveUp presses Ctrl-C while there is no way to the service.
func TestGiveUp(t *testing.T) {
	t.Parallel()
	srv := newService(t, datachanneltest.Options{Program: counter})
	srv.SetNetwork(ssmresumetest.Refused)
	s := srv.attach(t)
	s.WaitFor("no network, 1 s; trying")
	s.Press("\x03")
	if status := s.End(); status != 1 {
		t.Errorf("status %d", status)
	}
	s.WaitFor("given up; the session is as it was")
}

// TestTypeAhead types before the session is there.
func TestTypeAhead(t *testing.T) {
	t.Parallel()
	srv := newService(t, datachanneltest.Options{Program: counter})
	s := srv.attach(t)
	s.WaitFor("attaching")
	s.Press("early\r")
	s.WaitFor("line 1: early\r\n")
	s.Press("exit\r")
	s.End()
}

// TestPaste pastes 1 MiB, with an outage in the middle. The session's digest of it
// must be ours.
func TestPaste(t *testing.T) {
	t.Parallel()
	digest := func(_ context.Context, t *datachanneltest.Terminal) int {
		fmt.Fprint(t.Stdout, "ready\r\n")
		h := sha256.New()
		for in := bufio.NewReader(t.Stdin); ; {
			b, err := in.ReadByte()
			if err != nil {
				return 1
			}
			if b == 0x04 {
				fmt.Fprintf(t.Stdout, "\r\n%x\r\n", h.Sum(nil))
				return 0
			}
			h.Write([]byte{b})
		}
	}
	srv := newService(t, datachanneltest.Options{Program: digest})
	s := srv.attach(t)
	s.WaitFor("attaching")
	var paste strings.Builder
	for n := 0; paste.Len() < 1<<20; n++ {
		fmt.Fprintf(&paste, "%d é€😀 and what else stands in a line\r", n)
	}
	text := paste.String()
	go func() {
		time.Sleep(2500 * time.Millisecond) // attached, about
		srv.SetNetwork(ssmresumetest.Refused)
		time.Sleep(500 * time.Millisecond)
		srv.SetNetwork(ssmresumetest.Up)
	}()
	time.Sleep(1800 * time.Millisecond)
	for len(text) > 0 {
		n := min(len(text), 16<<10)
		s.Press(text[:n])
		text = text[n:]
		time.Sleep(10 * time.Millisecond)
	}
	s.Press("\x04")
	s.WaitFor(fmt.Sprintf("%x", sha256.Sum256([]byte(paste.String()))))
	s.End()
}

// TestCharacters has output of all lengths of UTF-8 pass through closed channels.
// No line about them, and no cut, may fall into a character.
func TestCharacters(t *testing.T) {
	t.Parallel()
	const word = "aé€😀"
	const words = 40_000
	print := func(_ context.Context, t *datachanneltest.Terminal) int {
		fmt.Fprint(t.Stdout, "ready\r\n")
		in := bufio.NewReader(t.Stdin)
		in.ReadByte()
		for i := range words {
			if half := []byte(word); i%1000 == 0 { // cut
				t.Stdout.Write(half[:5])
				time.Sleep(10 * time.Millisecond)
				t.Stdout.Write(half[5:])
				continue
			}
			io.WriteString(t.Stdout, word)
		}
		in.ReadByte() // or the agent waits 2 s for the last acknowledgement, and no longer
		return 0
	}
	srv := newService(t, datachanneltest.Options{Program: print})
	s := srv.attach(t)
	s.WaitFor("attaching")
	go func() {
		for range 4 {
			time.Sleep(300 * time.Millisecond)
			srv.session.CloseChannel(1000, "Bye")
		}
	}()
	s.Press("x")
	s.WaitForTimes(word, words)
	s.Press("x")
	s.End()
	if text := s.Text(); strings.Count(text, word) != words || !strings.Contains(text, strings.Repeat(word, 2000)) {
		t.Errorf("%d words, want %d", strings.Count(text, word), words)
	}
}
