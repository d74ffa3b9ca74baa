//go:build !windows

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// cli is the AWS CLI with this plugin, and documents.
func cli(t *testing.T) *fixture {
	t.Parallel()
	aws, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("the AWS CLI is not installed: the plugin is run without it only")
	}
	f := newFixture(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(f.dir, "bin")
	if err := errors.Join(os.Mkdir(bin, 0o700), os.Symlink(self, filepath.Join(bin, "session-manager-plugin")), os.Symlink(aws, filepath.Join(bin, "aws"))); err != nil {
		t.Fatal(err)
	}
	f.env = append(f.env, "PATH="+bin+":"+os.Getenv("PATH"), "AWS_ENDPOINT_URL="+f.srv.URL(), "AWS_DEFAULT_REGION="+ssmresumetest.Region)
	f.srv.SetStart(document)
	return f
}

// document is what the documents of AWS do, on a node that can only greet.
func document(in datachanneltest.StartRequest) (datachanneltest.Options, error) {
	parameter := func(name string) string {
		if values := in.Parameters[name]; len(values) > 0 {
			return values[0]
		}
		return ""
	}
	echo := func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			io.Copy(far, far)
			far.Close()
		}()
		return near, nil
	}
	switch in.DocumentName {
	case "", "SSM-SessionManagerRunShell":
		return datachanneltest.Options{Program: greet}, nil
	case "AWS-StartInteractiveCommand":
		return datachanneltest.Options{Type: datachanneltest.InteractiveCommands, Program: func(_ context.Context, t *datachanneltest.Terminal) int {
			fmt.Fprintf(t.Stdout, "+ %s\r\n", parameter("command"))
			return 0
		}}, nil
	case "AWS-StartNonInteractiveCommand":
		return datachanneltest.Options{
			Type:           datachanneltest.NonInteractiveCommands,
			SeparateOutput: parameter("separateOutputStream") == "true",
			Program: func(_ context.Context, t *datachanneltest.Terminal) int {
				fmt.Fprintf(t.Stdout, "+ %s\n", parameter("command"))
				fmt.Fprint(t.Stderr, "complaint\n")
				return len(parameter("command"))
			},
		}, nil
	case "AWS-StartPortForwardingSession", "AWS-StartPortForwardingSessionToRemoteHost":
		return datachanneltest.Options{Dial: echo, Properties: map[string]string{
			"portNumber": parameter("portNumber"), "localPortNumber": parameter("localPortNumber"), "host": parameter("host"), "type": "LocalPortForwarding",
		}}, nil
	}
	return datachanneltest.Options{}, errors.New("there is no document " + in.DocumentName)
}

func (f *fixture) aws(args ...string) *exec.Cmd {
	cmd := exec.Command("aws", args...)
	for _, kv := range f.env {
		if dirs, ok := strings.CutPrefix(kv, "PATH="); ok {
			cmd.Path = filepath.Join(strings.Split(dirs, ":")[0], "aws") // the last PATH counts, here as there
		}
	}
	cmd.Err = nil
	cmd.Env = f.env
	cmd.WaitDelay = time.Second
	return cmd
}

func (f *fixture) startSession(args ...string) *exec.Cmd {
	return f.aws(append([]string{"ssm", "start-session", "--target", "i-0123456789abcdef0"}, args...)...)
}

var sessionLine = regexp.MustCompile(`Starting session with SessionId: (\S+)`)

// session returns the session's handle when the plugin has said that it starts.
func (p *process) session() *datachanneltest.Session {
	p.Helper()
	p.shows("Starting session with SessionId: ")
	p.shows("\n")
	got, _ := p.out.text()
	return p.srv.Session(sessionLine.FindStringSubmatch(got)[1])
}

func TestCLIShell(t *testing.T) {
	f := cli(t)
	p := f.onTerminal(f.startSession())
	session := p.session()
	p.shows("$ ")
	p.waitRaw()
	p.types("hello\r")
	p.shows(`"hello\r"`)
	for _, key := range []string{"\x03", "\x1a", "\x1c"} {
		p.types(key)
		p.shows(fmt.Sprintf("%q", key))
	}
	session.CloseChannel(1000, "Bye")
	p.types("again\r")
	p.shows(`"again\r"`)
	p.types("exit\r")
	p.shows("Exiting session with sessionId: " + session.ID() + ".")
	if got := p.end(); got.status != 0 {
		t.Errorf("%+v", got)
	}
}

func TestCLICommands(t *testing.T) {
	for document, want := range map[string]struct {
		parameters string
		status     int
		stdout     string
		stderr     string // contained
	}{
		"AWS-StartInteractiveCommand":    {`{"command": ["date"]}`, 0, "+ date\r\n", ""},
		"AWS-StartNonInteractiveCommand": {`{"command": ["date"]}`, 0, "+ date\ncomplaint\n", ""},
		"AWS-StartNonInteractiveCommand ": {`{"command": ["date"], "separateOutputStream": ["true"]}`, 255, "+ date\nEXIT_CODE: 4",
			"returned non-zero exit status 4"},
		"AWS-StartNoCommand": {`{}`, 255, "", "there is no document AWS-StartNoCommand"},
	} {
		t.Run(document, func(t *testing.T) {
			f := cli(t)
			cmd := f.startSession("--document-name", strings.TrimSpace(document), "--parameters", want.parameters)
			cmd.Stdin = strings.NewReader("")
			got := f.end(cmd)
			_, stdout, _ := strings.Cut(got.stdout, "Starting session with SessionId: ")
			_, stdout, _ = strings.Cut(stdout, "\n")
			stdout, _, _ = strings.Cut(stdout, "\n\nExiting session")
			if got.status != want.status || stdout != want.stdout || !strings.Contains(got.stderr, want.stderr) {
				t.Errorf("%d %q %q", got.status, got.stdout, got.stderr)
			}
		})
	}
}

var portLine = regexp.MustCompile(`Port (\d+) opened for sessionId `)

func TestCLIPorts(t *testing.T) {
	for document, parameters := range map[string]string{
		"AWS-StartPortForwardingSession":             `{"portNumber": ["80"], "localPortNumber": ["0"]}`,
		"AWS-StartPortForwardingSessionToRemoteHost": `{"host": ["db.internal"], "portNumber": ["5432"]}`,
	} {
		t.Run(document, func(t *testing.T) {
			f := cli(t)
			p := f.onTerminal(f.startSession("--document-name", document, "--parameters", parameters))
			p.shows("Waiting for connections...")
			session := p.session()
			got, _ := p.out.text()
			conn, err := net.Dial("tcp", "localhost:"+portLine.FindStringSubmatch(got)[1])
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			echo := func(text string) {
				t.Helper()
				io.WriteString(conn, text)
				got := make([]byte, len(text))
				if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
					t.Fatalf("%q, %v", got, err)
				}
			}
			echo("hello")
			p.shows("Connection accepted for session [" + session.ID() + "]")
			session.Cut()
			echo("again")

			p.types("\x03") // Ctrl-C, to the CLI and to the plugin
			p.shows("Terminate signal received, exiting.")
			p.shows("Exiting session with sessionId: " + session.ID() + ".")
			if got := p.end(); got.status != 0 {
				t.Errorf("%+v", got)
			}
			select {
			case <-session.Done():
			case <-time.After(patience):
				t.Error("the session goes on")
			}
		})
	}
}

// TestCLIKeys: the keys expire in the middle, and somebody logs in again.
func TestCLIKeys(t *testing.T) {
	f := cli(t)
	p := f.run(f.startSession())
	session := p.session()
	p.shows("$ ")
	old, err := f.srv.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.srv.SetCredentials(aws.Credentials{AccessKeyID: "AKIAI44QH8DHBEXAMPLE", SecretAccessKey: "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY"}, old)
	f.srv.ExpireCredentials(old.AccessKeyID)
	session.Cut()
	for len(f.srv.Requests()) < 4 { // StartSession, the channel, and two calls with the old keys
		time.Sleep(10 * time.Millisecond)
	}
	f.writeKeys()
	p.types("hello") // which makes it try at once
	p.shows(`"hello"`)
	p.types("exit")
	if got := p.end(); got.status != 0 || got.stderr != "" {
		t.Errorf("%+v", got)
	}
}

func TestCLITerminated(t *testing.T) {
	f := cli(t)
	p := f.run(f.startSession())
	session := p.session()
	p.shows("$ ")
	if out, err := f.aws("ssm", "terminate-session", "--session-id", session.ID()).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := p.end(); got.status != 0 || !strings.Contains(got.stdout, "Exiting session with sessionId: "+session.ID()+".") {
		t.Errorf("%+v", got)
	}
}

// TestCLIECS: aws ecs execute-command.
func TestCLIECS(t *testing.T) {
	f := cli(t)
	var started atomic.Int32
	ecs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		switch operation {
		case "ExecuteCommand":
			first, _ := f.srv.Start(datachanneltest.Options{SessionID: fmt.Sprint("ecs-execute-command-", started.Add(1)), Type: datachanneltest.InteractiveCommands, Program: greet})
			fmt.Fprintf(w, `{"clusterArn": "arn:aws:ecs:us-east-2:111122223333:cluster/a", "containerName": "web", "interactive": true,
				"session": {"sessionId": %q, "streamUrl": %q, "tokenValue": %q}, "taskArn": "arn:aws:ecs:us-east-2:111122223333:task/a/b"}`,
				first.SessionID, first.StreamURL.DialURL(), first.TokenValue.Reveal())
		case "DescribeTasks":
			fmt.Fprint(w, `{"tasks": [{"containers": [{"name": "web", "runtimeId": "b-1"}]}]}`)
		default: // the plugin cannot know that this endpoint is of ECS
			f.srv.ServeHTTP(w, r)
		}
	}))
	defer ecs.Close()
	f.env = append(f.env, "AWS_ENDPOINT_URL_ECS="+ecs.URL)
	args := []string{"ecs", "execute-command", "--cluster", "a", "--task", "b", "--container", "web", "--interactive", "--command", "sh"}
	p := f.onTerminal(f.aws(args...))
	p.shows("The Session Manager plugin was installed successfully.")
	p.shows("$ ")
	p.waitRaw()
	p.types("hello\r")
	p.shows(`"hello\r"`)
	p.types("exit\r")
	p.shows("Exiting session with sessionId: ecs-execute-command-1.")
	if got := p.end(); got.status != 0 {
		t.Errorf("%+v", got)
	}

	f.srv.SetRespond(func(r ssmresumetest.Request) *ssmresumetest.Response {
		if strings.HasPrefix(r.Path, "/v1/data-channel/") {
			return ssmresumetest.Raw(http.StatusForbidden, nil, "")
		}
		return nil
	})
	refused := f.end(f.aws(args...))
	if said := refused.stdout + refused.stderr; !strings.Contains(said, "ssmmessages:OpenDataChannel") || strings.Contains(said, "tokenValue") {
		t.Errorf("where the handshake is refused: %+v", refused)
	}
}
