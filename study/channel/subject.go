package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// A subject is a client of the data channel. All are processes that are started
// as the AWS CLI starts its plugin.
type subject struct {
	name string
	path string
	kind string // of a subject that is this program itself: see mode
	slow bool   // a pause for each KiB: it is given less to carry
}

// The names of the subjects, as the tables and files have them.
const (
	ourSession = "our Session"
	ourPlugin  = "our plugin"
	realPlugin = "real plugin"
	bareSocket = "bare WebSocket"
)

// What is built, by the workspace.
const (
	ourPackage  = "github.com/ssmresume/ssmresume/examples/session-manager-plugin"
	realPackage = "github.com/aws/session-manager-plugin/src/sessionmanagerplugin-main"
)

// A lab is where subjects are measured: one Session Manager for all of them.
type lab struct {
	srv      *datachanneltest.Server
	dir      string
	profile  string        // folder for CPU profiles; empty: none
	stall    time.Duration // after which a stream counts as one that hangs
	subjects []subject
	profiles int
}

func newLab(ctx context.Context, profile string, stall time.Duration) (*lab, error) {
	dir, err := os.MkdirTemp("", "channel")
	if err != nil {
		return nil, err
	}
	l := &lab{srv: datachanneltest.NewServer(), dir: dir, profile: profile, stall: stall}
	self, err := os.Executable()
	if err == nil {
		l.subjects = []subject{{name: ourSession, path: self, kind: modeSession}, {name: ourPlugin}, {name: realPlugin, slow: true}, {name: bareSocket, path: self, kind: modeBare}}
		l.subjects[1].path, err = build(ctx, filepath.Join(dir, "ours"), ourPackage)
	}
	if err == nil {
		l.subjects[2].path, err = build(ctx, filepath.Join(dir, "real"), realPackage)
	}
	if err == nil {
		err = l.writeKeys(ctx)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) close() {
	l.srv.Close()
	os.RemoveAll(l.dir)
}

// build builds a program, stripped as it is published.
func build(ctx context.Context, dir, pkg string) (string, error) {
	path := filepath.Join(dir, "session-manager-plugin")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-race=false", "-trimpath", "-ldflags=-s -w", "-o", path, pkg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}

const profileName = "study"

// writeKeys writes the files from which the plugins have their credentials.
func (l *lab) writeKeys(ctx context.Context) error {
	keys, err := l.srv.Config().Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	config := fmt.Appendf(nil, "[profile %s]\nregion = %s\n", profileName, ssmresumetest.Region)
	credentials := fmt.Appendf(nil, "[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", profileName, keys.AccessKeyID, keys.SecretAccessKey)
	return errors.Join(
		os.WriteFile(filepath.Join(l.dir, "config"), config, 0o600),
		os.WriteFile(filepath.Join(l.dir, "credentials"), credentials, 0o600))
}

// A process is a subject that runs, and its session.
type process struct {
	cmd     *exec.Cmd
	session *datachanneltest.Session
	keys    io.WriteCloser
	out     *output
	far     chan net.Conn // the other ends of a port's connections
	near    net.Conn      // of dial
	exited  chan struct{}
}

const responseName = "AWS_SSM_START_SESSION_RESPONSE"

// start starts a session, and the subject on it. With Options.Program it is a
// shell; without one a port whose connections come out at process.far.
func (l *lab) start(s subject, roundTrip time.Duration, o datachanneltest.Options) (*process, error) {
	p := &process{out: newOutput(), far: make(chan net.Conn, 4), exited: make(chan struct{})}
	o.TargetID, o.Unsigned = "i-0123456789abcdef0", true // the bare WebSocket does not sign
	if o.Program == nil {
		o.Dial = func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			p.far <- far
			return near, nil
		}
	}
	first, session := l.srv.Start(o)
	session.SetRoundTrip(roundTrip)
	p.session = session
	response, err := json.Marshal(map[string]string{
		"SessionId":  first.SessionID,
		"TokenValue": first.TokenValue.Reveal(),
		"StreamUrl":  first.StreamURL.DialURL(),
	})
	if err != nil {
		return nil, err
	}
	p.cmd = exec.Command(s.path, responseName, ssmresumetest.Region, "StartSession", profileName, `{"Target":"`+o.TargetID+`"}`, l.srv.URL())
	p.cmd.Env = []string{
		responseName + "=" + string(response),
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + l.dir,
		"TMPDIR=" + l.dir,
		"TERM=xterm",
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + filepath.Join(l.dir, "config"),
		"AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(l.dir, "credentials"),
	}
	if s.kind != "" {
		p.cmd.Env = append(p.cmd.Env, modeName+"="+s.kind)
		if l.profile != "" {
			l.profiles++
			p.cmd.Env = append(p.cmd.Env, profilePath+"="+filepath.Join(l.profile, fmt.Sprintf("%s-%d.pprof", s.kind, l.profiles)))
		}
	}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if p.keys, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	go func() {
		p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// usage is what a process has needed.
type usage struct {
	cpu    time.Duration
	memory int64 // its peak, in bytes; 0 where the system does not tell
}

// stop ends a session and its process.
func (l *lab) stop(p *process) usage {
	u := usage{memory: peakMemory(p.cmd.Process.Pid)}
	l.srv.Terminate(p.session.ID())
	p.cmd.Process.Signal(os.Interrupt)
	select {
	case <-p.exited:
	case <-time.After(time.Second):
		p.cmd.Process.Kill()
		<-p.exited
	}
	u.cpu = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	if p.near != nil {
		p.near.Close() // not before: the bare WebSocket ends with its connection
	}
	return u
}

var portLine = regexp.MustCompile(`Port (\d+) opened for sessionId `)

// dial connects to the port that the subject has opened.
func (p *process) dial() (near, far net.Conn, err error) {
	text, err := p.out.await(startLimit, func(shown []byte) bool { return portLine.Match(shown) }, p.exited)
	if err != nil {
		return nil, nil, err
	}
	p.near, err = net.Dial("tcp", "localhost:"+string(portLine.FindSubmatch(text)[1]))
	if err != nil {
		return nil, nil, err
	}
	select {
	case far = <-p.far:
		return p.near, far, nil
	case <-time.After(startLimit):
		return nil, nil, errors.New("the agent was not asked to connect to the port")
	}
}

const startLimit = 20 * time.Second

// output is what a process has written.
type output struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{}
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.buf.Write(b)
}

// await returns the output as soon as it is as it should be.
func (o *output) await(limit time.Duration, is func(shown []byte) bool, exited <-chan struct{}) ([]byte, error) {
	late := time.NewTimer(limit)
	defer late.Stop()
	for {
		o.mu.Lock()
		shown, changed := o.buf.Bytes(), o.changed
		o.mu.Unlock()
		if is(shown) {
			return shown, nil
		}
		select {
		case <-changed:
		case <-exited:
			return nil, fmt.Errorf("it has ended; its output: %q", tail(shown))
		case <-late.C:
			return nil, fmt.Errorf("nothing more within %v; its output: %q", limit, tail(shown))
		}
	}
}

func tail(b []byte) string {
	text := strings.TrimSpace(string(b))
	return text[max(0, len(text)-300):]
}
