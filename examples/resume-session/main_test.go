package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

const mary = "Mary-Major-07a16060613c408b5"

// A transcript is a run of the real command, "aws ssm resume-session" of AWS CLI
// 1.45.11, against a server on 127.0.0.1.
type transcript struct {
	Name     string
	Args     []string
	Env      map[string]*string // null: unset
	Files    map[string]string
	Response *response // null: nobody listens
	Stdout   string
	Stderr   string
	ExitCode int
	Attempts int
	Request  *request // the first one
}

type response struct {
	Status int
	Header http.Header `json:"-"`
	Body   string
}

type request struct {
	Method, Path, ContentType, Target string
	Signed                            bool
	Region, Service                   string // of the signature's scope
	SecurityToken                     string
	Body                              string

	accessKey string // not in the transcripts
}

// notCovered are the transcripts of what this program leaves out.
var notCovered = map[string]string{
	"output table":         "there is no --output table",
	"response {} as table": "there is no --output table",
}

// better are the transcripts where this program does better on purpose, and what
// it does.
var better = map[string]struct {
	reason string
	status int
	tokens bool // prints what the transcript "success" does
}{
	"region from AWS_REGION":              {"all other AWS tools read AWS_REGION", 0, true},
	"response without TokenValue":         {"without a token nothing is resumed", 255, false},
	"response without TokenValue as text": {"without a token nothing is resumed", 255, false},
	"response {}":                         {"without a token nothing is resumed", 255, false},
	"response empty body":                 {"without a token nothing is resumed", 255, false},
}

// otherStderr are the transcripts whose text on standard error is another one
// here. The others' is compared, but for the usage text.
var otherStderr = map[string]string{
	"session id from a missing file": "Go's words for the system's error",
	"cli-input-json missing file":    "Go's words for the system's error",
	"cli-input-json empty string":    "Go's words for the JSON error",
	"skeleton other value":           "the choices stand on one line",
	"output yaml-stream":             "the choices stand on one line, without table",
	"output bogus":                   "the choices stand on one line, without table",
	"credentials without secret":     "the SDK passes over credentials that lack a half",
	"cli-read-timeout not a number":  "the option does not exist here",
}

func TestTranscripts(t *testing.T) {
	transcripts, baseEnv := readTranscripts(t)
	names := make(map[string]bool)
	var success transcript
	for _, tr := range transcripts {
		names[tr.Name] = true
		if tr.Name == "success" {
			success = tr
		}
	}
	for _, list := range []any{notCovered, better, otherStderr} {
		for _, name := range reflect.ValueOf(list).MapKeys() {
			if !names[name.String()] {
				t.Errorf("listed, but no transcript has the name %q", name)
			}
		}
	}

	for _, tr := range transcripts {
		t.Run(tr.Name, func(t *testing.T) {
			if reason, ok := notCovered[tr.Name]; ok {
				t.Skip(reason)
			}
			isolate(t, baseEnv)
			for name, content := range tr.Files {
				writeFile(t, name, content)
			}
			srv := newServer(t, tr.Response)
			port := srv.URL[strings.LastIndex(srv.URL, ":")+1:]
			for key, value := range tr.Env {
				if value == nil {
					unsetenv(t, key)
				} else {
					t.Setenv(key, strings.ReplaceAll(*value, "PORT", port))
				}
			}
			args := tr.Args[2:] // without "ssm resume-session"
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "PORT", port)
			}

			status, stdout, stderr := runCommand(t, args)
			stderr = strings.ReplaceAll(stderr, ":"+port, ":PORT")
			if b, ok := better[tr.Name]; ok {
				tr.ExitCode, tr.Stdout, tr.Stderr, tr.Attempts = b.status, "", stderr, 1
				if b.tokens {
					tr.Stdout = success.Stdout
				} else if stderr == "" {
					t.Error("nothing on standard error")
				}
			}
			if status != tr.ExitCode {
				t.Errorf("exit status %d, want %d; standard error:\n%s", status, tr.ExitCode, stderr)
			}
			if stdout != tr.Stdout {
				t.Errorf("standard output\n%q, want\n%q", stdout, tr.Stdout)
			}
			if _, ok := otherStderr[tr.Name]; !ok && withoutUsage(stderr) != withoutUsage(tr.Stderr) {
				t.Errorf("standard error\n%q, want\n%q", stderr, tr.Stderr)
			}
			got := srv.requests()
			if len(got) != tr.Attempts {
				t.Errorf("%d requests, want %d", len(got), tr.Attempts)
			}
			if tr.Request != nil && len(got) > 0 {
				checkRequest(t, got[0], *tr.Request)
			}
		})
	}
}

func checkRequest(t *testing.T, got, want request) {
	t.Helper()
	var gotBody, wantBody any // the Go SDK writes no spaces, botocore escapes what is not ASCII
	if err := json.Unmarshal([]byte(got.Body), &gotBody); err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal([]byte(want.Body), &wantBody); err != nil {
		t.Error(err)
	}
	if !reflect.DeepEqual(gotBody, wantBody) {
		t.Errorf("body %s, want %s", got.Body, want.Body)
	}
	got.Body, want.Body, got.accessKey = "", "", ""
	if got != want {
		t.Errorf("request\n%+v, want\n%+v", got, want)
	}
}

// withoutUsage keeps what the command says about one command line.
func withoutUsage(stderr string) string {
	if !strings.HasPrefix(stderr, "usage:") {
		return stderr
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	last := lines[len(lines)-1]
	if _, message, ok := strings.Cut(last, ": error: "); ok {
		return message
	}
	return last
}

// TestMore pins what the real command printed for these arguments, where the
// transcripts say nothing. The server answers with s, t and u.
func TestMore(t *testing.T) {
	id := []string{"--session-id", mary}
	query := func(expression, output string) []string {
		return append([]string{"--query", expression, "--output", output}, id...)
	}
	const answer = "{\n    \"SessionId\": \"s\",\n    \"TokenValue\": \"t\",\n    \"StreamUrl\": \"u\"\n}\n"
	tests := map[string]struct {
		args   []string
		status int
		stdout string
		sentID string // empty: nothing is sent
	}{
		"last option counts":        {[]string{"--session-id", "a", "--session-id", "b"}, 0, answer, "b"},
		"option as value":           {[]string{"--session-id", "-abc"}, 2, "", ""},
		"negative number":           {[]string{"--session-id", "-5.5"}, 0, answer, "-5.5"},
		"dash and space":            {[]string{"--session-id", "-a b"}, 0, answer, "-a b"},
		"single dash":               {[]string{"--session-id", "-"}, 0, answer, "-"},
		"double dash":               {[]string{"--session-id", "--", "a"}, 2, "", ""},
		"empty after =":             {[]string{"--session-id="}, 255, "", ""},
		"global option in between":  {[]string{"--session-id", "--no-sign-request", "a"}, 0, answer, "a"},
		"value for a flag":          {append([]string{"--no-sign-request=x"}, id...), 2, "", ""},
		"positional argument":       {append([]string{"foo"}, id...), 255, "", ""},
		"unknown short option":      {append([]string{"-x"}, id...), 255, "", ""},
		"nothing required is given": {nil, 2, "", ""},
		"help":                      {append([]string{"help"}, id...), 0, usage, ""},

		"fileb":                  {[]string{"--session-id", "fileb://id"}, 255, "", ""},
		"line ends of a file":    {[]string{"--session-id", "file://crlf"}, 0, answer, "a\nb\n"},
		"not UTF-8":              {[]string{"--session-id", "file://latin1"}, 255, "", ""},
		"file below home":        {[]string{"--session-id", "file://~/id"}, 0, answer, "a"},
		"file in a variable":     {[]string{"--session-id", "file://${HOME}/id"}, 0, answer, "a"},
		"variable that is unset": {[]string{"--session-id", "file://$NOPE/id"}, 255, "", ""},

		"fileb of JSON":          {[]string{"--cli-input-json", "fileb://json"}, 0, answer, "a"},
		"file:// inside JSON":    {[]string{"--cli-input-json", `{"SessionId": "file://id"}`}, 0, answer, "file://id"},
		"repeated key":           {[]string{"--cli-input-json", `{"SessionId": "a", "SessionId": "b"}`}, 0, answer, "b"},
		"null":                   {[]string{"--cli-input-json", `{"SessionId": null}`}, 255, "", ""},
		"array":                  {[]string{"--cli-input-json", `[]`}, 255, "", ""},
		"null instead of object": {[]string{"--cli-input-json", `null`}, 255, "", ""},
		"text after the JSON":    {[]string{"--cli-input-json", `{"SessionId": "a"} x`}, 255, "", ""},
		"JSON joined by =":       {[]string{`--cli-input-json={"SessionId": "a"}`}, 2, "", ""},

		"skeleton output as text":    {append([]string{"--generate-cli-skeleton", "output", "--output", "text"}, id...), 0, "SessionId\tStreamUrl\tTokenValue\n", ""},
		"skeleton input with query":  {[]string{"--generate-cli-skeleton", "--output", "text", "--query", "x"}, 0, "{\n    \"SessionId\": \"\"\n}\n", ""},
		"skeleton output without id": {[]string{"--generate-cli-skeleton", "output"}, 2, "", ""},
		"skeleton shortened":         {append([]string{"--gen"}, id...), 0, "{\n    \"SessionId\": \"\"\n}\n", ""},
		"skeleton, broken JSON":      {[]string{"--generate-cli-skeleton", "--cli-input-json", "nope"}, 255, "", ""},

		"endpoint without scheme": {append([]string{"--endpoint-url", "127.0.0.1:1"}, id...), 255, "", ""},
		"output shortened":        {append([]string{"--outp=text"}, id...), 0, "s\tu\tt\n", mary},
		"query does not parse":    {query("[", "json"), 255, "", ""},
		"query is empty":          {query("", "json"), 255, "", ""},
		"unknown function":        {query("foo(@)", "json"), 255, "", mary},

		"everything":              {query("@", "json"), 0, answer, mary},
		"hash":                    {query("{b: SessionId, a: TokenValue}", "json"), 0, "{\n    \"b\": \"s\",\n    \"a\": \"t\"\n}\n", mary},
		"hash as text":            {query("{b: SessionId, a: TokenValue}", "text"), 0, "t\ts\n", mary},
		"hash in another order":   {query("{StreamUrl: StreamUrl, SessionId: SessionId}", "json"), 0, "{\n    \"StreamUrl\": \"u\",\n    \"SessionId\": \"s\"\n}\n", mary},
		"list":                    {query("[SessionId, Nope]", "json"), 0, "[\n    \"s\",\n    null\n]\n", mary},
		"list as text":            {query("[SessionId, Nope, `true`]", "text"), 0, "s\tNone\tTrue\n", mary},
		"star":                    {query("*", "json"), 0, "[\n    \"s\",\n    \"t\",\n    \"u\"\n]\n", mary},
		"star as text":            {query("*", "text"), 0, "s\tt\tu\n", mary},
		"star on a string":        {query("SessionId.*", "json"), 0, "null\n", mary},
		"keys":                    {query("keys(@)", "text"), 0, "SessionId\tTokenValue\tStreamUrl\n", mary},
		"values":                  {query("join(`\",\"`, values(@))", "json"), 0, "\"s,t,u\"\n", mary},
		"number":                  {query("length(SessionId)", "json"), 0, "1\n", mary},
		"million as text":         {query("`1000000`", "text"), 0, "1000000\n", mary},
		"empty list":              {query("`[]`", "json"), 0, "[]\n", mary},
		"empty list as text":      {query("`[]`", "text"), 0, "", mary},
		"empty object":            {query("`{}`", "json"), 0, "", mary},
		"characters":              {query("`\"a\\u2028\\\\u2028\\u007f<>&\\u00e9\\u0001\\b\\f\"`", "json"), 0, "\"a\\u2028\\\\u2028\\u007f<>&é\\u0001\\b\\f\"\n", mary}, // the real one prints U+2028 and DEL raw
		"list of objects as text": {query("[{a:`1`},{b:`[1,2]`}]", "text"), 0, "1\n\nB\t1\nB\t2\n", mary},
		"nested lists as text":    {query("[`1`,[`2`]]", "text"), 0, "1\n2\n", mary},
		"nested objects as text":  {query("{a:{b:`1`,c:`[{\"x\":1},{\"y\":null}]`},d:`[1,[2,3],\"x\"]`}", "text"), 0, "A\t1\nC\t1\t\nC\t\tNone\nD\t1\nD\tx\nD\t2\nD\t3\n", mary},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			isolate(t, map[string]string{"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-2"})
			writeFile(t, "id", "a")
			writeFile(t, "crlf", "a\r\nb\r")
			writeFile(t, "latin1", "\xe9")
			writeFile(t, "json", `{"SessionId": "a"}`)
			srv := newServer(t, &response{Status: 200, Body: `{"SessionId":"s","TokenValue":"t","StreamUrl":"u"}`})
			t.Setenv("AWS_ENDPOINT_URL", srv.URL)

			status, stdout, stderr := runCommand(t, test.args)
			if status != test.status || stdout != test.stdout {
				t.Errorf("exit status %d, standard output %q, want %d, %q; standard error:\n%s", status, stdout, test.status, test.stdout, stderr)
			}
			got := srv.requests()
			if len(got) > 1 || (len(got) == 1) != (test.sentID != "") {
				t.Fatalf("requests %+v", got)
			}
			if test.sentID == "" {
				return
			}
			var sent struct{ SessionId string }
			if err := json.Unmarshal([]byte(got[0].Body), &sent); err != nil || sent.SessionId != test.sentID {
				t.Errorf("sent %s, want %q", got[0].Body, test.sentID)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	tests := map[string]struct {
		env         map[string]string
		args        []string
		status      int
		stdout      string
		region, key string
		token       string
	}{
		"session token":    {map[string]string{"AWS_ACCESS_KEY_ID": "ASIAENV", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "token", "AWS_REGION": "eu-west-1"}, nil, 0, "t\n", "eu-west-1", "ASIAENV", "token"},
		"profile":          {map[string]string{"AWS_CONFIG_FILE": "config", "AWS_ACCESS_KEY_ID": "ASIAENV", "AWS_SECRET_ACCESS_KEY": "x"}, []string{"--profile", "p"}, 0, "t\n", "eu-west-3", "AKIAPROFILE", ""},
		"region by option": {map[string]string{"AWS_CONFIG_FILE": "config", "AWS_PROFILE": "p"}, []string{"--region", "sa-east-1"}, 0, "t\n", "sa-east-1", "AKIAPROFILE", ""},
		"endpoint by option": {map[string]string{"AWS_CONFIG_FILE": "config", "AWS_PROFILE": "p", "AWS_ENDPOINT_URL_SSM": "http://127.0.0.1:1", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
			nil, 0, "t\n", "eu-west-3", "AKIAPROFILE", ""},
		"unknown output": {map[string]string{"AWS_CONFIG_FILE": "config", "AWS_PROFILE": "p", "AWS_DEFAULT_OUTPUT": "bogus"}, []string{"--session-id=a"}, 255, "", "", "", ""},
		"output by option": {map[string]string{"AWS_CONFIG_FILE": "config", "AWS_PROFILE": "p", "AWS_DEFAULT_OUTPUT": "bogus"}, []string{"--output", "text"}, 0, "t\n",
			"eu-west-3", "AKIAPROFILE", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			isolate(t, test.env)
			writeFile(t, "config", "[profile p]\nregion = eu-west-3\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = x\n")
			if _, ok := test.env["AWS_DEFAULT_OUTPUT"]; !ok {
				t.Setenv("AWS_DEFAULT_OUTPUT", "text")
			}
			srv := newServer(t, &response{Status: 200, Body: `{"TokenValue":"t"}`})
			args := append([]string{"--session-id", mary, "--endpoint-url", srv.URL}, test.args...)
			status, stdout, stderr := runCommand(t, args)
			if status != test.status || stdout != test.stdout {
				t.Errorf("exit status %d, standard output %q, want %d, %q; standard error:\n%s", status, stdout, test.status, test.stdout, stderr)
			}
			for _, r := range srv.requests() {
				if r.Region != test.region || r.accessKey != test.key || r.SecurityToken != test.token {
					t.Errorf("request %+v", r)
				}
			}
			if len(srv.requests()) == 0 && test.status == 0 {
				t.Error("no request")
			}
		})
	}
}

func TestErrors(t *testing.T) {
	tests := map[string]struct {
		response response
		stderr   string
	}{
		"no message":         {response{400, nil, `{"__type":"com.amazonaws.ssm#DoesNotExistException"}`}, "\nAn error occurred (DoesNotExistException) when calling the ResumeSession operation: \n"},
		"no message either":  {response{400, nil, `{"__type":"UnknownOperationException"}`}, "\nAn error occurred (UnknownOperationException) when calling the ResumeSession operation: \n"},
		"no code":            {response{400, nil, `{"message":"m"}`}, "\nAn error occurred (400) when calling the ResumeSession operation: m\n"},
		"no body":            {response{403, nil, ""}, "\nAn error occurred (403) when calling the ResumeSession operation: \n"},
		"retried":            {response{500, nil, `{"__type":"InternalServerError","message":"m"}`}, "\nAn error occurred (InternalServerError) when calling the ResumeSession operation (reached max retries: 0): m\n"},
		"proxy's page":       {response{502, nil, "<html>Bad</html>"}, "\nAn error occurred (502) when calling the ResumeSession operation (reached max retries: 0): Bad Gateway\n"},
		"two lines":          {response{400, nil, `{"__type":"X","message":"é\n\tb"}`}, "\nAn error occurred (X) when calling the ResumeSession operation: é\n\tb\n"},
		"control characters": {response{400, nil, `{"__type":"X","message":"\u001b[2J\u202ea\r"}`}, "\nAn error occurred (X) when calling the ResumeSession operation: " + `\x1b[2J\u202ea\r` + "\n"},
		"session has ended":  {response{200, http.Header{"X-Amzn-Requestid": {"1"}, "Content-Type": {"application/x-amz-json-1.1"}}, `{"SessionId":"` + mary + `"}`}, "\nthe service returned no token: the session has ended and cannot be resumed\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			isolate(t, map[string]string{"AWS_MAX_ATTEMPTS": "1"})
			srv := newServer(t, &test.response)
			status, stdout, stderr := runCommand(t, []string{"--session-id", mary, "--endpoint-url", srv.URL, "--region", "us-east-2", "--no-sign-request"})
			if status != 255 || stdout != "" || stderr != test.stderr {
				t.Errorf("exit status %d, standard output %q, standard error\n%q, want\n%q", status, stdout, stderr, test.stderr)
			}
		})
	}
}

func TestLocal(t *testing.T) {
	// None of these may be looked at.
	isolate(t, map[string]string{
		"AWS_PROFILE":          "nosuch",
		"AWS_CONFIG_FILE":      "nosuch",
		"AWS_REGION":           "no region",
		"AWS_ENDPOINT_URL":     "http://127.0.0.1:1",
		"AWS_ENDPOINT_URL_SSM": "http://127.0.0.1:1",
		"AWS_RETRY_MODE":       "nosuch",
		"AWS_DEFAULT_OUTPUT":   "nosuch",
	})
	status, stdout, stderr := runCommand(t, []string{"--local", "--session-id", mary})
	if status != 0 || stderr != "" {
		t.Fatalf("exit status %d, standard error:\n%s", status, stderr)
	}
	var answer struct{ SessionId, TokenValue, StreamUrl string }
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.SessionId != mary || answer.TokenValue == "" || !strings.Contains(answer.StreamUrl, mary) {
		t.Errorf("answer %+v", answer)
	}
	var pretty strings.Builder
	enc := json.NewEncoder(&pretty)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "    ")
	if err := enc.Encode(answer); err != nil {
		t.Fatal(err)
	}
	if stdout != pretty.String() {
		t.Errorf("standard output\n%s, want\n%s", stdout, pretty.String())
	}
}

func TestInterrupt(t *testing.T) {
	isolate(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // else the server does not notice that the client went away
		cancel()
		<-r.Context().Done()
	}))
	t.Cleanup(srv.Close)
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{"--session-id", mary, "--endpoint-url", srv.URL, "--region", "us-east-2", "--no-sign-request"}, nil, &stdout, &stderr)
	if status != 130 || stdout.String() != "\n" || stderr.String() != "" {
		t.Errorf("exit status %d, standard output %q, standard error %q", status, &stdout, &stderr)
	}
}

func readTranscripts(t *testing.T) ([]transcript, map[string]string) {
	t.Helper()
	data, err := os.ReadFile("testdata/cli.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		BaseEnv     map[string]string
		Count       int
		Transcripts []transcript
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Transcripts) != file.Count || file.Count == 0 {
		t.Fatalf("%d transcripts, the file says %d", len(file.Transcripts), file.Count)
	}
	return file.Transcripts, file.BaseEnv
}

// isolate keeps the machine's AWS settings out, and makes a new directory the
// working and the home directory.
func isolate(t *testing.T, env map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if key, _, _ := strings.Cut(entry, "="); strings.HasPrefix(key, "AWS_") {
			unsetenv(t, key)
		}
	}
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("HOME", dir)
	t.Setenv("USERPROFILE", dir)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for _, key := range []string{"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		writeFile(t, key, "")
		t.Setenv(key, filepath.Join(dir, key))
	}
	for key, value := range env {
		t.Setenv(key, value)
	}
}

func unsetenv(t *testing.T, key string) {
	t.Helper()
	t.Setenv(key, "") // restores it after the test
	os.Unsetenv(key)
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func runCommand(t *testing.T, argv []string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = run(t.Context(), argv, strings.NewReader(""), &out, &errOut)
	return status, out.String(), errOut.String()
}

type server struct {
	*httptest.Server
	requests func() []request
}

// newServer gives every request the same answer. Where there is none, the server
// is closed: nobody listens at its URL.
func newServer(t *testing.T, answer *response) server {
	t.Helper()
	var (
		mu       sync.Mutex
		received []request
	)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		received = append(received, newRequest(r, body))
		mu.Unlock()
		maps.Copy(w.Header(), answer.Header)
		w.WriteHeader(answer.Status)
		io.WriteString(w, answer.Body)
	}))
	t.Cleanup(srv.Close)
	if answer == nil {
		srv.Close()
	}
	return server{srv, func() []request {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(received)
	}}
}

// scope is the key and the credential scope in an Authorization header.
var scope = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request, `)

func newRequest(r *http.Request, body []byte) request {
	req := request{
		Method:        r.Method,
		Path:          r.URL.RequestURI(),
		ContentType:   r.Header.Get("Content-Type"),
		Target:        r.Header.Get("X-Amz-Target"),
		SecurityToken: r.Header.Get("X-Amz-Security-Token"),
		Body:          string(body),
	}
	if m := scope.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		req.Signed, req.accessKey, req.Region, req.Service = true, m[1], m[2], m[3]
	}
	return req
}
