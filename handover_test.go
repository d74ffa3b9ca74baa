package ssmresume_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

const streamURL = "wss://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/" + sessionID + "?role=publish_subscribe&cell-number=A+b/c=="

// output is what StartSession has answered.
func output(t *testing.T) *ssmresume.ResumeSessionOutput {
	t.Helper()
	out, err := ssmresume.NewOutput(sessionID, "token+/=", streamURL)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNewOutput(t *testing.T) {
	u, err := ssmresume.ParseStreamURL(streamURL)
	if err != nil {
		t.Fatal(err)
	}
	want := &ssmresume.ResumeSessionOutput{SessionID: sessionID, TokenValue: ssmresume.NewToken("token+/="), StreamURL: u}
	if diff := cmp.Diff(want, output(t)); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	other := strings.Replace(streamURL, sessionID, "other", 1)
	for name, tc := range map[string]struct{ id, token, url, want string }{
		"no session ID":   {"", secretToken, streamURL, "the session ID is empty"},
		"no token":        {sessionID, "", streamURL, "the token is empty"},
		"no URL":          {sessionID, secretToken, "", "invalid stream URL: its scheme is not wss"},
		"no stream URL":   {sessionID, secretToken, "https://h/?" + secretQuery, "invalid stream URL: its scheme is not wss"},
		"another's":       {sessionID, secretToken, other + secretQuery, `the stream URL is for session "other", not for "` + sessionID + `"`},
		"in another case": {strings.ToUpper(sessionID), secretToken, streamURL, "is for session"},
	} {
		out, err := ssmresume.NewOutput(tc.id, tc.token, tc.url)
		type facts struct {
			Output, Leaks bool
			Err           string
		}
		same(t, name, facts{false, false, tc.want}, facts{out != nil, err != nil && leaks(err.Error()), textOf(err, tc.want)})
	}
}

// TestSecretJSON: to the byte what json.dumps makes of the AWS CLI's answer, but
// for the spaces.
func TestSecretJSON(t *testing.T) {
	got, err := output(t).SecretJSON()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"SessionId":"` + sessionID + `","TokenValue":"token+/=","StreamUrl":"` + streamURL + `"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	whole := output(t)
	whole.SessionID = "" // an answer may leave it out
	if got, err := whole.SecretJSON(); err != nil || string(got) != want {
		t.Errorf("without SessionID: %s, %v", got, err)
	}
	for missing, edit := range map[string]func(*ssmresume.ResumeSessionOutput){
		"no session ID": func(o *ssmresume.ResumeSessionOutput) { *o = ssmresume.ResumeSessionOutput{} },
		"no token":      func(o *ssmresume.ResumeSessionOutput) { o.TokenValue = ssmresume.Token{} },
		"no stream URL": func(o *ssmresume.ResumeSessionOutput) { o.StreamURL = ssmresume.StreamURL{} },
	} {
		out := output(t)
		edit(out)
		got, err := out.SecretJSON()
		type facts struct{ Document, Err string }
		same(t, missing, facts{"", missing}, facts{string(got), textOf(err, missing)})
	}
}

// TestSecretJSONOfAnAnswer: nothing of what the service sent is lost.
func TestSecretJSONOfAnAnswer(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	out, err := ssmresume.NewFromConfig(srv.Config()).ResumeSession(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	document, err := out.SecretJSON()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal(document, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"SessionId": sessionID, "TokenValue": srv.LastToken(sessionID), "StreamUrl": out.StreamURL.DialURL()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
}

func TestErrSessionGone(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	client := ssmresume.NewFromConfig(srv.Config())
	for name, tc := range map[string]struct {
		resp *ssmresumetest.Response
		gone bool
	}{
		"does not exist":    {ssmresumetest.Fail(400, "DoesNotExistException", "gone"), true},
		"200 without token": {ssmresumetest.TimedOut(), true},
		"denied":            {ssmresumetest.Fail(400, "AccessDeniedException", "no"), false},
		"other code":        {ssmresumetest.Fail(400, "ResourceNotFoundException", "no"), false},
	} {
		srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return tc.resp })
		_, err := client.ResumeSession(t.Context(), input)
		if err == nil || errors.Is(err, ssmresume.ErrSessionGone) != tc.gone {
			t.Errorf("ResumeSession, %s: %v, want gone %v", name, err, tc.gone)
		}
		_, err = ssmresume.NewReconnector(client, sessionID).Resume(t.Context())
		if err == nil || errors.Is(err, ssmresume.ErrSessionGone) != tc.gone {
			t.Errorf("Resume, %s: %v, want gone %v", name, err, tc.gone)
		}
	}
}

const viaEndpoint = "vpce-1-2.ssmmessages.us-east-2.vpce.amazonaws.com"

func TestStreamHost(t *testing.T) {
	const sent = "wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/" + sessionID
	for name, tc := range map[string]struct {
		host, sent string
		want       string // DialURL
		region     string // in the handshake's signature; empty: it is not signed
	}{
		"PrivateLink":         {viaEndpoint, sent + "?role=input&cell-number=A+b/c==", "wss://" + viaEndpoint + "/v1/data-channel/" + sessionID + "?role=input&cell-number=A+b/c==", "eu-west-1"},
		"a name of one's own": {"channel.example:8443", sent, "wss://channel.example:8443/v1/data-channel/" + sessionID, "eu-west-1"},
		"an IPv6 address":     {"[fd00::1]:443", sent + "?a", "wss://[fd00::1]:443/v1/data-channel/" + sessionID + "?a", "eu-west-1"},
		"of a host outside":   {"channel.example", "wss://10.0.0.1/v1/data-channel/" + sessionID, "wss://channel.example/v1/data-channel/" + sessionID, "us-east-2"},
		"presigned":           {viaEndpoint, sent + "?X-Amz-Signature=1", sent + "?X-Amz-Signature=1", ""},
		"no URL":              {viaEndpoint, "", "", ""},
		"none":                {"", sent, sent, "eu-west-1"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := ssmresumetest.NewServer()
			defer srv.Close()
			srv.SetStreamURL(func(string) string { return tc.sent })
			cfg := srv.Config()
			client := ssmresume.NewFromConfig(cfg, func(o *ssmresume.Options) { o.StreamHost = tc.host })
			out, err := client.ResumeSession(t.Context(), input)
			if err != nil {
				t.Fatal(err)
			}
			if got := out.StreamURL.DialURL(); got != tc.want {
				t.Errorf("the call: %s, want %s", got, tc.want)
			}
			resumed, err := ssmresume.NewReconnector(client, sessionID).Resume(t.Context())
			if err != nil || !resumed.StreamURL.Equal(out.StreamURL) {
				t.Errorf("Resume: %s, %v", resumed.StreamURL.DialURL(), err)
			}
			if tc.region == "" {
				return
			}
			// An endpoint of AWS, so that no host is signed for because the client is a test's.
			aws := ssmresume.New(ssmresume.Options{Region: "us-east-2", Credentials: cfg.Credentials, StreamHost: tc.host})
			header, err := aws.HandshakeHeader(t.Context(), out.StreamURL)
			if err != nil || !strings.Contains(header.Get("Authorization"), "/"+tc.region+"/ssmmessages/") {
				t.Errorf("the handshake: %v, %v, want Region %s", header, err, tc.region)
			}
		})
	}
}

// TestStreamHostIsTheOnlyOne: naming a host does not let others have the headers.
func TestStreamHostIsTheOnlyOne(t *testing.T) {
	client := ssmresume.New(ssmresume.Options{Region: "us-east-2", Credentials: credentials("id", "secret", ""), StreamHost: "channel.example"})
	for _, host := range []string{"example.com", "channel.example:8443", "xchannel.example"} {
		u, err := ssmresume.ParseStreamURL("wss://" + host + "/v1/data-channel/s")
		if err != nil {
			t.Fatal(err)
		}
		if h, err := client.HandshakeHeader(t.Context(), u); err == nil || h != nil {
			t.Errorf("%s: signed", host)
		}
	}
	for _, host := range []string{"https://h", "h/path", "user@h", "h:0", "h:", "h:65536", " ", "[::1", "h?q", "h#f"} {
		client := ssmresume.New(ssmresume.Options{Region: "us-east-2", Credentials: credentials("id", "secret", ""), HTTPClient: noIO(t), StreamHost: host})
		if _, err := client.ResumeSession(t.Context(), input); err == nil || !strings.Contains(err.Error(), "invalid StreamHost") {
			t.Errorf("%q: %v", host, err)
		}
	}
}
