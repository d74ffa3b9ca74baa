// Package recorded holds what the real agent and the real session-manager-plugin
// said to each other, for tests of both sides. They were run on loopback around a
// gateway that wrote down what passed; what that gateway itself said is not AWS's.
//
// The names say who took part: "plugin-" the real plugin, the others a small
// client of the gateway's authors. The long port recordings are cut.
package recorded

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

//go:embed *.jsonl.gz
var files embed.FS

// A Line is one thing that happened at the gateway.
type Line struct {
	At    time.Duration // since the recording began
	From  string        // "client", "agent", "service>client", "service>agent", "harness", ...
	Conn  int           // which WebSocket
	Note  string        // such as "opened", "gone", "dropped by the harness"
	Text  string        // of a text message
	Frame []byte        // of a binary message; nil if it is none
}

// Dropped reports that the message did not reach the other side.
func (l Line) Dropped() bool { return strings.Contains(l.Note, "dropped") }

// Names returns the names of all recordings.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // they are in the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".jsonl.gz"))
	}
	return names
}

// Load returns a recording.
func Load(name string) ([]Line, error) {
	b, err := files.ReadFile(name + ".jsonl.gz")
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var lines []Line
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var l struct {
			T     int64 `json:"t"` // microseconds
			From  string
			Conn  int
			Note  string
			Text  string
			Frame []byte
		}
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		lines = append(lines, Line{time.Duration(l.T) * time.Microsecond, l.From, l.Conn, l.Note, l.Text, l.Frame})
	}
	return lines, in.Err()
}
