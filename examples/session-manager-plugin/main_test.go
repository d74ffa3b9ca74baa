package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// runVariable makes the test binary the plugin. The AWS CLI hands it on.
const runVariable = "SESSION_MANAGER_PLUGIN_TEST_RUN"

// responseVariable is where the AWS CLI puts the response of StartSession.
const responseVariable = "AWS_SSM_START_SESSION_RESPONSE"

func TestMain(m *testing.M) {
	if os.Getenv(runVariable) != "" {
		main()
	}
	status := m.Run()
	if path, err := build(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(status)
}

// A fixture is Session Manager, and a user's environment.
type fixture struct {
	*testing.T
	srv *datachanneltest.Server
	dir string
	env []string
}

func newFixture(t *testing.T) *fixture { return newFixtureOn(t, datachanneltest.NewServer()) }

func newFixtureOn(t *testing.T, srv *datachanneltest.Server) *fixture {
	f := &fixture{T: t, srv: srv, dir: t.TempDir()}
	t.Cleanup(f.srv.Close)
	f.env = []string{
		runVariable + "=yes",
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + f.dir,
		"TERM=xterm",
		"GORACE=atexit_sleep_ms=0",
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + filepath.Join(f.dir, "config"),
		"AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(f.dir, "credentials"),
	}
	for _, name := range []string{"SYSTEMROOT", "GOCOVERDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			f.env = append(f.env, name+"="+value)
		}
	}
	f.writeKeys()
	return f
}

// writeKeys writes the credentials that the server takes.
func (f *fixture) writeKeys() {
	f.Helper()
	keys, err := f.srv.Config().Credentials.Retrieve(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	f.write("credentials", "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", keys.AccessKeyID, keys.SecretAccessKey)
}

func (f *fixture) write(name, format string, args ...any) {
	f.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path+".new", fmt.Appendf(nil, format, args...), 0o600); err != nil {
		f.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		f.Fatal(err)
	}
}

// A response of StartSession, as JSON.
func response(f *fixture, first *ssmresume.ResumeSessionOutput) string {
	f.Helper()
	b, err := first.SecretJSON()
	if err != nil {
		f.Fatal(err)
	}
	return string(b)
}

// plugin is the plugin with the response in the environment.
func (f *fixture) plugin(first *ssmresume.ResumeSessionOutput, parameters, endpoint string) *exec.Cmd {
	cmd := f.command(responseVariable, ssmresumetest.Region, "StartSession", "", parameters, endpoint)
	cmd.Env = append(cmd.Env, responseVariable+"="+response(f, first))
	return cmd
}

const parameters = `{"Target": "i-0123456789abcdef0"}`

func (f *fixture) command(args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		f.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = f.env[:len(f.env):len(f.env)]
	cmd.WaitDelay = time.Second
	return cmd
}

// result is what a program has left.
type result struct {
	status         int
	stdout, stderr string
}

// end runs a program to its end.
func (f *fixture) end(cmd *exec.Cmd) result {
	f.Helper()
	p := f.run(cmd)
	return p.end()
}

// A process is a program under way.
type process struct {
	*fixture
	cmd         *exec.Cmd
	keyboard    io.WriteCloser
	out, stderr *output
	exited      chan struct{}
}

// run starts a program with pipes, but for what is set already.
func (f *fixture) run(cmd *exec.Cmd) *process {
	f.Helper()
	p := &process{fixture: f, cmd: cmd, out: newOutput(), stderr: newOutput(), exited: make(chan struct{})}
	if cmd.Stdin == nil {
		var err error
		if p.keyboard, err = cmd.StdinPipe(); err != nil {
			f.Fatal(err)
		}
	}
	if cmd.Stdout == nil {
		cmd.Stdout = p.out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.stderr
	}
	if err := cmd.Start(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		cmd.Process.Kill()
		<-p.exited
	})
	go func() {
		cmd.Wait()
		close(p.exited)
	}()
	return p
}

const patience = 20 * time.Second

func (p *process) types(text string) {
	p.Helper()
	if _, err := io.WriteString(p.keyboard, text); err != nil {
		p.Fatal(err)
	}
}

// shows waits for text on standard output.
func (p *process) shows(text string) { p.Helper(); p.wait(p.out, text) }

func (p *process) wait(o *output, text string) {
	p.Helper()
	timeout := time.After(patience)
	for {
		got, changed := o.text()
		if strings.Contains(got, text) {
			return
		}
		select {
		case <-changed:
			continue
		case <-p.exited:
			if got, _ := o.text(); strings.Contains(got, text) {
				return
			}
		case <-timeout:
		}
		stdout, _ := p.out.text()
		stderr, _ := p.stderr.text()
		p.Fatalf("no %q in:\n%q\n%q", text, stdout, stderr)
	}
}

func (p *process) end() result {
	p.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		stdout, _ := p.out.text()
		stderr, _ := p.stderr.text()
		p.Fatalf("it does not end:\n%q\n%q", stdout, stderr)
	}
	stdout, _ := p.out.text()
	stderr, _ := p.stderr.text()
	return result{p.cmd.ProcessState.ExitCode(), stdout, stderr}
}

// An output is what a program has written so far.
type output struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{} // closed at the next write
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.b.Write(p)
}

func (o *output) text() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String(), o.changed
}

// greet prints a prompt, repeats what it gets, and ends at Ctrl-D or "exit".
func greet(_ context.Context, t *datachanneltest.Terminal) int {
	fmt.Fprint(t.Stdout, "$ ")
	buf := make([]byte, 4096)
	for {
		n, err := t.Stdin.Read(buf)
		if err != nil || bytes.Contains(buf[:n], []byte("exit")) || bytes.IndexByte(buf[:n], 0x04) >= 0 {
			return 0
		}
		fmt.Fprintf(t.Stdout, "%q", buf[:n])
	}
}

// TestBadInput: what the user is told, and with which status, before anything is
// sent to anybody.
func TestBadInput(t *testing.T) {
	const token = "AAEAATokenThatNobodyMaySee"
	good := `{"SessionId": "ana-0a1b", "TokenValue": "` + token + `", "StreamUrl": "wss://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/ana-0a1b?role=publish_subscribe"}`
	const name = responseVariable
	for what, tt := range map[string]struct {
		args  []string
		value string // of the environment variable; empty: it is not set
		want  result
	}{
		"no arguments": {
			want: result{stdout: "\nThe Session Manager plugin was installed successfully. Use the AWS CLI to start a session.\n\n"},
		},
		"version": {
			args: []string{"--version"},
			want: result{stdout: "1.2.764.0\n"},
		},
		"unknown operation": {
			args: []string{"help"},
			want: result{1, "", "\nUnknown operation help. \nUse session-manager-plugin --version to check the version.\n\n"},
		},
		"no operation": {
			args: []string{good, "us-east-2"},
			want: result{0, "", "\nUnknown operation (a response). \nUse session-manager-plugin --version to check the version.\n\n"},
		},
		"another operation": {
			args: []string{good, "us-east-2", "ResumeSession"},
			want: result{0, "", "Invalid Operation\n"},
		},
		"broken JSON": {
			args: []string{good[:len(good)-2], "us-east-2", "StartSession"},
			want: result{0, "", "Cannot perform start session: the response of StartSession: unexpected end of JSON input\n"},
		},
		"no JSON": {
			args: []string{"\x1b[31mhello", "us-east-2", "StartSession"},
			want: result{1, "", "Cannot perform start session: the response of StartSession: invalid character '\\x1b' looking for beginning of value\n"},
		},
		"another JSON": {
			args: []string{`{"SessionId": 7, "TokenValue": 12345678}`, "us-east-2", "StartSession"},
			want: result{0, "", "Cannot perform start session: the response of StartSession: it must be an object of strings\n"},
		},
		"no variable": {
			args: []string{name, "us-east-2", "StartSession"},
			want: result{1, "", "Cannot perform start session: the environment variable " + name + ", which should hold the response of StartSession, is not set\n"},
		},
		"an empty variable": {
			args: []string{name + "_2", "us-east-2", "StartSession"}, value: " ",
			want: result{1, "", "Cannot perform start session: the response of StartSession: unexpected end of JSON input\n"},
		},
		"no token": {
			args: []string{name + "_2", "us-east-2", "StartSession"}, value: strings.Replace(good, token, "", 1),
			want: result{1, "", "Cannot perform start session: the response of StartSession: there is no TokenValue in it\n"},
		},
		"another session's channel": {
			args: []string{strings.Replace(good, `"ana-0a1b"`, `"bob-0a1b"`, 1), "us-east-2", "StartSession"},
			want: result{0, "", "Cannot perform start session: the response of StartSession: ssmresume: "},
		},
		"broken parameters": {
			args: []string{good, "us-east-2", "StartSession", "", "{"},
			want: result{0, "", "Cannot perform start session: the parameters of StartSession: unexpected end of JSON input\n"},
		},
		"no such profile": {
			args: []string{name + "_2", "us-east-2", "StartSession", "nobody", parameters, "https://ssm.us-east-2.amazonaws.com"}, value: good,
			want: result{1, "", "Cannot perform start session: the config profile (nobody) could not be found\n"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			cmd := f.command(tt.args...)
			cmd.Env = append(cmd.Env, "https_proxy="+f.srv.URL()) // who is asked for anything
			if tt.value != "" {
				cmd.Env = append(cmd.Env, name+"_2="+tt.value)
			}
			got := f.end(cmd)
			if got.status != tt.want.status || got.stdout != tt.want.stdout || !strings.HasPrefix(got.stderr, tt.want.stderr) || (got.stderr == "") != (tt.want.stderr == "") {
				t.Errorf("got  %d %q %q\nwant %d %q %q", got.status, got.stdout, got.stderr, tt.want.status, tt.want.stdout, tt.want.stderr)
			}
			if strings.Contains(got.stdout+got.stderr, token) {
				t.Error("it prints the token")
			}
			if n := len(f.srv.Requests()); n > 0 {
				t.Errorf("it sent %d requests", n)
			}
		})
	}
}

func TestUnknownType(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first, _ := f.srv.Start(datachanneltest.Options{Type: "Hologram", KMS: &datachanneltest.KMS{}})
	got := f.end(f.plugin(first, parameters, f.srv.URL()))
	const want = `the session's type is "Hologram", which is not known here`
	if got.status != 1 || got.stdout != "" || !strings.HasPrefix(got.stderr, "Cannot perform start session: ") || !strings.Contains(got.stderr, want) {
		t.Errorf("%+v", got)
	}
}

// TestPortInUse: the port is somebody else's. The agent's words are shown, and do
// nothing to the terminal.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	first, session := f.srv.Start(datachanneltest.Options{
		Dial:       func(context.Context) (net.Conn, error) { return nil, errors.New("nobody dials") },
		Properties: map[string]string{"portNumber": "80", "localPortNumber": port, "type": "LocalPortForwarding"},

		CustomerMessage: "Grüße\x1b]0;of the agent\a",
	})
	got := f.end(f.plugin(first, parameters, f.srv.URL()))
	want := fmt.Sprintf("Cannot perform start session: listen tcp %s: bind: ", l.Addr())
	if got.status != 1 || !strings.HasPrefix(got.stderr, want) {
		t.Errorf("%+v", got)
	}
	if greeting := "\nGrüße\\x1b]0;of the agent\\a\n"; !strings.HasSuffix(got.stdout, greeting) {
		t.Errorf("standard output is %q, want it to end with %q", got.stdout, greeting)
	}
	select {
	case <-session.Done():
	case <-time.After(patience):
		t.Error("the session goes on")
	}
}

// TestRefused: the caller may not open data channels.
func TestRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first, _ := f.srv.Start(datachanneltest.Options{Program: greet})
	f.srv.SetRespond(func(r ssmresumetest.Request) *ssmresumetest.Response {
		if strings.HasPrefix(r.Path, "/v1/data-channel/") {
			return ssmresumetest.Raw(http.StatusForbidden, nil, "")
		}
		return nil
	})
	got := f.end(f.plugin(first, parameters, f.srv.URL()))
	if got.status != 1 || !strings.Contains(got.stderr, "ssmmessages:OpenDataChannel") {
		t.Errorf("%+v", got)
	}
	// Of a plugin that fails the CLI prints the arguments, and the token is still good.
	got = f.end(f.command(response(f, first), ssmresumetest.Region, "StartSession", "", parameters, f.srv.URL()))
	if got.status != 0 || !strings.Contains(got.stderr, "ssmmessages:OpenDataChannel") {
		t.Errorf("%+v", got)
	}
}

// TestNoCredentials: as of a tool that keeps its own for itself.
func TestNoCredentials(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if err := os.Remove(filepath.Join(f.dir, "credentials")); err != nil {
		t.Fatal(err)
	}
	first, session := f.srv.Start(datachanneltest.Options{Program: greet, Unsigned: true})
	p := f.run(f.plugin(first, parameters, f.srv.URL()))
	p.shows("$ ")
	p.types("hello")
	p.shows(`"hello"`)
	session.Cut()
	if got := p.end(); got.status != 1 || !strings.Contains(got.stderr, "there are no credentials to resume the session with") {
		t.Errorf("%+v", got)
	}

	// The same where the channel cannot be had with the first token.
	first, _ = f.srv.Start(datachanneltest.Options{Program: greet, Unsigned: true})
	var once atomic.Bool
	f.srv.SetRespond(func(r ssmresumetest.Request) *ssmresumetest.Response {
		if strings.HasPrefix(r.Path, "/v1/data-channel/") && once.CompareAndSwap(false, true) {
			return ssmresumetest.Raw(http.StatusServiceUnavailable, nil, "")
		}
		return nil
	})
	got := f.end(f.plugin(first, parameters, f.srv.URL()))
	if got.status != 1 || !strings.Contains(got.stderr, "there are no credentials to resume the session with") {
		t.Errorf("%+v", got)
	}
}

// TestEndpoint: one that is not Systems Manager's is ignored.
func TestEndpoint(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first, session := f.srv.Start(datachanneltest.Options{Program: greet})
	cmd := f.plugin(first, parameters, first.StreamURL.DialURL())
	cmd.Env = append(cmd.Env, "AWS_ENDPOINT_URL="+f.srv.URL())
	p := f.run(cmd)
	p.shows("$ ")
	session.Cut()
	p.types("hello")
	p.shows(`"hello"`)
	p.types("exit")
	if got := p.end(); got.status != 0 {
		t.Errorf("%+v", got)
	}
}

// TestLegacyArguments are those of an AWS CLI of 2018, and of ECS, whose response
// has other names.
func TestLegacyArguments(t *testing.T) {
	t.Parallel()
	for what, args := range map[string]func(f *fixture, first *ssmresume.ResumeSessionOutput) []string{
		"2018": func(f *fixture, first *ssmresume.ResumeSessionOutput) []string {
			return []string{response(f, first), "", "StartSession"}
		},
		"ECS": func(f *fixture, first *ssmresume.ResumeSessionOutput) []string {
			b, _ := json.Marshal(map[string]string{"sessionId": first.SessionID, "streamUrl": first.StreamURL.DialURL(), "tokenValue": first.TokenValue.Reveal()})
			return []string{string(b), ssmresumetest.Region, "StartSession", "", `{"Target": "ecs:a_b_c"}`, "https://ecs.us-east-2.amazonaws.com"}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			first, session := f.srv.Start(datachanneltest.Options{Program: greet})
			f.env = append(f.env, "AWS_ENDPOINT_URL="+f.srv.URL(), "AWS_REGION="+ssmresumetest.Region)
			p := f.run(f.command(args(f, first)...))
			p.shows("$ ")
			session.Cut()
			p.types("exit")
			if got := p.end(); got.status != 0 || !strings.Contains(got.stdout, "Exiting session with sessionId: "+first.SessionID+".\n") {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestEndOfInput: a shell is told, and its output awaited; a command does without.
func TestEndOfInput(t *testing.T) {
	t.Parallel()
	for what, tt := range map[string]struct {
		options datachanneltest.Options
		input   string
		want    string
	}{
		"shell":   {datachanneltest.Options{Program: greet}, "hello", `$ "hello"`},
		"enter":   {datachanneltest.Options{Program: greet}, "\n", `$ "\r"`},
		"nothing": {datachanneltest.Options{Program: greet}, "", `$ `},
		"command": {datachanneltest.Options{Type: datachanneltest.NonInteractiveCommands, Program: func(_ context.Context, t *datachanneltest.Terminal) int {
			time.Sleep(time.Second / 5)
			fmt.Fprint(t.Stdout, "done")
			return 0
		}}, "a\x03b", "done"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			first, _ := f.srv.Start(tt.options)
			cmd := f.plugin(first, parameters, f.srv.URL())
			p := f.run(cmd)
			p.types(tt.input)
			if strings.HasPrefix(tt.want, "$ ") {
				p.shows(tt.want)
			}
			p.keyboard.Close()
			id := first.SessionID
			want := result{0, "\nStarting session with SessionId: " + id + "\n" + tt.want + "\n\nExiting session with sessionId: " + id + ".\n\n", ""}
			if got := p.end(); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// TestExitCodes of commands that tell them.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	for code, status := range map[int]int{0: 0, 3: 3, 256: 1} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			first, _ := f.srv.Start(datachanneltest.Options{
				Type:           datachanneltest.NonInteractiveCommands,
				SeparateOutput: true,
				Program: func(_ context.Context, t *datachanneltest.Terminal) int {
					fmt.Fprint(t.Stdout, "out")
					fmt.Fprint(t.Stderr, "err")
					return code
				},
			})
			id := first.SessionID
			want := result{status, fmt.Sprintf("\nStarting session with SessionId: %s\noutEXIT_CODE: %d\n\nExiting session with sessionId: %s.\n\n", id, code, id), "err"}
			if got := f.end(f.plugin(first, parameters, f.srv.URL())); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// TestEnded: a session that was ended from the other side.
func TestEnded(t *testing.T) {
	t.Parallel()
	for sessionType, status := range map[string]int{datachanneltest.StandardStream: 0, datachanneltest.NonInteractiveCommands: 1} {
		t.Run(sessionType, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			first, session := f.srv.Start(datachanneltest.Options{Type: sessionType, Program: func(ctx context.Context, t *datachanneltest.Terminal) int {
				fmt.Fprint(t.Stdout, "$ ")
				<-ctx.Done()
				return 0
			}})
			p := f.run(f.plugin(first, parameters, f.srv.URL()))
			p.shows("$ ")
			session.Terminate("Your session \x1b[31mhas timed out.")
			id := first.SessionID
			want := result{status, "\nStarting session with SessionId: " + id + "\n$ \n\nSessionId: " + id + " : Your session \\x1b[31mhas timed out.\n\n", ""}
			if got := p.end(); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// TestStandardStreams: the bytes of the far side, and no other, on standard
// output.
func TestStandardStreams(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	options := datachanneltest.Options{
		Properties: map[string]string{"portNumber": "22"},
		Dial: func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				fmt.Fprint(far, "SSH-2.0\r\n")
				buf := make([]byte, 5)
				io.ReadFull(far, buf)
				time.Sleep(time.Second / 5)
				fmt.Fprintf(far, "%q\n\r\x00", buf)
			}()
			return near, nil
		},
	}
	first, _ := f.srv.Start(options)
	p := f.run(f.plugin(first, parameters, f.srv.URL()))
	p.types("\nhe")
	p.types("\n\r")
	p.keyboard.Close() // which must not cost what comes after
	if got, want := p.end(), (result{0, "SSH-2.0\r\n" + `"\nhe\n\r"` + "\n\r\x00", ""}); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}

	first, session := f.srv.Start(options)
	p = f.run(f.plugin(first, parameters, f.srv.URL()))
	p.shows("SSH-2.0")
	session.Terminate("It is late.")
	if got, want := p.end(), (result{0, "SSH-2.0\r\n", "\n\nSessionId: " + first.SessionID + " : It is late.\n\n"}); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestCABundle: AWS_CA_BUNDLE is for the channel and for the call.
func TestCABundle(t *testing.T) {
	t.Parallel()
	f := newFixtureOn(t, datachanneltest.NewTLSServer())
	u, err := url.Parse(f.srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", u.Host, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	f.write("bundle", "%s", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: conn.ConnectionState().PeerCertificates[0].Raw}))
	f.env = append(f.env, "AWS_CA_BUNDLE="+filepath.Join(f.dir, "bundle"))
	first, session := f.srv.Start(datachanneltest.Options{Program: greet})
	p := f.run(f.plugin(first, parameters, f.srv.URL()))
	p.shows("$ ")
	session.Cut()
	p.types("hello")
	p.shows(`"hello"`)
	p.types("exit")
	if got := p.end(); got.status != 0 {
		t.Errorf("%+v", got)
	}
}

// TestProxy: so is the proxy.
func TestProxy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	u, err := url.Parse(f.srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	const host = "session-manager.example" // which only the proxy knows
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", u.Host, host
	}})
	t.Cleanup(proxy.Close)
	f.env = append(f.env, "HTTP_PROXY="+proxy.URL)
	first, session := f.srv.Start(datachanneltest.Options{Program: greet})
	cmd := f.plugin(first, parameters, "http://"+host)
	cmd.Env = append(cmd.Env, responseVariable+"="+strings.ReplaceAll(response(f, first), u.Host, host))
	p := f.run(cmd)
	p.shows("$ ")
	session.Cut()
	p.types("hello")
	p.shows(`"hello"`)
	p.types("exit")
	if got := p.end(); got.status != 0 {
		t.Errorf("%+v", got)
	}
}
