package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// asProgram makes the test binary the program.
const asProgram = "RECONNECT_TEST_MAIN=1"

// TestMain fails if a goroutine outlives the tests.
func TestMain(m *testing.M) {
	if os.Getenv("RECONNECT_TEST_MAIN") != "" {
		main()
		return
	}
	before := runtime.NumGoroutine()
	code := m.Run()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i == 500 { // 5 s
			pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
			fmt.Fprintln(os.Stderr, "goroutines are left behind")
			os.Exit(1)
		}
		time.Sleep(10 * time.Millisecond)
	}
	os.Exit(code)
}

func program(t *testing.T, args string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], strings.Fields(args)...)
	cmd.Env = append(os.Environ(), asProgram, "TERM=xterm", "NO_COLOR=1")
	return cmd
}

// output can be read while the program writes it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// waitFor returns once the output holds text n times.
func (o *output) waitFor(t *testing.T, text string, n int) {
	t.Helper()
	for strings.Count(o.String(), text) < n {
		if sleep(t.Context(), 10*time.Millisecond) != nil {
			t.Fatalf("no %q in:\n%s", text, o)
		}
	}
}

// wantAll reports what the output lacks.
func wantAll(t *testing.T, output string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		if !regexp.MustCompile(`(?m)` + pattern).MatchString(output) {
			t.Errorf("no %s", pattern)
		}
	}
	if t.Failed() {
		t.Log(output)
	}
}

// nothingLost is a pattern of the table of lines, where all arrived.
const nothingLost = `^typed +\d+ +\d+ +\d+ +0 +0 +0\nprinted +\d+ +\d+ +\d+ +0 +0 +0$`

// TestOutages plays each kind, also for so long that nobody would watch it.
func TestOutages(t *testing.T) {
	for _, tt := range []struct {
		kind   string
		outage time.Duration
		want   []string // patterns, in the table of outages
	}{
		{"recycle", 0, []string{`^closed  0\.000 s  .* 0\nclosed  0\.000 s  `}},
		{"all", 3 * time.Second, []string{`^refused +3\.000 s  0\.000 s  [01]\.\d+ s  [1-9]\d*$`, `^unanswered +3\.000 s  [12]\.\d+ s  [01]\.\d+ s  0$`, `^silent +3\.000 s  [12]\.\d+ s  0\.\d+ s  0$`}},
		{"refused", 0, []string{`^refused +0\.000 s  0\.000 s  [01]\.`}},
		{"silent", 0, []string{`^silent +0\.000 s  [12]\.\d+ s  [12]\.\d+ s  0$`}},
		{"refused", time.Hour, []string{`^refused +3600\.000 s  0\.000 s  [01]\.\d+ s  \d{4}$`, `resumed after 360\d\.\d+ s without a channel`}},
		{"unanswered", time.Hour, []string{`^unanswered  3600\.000 s  [12]\.\d+ s  [01]\.\d+ s  [5-7]\d\d$`}},
		{"silent", time.Hour, []string{`^silent +3600\.000 s  [12]\.\d+ s  0\.\d+ s  3\d\d$`}},
	} {
		t.Run(fmt.Sprint(tt.kind, " ", tt.outage), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := datachanneltest.NewPipeServer()
				defer srv.Close()
				var stdout output
				if err := holdLocal(t.Context(), srv, options{kind: tt.kind, outage: tt.outage}, &stdout); err != nil {
					t.Error(err)
				}
				wantAll(t, stdout.String(), append(tt.want, nothingLost, `^closed +0\.000 s +0\.000 s +0\.000 s +0$`,
					`lost: closed by the service with 1000 "Bye"$`, `ended by itself$`, `^  network   [━╌]{3}`)...)
			})
		})
	}
}

// TestDoesNotComeBack: a session that ends in an outage.
func TestDoesNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := datachanneltest.NewPipeServer()
		defer srv.Close()
		srv.SetRespond(func(r ssmresumetest.Request) *ssmresumetest.Response {
			if r.SessionID == "" { // a handshake
				return nil
			}
			return ssmresumetest.TimedOut()
		})
		var stdout output
		err := holdLocal(t.Context(), srv, options{kind: "recycle"}, &stdout)
		if err == nil || !strings.Contains(err.Error(), "did not come back") {
			t.Error(err)
		}
		wantAll(t, stdout.String(), `ended: the session has ended`, `^closed  0\.000 s  0\.000 s  -     0$`, `^typed .*  0     0$`)
	})
}

// TestProcess runs the program as its user does.
func TestProcess(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	cmd := program(t, "--kind refused --outage 1s")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v, standard error: %s", err, &stderr)
	}
	wantAll(t, stdout.String(), nothingLost,
		`^    4\.\d\d s  the network is cut: refused\n`,
		`s  lost: (?:read tcp .* connection\n? *reset by\n? *peer|.*\n? *EOF)$`, // the kernel tells a reset once: a write may have heard it
		`s  waiting: dial tcp .* connection\n? *refused$`,
		`s  resumed after 1\.\d{3} s without a channel$`,
		`^  channel   ━{4}[━╳]+ +[━╳]+ *$`,
		`^refused  1\.0\d\d s  0\.\d{3} s  [01]\.\d{3} s  \d+$`)
	for _, unwanted := range []string{"\x1b", "cell-number", "context"} {
		if strings.Contains(stdout.String(), unwanted) {
			t.Errorf("the output has %q", unwanted)
		}
	}
}

// TestRealSession runs the program with a session that it does not own.
func TestRealSession(t *testing.T) {
	srv := datachanneltest.NewServer()
	defer srv.Close()
	keys, err := srv.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID":           keys.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY":       keys.SecretAccessKey,
		"AWS_SESSION_TOKEN":           keys.SessionToken,
		"AWS_CONFIG_FILE":             os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_REGION":                  "",
	} {
		t.Setenv(name, value)
	}
	var typed, printed tally
	first, session := srv.Start(datachanneltest.Options{Program: shell(&typed, &printed)})
	args := []string{"--session-id", first.SessionID, "--endpoint-url", srv.URL(), "--region", ssmresumetest.Region}
	opened := 0
	start := func() (stdout, stderr *output, interrupt func(), status chan int) {
		ctx, cancel := context.WithCancel(t.Context())
		stdout, stderr, status = new(output), new(output), make(chan int)
		go func() { status <- run(ctx, args, stdout, stderr) }()
		stdout.waitFor(t, "s  opened", 1)
		for session.Stats().Opened == opened { // the client knows it before the service
			time.Sleep(time.Millisecond)
		}
		opened = session.Stats().Opened
		return stdout, stderr, cancel, status
	}

	stdout, stderr, interrupt, status := start()
	session.CloseChannel(1000, "Bye")
	stdout.waitFor(t, "s  resumed", 1)
	for session.Stats().Opened == opened {
		time.Sleep(time.Millisecond)
	}
	opened++
	interrupt()
	if got := <-status; got != 0 || stderr.String() != "" {
		t.Errorf("status %d, standard error %q", got, stderr)
	}
	wantAll(t, stdout.String(), `lost: closed by the service with 1000 "Bye"$`, `^other +0\.000 s  0\.000 s  \d\.\d+ s  \d+$`)

	stdout, stderr, interrupt, status = start()
	defer interrupt()
	session.Terminate("Terminated by the administrator.")
	if got := <-status; got != 1 || !strings.Contains(stderr.String(), "Terminated by the administrator.") {
		t.Errorf("status %d, standard error %q, standard output:\n%s", got, stderr, stdout)
	}
	for _, secret := range []string{keys.SecretAccessKey, keys.SessionToken, srv.LastToken(first.SessionID)} {
		if secret != "" && strings.Contains(stdout.String()+stderr.String(), secret) {
			t.Error("a secret is printed")
		}
	}
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"x":                             `unknown argument "x": all arguments are flags`,
		"--nope":                        "flag provided but not defined: -nope",
		"--kind cut":                    `unknown --kind "cut": it is refused, unanswered, silent, recycle or all`,
		"--outage -1s":                  "--outage -1s is negative",
		"--outage 5":                    `invalid value "5" for flag -outage: parse error`,
		"--region us-east-2":            "--region, --profile and --endpoint-url need a --session-id",
		"--session-id= --region a":      "--session-id is empty",
		"--session-id s --kind refused": "--kind and --outage are for the local session: a real network cannot be cut from here",
	} {
		cmd := program(t, args)
		got, _ := cmd.CombinedOutput()
		if status := cmd.ProcessState.ExitCode(); status != 2 || string(got) != "reconnect: "+want+"; --help lists the flags\n" {
			t.Errorf("%s: status %d, %s", args, status, got)
		}
	}
	help, err := program(t, "--help").Output()
	if err != nil || !strings.Contains(string(help), "-outage duration") {
		t.Errorf("--help: %v, %s", err, help)
	}
}

// TestUnannounced: a channel that is lost by itself, also just before an outage.
func TestUnannounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stdout output
		r := newReport(&stdout, time.Minute)
		tell := func(kinds ...datachannel.EventKind) {
			for _, kind := range kinds {
				r.event(datachannel.Event{Kind: kind, Err: io.ErrUnexpectedEOF})
				time.Sleep(time.Second)
			}
		}
		tell(datachannel.Opened, datachannel.Lost, datachannel.Waiting, datachannel.Resumed, datachannel.Lost)
		back := r.begin("refused")
		time.Sleep(time.Second)
		r.over()
		tell(datachannel.Waiting, datachannel.Resumed, datachannel.Lost, datachannel.Resumed)
		<-back
		r.printOutages()
		wantAll(t, stdout.String(), `^    1.00 s  lost: unexpected EOF$`,
			`^other +0.000 s  0.000 s  2.000 s  1\nother +0.000 s  0.000 s  -  +0\nrefused  1.000 s  -  +1.000 s  1\nother +0.000 s  0.000 s  1.000 s  0$`)
	})
}

// TestCounts: the check at the end can fail.
func TestCounts(t *testing.T) {
	for _, tt := range []struct {
		arrived string
		want    counts
		ok      bool
	}{
		{"1 2 3 4", counts{sent: 4, arrived: 4, last: 4}, true},
		{"1 2 3", counts{sent: 4, arrived: 3, last: 3}, false}, // one is under way
		{"1 3 4", counts{sent: 4, arrived: 3, last: 4, lost: 1}, false},
		{"1 2 2 3 4", counts{sent: 4, arrived: 4, last: 4, twice: 1}, false},
		{"1 3 2 4", counts{sent: 4, arrived: 3, last: 4, lost: 1, twice: 1}, false},
		{"1 2 3 4 x", counts{sent: 4, arrived: 4, last: 4, twice: 1}, false},
		{"", counts{sent: 4}, false},
	} {
		tl := tally{counts: counts{sent: 4}}
		for _, line := range strings.Fields(tt.arrived) {
			tl.arrive(line)
		}
		if diff := cmp.Diff(tt.want, tl.now(0), cmp.AllowUnexported(counts{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.arrived, diff)
		}
		r := report{timeline: &timeline{w: new(output)}}
		if r.printLines(tl.now(0), counts{}) != tt.ok || r.printLines(counts{}, tl.now(0)) != tt.ok {
			t.Errorf("%s: taken for what it is not:\n%s", tt.arrived, r.w)
		}
	}
}

// TestDrawing compares what a terminal shows in the end.
func TestDrawing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		tl := newTimeline(&out, 64*time.Second)
		tl.live = true
		at := func(second float64, note func(*cell)) {
			time.Sleep(time.Until(tl.start.Add(time.Duration(second * float64(time.Second)))))
			tl.mu.Lock()
			note(tl.current())
			tl.mu.Unlock()
		}
		at(0, func(c *cell) { c.back, c.open = true, true })
		at(1, func(c *cell) { c.lines = 4 })
		at(2, func(c *cell) { c.lines = 1 })
		at(3, func(c *cell) { c.cut = true })
		at(4, func(c *cell) { c.open, c.lost = false, true })
		at(6, func(c *cell) { c.tried = true })
		at(8, func(c *cell) { c.cut = false })
		at(9, func(c *cell) { c.back, c.open, c.lines = true, true, 40 })
		tl.line("a line of some length, which goes on in the next one where this one ends")
		tl.print("")
		want := `
  network   ━━━╌╌╌╌╌━━
  channel   ━━━━╳    ━
  output     ▄▁      █
  resume    ●     ○  ●
            0 s       10 s      20 s      30 s      40 s      50 s      60 s
`
		want = "    9.00 s  a line of some length, which goes on in the next one where this one\n            ends\n" + want + "\x1b[6A\x1b[J" + want
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}

		time.Sleep(100 * time.Second)
		out.Reset()
		tl.print("")
		lines := strings.Split(out.String(), "\n")
		if axis := lines[len(lines)-2]; axis != fmt.Sprintf("%20s", "50 s")+"      60 s      70 s      80 s      90 s      100 s" {
			t.Errorf("the drawing does not move on: %q", axis)
		}
	})
}

func TestCellLength(t *testing.T) {
	for total, want := range map[time.Duration]time.Duration{
		time.Second:       500 * time.Millisecond,
		32 * time.Second:  500 * time.Millisecond,
		33 * time.Second:  time.Second,
		65 * time.Second:  2 * time.Second,
		129 * time.Second: 5 * time.Second,
		10 * time.Minute:  10 * time.Second,
		24 * time.Hour:    2000 * time.Second,
	} {
		if got := cellLength(total, 64); got != want {
			t.Errorf("%v: %v, want %v", total, got, want)
		}
	}
}
