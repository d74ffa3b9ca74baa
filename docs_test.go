package ssmresume_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLoop: the loop that everybody copies is the same in all places, and tells
// what it waits for.
func TestLoop(t *testing.T) {
	loops := map[string]string{}
	for _, name := range []string{"README.md", "doc.go", "reconnect.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		code := strings.NewReplacer("\n//\t", "\n", "ssmresume.", "").Replace(string(text))
		_, code, _ = strings.Cut(code, "OnWait = func(w Wait) { log.Print(w.Err) }\n})\n")
		loops[name], _, _ = strings.Cut(code, "\n}\n")
	}
	for name, loop := range loops {
		same(t, name, loops["README.md"], loop)
		if !strings.Contains(loop, "rc.Resume(ctx)") || !strings.Contains(loop, "401 or 403") {
			t.Errorf("%s: the loop is\n%s", name, loop)
		}
	}
}

// An excerpt is a block of a guide whose text stands in a file, or, of a change, in
// two: what is before it and what is after it.
var excerpt = regexp.MustCompile("(?m)^(?:<!-- (.*) -->\n)?```([a-z]+)\n((?s:.*?))^```$")

// TestGuides: what the guides quote stands in files that are built and tested. The
// loop in README.md is TestLoop's.
func TestGuides(t *testing.T) {
	guides := append(guides(t), "README.md")
	if _, err := os.Stat("compat"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the other modules are not here")
	}
	for _, guide := range guides {
		quoted := 0
		for _, block := range excerpt.FindAllStringSubmatch(readText(t, guide), -1) {
			files, language, text := strings.Fields(block[1]), block[2], block[3]
			switch {
			case language == "sh", language == "json", guide == "README.md" && strings.Contains(text, "rc.Resume(ctx)"):
			case language == "diff" && len(files) == 2:
				before, after := sides(text)
				holds(t, guide, files[0], before)
				holds(t, guide, files[1], after)
				quoted++
			case language != "diff" && len(files) == 1:
				holds(t, guide, files[0], text)
				quoted++
			default:
				t.Errorf("%s: say in a comment of the line before where this stands:\n%s", guide, text)
			}
		}
		if quoted == 0 {
			t.Errorf("%s quotes nothing", guide)
		}
	}
}

func guides(t *testing.T) []string {
	t.Helper()
	guides, err := filepath.Glob("docs/*.md")
	if err != nil || len(guides) == 0 {
		t.Fatal(guides, err)
	}
	return guides
}

// sides are the texts before and after a change.
func sides(diff string) (before, after string) {
	for line := range strings.Lines(diff) {
		switch rest := line[1:]; line[0] {
		case '-':
			before += rest
		case '+':
			after += rest
		default:
			before += rest
			after += rest
		}
	}
	return before, after
}

func holds(t *testing.T, guide, file, text string) {
	t.Helper()
	if !strings.Contains("\n"+readText(t, file), "\n"+text) {
		t.Errorf("%s quotes what %s does not hold:\n%s", guide, file, text)
	}
}

func readText(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

// TestGuideLinks lead to what is there.
func TestGuideLinks(t *testing.T) {
	guides := append(guides(t), "README.md", "study/README.md", "bench/README.md", "CONTRIBUTING.md", "CHANGELOG.md")
	if _, err := os.Stat("compat"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the other modules are not here")
	}
	for _, guide := range guides {
		for _, to := range link.FindAllStringSubmatch(readText(t, guide), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(guide), to[1])); err != nil {
				t.Error(err)
			}
		}
	}
}

// elsewhere are the commands of the guides that .ci/run does not run as they stand,
// and what shows that they work.
var elsewhere = map[string]string{
	"go run -C examples ./attach --local":                                                 "its tests drive it on a terminal",
	"go run -C realplugin .":                                                              "three minutes: with -short, by the tests",
	"go run -C study . -out out":                                                          "ten minutes: with -short",
	"go run -C study ./channel -out out":                                                  "half an hour: with -short",
	"go test -C bench -run '^$' -bench .":                                                 "ten minutes: with -short",
	"go test -C compat ./...":                                                             "with -short",
	"aws ssm start-session --target i-02573cafcfEXAMPLE":                                  "an account: locally, by TestCLI of session-manager-plugin",
	"go run -C examples ./check-aws SESSION-ID":                                           "an account: locally, by its tests",
	`go build -C examples -o "$HOME/bin/" ./session-manager-plugin ./attach`:              "into another directory",
	`go build -C examples -o "$HOME/bin/session-manager-plugin" ./session-manager-plugin`: "into another directory",
	`export PATH="$HOME/bin:$PATH"`:                                                       "TestPath of session-manager-plugin",
	`go version -m "$(command -v session-manager-plugin)" | grep -w path`:                 "TestWhichPlugin of session-manager-plugin",
	"go mod edit -replace github.com/ssmresume/ssmresume=/path/to/clone -replace github.com/ssmresume/ssmresume/datachannel=/path/to/clone/datachannel -replace github.com/ssmresume/ssmresume/examples=/path/to/clone/examples": "until the first release",
	"go mod tidy # once the imports are there": "until the first release",
	"git grep -lz github.com/aws/session-manager-plugin/ -- '*.go' | xargs -0 perl -pi -e 's#github.com/aws/session-manager-plugin/#github.com/ssmresume/ssmresume/examples/session-manager-plugin/#'": "TestImports of realplugin",
	`git grep -nE 'types\.(DoesNotExistException|InternalServerError)\b' -- '*.go'`:                                                                                                                    "TestLeftover of compat",
}

var commands = regexp.MustCompile("(?m)^ *```sh\n((?s:.*?))^ *```$")

// TestCommands: each command of a guide is run by .ci/run, or is known to be tried
// in another way.
func TestCommands(t *testing.T) {
	if _, err := os.Stat("compat"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the other modules are not here")
	}
	ci := "\n" + readText(t, ".ci/run")
	used := map[string]bool{}
	for _, guide := range append(guides(t), "README.md", "study/README.md", "bench/README.md") {
		for _, block := range commands.FindAllStringSubmatch(readText(t, guide), -1) {
			joined := regexp.MustCompile(`( \\|\|)\n +`).ReplaceAllStringFunc(block[1], func(s string) string {
				return strings.TrimSuffix(strings.TrimRight(s, "\n "), "\\") + " "
			})
			for command := range strings.Lines(joined) {
				command = strings.Join(strings.Fields(command), " ")
				_, known := elsewhere[command]
				used[command] = true
				if !known && !strings.Contains(ci, "\n"+command+"\n") {
					t.Errorf("%s: .ci/run does not run %s", guide, command)
				}
			}
		}
	}
	for command := range elsewhere {
		if !used[command] {
			t.Errorf("no guide has %s", command)
		}
	}
}
