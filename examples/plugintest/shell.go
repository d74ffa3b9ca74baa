package plugintest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

func version(s *stage) {
	run := func(args ...string) string {
		cmd := exec.CommandContext(s.ctx, s.plugin, args...)
		cmd.Env = s.environment()
		out, err := cmd.Output()
		s.need(err)
		return string(out)
	}
	if out := run("--version"); !regexp.MustCompile(`^\d+(\.\d+){0,3}$`).MatchString(strings.TrimSpace(out)) {
		s.fail("--version printed %q", out)
	}
	if out := run(); !strings.Contains(out, "The Session Manager plugin was installed successfully.") {
		s.fail("without arguments it printed %q", out)
	}
}

func shell(s *stage) {
	p := s.start(withTerminal, datachanneltest.Options{Program: parrot})
	p.shows("Starting session with SessionId: " + p.session.ID())
	p.shows("$ ")
	p.types("hello\r")
	p.shows("you said hello.")
	p.types("exit\r")
	p.ends()
}

func shellTerminal(s *stage) {
	fresh, tty, err := pty.Open()
	s.need(err)
	defer tty.Close()
	defer fresh.Close()
	before, err := term.GetState(int(fresh.Fd()))
	s.need(err)

	p := s.start(withTerminal, datachanneltest.Options{Program: parrot})
	p.shows("$ ")
	s.sleep(time.Second / 2)
	p.types("exit\r")
	p.ends()
	after, err := term.GetState(int(p.terminal.Fd()))
	s.need(err)
	if !reflect.DeepEqual(before, after) {
		s.fail("the terminal is left otherwise than it was")
	}
}

func shellResponseAsArgument(s *stage) {
	s.writeCredentials()
	o := datachanneltest.Options{Program: parrot, TargetID: "i-0123456789abcdef0"}
	response, session := s.startSession(o)
	cmd := exec.Command(s.plugin, response, ssmresumetest.Region, "StartSession", profile, parameters(o), s.srv.URL())
	cmd.Env = s.environment()
	p := s.startCommand(withPipes, cmd, session)
	p.shows("$ ")
	p.types("exit\n")
	p.ends()
}

func shellKMS(s *stage) {
	key := &datachanneltest.KMS{KeyID: "arn:aws:kms:us-east-2:111122223333:key/1234abcd"}
	service := httptest.NewServer(serveKMS(key))
	defer service.Close()
	s.env = append(s.env, "AWS_ENDPOINT_URL_KMS="+service.URL)
	p := s.start(withTerminal, datachanneltest.Options{Program: parrot, KMS: key, TargetID: "i-0fedcba9876543210"})
	var clear atomic.Bool
	p.session.SetFilter(func(m datachanneltest.Message) datachanneltest.Action {
		if m.PayloadType == 1 && (strings.Contains(string(m.Payload), "parole") || strings.Contains(string(m.Payload), "$ ")) {
			clear.Store(true)
		}
		return datachanneltest.Deliver
	})
	p.shows("This session is encrypted using AWS KMS.")
	p.shows("$ ")
	p.types("parole\r")
	p.shows("you said parole.")
	s.until(patience, func() bool { return p.session.Stats().Unacknowledged == 0 }, "the output is not acknowledged")
	p.session.Cut()
	s.until(back, func() bool { return p.session.Stats().Opened == 2 }, "the session is not resumed")
	p.types("parole 2\r")
	p.shows("you said parole 2.")
	p.types("exit\r")
	p.ends()
	if clear.Load() {
		s.fail("text went in clear")
	}
}

// serveKMS answers GenerateDataKey.
func serveKMS(key *datachanneltest.KMS) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			KeyID             string `json:"KeyId"`
			NumberOfBytes     int
			EncryptionContext map[string]string
		}
		err := json.NewDecoder(r.Body).Decode(&in)
		if err != nil || r.Header.Get("X-Amz-Target") != "TrentService.GenerateDataKey" || in.NumberOfBytes != 64 {
			http.Error(w, `{"__type":"ValidationException"}`, http.StatusBadRequest)
			return
		}
		var out struct {
			KeyID          string `json:"KeyId"`
			Plaintext      []byte
			CiphertextBlob []byte
		}
		out.KeyID = in.KeyID
		out.Plaintext, out.CiphertextBlob, err = key.GenerateDataKey(r.Context(), in.KeyID, in.EncryptionContext)
		if err != nil {
			http.Error(w, `{"__type":"NotFoundException"}`, http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		json.NewEncoder(w).Encode(out)
	})
}

func shellKeys(s *stage) {
	p := s.start(withTerminal, datachanneltest.Options{Program: keys})
	p.shows("$ ")
	s.sleep(time.Second / 2) // the plugin takes over the terminal after the first output
	for _, key := range []struct{ typed, shown string }{{"a", "<61>"}, {"\x03", "<03>"}, {"\x1a", "<1a>"}, {"\x1c", "<1c>"}, {"\r", "<0d>"}} {
		p.types(key.typed)
		p.shows(key.shown)
	}
	p.types("q")
	p.ends()
}

func shellResize(s *stage) {
	p := s.start(withTerminal, datachanneltest.Options{Program: sizes})
	p.shows("<80x24>")
	s.need(pty.Setsize(p.terminal, &pty.Winsize{Cols: 132, Rows: 43}))
	p.shows("<132x43>")
	p.session.Terminate("")
	p.ends()
}

// numbered is text of n bytes in which every part can be told from any other. It
// holds no line end.
func numbered(n int) string {
	var b []byte
	for i := int64(0); len(b) < n; i++ {
		b = append(strconv.AppendInt(b, i, 16), ',') // fmt takes seconds for megabytes under the race detector
	}
	return string(b[:n])
}

func shellPaste(s *stage) {
	const n = 1 << 20
	p := s.start(withTerminal, datachanneltest.Options{Program: digests(n)})
	p.shows("$ ")
	s.sleep(time.Second / 2) // until then the terminal edits lines, of at most 4096 bytes
	text := numbered(n)
	go p.keyboard.Write([]byte(text))
	p.shows(digest(text))
	p.session.Terminate("")
	p.ends()
}

func shellUTF8(s *stage) {
	text := strings.Repeat("aé漢🙂", 30_000)
	p := s.start(withPipes, datachanneltest.Options{Program: prints(text)})
	p.ends()
	s.whole(p.between(), text)
}

func shellOutput(s *stage) {
	text := numbered(4 << 20)
	p := s.start(withPipes, datachanneltest.Options{Program: prints(text)})
	p.ends()
	s.whole(p.between(), text)
}

func interactiveCommand(s *stage) {
	p := s.start(withTerminal, datachanneltest.Options{Type: datachanneltest.InteractiveCommands, Program: parrot})
	p.shows("$ ")
	p.types("yes\r")
	p.shows("you said yes.")
	p.types("exit\r")
	p.ends()
}

const commandOutput = "one\ntwo\nthree\n"

func command(s *stage) {
	p := s.start(withPipes, datachanneltest.Options{Type: datachanneltest.NonInteractiveCommands, Program: prints(commandOutput)})
	p.ends()
	s.whole(p.between(), commandOutput)
}

func commandNoInput(s *stage) {
	p := s.start(withoutInput, datachanneltest.Options{
		Type: datachanneltest.NonInteractiveCommands,
		Program: func(ctx context.Context, t *datachanneltest.Terminal) int {
			time.Sleep(time.Second) // the end of the input comes first
			return prints(commandOutput)(ctx, t)
		},
	})
	p.ends()
	s.whole(p.between(), commandOutput)
}

func commandSeparate(s *stage) {
	p := s.start(withPipes, datachanneltest.Options{
		Type:           datachanneltest.NonInteractiveCommands,
		SeparateOutput: true,
		Program: func(_ context.Context, t *datachanneltest.Terminal) int {
			fmt.Fprint(t.Stdout, "result\n")
			fmt.Fprint(t.Stderr, "complaint\n")
			return 3
		},
	})
	p.shows("result\n")
	p.exits(3)
	if text, _ := p.errors.text(); !strings.Contains(text, "complaint\n") {
		s.fail("standard error is not apart")
	}
}

func sshNewline(s *stage) {
	p := s.startSSH()
	for _, part := range []string{"<", "\n", ">"} {
		p.types(part)
		p.shows(sshGreeting + "<\n>"[:1+strings.Index("<\n>", part)])
	}
}

func sshBulk(s *stage) {
	p := s.startSSH()
	text := numbered(1 << 20)
	go p.keyboard.Write([]byte(text))
	p.shows(text[len(text)-100:])
	got, _ := p.out.text()
	_, got, _ = strings.Cut(got, sshGreeting)
	s.whole(got, text)
	p.keyboard.Close()
	p.exits(0)
}
