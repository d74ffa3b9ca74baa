package datachannel_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// What is typed, read, or opens a channel is in no log, event, error or print.
func TestSecrets(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		const password = "open-sesame"
		kms := &datachanneltest.KMS{}
		first, agent := srv.Start(datachanneltest.Options{Program: sh, KMS: kms, TargetID: "i-1"})
		var mu sync.Mutex
		var said bytes.Buffer
		say := func(v any) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(&said, "%v %+v %#v %s %q %x\n", v, v, v, v, v, v)
			if b, err := json.Marshal(v); err == nil {
				said.Write(b)
			}
			if b, err := xml.Marshal(v); err == nil {
				said.Write(b)
			}
			slog.New(slog.NewJSONHandler(&said, nil)).Info("v", "v", v)
			slog.New(slog.NewTextHandler(&said, nil)).Info("v", "v", v)
		}
		logger := slog.New(slog.NewTextHandler(writer{&mu, &said}, &slog.HandlerOptions{Level: slog.LevelDebug}))
		s, err := datachannel.Open(t.Context(), ssmresume.NewFromConfig(srv.Config()), first, quick, func(o *datachannel.Options) {
			o.DataKeys, o.TargetID, o.Logger = kms, "i-1", logger
			o.OnEvent = func(e datachannel.Event) { say(e) }
		})
		if err != nil {
			t.Fatal(err)
		}
		readUntil(t, s, "$ ")
		typed(t, s, password)
		agent.Cut()
		typed(t, s, password)
		srv.SetNetwork(ssmresumetest.Refused)
		io.WriteString(s, password)
		time.Sleep(time.Minute)
		srv.SetNetwork(ssmresumetest.Up)
		io.WriteString(s, "\n")
		time.Sleep(time.Minute) // what comes is not read
		say(s)
		say(s.Stats())
		state, err := s.Detach(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		secret, err := state.Reveal()
		if err != nil {
			t.Fatal(err)
		}
		var saved struct{ DataKey string }
		if err := json.Unmarshal(secret, &saved); err != nil || len(saved.DataKey) < 80 {
			t.Fatalf("the state has no key: %v", err)
		}
		say(state)
		say(&state)
		say(struct{ s *datachannel.State }{&state})
		say(datachannel.Options{State: &state})
		srv.SetRespond(func(r ssmresumetest.Request) *ssmresumetest.Response {
			if strings.HasPrefix(r.Path, "/v1/") {
				return ssmresumetest.Raw(403, nil, first.TokenValue.Reveal())
			}
			return nil
		})
		_, err = datachannel.Attach(t.Context(), ssmresume.NewFromConfig(srv.Config()), agent.ID(), func(o *datachannel.Options) { o.State = &state })
		say(err)
		_, err = datachannel.ParseState(append(secret, '}'))
		say(err)

		mu.Lock()
		defer mu.Unlock()
		for name, secret := range map[string]string{
			"what was typed":   password,
			"the first token":  first.TokenValue.Reveal(),
			"the data key":     saved.DataKey,
			"the last token":   srv.LastToken(agent.ID()),
			"the URL's query":  "cell-number",
			"a hex of a token": fmt.Sprintf("%x", first.TokenValue.Reveal()),
			"hex of the input": fmt.Sprintf("%x", password),
		} {
			if i := strings.Index(said.String(), secret); i >= 0 {
				t.Errorf("%s is said: …%s", name, said.String()[max(i-200, 0):i])
			}
		}
	})
}

type writer struct {
	mu *sync.Mutex
	w  io.Writer
}

func (w writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}
