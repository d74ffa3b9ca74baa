package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestFailedQueries: an error of a query holds nothing of the token or of the
// stream URL's query, nor of what the JMESPath query made of them.
func TestFailedQueries(t *testing.T) {
	const token, cell = "zqxjkvbwfh", "mgpdtyncsl"
	secrets := map[string]bool{}
	for _, secret := range []string{token, cell} {
		for i := range len(secret) - 3 {
			part := []byte(secret[i : i+4])
			secrets[string(part)] = true
			secrets[string([]byte{part[3], part[2], part[1], part[0]})] = true
		}
	}
	answer, err := json.Marshal(map[string]string{"SessionId": "s", "TokenValue": token, "StreamUrl": "wss://h/v1/data-channel/s?role=publish_subscribe&cell-number=" + cell})
	if err != nil {
		t.Fatal(err)
	}
	isolate(t, nil)
	srv := newServer(t, &response{Status: 200, Body: string(answer)})
	failed := 0
	for _, name := range []string{
		"abs", "avg", "ceil", "contains", "ends_with", "find_first", "find_last", "floor", "from_items", "group_by", "items", "join", "keys", "length", "lower", "map", "max", "max_by",
		"merge", "min", "min_by", "not_null", "pad_left", "pad_right", "replace", "reverse", "sort", "sort_by", "split", "starts_with", "sum", "to_array", "to_number", "to_string",
		"trim", "trim_left", "trim_right", "type", "upper", "values", "zip", "nope",
	} {
		for _, args := range []string{
			"", "@", "*", "TokenValue", "StreamUrl", "[TokenValue]", "[[TokenValue]]", "&TokenValue", "{a: TokenValue}", "reverse(TokenValue)", "upper(StreamUrl)", "TokenValue[2:8]",
			"TokenValue, `1`", "TokenValue, TokenValue", "`1`, TokenValue", "[TokenValue], [StreamUrl]", "TokenValue, @", "@, &TokenValue", "[@], &abs(TokenValue)", "&abs(@), *",
			"TokenValue, TokenValue, TokenValue", "TokenValue, `-1`, StreamUrl", "[[TokenValue, StreamUrl], `7`]",
		} {
			query := name + "(" + args + ")"
			status, stdout, stderr := runCommand(t, []string{"--session-id", mary, "--endpoint-url", srv.URL, "--region", "us-east-2", "--no-sign-request", "--query", query})
			if status == 0 {
				continue
			}
			failed++
			if stdout != "" || !strings.Contains(stderr, "query") {
				t.Errorf("%s: exit status %d, standard output %q, standard error %q", query, status, stdout, stderr)
			}
			for part := range secrets {
				if strings.Contains(strings.ToLower(stderr), part) {
					t.Fatalf("%s: %s", query, stderr)
				}
			}
		}
	}
	if failed < 500 {
		t.Errorf("%d queries failed", failed)
	}
}

// TestControlCharacters: none that could move the cursor, recolour or reorder the
// text of a terminal is printed. JSON stays the same document.
func TestControlCharacters(t *testing.T) {
	const raw = "a\x1b[2J\u0085\u009b31m\u202e\u2028\x7f\x00\U000e0041é\r"
	answer, err := json.Marshal(map[string]string{"SessionId": "s", "TokenValue": raw, "StreamUrl": "u"})
	if err != nil {
		t.Fatal(err)
	}
	isolate(t, nil)
	srv := newServer(t, &response{Status: 200, Body: string(answer)})
	for _, output := range []string{"json", "text"} {
		for query, selected := range map[string]func(any) any{
			"@":                 func(v any) any { return v.(map[string]any)["TokenValue"] },
			"TokenValue":        func(v any) any { return v },
			"[[TokenValue]]":    func(v any) any { return v.([]any)[0].([]any)[0] },
			"{a: [TokenValue]}": func(v any) any { return v.(map[string]any)["a"].([]any)[0] },
		} {
			status, stdout, stderr := runCommand(t, []string{"--session-id", mary, "--endpoint-url", srv.URL, "--region", "us-east-2", "--no-sign-request", "--output", output, "--query", query})
			if status != 0 || stderr != "" || stdout != printable(stdout) {
				t.Errorf("%s as %s: exit status %d, standard output %q, standard error %q", query, output, status, stdout, stderr)
			}
			if output == "text" {
				if want := `a\x1b[2J\u0085\u009b31m\u202e\u2028\x7f\x00\U000e0041é\r`; !strings.Contains(stdout, want) {
					t.Errorf("%s as text: %q, want %q", query, stdout, want)
				}
				continue
			}
			var v any
			if err := json.Unmarshal([]byte(stdout), &v); err != nil || selected(v) != raw {
				t.Errorf("%s as JSON: %v, %q", query, err, stdout)
			}
		}
	}
}
