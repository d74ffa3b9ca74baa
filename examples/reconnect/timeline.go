package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

const (
	timelineCells = 64
	timelineWidth = 12 + timelineCells
)

// A timeline prints what happens as lines, each with its time. On a terminal it
// draws under them how the network, the channel and the messages fare.
type timeline struct {
	w     io.Writer
	drawn bool // on a terminal, which shows a drawing
	color bool
	cell  time.Duration // that a character stands for

	mu      sync.Mutex
	start   time.Time
	cells   []cell
	onPaper int // how many lines the drawing has that is on the terminal
}

// cell is what has happened in one character's time.
type cell struct {
	cut, open     bool // last for the following cells too
	lost          bool
	tried, back   bool
	messageNumber int
}

// newTimeline returns one that starts now, and in which a drawing of the whole
// of total has room. The drawing needs a terminal that is wide enough.
func newTimeline(w io.Writer, total time.Duration) *timeline {
	t := &timeline{
		w:     w,
		cell:  max(total/timelineCells, 100*time.Millisecond).Round(50 * time.Millisecond),
		start: time.Now(),
		cells: []cell{{}},
	}
	// A Windows console may not know the escape sequences.
	if f, ok := w.(*os.File); ok && runtime.GOOS != "windows" && os.Getenv("TERM") != "dumb" {
		width, _, err := term.GetSize(int(f.Fd()))
		t.drawn = err == nil && width >= timelineWidth
		t.color = t.drawn && os.Getenv("NO_COLOR") == ""
	}
	return t
}

// line prints a line above the drawing.
func (t *timeline) line(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.print(fmt.Sprintf("%8.2f s  %s\n", time.Since(t.start).Seconds(), fmt.Sprintf(format, args...)))
}

// mark notes something in the drawing.
func (t *timeline) mark(note func(*cell)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	note(t.current())
}

// refreshes keeps the drawing up to date until stop is called.
func (t *timeline) refreshes() (stop func()) {
	var drawing sync.WaitGroup
	done := make(chan struct{})
	drawing.Go(func() {
		for {
			select {
			case <-time.After(100 * time.Millisecond):
				t.refresh()
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		drawing.Wait()
	}
}

func (t *timeline) refresh() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.print("")
}

// current returns the present cell. t.mu is held.
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
	if t.onPaper > 0 {
		lines = fmt.Sprintf("\x1b[%dA\x1b[J", t.onPaper) + lines
	}
	if t.drawn {
		drawing := t.drawing()
		t.onPaper = strings.Count(drawing, "\n")
		lines += drawing
	}
	io.WriteString(t.w, lines)
}

func (t *timeline) drawing() string {
	t.current()
	first := max(0, len(t.cells)-timelineCells)
	const (
		plain = ""
		red   = "\x1b[31m"
		green = "\x1b[32m"
		blue  = "\x1b[34m"
	)
	row := func(name string, glyph func(cell) (char, color string)) string {
		var b strings.Builder
		fmt.Fprintf(&b, "  %-10s", name)
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
		row("messages", func(c cell) (string, string) {
			return string([]rune(" ▁▂▃▄▅▆▇█")[min(c.messageNumber, 8)]), blue
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

// axis writes the time under every eighth cell.
func (t *timeline) axis(first int) string {
	b := []byte(strings.Repeat(" ", timelineWidth))
	for n := (first + 7) / 8 * 8; n < first+timelineCells; n += 8 {
		copy(b[12+n-first:], fmt.Sprintf("%g s", (time.Duration(n)*t.cell).Seconds()))
	}
	return strings.TrimRight(string(b), " ")
}
