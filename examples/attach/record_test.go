//go:build !windows

package main

import (
	"bytes"
	"flag"
	"fmt"
	"html"
	"os"
	"strings"
	"testing"
	"time"
)

// outage.svg is made from the program's own screen, which takes tmux:
//
//	go test -C examples ./attach -run TestRecord -record
var record = flag.Bool("record", false, "make outage.svg anew")

const (
	recordColumns = 80
	recordRows    = 14
)

// A frame is the screen at a moment, and how long it is shown.
type frame struct {
	caption  string
	screen   string // with the sequences for dim text
	column   int    // of the cursor
	row      int
	duration time.Duration
}

func TestRecord(t *testing.T) {
	if !*record {
		t.Skip("only with -record")
	}
	m := startTmux(t, recordColumns, recordRows, program([]string{"SHELL=/bin/sh", "PS1=$ "}, "--local"))
	var frames []frame
	show := func(caption string, d time.Duration) {
		f := frame{caption: caption, duration: d}
		f.screen = m.run("capture-pane", "-p", "-e")
		if _, err := fmt.Sscanf(m.run("display-message", "-p", "#{cursor_x},#{cursor_y}"), "%d,%d", &f.column, &f.row); err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
	m.waitForText("\n$\n")
	show("go run -C examples ./attach --local", 3*time.Second)
	m.press("echo before the outage", "Enter")
	m.waitForText("\nbefore the outage\n$\n")
	show("a shell", 2*time.Second)
	m.press("C-]", "n")
	show("Ctrl-] n: the network is cut", time.Second)
	m.waitForText("lost, 1 s")
	show("Ctrl-] n: the network is cut", time.Second)
	m.waitForText("lost, 2 s")
	show("Ctrl-] n: the network is cut", time.Second)
	m.press("echo typed in the outage", "Enter")
	m.waitForText("25 bytes typed")
	show("typing: echo typed in the outage", time.Second)
	for n := 3; n <= 6; n++ {
		m.waitForText(fmt.Sprintf("lost, %d s", n))
		show("typing: echo typed in the outage", time.Second)
	}
	still := len(frames) - 1
	m.press("C-]", "n")
	m.waitForText("\ntyped in the outage\n$\n")
	show("Ctrl-] n: the network is back", 1500*time.Millisecond)
	m.waitFor("the end of the line", func(screen string) bool { return !strings.Contains(screen, "channel is back") })
	m.press("echo nothing is lost, nothing came twice", "Enter")
	m.waitForText("\nnothing is lost, nothing came twice\n$\n")
	show("the same shell goes on", 4*time.Second)
	if err := os.WriteFile("outage.svg", render(frames, still), 0o644); err != nil {
		t.Fatal(err)
	}
}

// render returns the frames as an SVG that plays them, or shows one of them where
// nothing moves.
func render(frames []frame, still int) []byte {
	const (
		charWidth, lineHeight, margin, bar = 8.4, 19, 14, 34
		width                              = recordColumns*charWidth + 2*margin
		height                             = recordRows*lineHeight + bar + 2*margin
	)
	var total time.Duration
	for _, f := range frames {
		total += f.duration
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" width="%.0f" height="%d" role="img">
<!-- made by: go test -C examples ./attach -run TestRecord -record -->
<title>attach --local: a shell in an outage</title>
<style>
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d6deeb; white-space: pre }
.caption { fill: #8fa3bf } .dim { fill: #8a94a6 } .cursor { fill: #d6deeb; opacity: .7 }
`, width, height, width, height)
	var at time.Duration
	for i, f := range frames {
		first, last := 100*at.Seconds()/total.Seconds(), 100*(at+f.duration).Seconds()/total.Seconds()
		at += f.duration
		visibility := "hidden"
		if i == still {
			visibility = "visible"
		}
		fmt.Fprintf(&b, "#f%d { visibility: %s }\n", i, visibility)
		fmt.Fprintf(&b, "@keyframes k%d { 0%% { visibility: hidden } %.2f%% { visibility: visible } %.2f%%, 100%% { visibility: hidden } }\n", i, first, last)
	}
	b.WriteString("@media (prefers-reduced-motion: no-preference) {\n")
	for i := range frames {
		fmt.Fprintf(&b, "#f%d { animation: k%d %.1fs step-end infinite }\n", i, i, total.Seconds())
	}
	fmt.Fprintf(&b, "}\n</style>\n<rect width=\"%.0f\" height=\"%d\" rx=\"8\" fill=\"#101826\"/>\n<path d=\"M0 %d H%.0f\" stroke=\"#2a3649\"/>\n", width, height, bar, width)
	for i, f := range frames {
		fmt.Fprintf(&b, "<g id=\"f%d\">\n<text class=\"caption\" x=\"%d\" y=\"22\">%s</text>\n", i, margin, html.EscapeString(f.caption))
		for n, row := range strings.Split(strings.TrimRight(f.screen, "\n"), "\n") {
			class := ""
			if strings.Contains(row, "\x1b[2m") {
				class = ` class="dim"`
			}
			if row = plain(row); row != "" {
				fmt.Fprintf(&b, "<text%s x=\"%d\" y=\"%d\" textLength=\"%.1f\" xml:space=\"preserve\">%s</text>\n", class, margin, bar+margin+n*lineHeight+13, float64(len([]rune(row)))*charWidth, html.EscapeString(row))
			}
		}
		fmt.Fprintf(&b, "<rect class=\"cursor\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"16\"/>\n</g>\n", margin+float64(f.column)*charWidth, bar+margin+f.row*lineHeight, charWidth)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// plain takes the sequences for colours out.
func plain(row string) string {
	var b strings.Builder
	for row != "" {
		before, rest, found := strings.Cut(row, "\x1b[")
		b.WriteString(before)
		if !found {
			break
		}
		_, row, _ = strings.Cut(rest, "m")
	}
	return strings.TrimRight(b.String(), " ")
}
