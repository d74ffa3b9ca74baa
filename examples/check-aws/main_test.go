package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

const runVariable = "CHECK_AWS_TEST_RUN"

// TestMain is the program itself where a test runs it.
func TestMain(m *testing.M) {
	if os.Getenv(runVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

const (
	name      = "Mary-Major"
	sessionID = name + "-07a16060613c408b5"
	accountID = "111122223333"
	target    = "i-02573cafcfexample"
)

var keys = aws.Credentials{
	AccessKeyID:     "ASIAIOSFODNN7EXAMPLE",
	SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	SessionToken:    "IQoJb3JpZ2luX2VjEXAMPLE/+==",
}

// A service is Session Manager with a session that its owner has left.
type service struct {
	*testing.T
	*datachanneltest.Server
	session *datachanneltest.Session
	first   *ssmresume.ResumeSessionOutput
	env     []string
}

func newService(t *testing.T, o datachanneltest.Options) *service {
	t.Helper()
	t.Parallel()
	s := &service{T: t, Server: datachanneltest.NewServer()}
	t.Cleanup(s.Server.Close)
	s.SetCredentials(keys)
	o.SessionID = sessionID
	s.first, s.session = s.Start(o)
	s.env = []string{
		runVariable + "=1",
		"HOME=" + t.TempDir(),
		"GORACE=atexit_sleep_ms=0",
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_REGION=" + ssmresumetest.Region,
		"AWS_ACCESS_KEY_ID=" + keys.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=" + keys.SecretAccessKey,
		"AWS_SESSION_TOKEN=" + keys.SessionToken,
	}
	for _, name := range []string{"SYSTEMROOT", "GOCOVERDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			s.env = append(s.env, name+"="+value)
		}
	}
	return s
}

// secretOutput is what the shell prints that is nobody's business.
const secretOutput = "the-password-is-swordfish"

// shell prints a line for each that it gets.
func shell(_ context.Context, t *datachanneltest.Terminal) int {
	io.WriteString(t.Stdout, "$ ")
	b := make([]byte, 100)
	for {
		n, err := t.Stdin.Read(b)
		if err != nil {
			return 0
		}
		fmt.Fprintf(t.Stdout, "%s %q\r\n$ ", secretOutput, b[:n])
	}
}

// leave opens the session as its owner does, types a line, reads the answer and leaves it.
func (s *service) leave() {
	s.Helper()
	owner, err := datachannel.Open(s.Context(), ssmresume.NewFromConfig(s.Config()), s.first)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := owner.Write([]byte("a\r")); err != nil {
		s.Fatal(err)
	}
	if _, err := io.ReadFull(owner, make([]byte, len("$ "+secretOutput))); err != nil {
		s.Fatal(err)
	}
	if _, err := owner.Detach(s.Context()); err != nil {
		s.Fatal(err)
	}
}

// A result is what the program has printed.
type result struct {
	status         int
	report, spoken string
}

// check runs the program, and looks for secrets in what it prints.
func (s *service) check(args ...string) result {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), os.Args[0], append([]string{"--hold", "3s", "--endpoint-url", s.URL()}, args...)...)
	cmd.Env = s.env
	var out, spoken strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &spoken
	err := cmd.Run()
	got := result{cmd.ProcessState.ExitCode(), out.String(), spoken.String()}
	if got.status < 0 {
		s.Fatalf("%v\n%s", err, got.spoken)
	}
	secrets := []string{
		keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken, s.LastToken(sessionID), s.first.TokenValue.Reveal(),
		sessionID, name, accountID, target, "127.0.0.1", "cell-number=", secretOutput, s.TempDir(),
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(strings.ToLower(got.report+got.spoken), strings.ToLower(secret)) {
			s.Errorf("%q is printed", secret)
		}
	}
	s.Logf("status %d\n%s\n%s", got.status, got.spoken, got.report)
	return got
}

// holds fails the test unless the report has each text, in this order.
func (s *service) holds(got result, status int, texts ...string) {
	s.Helper()
	if got.status != status {
		s.Errorf("status %d, want %d", got.status, status)
	}
	rest := got.report
	for _, text := range texts {
		_, after, ok := strings.Cut(rest, text)
		if !ok {
			s.Errorf("the report does not hold, after what it should hold before: %q", text)
			continue
		}
		rest = after
	}
}

func (s *service) calls() (resumes, channels int, others []string) {
	for _, r := range s.Requests() {
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		switch {
		case operation == "ResumeSession":
			resumes++
		case strings.HasPrefix(r.Path, "/v1/data-channel/"):
			channels++
		default:
			others = append(others, operation+r.Path)
		}
	}
	return resumes, channels, others
}

func TestPassed(t *testing.T) {
	s := newService(t, datachanneltest.Options{Program: shell})
	s.leave()
	state := filepath.Join(t.TempDir(), "state")
	_, opened, _ := s.calls()
	got := s.check(sessionID, "--state", state)
	s.holds(got, 0,
		"### check-aws: passed",
		runtime.Version(),
		"session: `<name>-07a1...`",
		"| credentials | ok |", "temporary ones of EnvConfigCredentials, Region us-east-2",
		"| ResumeSession | ok |", "a token of ", "; request ID ",
		"| StreamUrl | ok |", `role "publish_subscribe", query role, cell-number`,
		"| open | ok |", "101",
		"| attach | ok |", "the place is found",
		"| hold | ok |", "3 pings, and none without an answer",
		"| drop | ok |", "back after ",
		"| leave | ok |", "are kept for attach --state",
		"the StreamUrl's host is in no AWS partition")
	resumes, channels, others := s.calls()
	if resumes != 2 || channels-opened != 2 || len(others) != 0 {
		t.Errorf("%d calls of ResumeSession, want 2; %d channels, want 2; and %q", resumes, channels-opened, others)
	}
	if s.session.Stats().NextInput != 1 {
		t.Errorf("the shell has got %d inputs, want the owner's", s.session.Stats().NextInput)
	}

	// The owner goes on.
	info, err := os.Stat(state)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("the state's mode is %v", info.Mode())
	}
	data, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	saved, err := datachannel.ParseState(data)
	if err != nil {
		t.Fatal(err)
	}
	owner, err := datachannel.Attach(t.Context(), ssmresume.NewFromConfig(s.Config()), sessionID, func(o *datachannel.Options) { o.State = &saved })
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if _, err := owner.Write([]byte("b\r")); err != nil {
		t.Fatal(err)
	}
	want := secretOutput + ` "b\r"`
	var text []byte
	for b := make([]byte, 100); !strings.Contains(string(text), want); {
		n, err := owner.Read(b)
		if err != nil {
			t.Fatalf("%v after %q", err, text)
		}
		text = append(text, b[:n]...)
	}
}

// TestEnter also reports what is otherwise than expected.
func TestEnter(t *testing.T) {
	const unnamed = "AAEAAexample"
	s := newService(t, datachanneltest.Options{Program: shell})
	s.leave()
	s.SetStreamURL(func(id string) string {
		return strings.Replace(s.URL(), "http", "ws", 1) + "/v1/data-channel/" + id + "?role=watch&new=" + accountID + "&" + unnamed
	})
	got := s.check("--enter", "--no-drop", sessionID)
	if strings.Contains(got.report+got.spoken, unnamed) {
		t.Error("it prints what may be a secret")
	}
	s.holds(got, 0, "| StreamUrl | ok |", "| hold | ok |", "| enter | ok |", "acknowledged after ", "| leave | ok |", "were taken, and do not come again",
		`the StreamUrl's query has "new"`, `the StreamUrl's role is "watch"`)
	if n := s.session.Stats().NextInput; n != 2 {
		t.Errorf("the shell has got %d inputs, want the owner's and one", n)
	}
	if strings.Contains(got.report, "| drop |") {
		t.Error("--no-drop is not heeded")
	}
	if resumes, _, _ := s.calls(); resumes != 1 {
		t.Errorf("%d calls of ResumeSession, want 1", resumes)
	}
}

// TestFails: each kind of failure is told where it happens, and leads to status 1.
func TestFails(t *testing.T) {
	denied := "User: arn:aws:sts::" + accountID + ":assumed-role/Admin/" + name + " is not authorized to perform: ssm:ResumeSession on resource: " +
		"arn:aws:ssm:us-east-2:" + accountID + ":session/" + sessionID + " (account " + accountID + ", node " + target + ", Mary.Major@example.com, from 192.0.2.7 or 2001:db8::7)"
	onChannel := func(status int) func(*service) {
		return func(s *service) {
			s.SetRespond(func(r ssmresumetest.Request) *ssmresumetest.Response {
				if strings.HasPrefix(r.Path, "/v1/data-channel/") {
					return ssmresumetest.Raw(status, nil, "")
				}
				return nil
			})
		}
	}
	onCall := func(resp *ssmresumetest.Response) func(*service) {
		return func(s *service) { s.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return resp }) }
	}
	withoutKeys := func(s *service) {
		s.env = slices.DeleteFunc(s.env, func(kv string) bool {
			return strings.HasPrefix(kv, "AWS_ACCESS") || strings.HasPrefix(kv, "AWS_S")
		})
	}
	for name, tc := range map[string]struct {
		prepare func(*service)
		args    []string
		want    []string
		resumes int
	}{
		"no credentials": {withoutKeys, nil, []string{"failed at credentials", "No credentials are set", "| ResumeSession | not reached |"}, 0},
		"no profile":     {nil, []string{"--profile", "Majors"}, []string{"failed at credentials", "profile", "aws configure list-profiles"}, 0},
		"no Region": {func(s *service) {
			s.env = slices.DeleteFunc(s.env, func(kv string) bool { return strings.HasPrefix(kv, "AWS_REGION=") })
		}, nil, []string{"failed at credentials", "no Region is set", "Give --region"}, 0},
		"expired":       {func(s *service) { s.ExpireCredentials(keys.AccessKeyID) }, nil, []string{"failed at ResumeSession", "ExpiredToken", "Log in again", "| StreamUrl | not reached |", "request ID "}, 1},
		"denied":        {onCall(ssmresumetest.Fail(400, "AccessDeniedException", denied)), nil, []string{"failed at ResumeSession", "AccessDenied", "need ssm:ResumeSession", "request ID "}, 1},
		"terminated":    {func(s *service) { s.session.Terminate("") }, nil, []string{"failed at ResumeSession", "DoesNotExist", "Has it ended"}, 1},
		"timed out":     {func(s *service) { s.Server.TimeOut(sessionID) }, nil, []string{"failed at ResumeSession", "SessionTimedOut", "Has it ended"}, 1},
		"throttled":     {onCall(ssmresumetest.Throttle()), nil, []string{"failed at ResumeSession", "Throttling", "Try again in a minute"}, 3},
		"no network":    {func(s *service) { s.SetNetwork(ssmresumetest.Refused) }, nil, []string{"failed at ResumeSession", "Is there a network"}, 0},
		"another clock": {onCall(ssmresumetest.Fail(403, "InvalidSignatureException", "Signature expired")), nil, []string{"failed at ResumeSession", "Is the clock right"}, 1},
		"channel 403":   {onChannel(http.StatusForbidden), nil, []string{"failed at open", "403 Forbidden", "ssmmessages:OpenDataChannel", "| attach | not reached |"}, 2},
		"channel 401":   {onChannel(http.StatusUnauthorized), nil, []string{"failed at open", "401 Unauthorized", "ssmmessages:OpenDataChannel"}, 2},
		"channel 500":   {onChannel(http.StatusInternalServerError), nil, []string{"failed at open", "answered with 500"}, 3},
		"the agent is away": {func(s *service) {
			s.leave()
			s.session.DisconnectAgent()
		}, nil, []string{"| open | ok |", "| attach | **failed** |", "the agent acknowledges nothing", "| hold | not reached |"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, datachanneltest.Options{Program: shell})
			if tc.prepare != nil {
				tc.prepare(s)
			}
			s.holds(s.check(append(tc.args, sessionID)...), 1, tc.want...)
			if resumes, _, _ := s.calls(); resumes != tc.resumes {
				t.Errorf("%d calls of ResumeSession, want %d", resumes, tc.resumes)
			}
		})
	}
}

func TestPort(t *testing.T) {
	s := newService(t, datachanneltest.Options{Dial: func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		go io.Copy(far, far)
		return near, nil
	}})
	owner, err := datachannel.Open(t.Context(), ssmresume.NewFromConfig(s.Config()), s.first)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	s.holds(s.check(sessionID), 1, "| open | ok |", "| attach | **failed** |", "it is no shell")
}

// TestOwnerIsThere: a client that is still connected takes the channel back.
func TestOwnerIsThere(t *testing.T) {
	s := newService(t, datachanneltest.Options{Program: shell})
	owner, err := datachannel.Open(t.Context(), ssmresume.NewFromConfig(s.Config()), s.first)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if got := s.check(sessionID); got.status == 0 {
		t.Error("nothing was noticed")
	} else if strings.Contains(got.report, "| hold | **failed** |") {
		s.holds(got, 1, "the channel was lost", "Is somebody else still connected")
	}
}

func TestCommandLine(t *testing.T) {
	for _, args := range [][]string{{}, {"a", "b"}, {"--hold", "1ms", "a"}, {"--no-such-flag", "a"}} {
		var spoken strings.Builder
		if status := run(t.Context(), args, io.Discard, &spoken); status != 2 || spoken.Len() == 0 {
			t.Errorf("%q: status %d, %q", args, status, &spoken)
		}
	}
	var spoken strings.Builder
	if status := run(t.Context(), []string{"--help"}, io.Discard, &spoken); status != 0 {
		t.Errorf("--help: status %d", status)
	}
	for _, call := range []string{"ssm:ResumeSession", "ssmmessages:OpenDataChannel", "thrown out", "not for sessions of type port"} {
		if !strings.Contains(strings.ToLower(strings.Join(strings.Fields(spoken.String()), " ")), strings.ToLower(call)) {
			t.Errorf("--help does not say %q", call)
		}
	}
}

// TestInterrupt leaves the session in order.
func TestInterrupt(t *testing.T) {
	s := newService(t, datachanneltest.Options{Program: shell})
	s.leave()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := newCheck(options{sessionID: sessionID, endpointURL: s.URL(), hold: time.Hour}, writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "holding the channel") {
			cancel()
		}
		return len(p), nil
	}))
	cfg := s.Config()
	cfg.BaseEndpoint = aws.String(s.URL())
	c.cfg, c.client = cfg, ssmresume.NewFromConfig(cfg)
	if c.runParts(ctx, c.parts()[1:]) {
		t.Error("passed")
	}
	for end := time.Now().Add(10 * time.Second); s.session.Stats().Connected; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not left")
		}
	}
	if report := c.report(); !strings.Contains(report, "failed at hold") || !strings.Contains(report, "context canceled") {
		t.Error(report)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestMask(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "mary:s3cr3t@proxy.example.internal:3128")
	m := newMasker(options{sessionID: sessionID, profile: "majors", endpointURL: "https://vpce-0a1b2c3d-x.ssm.us-east-2.vpce.amazonaws.com"})
	m.secret("s3cr3t")
	for in, want := range map[string]string{
		"nothing": "nothing",
		sessionID: "<name>-07a1...",
		"arn:aws-us-gov:iam::111122223333:user/mary said": "arn:aws-us-gov:iam::<masked> said",
		"by mary-major.":                                                 "by <name>.",
		"AROAIOSFODNN7EXAMPLE:mary and s3cr3t":                           "<key> and <secret>",
		"dial tcp 10.1.2.3:443: refused":                                 "dial tcp <ip>:port: refused",
		"dial tcp [2001:db8::1]:443: refused":                            "dial tcp [<ip>]:443: refused",
		"on fe80::1":                                                     "on <ip>",
		"at 12:34:56, agent 3.3.1142.0":                                  "at 12:34:56, agent 3.3.1142.0",
		"host vpce-0a1b2c3d-x.ssm.us-east-2.vpce.amazonaws.com":          "host <endpoint>",
		"host vpce-0f1b2c3d-y.ssm.us-east-2.vpce.amazonaws.com":          "host vpce-<masked>.ssm.us-east-2.vpce.amazonaws.com",
		"i-02573cafcfe0a1b2c and mi-0123456789abcdef0":                   "i-<masked> and mi-<masked>",
		"wss://h/v1/data-channel/x?role=a&b=c&d":                         "wss://h/v1/data-channel/x?<masked>",
		"AIDAIOSFODNN7EXAMPLE of sso_111122223333_Admin":                 "<key> of sso<account>Admin",
		"failed to find SSO session section, major":                      "failed to find SSO session section, <profile>",
		"of profile m2, failed to get shared config profile, m2":         "of profile <profile>, failed to get shared config profile, <profile>",
		"~/.aws/sso/cache/9360078be1118372ac12274d7f381dfd56e61d23.json": "~/.aws/sso/cache/<hash>.json",
		"https://identitycenter.amazonaws.com/ssoins-7223aabbccddeeff":   "https://identitycenter.amazonaws.com/ssoins-<masked>",
		"proxyconnect tcp: lookup proxy.example.internal":                "proxyconnect tcp: lookup <proxy>",
		"profile majors of a.b@example.com":                              "profile <profile> of <address>",
		"https://d-9067.awsapps.com/start":                               "https://<portal>.awsapps.com/start",
		"two\nlines\x1b[31m":                                             "two lines [31m",
	} {
		if got := m.text(in); strings.TrimSpace(got) != want {
			t.Errorf("%q is masked as %q, want %q", in, got, want)
		}
	}
	if got := showID("ecs-execute-command-0a1b2c3d4e5f67890"); got != "ecs-execute-command-0a1b..." {
		t.Error(got)
	}
}
