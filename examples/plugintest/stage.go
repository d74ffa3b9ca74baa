package plugintest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/creack/pty"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

const (
	patience = 10 * time.Second // for what should be there at once
	back     = 15 * time.Second // for a session after its network
	profile  = "plugintest"
	columns  = 80
	rows     = 24
)

// A stage is where one scenario is played.
type stage struct {
	ctx    context.Context
	plugin string
	aws    string // the AWS CLI, which runs the plugin; empty: it runs without
	dir    string // of its own
	srv    *datachanneltest.Server
	env    []string // more of it for the plugin

	processes []*process
	err       error
}

// fail ends the scenario.
func (s *stage) fail(format string, args ...any) {
	f := &failure{what: fmt.Sprintf(format, args...)}
	for _, p := range s.processes {
		f.output += fmt.Sprintf("\n--- output: %s\n--- errors: %s\n--- session: %+v", p.out.tail(), p.errors.tail(), p.stats())
	}
	s.err = f
	runtime.Goexit()
}

func (s *stage) need(err error) {
	if err != nil {
		s.fail("%v", err)
	}
}

func (s *stage) close() {
	for _, p := range s.processes {
		p.keyboard.Close() // which also ends what the AWS CLI has started
		p.cmd.Process.Kill()
		<-p.exited
	}
	s.srv.Close()
}

func (s *stage) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
		s.fail("not within the limit")
	}
}

// until waits for what should be so soon.
func (s *stage) until(d time.Duration, holds func() bool, format string, args ...any) {
	for deadline := time.Now().Add(d); !holds(); s.sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.fail(format, args...)
		}
	}
}

// A process is the plugin, running.
type process struct {
	*stage
	session *datachanneltest.Session
	cmd     *exec.Cmd

	keyboard io.WriteCloser
	terminal *os.File // nil if there is none
	out      *screen
	errors   *screen // empty with a terminal, which shows both
	exited   chan struct{}
}

func (p *process) stats() (st datachanneltest.Stats) {
	if p.session != nil {
		st = p.session.Stats()
	}
	return st
}

// How a plugin is started.
type how int

const (
	withTerminal how = iota + 1
	withPipes
	withoutInput
)

// start starts a session and, as the AWS CLI does, the plugin.
func (s *stage) start(h how, o datachanneltest.Options) *process {
	if o.TargetID == "" {
		o.TargetID = "i-0123456789abcdef0"
	}
	s.writeCredentials()
	if s.aws != "" {
		return s.startCLI(h, o)
	}
	response, session := s.startSession(o)
	const name = "AWS_SSM_START_SESSION_RESPONSE"
	cmd := exec.Command(s.plugin, name, ssmresumetest.Region, "StartSession", profile, parameters(o), s.srv.URL())
	cmd.Env = append(s.environment(), name+"="+response)
	return s.startCommand(h, cmd, session)
}

// startSession returns what StartSession answers.
func (s *stage) startSession(o datachanneltest.Options) (response string, session *datachanneltest.Session) {
	first, session := s.srv.Start(o)
	b, err := json.Marshal(map[string]string{
		"SessionId":  first.SessionID,
		"TokenValue": first.TokenValue.Reveal(),
		"StreamUrl":  first.StreamURL.DialURL(),
	})
	s.need(err)
	return string(b), session
}

// parameters are those of StartSession.
func parameters(o datachanneltest.Options) string {
	b, _ := json.Marshal(map[string]string{"Target": o.TargetID})
	return string(b)
}

// startCLI runs `aws ssm start-session`.
func (s *stage) startCLI(h how, o datachanneltest.Options) *process {
	o.SessionID = "cli-0123456789abcdef0"
	args := []string{"ssm", "start-session", "--target", o.TargetID, "--region", ssmresumetest.Region, "--profile", profile, "--endpoint-url", s.srv.URL()}
	name, values := document(o)
	if name != "" {
		args = append(args, "--document-name", name, "--parameters", values)
	}
	s.srv.SetStart(func(r datachanneltest.StartRequest) (datachanneltest.Options, error) {
		if r.DocumentName != name || r.Target != o.TargetID {
			return o, fmt.Errorf("the CLI asked for document %q, not %q", r.DocumentName, name)
		}
		return o, nil
	})
	cmd := exec.Command(s.aws, args...)
	cmd.Env = append(s.environment(), "PATH="+filepath.Dir(s.plugin)+string(filepath.ListSeparator)+os.Getenv("PATH"))
	p := s.startCommand(h, cmd, nil)
	s.until(cliStart, func() bool { return s.srv.Session(o.SessionID) != nil }, "the CLI did not start a session")
	p.session = s.srv.Session(o.SessionID)
	return p
}

// document returns the one that makes such a session, and its parameters.
func document(o datachanneltest.Options) (name, parameters string) {
	switch {
	case o.Type == datachanneltest.InteractiveCommands:
		return "AWS-StartInteractiveCommand", "command=ask"
	case o.Type == datachanneltest.NonInteractiveCommands:
		return "AWS-StartNonInteractiveCommand", "command=count"
	case o.Dial == nil:
		return "", ""
	case o.Properties["host"] != "":
		return "AWS-StartPortForwardingSessionToRemoteHost", "host=" + o.Properties["host"] + ",portNumber=443,localPortNumber=0"
	case o.Properties != nil && o.Properties["type"] == "":
		return "AWS-StartSSHSession", "portNumber=22"
	}
	return "AWS-StartPortForwardingSession", "portNumber=80,localPortNumber=0"
}

// environment is that of the AWS CLI, with nothing of this machine's AWS.
func (s *stage) environment() []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + s.dir,
		"TMPDIR=" + s.dir,
		"TERM=xterm",
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + filepath.Join(s.dir, "config"),
		"AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(s.dir, "credentials"),
	}, s.env...)
}

// writeCredentials writes the file from which the plugin has its keys.
func (s *stage) writeCredentials() {
	keys, err := s.srv.Config().Credentials.Retrieve(s.ctx)
	s.need(err)
	text := fmt.Sprintf("[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", profile, keys.AccessKeyID, keys.SecretAccessKey)
	s.need(os.WriteFile(filepath.Join(s.dir, "config"), fmt.Appendf(nil, "[profile %s]\nregion = %s\n", profile, ssmresumetest.Region), 0o600))
	s.need(os.WriteFile(filepath.Join(s.dir, "new"), []byte(text), 0o600))
	s.need(os.Rename(filepath.Join(s.dir, "new"), filepath.Join(s.dir, "credentials")))
}

// newKeys makes the server take others, and only these.
func (s *stage) newKeys() {
	old, err := s.srv.Config().Credentials.Retrieve(s.ctx)
	s.need(err)
	s.srv.SetCredentials(aws.Credentials{AccessKeyID: "AKIAI44QH8DHBEXAMPLE", SecretAccessKey: "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY"}, old)
	s.srv.ExpireCredentials(old.AccessKeyID)
}

func (s *stage) startCommand(h how, cmd *exec.Cmd, session *datachanneltest.Session) *process {
	p := &process{stage: s, session: session, cmd: cmd, out: newScreen(), errors: newScreen(), exited: make(chan struct{})}
	var shown sync.WaitGroup
	if h == withTerminal {
		var err error
		p.terminal, err = pty.StartWithSize(cmd, &pty.Winsize{Cols: columns, Rows: rows})
		s.need(err)
		p.keyboard = p.terminal
		shown.Go(func() { io.Copy(p.out, p.terminal) }) // to EIO, when nobody has the terminal
	} else {
		cmd.Stdout, cmd.Stderr = p.out, p.errors
		cmd.WaitDelay = time.Second
		p.keyboard = nopWriteCloser{io.Discard}
		if h == withPipes {
			var err error
			p.keyboard, err = cmd.StdinPipe()
			s.need(err)
		}
		s.need(cmd.Start())
	}
	s.processes = append(s.processes, p)
	go func() {
		cmd.Wait()
		shown.Wait()
		close(p.exited)
	}()
	return p
}

type nopWriteCloser struct{ io.Writer }

func (nopWriteCloser) Close() error { return nil }

// types writes to the plugin's standard input.
func (p *process) types(keys string) {
	select {
	case <-p.exited:
		p.fail("the plugin ended")
	default:
	}
	io.WriteString(p.keyboard, keys) // an error: it has ended just now, which comes out
}

// shows waits until the plugin has written text.
func (p *process) shows(text string) { p.showsWithin(patience, text) }

func (p *process) showsWithin(d time.Duration, text string) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		shown, changed := p.out.text()
		if strings.Contains(shown, text) {
			return
		}
		select {
		case <-changed:
			continue
		case <-p.exited:
			if shown, _ := p.out.text(); !strings.Contains(shown, text) {
				p.fail("the plugin ended, and did not show %q", text)
			}
			return
		case <-timer.C:
		case <-p.ctx.Done():
		}
		p.fail("%q was not shown within %v", text, d)
	}
}

// exits waits until the plugin has ended with the code.
func (p *process) exits(code int) {
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.fail("the plugin did not end within %v", patience)
	case <-p.ctx.Done():
		p.fail("the plugin did not end")
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.fail("exit code %d, not %d", got, code)
	}
}

// ends waits until the session and with it the plugin has ended in the usual way.
func (p *process) ends() {
	p.exits(0)
	p.shows("Exiting session with sessionId: " + p.session.ID() + ".")
}

// between returns what the plugin wrote between its first line and its last ones.
// On a terminal carriage returns are left out: they depend on its mode.
func (p *process) between() string {
	shown, _ := p.out.text()
	_, rest, begun := strings.Cut(shown, "\nStarting session with SessionId: "+p.session.ID()+"\n")
	if !begun {
		p.fail("the line %q is missing", "Starting session with SessionId: "+p.session.ID())
	}
	body, _, ended := strings.Cut(rest, "\n\nExiting session with sessionId: "+p.session.ID()+".\n\n")
	if !ended {
		p.fail("the line %q is missing", "Exiting session with sessionId: "+p.session.ID()+".")
	}
	return body
}

// whole compares what came with what was sent.
func (s *stage) whole(got, want string) {
	if got == want {
		return
	}
	n := 0
	for n < min(len(got), len(want)) && got[n] == want[n] {
		n++
	}
	s.fail("%d bytes came of %d, and only the first %d are right", len(got), len(want), n)
}

// A screen keeps what is written.
type screen struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{} // closed at the next write
}

func newScreen() *screen { return &screen{changed: make(chan struct{})} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return s.buf.Write(p)
}

func (s *screen) text() (string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String(), s.changed
}

// tail is the end of it, quoted.
func (s *screen) tail() string {
	text, _ := s.text()
	const n = 400
	if len(text) > n {
		return fmt.Sprintf("…%q", text[len(text)-n:])
	}
	return fmt.Sprintf("%q", text)
}

var errPort = errors.New("connection refused")
