package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMain fails if a goroutine outlives the tests.
func TestMain(m *testing.M) {
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

// TestOutages plays each kind. In the longer ones an attempt is made while the
// network is away.
func TestOutages(t *testing.T) {
	for args, name := range map[string]string{
		"--kind recycle":                    "service closes",
		"--kind refused --outage 1s":        "refused",
		"--kind unanswered --outage 100ms":  "unanswered",
		"--kind unanswered --outage 2500ms": "unanswered",
		"--kind silent --outage 2500ms":     "silent",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr output
			if status := run(t.Context(), strings.Fields(args), &stdout, &stderr); status != 0 || stderr.String() != "" {
				t.Errorf("status %d, standard error: %s", status, &stderr)
			}
			for _, want := range []string{
				`(?m)^service closes  0\.000 s .* 1$`,
				`(?m)^` + name + ` .* s  +[0-9.]+ s  +[0-9.]+ s  +[0-9.]+ s  +\d+$`,
				`(?m)^to the service  (\d{2,})  +\d+  +\d+  +0     0$`,
				`(?m)^echoes  +\d{2,}  +\d+  +\d+  +0     0$`,
				`all messages and echoes are acknowledged`,
			} {
				if !regexp.MustCompile(want).MatchString(stdout.String()) {
					t.Errorf("no %s", want)
				}
			}
			if strings.Contains(stdout.String(), "\x1b") {
				t.Error("escape sequences, though it is no terminal")
			}
			if strings.Contains(stdout.String(), "cell-number") {
				t.Error("the query of a stream URL")
			}
			if t.Failed() {
				t.Log(stdout.String())
			}
		})
	}
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr output
	done := make(chan int)
	go func() { done <- run(ctx, nil, &stdout, &stderr) }()
	stdout.waitFor(t, "channel open", 1)
	cancel()
	if status := <-done; status != 130 {
		t.Errorf("status %d, want 130", status)
	}
}

// TestRealSession runs the program against an SSM endpoint and a data channel
// that it does not own.
func TestRealSession(t *testing.T) {
	s, _ := newService(t)
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID":           temporary.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY":       temporary.SecretAccessKey,
		"AWS_SESSION_TOKEN":           temporary.SessionToken,
		"AWS_CONFIG_FILE":             os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_REGION":                  "",
	} {
		t.Setenv(name, value)
	}
	args := []string{"--session-id", localSession, "--endpoint-url", s.url, "--region", "us-east-2"}
	start := func() (stdout, stderr *output, interrupt func(), status chan int) {
		ctx, cancel := context.WithCancel(t.Context())
		stdout, stderr, status = new(output), new(output), make(chan int)
		go func() { status <- run(ctx, args, stdout, stderr) }()
		stdout.waitFor(t, "channel open", 1)
		for s.current() == nil { // the client knows it before the service
			time.Sleep(time.Millisecond)
		}
		return stdout, stderr, cancel, status
	}

	stdout, stderr, interrupt, status := start()
	s.recycle()
	stdout.waitFor(t, "channel open", 2)
	interrupt()
	if got := <-status; got != 0 || !strings.Contains(stdout.String(), `closed by the service with 1000 "Bye"`) || !regexp.MustCompile(`(?m)^other .* 1$`).MatchString(stdout.String()) {
		t.Errorf("status %d, standard error %q, standard output:\n%s", got, stderr, stdout)
	}

	for s.current() != nil { // the service learns last that the client has gone
		time.Sleep(time.Millisecond)
	}
	stdout, stderr, interrupt, status = start()
	defer interrupt()
	s.ssm.Terminate(localSession)
	s.recycle()
	if got := <-status; got != 1 || !strings.Contains(stderr.String(), "DoesNotExistException") {
		t.Errorf("status %d, standard error %q, standard output:\n%s", got, stderr, stdout)
	}
	for _, secret := range []string{temporary.SessionToken, temporary.SecretAccessKey, s.ssm.LastToken(localSession)} {
		if secret != "" && strings.Contains(stdout.String()+stderr.String(), secret) {
			t.Error("a secret is printed")
		}
	}
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"x":                             `unknown argument "x"`,
		"--kind cut":                    `unknown --kind "cut"`,
		"--outage -1s":                  "negative",
		"--outage 5":                    "invalid value",
		"--region us-east-2":            "need a --session-id",
		"--session-id= --region a":      "--session-id is empty",
		"--session-id s --kind refused": "cannot be cut",
	} {
		var stdout, stderr output
		if status := run(t.Context(), strings.Fields(args), &stdout, &stderr); status != 2 || !strings.Contains(stderr.String(), want) || stdout.String() != "" {
			t.Errorf("%s: status %d, %s", args, status, &stderr)
		}
	}
}

// TestTally: the check of the summary can fail.
func TestTally(t *testing.T) {
	var out bytes.Buffer
	messages, echoes := newMailbox(), newMailbox()
	atService, atClient := newTally(), newTally()
	for n := range 3 {
		messages.send(text(n + 1))
	}
	for _, n := range []int{1, 2, 2, 2} {
		atService.add(text(n))
	}
	if lost, duplicated := atService.check(3); lost != 1 || duplicated != 2 {
		t.Errorf("%d lost and %d duplicated, want 1 and 2", lost, duplicated)
	}
	if printMessages(&out, messages, echoes, atService, atClient) {
		t.Errorf("lost messages are no failure:\n%s", &out)
	}
}

// TestMailbox: what arrives twice is delivered once, and what is missing ends
// the channel.
func TestMailbox(t *testing.T) {
	m := newMailbox()
	for _, step := range []struct {
		number int
		isNew  bool
		fails  bool
	}{{1, true, false}, {2, true, false}, {1, false, false}, {2, false, false}, {4, false, true}, {3, true, false}} {
		if isNew, err := m.take(step.number); isNew != step.isNew || (err != nil) != step.fails {
			t.Errorf("message %d: %v, %v", step.number, isNew, err)
		}
	}
}

// TestDrawing compares what a terminal shows in the end.
func TestDrawing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		tl := newTimeline(&out, 64*time.Second)
		tl.drawn = true
		at := func(second float64, note func(*cell)) {
			time.Sleep(time.Until(tl.start.Add(time.Duration(second * float64(time.Second)))))
			tl.mark(note)
		}
		at(0, func(c *cell) { c.back, c.open = true, true })
		for range 5 {
			at(1, func(c *cell) { c.messageNumber++ })
		}
		at(3, func(c *cell) { c.cut = true })
		at(4, func(c *cell) { c.open, c.lost = false, true })
		at(6, func(c *cell) { c.tried = true })
		at(8, func(c *cell) { c.cut = false })
		at(9, func(c *cell) { c.back, c.open = true, true })
		tl.line("a line")
		tl.refresh()
		want := `
  network   ━━━╌╌╌╌╌━━
  channel   ━━━━╳    ━
  messages   ▅        
  resume    ●     ○  ●
            0 s     8 s     16 s    24 s    32 s    40 s    48 s    56 s
`
		want = "    9.00 s  a line\n" + want + "\x1b[6A\x1b[J" + want
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}

		time.Sleep(100 * time.Second)
		out.Reset()
		tl.refresh()
		lines := strings.Split(out.String(), "\n")
		if axis := lines[len(lines)-2]; axis != fmt.Sprintf("%18s%8s", "48 s", "56 s")+"    64 s    72 s    80 s    88 s    96 s    104 s" {
			t.Errorf("the drawing does not move on: %q", axis)
		}
	})
}
