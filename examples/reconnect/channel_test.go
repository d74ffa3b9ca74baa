package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"github.com/ssmresume/ssmresume"
)

const clientID = "74d66468-126a-5db3-b534-99287bbca9e0"

// temporary credentials also have a token to sign, and to leak.
var temporary = aws.Credentials{AccessKeyID: "ASIAIOSFODNN7EXAMPLE", SecretAccessKey: "secret", SessionToken: "a/b+c=="}

func newService(t *testing.T) (*service, *ssmresume.Client) {
	t.Helper()
	s, err := startService(localSession)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	s.ssm.SetCredentials(temporary)
	cfg := s.ssm.Config()
	cfg.BaseEndpoint = aws.String(s.url)
	return s, ssmresume.NewFromConfig(cfg)
}

func resume(t *testing.T, client *ssmresume.Client) *ssmresume.ResumeSessionOutput {
	t.Helper()
	out, err := client.ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: localSession})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// withURL returns out with another stream URL.
func withURL(t *testing.T, out *ssmresume.ResumeSessionOutput, raw string) *ssmresume.ResumeSessionOutput {
	t.Helper()
	u, err := ssmresume.ParseStreamURL(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &ssmresume.ResumeSessionOutput{SessionID: out.SessionID, TokenValue: out.TokenValue, StreamURL: u}
}

// TestHandshake: the server verifies the signature with its own code. The same
// header works with both WebSocket libraries.
func TestHandshake(t *testing.T) {
	s, client := newService(t)
	m := newMailbox()
	for i, query := range []string{"", "?cell-number=A+b/c==", "?role=publish_subscribe&cell-number=AA%2B+/=&e&a=%20~"} {
		out := resume(t, client)
		base, _, _ := strings.Cut(out.StreamURL.DialURL(), "?")
		out = withURL(t, out, base+query)

		conn, err := openChannel(t.Context(), client, out, clientID)
		if err != nil {
			t.Fatalf("coder/websocket, query %q: %v", query, err)
		}
		useText(t, conn, m, text(i+1))

		header, err := client.HandshakeHeader(t.Context(), out.StreamURL)
		if err != nil {
			t.Fatal(err)
		}
		other, resp, err := gorilla.DefaultDialer.DialContext(t.Context(), out.StreamURL.DialURL(), header)
		if err != nil {
			t.Fatalf("gorilla/websocket, query %q: %v, %v", query, err, resp)
		}
		other.Close()
		if _, resp, err := gorilla.DefaultDialer.DialContext(t.Context(), out.StreamURL.DialURL(), nil); err == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("query %q: dialled without a header: %v", query, err)
		}
	}
	if lost, duplicated := s.texts.check(3); lost != 0 || duplicated != 0 {
		t.Errorf("%d texts lost, %d duplicated", lost, duplicated)
	}
}

// useText sends a text through a new channel, and wants it back.
func useText(t *testing.T, conn *websocket.Conn, m *mailbox, text string) {
	t.Helper()
	done := errors.New("done")
	m.send(text)
	err := useChannel(t.Context(), conn, time.Minute, func(ctx context.Context) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		return m.run(ctx, conn, func(echo string) {
			if echo == text {
				cancel(done)
			}
		})
	})
	if !errors.Is(err, done) {
		t.Errorf("the channel ended: %v", err)
	}
}

// TestOnlyTheLastToken opens the channel.
func TestOnlyTheLastToken(t *testing.T) {
	_, client := newService(t)
	older, newer := resume(t, client), resume(t, client)
	for _, out := range []*ssmresume.ResumeSessionOutput{older, newer} {
		conn, err := openChannel(t.Context(), client, out, clientID)
		if err != nil {
			t.Fatal(err)
		}
		if out == newer {
			useText(t, conn, newMailbox(), "hello")
			continue
		}
		err = useChannel(t.Context(), conn, time.Minute, func(ctx context.Context) error {
			_, _, err := conn.Read(ctx)
			return err
		})
		if websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Errorf("with an old token: %v", err)
		}
	}
}

// TestPresigned: a presigned URL is dialled without headers, and the service
// takes none beside it.
func TestPresigned(t *testing.T) {
	s, client := newService(t)
	var seen *http.Request
	channel := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r
		http.Error(w, "", http.StatusForbidden)
	}))
	defer channel.Close()
	presigned := "/v1/data-channel/" + localSession + "?X-Amz-Signature=12ab"
	out := withURL(t, resume(t, client), "ws"+strings.TrimPrefix(channel.URL, "http")+presigned)
	if _, err := openChannel(t.Context(), client, out, clientID); err == nil || strings.Contains(err.Error(), "12ab") {
		t.Error(err)
	}
	if seen == nil || seen.Header.Get("Authorization") != "" || seen.Header.Get("X-Amz-Security-Token") != "" || seen.URL.RawQuery != "X-Amz-Signature=12ab" {
		t.Errorf("the server saw %v", seen)
	}

	signed, err := client.HandshakeHeader(t.Context(), resume(t, client).StreamURL)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", presigned, nil)
	r.Header = signed
	if err := s.ssm.VerifyHandshake(r); err == nil || !strings.Contains(err.Error(), "one is allowed") {
		t.Errorf("both signatures: %v", err)
	}
}

// TestRedirect of the handshake is not followed. If it were, the security token
// would arrive at the other host.
func TestRedirect(t *testing.T) {
	leaked := make(chan http.Header, 1)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { leaked <- r.Header }))
	defer elsewhere.Close()
	// By another name, else net/http takes it for the same host.
	to := strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)
	channel := httptest.NewServer(http.RedirectHandler(to, http.StatusTemporaryRedirect))
	defer channel.Close()

	_, client := newService(t)
	out := withURL(t, resume(t, client), "ws"+strings.TrimPrefix(channel.URL, "http")+"/v1/data-channel/"+localSession+"?cell-number=A+b/c==")
	_, err := openChannel(t.Context(), client, out, clientID)
	if err == nil || !strings.Contains(err.Error(), "307") || strings.Contains(err.Error(), "cell-number") {
		t.Error(err)
	}
	if len(leaked) > 0 {
		t.Fatal("the redirect was followed")
	}

	header, err := client.HandshakeHeader(t.Context(), out.StreamURL)
	if err != nil {
		t.Fatal(err)
	}
	careless := &http.Client{Transport: handshakes.Transport}
	if conn, _, err := websocket.Dial(t.Context(), out.StreamURL.DialURL(), &websocket.DialOptions{HTTPClient: careless, HTTPHeader: header}); err == nil {
		conn.CloseNow()
		t.Error("the other host is no WebSocket server")
	}
	if len(leaked) != 1 || (<-leaked).Get("X-Amz-Security-Token") != temporary.SessionToken {
		t.Error("a client that follows redirects does not leak the token: openChannel need not refuse them")
	}
}

func TestDialErrorHasNoQuery(t *testing.T) {
	s, client := newService(t)
	out := resume(t, client)
	if err := s.path.set(refused); err != nil {
		t.Fatal(err)
	}
	_, err := openChannel(t.Context(), client, out, clientID)
	_, query, _ := strings.Cut(out.StreamURL.DialURL(), "?")
	if err == nil || strings.Contains(err.Error(), "cell-number") || strings.Contains(err.Error(), url.QueryEscape(query)) {
		t.Error(err)
	}
}

// TestSilentDeath: nothing but a ping notices it.
func TestSilentDeath(t *testing.T) {
	for _, cut := range []string{unanswered, silent} {
		s, client := newService(t)
		conn, err := openChannel(t.Context(), client, resume(t, client), clientID)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.path.set(cut); err != nil {
			t.Fatal(err)
		}
		err = useChannel(t.Context(), conn, 100*time.Millisecond, func(ctx context.Context) error {
			_, _, err := conn.Read(ctx)
			return err
		})
		if err == nil || err.Error() != "no answer to a ping within 100ms" {
			t.Errorf("%s: %v", cut, err)
		}
	}
}
