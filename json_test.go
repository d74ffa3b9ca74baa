package ssmresume_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ssmresume/ssmresume"
)

// standardJSON is what encoding/json makes of the value that a text begins with.
func standardJSON(text string) (kind byte, members [][3]string, rest string) {
	var raw json.RawMessage
	dec := json.NewDecoder(strings.NewReader(text))
	if dec.Decode(&raw) != nil {
		return 0, nil, ""
	}
	kind, rest = raw[0], text[dec.InputOffset():]
	if kind != '{' {
		return kind, nil, rest
	}
	dec = json.NewDecoder(strings.NewReader(string(raw)))
	dec.Token() // the bracket
	for dec.More() {
		key, _ := dec.Token()
		var value json.RawMessage
		dec.Decode(&value)
		m := [3]string{key.(string), string(value[0])}
		if value[0] == '"' {
			json.Unmarshal(value, &m[2])
		}
		members = append(members, m)
	}
	return kind, members, rest
}

func checkJSON(t *testing.T, text string) {
	t.Helper()
	type result struct {
		Kind    byte
		Members [][3]string
		Rest    string
	}
	var got, want result
	got.Kind, got.Members, got.Rest = ssmresume.ReadJSON(text)
	want.Kind, want.Members, want.Rest = standardJSON(text)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%q (-encoding/json +got):\n%s", text, diff)
	}
}

var jsonTexts = []string{
	``, ` `, `{}`, ` { } `, `[]`, "\t[ ]\r\n", `""`, `null`, `true`, `false`, `{"a":"b"}`,
	`{"SessionId":"s","TokenValue":"t","StreamUrl":"u"}`,
	"\t{ \"TokenValue\" :\n\"a+/=\" , \"SessionId\":\"\"\r} ",
	`{"a":"b","a":"c"}`, `{"a":1,"b":null,"c":true,"d":[1,{"e":"f"}],"g":{"h":"i"},"":""}`,
	`{"a":"b"}{"c":"d"}`, `{"a":"b"} x`, `[1,2]]`, `"a" "b"`, `null,`,
	`{"a":"b",}`, `{,}`, `{"a"}`, `{"a":}`, `{"a" "b"}`, `{"a":"b" "c":"d"}`, `{a:1}`, `{"a":"b"`, `{"a":"b`, `{"a`, `{`, `}`,
	`[1,]`, `[,1]`, `[1 2]`, `[`, `]`, `[}`, `{]`, `[[]`,
	`nul`, `nulll`, `tru`, `True`, `fals`, `truefalse`,
	`0`, `-0`, `-`, `01`, `-01`, `10`, `1.5`, `1.`, `.5`, `1.e1`, `+1`, `1e5`, `1E+5`, `1e-5`, `1e`, `1e+`, `1e+-5`, `0x1`, `1_0`, `-1.25e+10`, `NaN`, `Infinity`, `{"a":1.}`, `[0.1e2,-3]`, `[-]`,
	`"\"\\\/\b\f\n\r\t"`, `{"\u0061\n":"\u00e9\u20ac\ud83d\ude80"}`, `{"a":"\ud83d"}`, `{"a":"\ude80\ud83d"}`, `{"a":"\ud83dx"}`, `{"a":"\ud83d\u0041"}`, `{"a":"\ud83d\ud83d\ude80"}`, `{"a":"\ud83d\n"}`,
	`{"a b":"\u0041 b~\u0020"}`, `{"a":"b\u0041"`, `"\u0041`, `{"a":"\u00zz"}`, `{"a":"\q"}`, "{\"a\":\"\\n\x1f\"}", "{\"a\":\"\\n\x01b\"}", `"\u12"`, `"\u12G4"`, `"\u+123"`, `"\U0041"`, `"\x41"`, `"\'"`, `"\`, `"\u`, `"\ud83d\u12"`, "\"\\u\x101\x101\"", `{"a":"\uABCD\uabcd"}`,
	"\"a\nb\"", "\"a\x00b\"", "{\"a\":\"\x1f\"}", "{\"a\":\"\x7f\u0080é🚀\u2028\"}", "{\"a\":\"\xff\xc3\"}", "{\"\xe2\x82\":\"\xed\xa0\x80\"}", "{\"a\":\"\\n\xff\"}",
	"\ufeff{}", "\x00", "{\x00}", "{\"a\":\x00}", "\v{}", "\u00a0{}", "{\"a\"\f:1}",
	strings.Repeat("[", 9_999) + "{}" + strings.Repeat("]", 9_999),
	strings.Repeat("[", 10_000) + "{}" + strings.Repeat("]", 10_000),
	strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000),
	strings.Repeat(`{"a":`, 10_001) + "1" + strings.Repeat("}", 10_001),
}

// TestJSON holds the JSON reader to encoding/json, also on every beginning of a
// text.
func TestJSON(t *testing.T) {
	for _, text := range jsonTexts {
		checkJSON(t, text)
		for n := range min(len(text), 200) {
			checkJSON(t, text[:n])
		}
	}
}

// BenchmarkJSON reads the usual answer.
func BenchmarkJSON(b *testing.B) {
	text := `{"SessionId":"Mary-Major-07a16060613c408b5","TokenValue":"` + strings.Repeat("AAEAAVbT+/", 70) + `","StreamUrl":"wss://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/Mary-Major-07a16060613c408b5?role=publish_subscribe"}`
	b.Run("ssmresume", func(b *testing.B) {
		for b.Loop() {
			ssmresume.ReadJSON(text)
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		for b.Loop() {
			var answer struct{ SessionId, TokenValue, StreamUrl string }
			if err := json.Unmarshal([]byte(text), &answer); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, text := range jsonTexts {
		if len(text) < 1000 {
			f.Add(text)
		}
	}
	f.Fuzz(checkJSON)
}
