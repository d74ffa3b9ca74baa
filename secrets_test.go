package ssmresume_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ssmresume/ssmresume"
)

// secrets are what must be in no print. They hold no character that an encoder
// would change.
const (
	secretToken = "TOKENTOKENTOKEN"
	secretQuery = "SIGNATURESIGNATURE"
)

func leaks(s string) bool {
	// %x and %X of a string print its bytes in hexadecimal.
	for _, secret := range []string{secretToken, secretQuery} {
		for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprintf("% x", secret), fmt.Sprintf("%v", []byte(secret))} {
			if strings.Contains(s, strings.Trim(form, "[]")) {
				return true
			}
		}
	}
	return false
}

func secretValues(t *testing.T) (ssmresume.Token, ssmresume.StreamURL, *ssmresume.ResumeSessionOutput) {
	t.Helper()
	token := ssmresume.NewToken(secretToken)
	u, err := ssmresume.ParseStreamURL("wss://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/s?role=input&X-Amz-Signature=" + secretQuery)
	if err != nil {
		t.Fatal(err)
	}
	return token, u, &ssmresume.ResumeSessionOutput{SessionID: "s", TokenValue: token, StreamURL: u, RequestID: "r"}
}

// TestNoPrintLeaks tries every way out but the named ones, alone and nested.
func TestNoPrintLeaks(t *testing.T) {
	token, u, out := secretValues(t)
	type nested struct {
		Token  ssmresume.Token
		URL    ssmresume.StreamURL
		Output *ssmresume.ResumeSessionOutput
		token  ssmresume.Token
		url    ssmresume.StreamURL
		output ssmresume.ResumeSessionOutput
		ptr    *ssmresume.Token
	}
	n := nested{token, u, out, token, u, *out, &token}
	values := map[string]any{
		"token": token, "*token": &token, "url": u, "*url": &u, "output": *out, "*output": out,
		"nested": n, "*nested": &n,
		"slice": []any{token, u, out, n}, "map": map[string]ssmresume.Token{"k": token}, "array": [1]ssmresume.StreamURL{u},
		"any in unexported field": struct{ v any }{token},
		"chan":                    struct{ v []ssmresume.Token }{[]ssmresume.Token{token}},
	}
	var out2 bytes.Buffer
	text := slog.New(slog.NewTextHandler(&out2, &slog.HandlerOptions{Level: slog.LevelDebug}))
	jsonLog := slog.New(slog.NewJSONHandler(&out2, nil))

	for name, v := range values {
		for _, flags := range []string{"", "+", "#", " ", "0", "-", "+#", "8", ".3", "#8.3"} {
			for verb := 'A'; verb <= 'z'; verb++ {
				if s := fmt.Sprintf("%"+flags+string(verb), v); leaks(s) {
					t.Errorf("%%%s%c of %s prints %s", flags, verb, name, s)
				}
			}
		}
		if s := fmt.Sprint(v) + fmt.Sprintln(v) + fmt.Errorf("x: %v", v).Error(); leaks(s) {
			t.Errorf("Sprint of %s: %s", name, s)
		}
		text.Info("m", "v", v, slog.Group("g", "v", v))
		jsonLog.Info("m", "v", v, slog.Group("g", "v", v))
		if b, err := json.Marshal(v); leaks(string(b)) || err != nil && leaks(err.Error()) {
			t.Errorf("JSON of %s: %s %v", name, b, err)
		}
		if b, err := xml.Marshal(v); leaks(string(b)) || err != nil && leaks(err.Error()) {
			t.Errorf("XML of %s: %s %v", name, b, err)
		}
		var g bytes.Buffer
		if err := gob.NewEncoder(&g).Encode(v); leaks(g.String()) || err != nil && leaks(err.Error()) {
			t.Errorf("gob of %s: %q %v", name, g.String(), err)
		}
	}
	if leaks(out2.String()) {
		t.Errorf("slog prints a secret:\n%s", out2.String())
	}
	if !strings.Contains(out2.String(), "[redacted]") {
		t.Error("slog printed no value at all")
	}
}

func TestFailedComparisonDoesNotLeak(t *testing.T) {
	_, _, out := secretValues(t)
	other := *out
	other.TokenValue = ssmresume.NewToken("other")
	other.StreamURL = ssmresume.StreamURL{}
	diff := cmp.Diff(out, &other)
	if diff == "" {
		t.Error("different outputs are equal")
	}
	if leaks(diff) {
		t.Errorf("cmp.Diff prints a secret:\n%s", diff)
	}
	same := *out
	same.TokenValue = ssmresume.NewToken(secretToken)
	if diff := cmp.Diff(out, &same); diff != "" {
		t.Errorf("equal outputs differ:\n%s", diff)
	}
}

func TestRedactedDoesNotReadBack(t *testing.T) {
	_, _, out := secretValues(t)
	b, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, new(ssmresume.ResumeSessionOutput)); err == nil {
		t.Errorf("%s was read back as an output", b)
	}
	for _, target := range []any{&struct{ T ssmresume.Token }{}, &struct{ T ssmresume.StreamURL }{}} {
		if err := xml.Unmarshal([]byte("<x><T>[redacted]</T></x>"), target); err == nil {
			t.Errorf("XML was read into %T", target)
		}
	}
}

func TestWaysOut(t *testing.T) {
	token, u, out := secretValues(t)
	type tokenFacts struct {
		Revealed                   string
		Zero, EqualsSame, EqualsNo bool
	}
	same(t, "the token",
		tokenFacts{secretToken, false, true, false},
		tokenFacts{token.Reveal(), token.IsZero(), token.Equal(ssmresume.NewToken(secretToken)), token.Equal(ssmresume.Token{})})
	if zero := ssmresume.NewToken(""); !zero.IsZero() || zero.Reveal() != "" {
		t.Error("a token of nothing is not zero")
	}
	type urlFacts struct{ Query, Presigned, EqualsSame, EqualsNo bool }
	same(t, "the stream URL",
		urlFacts{true, true, true, false},
		urlFacts{strings.Contains(u.DialURL(), secretQuery), u.Presigned, u.Equal(out.StreamURL), u.Equal(ssmresume.StreamURL{})})
	if got, want := u.String(), "wss://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/s?[redacted]"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	if got := (ssmresume.StreamURL{}).String() + (ssmresume.StreamURL{}).DialURL(); got != "" {
		t.Errorf("the zero StreamURL prints %q", got)
	}
	b, err := out.OpenMessage("0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5f")
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]string
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if len(m["RequestId"]) != 36 {
		t.Errorf("RequestId %q is no UUID", m["RequestId"])
	}
	delete(m, "RequestId")
	want := map[string]string{"MessageSchemaVersion": "1.0", "TokenValue": secretToken, "ClientId": "0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5f", "ClientVersion": "1.2.764.0"}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("open message (-want +got):\n%s", diff)
	}
	for _, id := range []string{"01234567-89ab-cdef-0000-aaaaffff9999", "01234567-89AB-CDEF-0000-AAAAFFFF9999"} {
		if _, err := out.OpenMessage(id); err != nil {
			t.Errorf("OpenMessage(%q): %v", id, err)
		}
	}
	bad := []string{"", "x", "0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5", "0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5ff", "0a1b2c3d00a1b-4a1b-8a1b-0a1b2c3d4e5f", "0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5-"}
	for _, c := range "/:@G`g" { // beside the digits
		bad = append(bad, "0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5"+string(c))
	}
	for _, id := range bad {
		if b, err := out.OpenMessage(id); err == nil {
			t.Errorf("OpenMessage(%q) = %s", id, b)
		}
	}
	if b, err := new(ssmresume.ResumeSessionOutput).OpenMessage("0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5f"); err == nil {
		t.Errorf("OpenMessage without a token = %s", b)
	}
}
