package terminal

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/ssmresume/ssmresume/datachannel"
)

// Where there is no terminal on which a line could go away again, an outage is
// told once, after this long.
const tellOnceAfter = 30 * time.Second

// A Notice tells of outages where no Terminal is open. On a terminal, one dim
// line says how long it lasts, and goes away with it. Elsewhere one line is
// written, if an outage lasts 30 s.
type Notice struct {
	out  *os.File
	live bool

	outage outage
	done   chan struct{}
	ended  chan struct{}
	close  sync.Once
}

// NewNotice returns a Notice on out. The caller must Close it.
func NewNotice(out *os.File) *Notice {
	return newNotice(out, term.IsTerminal(int(out.Fd())) && understandsSequences(out))
}

// NewPlainNotice returns a Notice on out that does as if out were no terminal:
// for a program whose terminal is another's, such as ssh's.
func NewPlainNotice(out *os.File) *Notice { return newNotice(out, false) }

func newNotice(out *os.File, live bool) *Notice {
	n := &Notice{out: out, live: live, done: make(chan struct{}), ended: make(chan struct{})}
	n.outage.changed = make(chan struct{}, 1)
	go n.show()
	return n
}

// OnEvent is for datachannel's Options.OnEvent. It does not wait for the file.
func (n *Notice) OnEvent(e datachannel.Event) {
	if e.Kind == datachannel.Stalled { // whose end nobody tells
		n.outage.show("no answer from the node for a minute; the session is kept", time.Minute)
		return
	}
	n.outage.tell(e)
}

// Close takes the line away. It may be called again.
func (n *Notice) Close() {
	n.close.Do(func() { close(n.done) })
	<-n.ended
}

func (n *Notice) show() {
	defer close(n.ended)
	drawn := false // the line, or what stands for it
	for {
		text, lasts, next := n.outage.text(time.Now())
		switch {
		case text == "" && drawn:
			n.erase()
			drawn = false
		case text == "":
		case n.live:
			n.draw(text, drawn)
			drawn = true
		case lasts < tellOnceAfter:
			next = tellOnceAfter - lasts
		case !drawn:
			fmt.Fprintf(n.out, "%s\r\n", text)
			drawn = true
		}
		select {
		case <-n.outage.changed:
		case <-time.After(next):
		case <-n.done:
			if drawn {
				n.erase()
			}
			return
		}
	}
}

// draw draws below the line with the cursor.
func (n *Notice) draw(text string, again bool) {
	if columns, _, err := term.GetSize(int(n.out.Fd())); err == nil && len([]rune(text)) >= columns {
		text = string([]rune(text)[:max(0, columns-1)])
	}
	room := makeRoomBelow
	if again {
		room = ""
	}
	n.out.WriteString(room + saveCursor + rowBelow + dim + text + "\x1b[K" + restoreCursor)
}

func (n *Notice) erase() {
	if n.live {
		n.out.WriteString(saveCursor + rowBelow + "\x1b[m" + eraseRow + restoreCursor)
	}
}
