package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

const (
	margin   = 12 // columns left of the drawing, and of what lines tell
	maxCells = 64
	perLabel = 10 // cells from one time under the drawing to the next
)

// A timeline prints what happens as lines, each with its time. Under them it
// draws how the network, the channel and the output fare: on a terminal all the
// time, else at the end.
type timeline struct {
	w     io.Writer
	width int
	live  bool // on a terminal
	color bool
	shown int           // cells that have room
	cell  time.Duration // that a character stands for
	done  chan struct{}

	drawing sync.WaitGroup

	mu      sync.Mutex
	start   time.Time
	cells   []cell
	onPaper int // how many lines the drawing has that is on the terminal
}

// cell is what has happened in one character's time.
type cell struct {
	cut, open   bool // last for the following cells too
	lost        bool
	tried, back bool
	lines       int
}

// newTimeline returns one that starts now, and in which a drawing of the whole
// of total has room.
func newTimeline(w io.Writer, total time.Duration) *timeline {
	t := &timeline{w: w, width: 80, start: time.Now(), cells: []cell{{}}, done: make(chan struct{})}
	// A Windows console may not know the escape sequences.
	if f, ok := w.(*os.File); ok && runtime.GOOS != "windows" && os.Getenv("TERM") != "dumb" {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > margin+perLabel {
			t.width, t.live, t.color = width, true, os.Getenv("NO_COLOR") == ""
		}
	}
	t.shown = min(t.width-1-margin, maxCells)
	t.cell = cellLength(total, t.shown)
	if t.live {
		t.drawing.Go(func() {
			for {
				t.print("")
				select {
				case <-time.After(100 * time.Millisecond):
				case <-t.done:
					return
				}
			}
		})
	}
	return t
}

// cellLength returns a round time of which n are no shorter than total.
func cellLength(total time.Duration, n int) time.Duration {
	for d := 2 * tick; ; d *= 10 {
		for _, d := range []time.Duration{d, 2 * d, 4 * d} {
			if d*time.Duration(n) >= total {
				return d
			}
		}
	}
}

// stop draws for the last time.
func (t *timeline) stop() {
	close(t.done)
	t.drawing.Wait()
	t.mu.Lock()
	t.live = true
	t.mu.Unlock()
	t.print("")
}

// line prints a line above the drawing.
func (t *timeline) line(format string, args ...any) {
	at := fmt.Sprintf("%*.2f s  ", margin-4, time.Since(t.start).Seconds())
	t.print(at + wrap(fmt.Sprintf(format, args...), t.width, margin) + "\n")
}

// wrap breaks text, which is to start in the column indent, at spaces.
func wrap(text string, width, indent int) string {
	var b strings.Builder
	column := indent
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

// current returns the present cell. With mu held.
func (t *timeline) current() *cell {
	for n := int(time.Since(t.start) / t.cell); len(t.cells) <= n; {
		last := t.cells[len(t.cells)-1]
		t.cells = append(t.cells, cell{cut: last.cut, open: last.open})
	}
	return &t.cells[len(t.cells)-1]
}

// print puts lines in the place of the drawing, and the drawing under them, in
// one write so that it does not flicker.
func (t *timeline) print(lines string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.onPaper > 0 {
		lines = fmt.Sprintf("\x1b[%dA\x1b[J", t.onPaper) + lines
	}
	if t.live {
		drawing := t.draw()
		t.onPaper = strings.Count(drawing, "\n")
		lines += drawing
	}
	io.WriteString(t.w, lines)
}

// draw returns the drawing. With mu held.
func (t *timeline) draw() string {
	t.current()
	first := max(0, len(t.cells)-t.shown)
	const (
		plain = ""
		red   = "\x1b[31m"
		green = "\x1b[32m"
		blue  = "\x1b[34m"
	)
	row := func(name string, glyph func(cell) (char, color string)) string {
		var b strings.Builder
		fmt.Fprintf(&b, "  %-*s", margin-2, name)
		for _, c := range t.cells[first:] {
			text, color := glyph(c)
			if t.color && color != plain {
				text = color + text + "\x1b[0m"
			}
			b.WriteString(text)
		}
		return b.String()
	}
	rows := []string{
		"",
		row("network", func(c cell) (string, string) {
			if c.cut {
				return "╌", red
			}
			return "━", green
		}),
		row("channel", func(c cell) (string, string) {
			switch {
			case c.lost:
				return "╳", red
			case c.open:
				return "━", green
			}
			return " ", plain
		}),
		row("output", func(c cell) (string, string) {
			steady := int(t.cell / tick) // lines, of the shell that counts
			return string([]rune(" ▁▂▃▄▅▆▇█")[min((4*c.lines+steady-1)/steady, 8)]), blue
		}),
		row("resume", func(c cell) (string, string) {
			switch {
			case c.back:
				return "●", green
			case c.tried:
				return "○", red
			}
			return " ", plain
		}),
		t.axis(first),
	}
	return strings.Join(rows, "\n") + "\n"
}

// axis writes the time under every so many cells.
func (t *timeline) axis(first int) string {
	line := strings.Repeat(" ", margin)
	for n := (first + perLabel - 1) / perLabel * perLabel; n < first+t.shown; n += perLabel {
		label := fmt.Sprintf("%g s", (time.Duration(n) * t.cell).Seconds())
		if column := margin + n - first; column+len(label) < t.width {
			line = fmt.Sprintf("%-*s", column, line) + label
		}
	}
	return line
}
