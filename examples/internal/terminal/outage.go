package terminal

import (
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
)

// An outage is told after this long: a channel that AWS has closed is back
// before.
const tellAfter = time.Second

// An outage is what the line is about.
type outage struct {
	mu      sync.Mutex
	since   time.Time // zero: there is none
	what    string
	typed   int       // bytes since then
	stalled bool      // nothing tells its end but the agent's next word
	note    string    // of Show
	until   time.Time // for how long
	changed chan struct{}
}

// Show shows a line of the program's own in the place of the one about outages.
func (t *Terminal) Show(text string, d time.Duration) { t.outage.show(text, d) }

func (o *outage) show(text string, d time.Duration) {
	o.mu.Lock()
	o.note, o.until = text, time.Now().Add(d)
	o.mu.Unlock()
	o.change()
}

func (o *outage) change() {
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// Typed says that n bytes were typed for the session. In an outage, in which they
// are not echoed, the line counts them.
func (t *Terminal) Typed(n int) {
	o := &t.outage
	o.mu.Lock()
	o.typed += n
	o.mu.Unlock()
	o.change()
}

func (o *outage) clear() {
	o.mu.Lock()
	o.since, o.until, o.stalled = time.Time{}, time.Time{}, false
	o.mu.Unlock()
}

// heard notes that something came from the session.
func (o *outage) heard() {
	o.mu.Lock()
	if o.stalled {
		o.since, o.stalled = time.Time{}, false
	}
	o.mu.Unlock()
}

// OnEvent shows what becomes of the channel: it is for datachannel's
// Options.OnEvent. It does not wait for the terminal.
func (t *Terminal) OnEvent(e datachannel.Event) { t.outage.tell(e) }

func (o *outage) tell(e datachannel.Event) {
	o.mu.Lock()
	o.stalled = e.Kind == datachannel.Stalled
	if o.since.IsZero() {
		o.typed = 0
	}
	switch e.Kind {
	case datachannel.Lost:
		o.since, o.what = time.Now(), "network lost, %s; the session is kept"
		if websocket.CloseStatus(e.Err) >= 0 {
			o.what = "channel closed by the service, %s; the session is kept"
		}
	case datachannel.Stalled:
		o.since, o.what = time.Now().Add(-time.Minute), "no answer from the node, %s; the session is kept"
	case datachannel.Waiting:
		if o.since.IsZero() {
			o.since, o.what = time.Now(), "no network, %s; trying"
		}
		if keys := (*ssmresume.CredentialsError)(nil); errors.As(e.Err, &keys) || errors.Is(e.Err, ErrLogin) {
			o.what = "the credentials are no longer good, %s; log in again, the session is kept"
		}
		if untrusted := (*tls.CertificateVerificationError)(nil); errors.As(e.Err, &untrusted) {
			o.what = "the certificate is not trusted, %s; is AWS_CA_BUNDLE to be set?"
		}
		if throttled := (*ssmresume.ThrottlingError)(nil); errors.As(e.Err, &throttled) {
			o.what = "the service asks for patience, %s; the session is kept"
		}
	default:
		o.since = time.Time{}
	}
	o.mu.Unlock()
	o.change()
}

// text returns the line to be shown, how long the outage lasts, and when to look
// again; empty if there is none to show.
func (o *outage) text(now time.Time) (text string, lasts, next time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if left := o.until.Sub(now); left > 0 {
		return o.note, tellOnceAfter, left
	}
	if o.since.IsZero() {
		return "", 0, time.Hour
	}
	lasts = now.Sub(o.since)
	if lasts < tellAfter {
		return "", lasts, tellAfter - lasts
	}
	text = fmt.Sprintf(o.what, duration(lasts))
	switch o.typed {
	case 0:
	case 1:
		text += "; 1 byte typed"
	default:
		text += fmt.Sprintf("; %d bytes typed", o.typed)
	}
	return text, lasts, time.Second - lasts%time.Second
}

func duration(d time.Duration) string {
	switch s := int(d.Seconds()); {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	default:
		return fmt.Sprintf("%d h %02d min", s/3600, s/60%60)
	}
}

func (t *Terminal) showOutages() {
	for {
		text, _, next := t.outage.text(time.Now())
		t.mu.Lock()
		if text == "" {
			t.eraseLine()
			if t.line.covered {
				t.line.covered = false
				t.Redraw()
			}
		} else {
			t.drawLine(text)
		}
		t.mu.Unlock()
		select {
		case <-t.outage.changed:
		case <-time.After(next):
		case <-t.done:
			return
		}
	}
}

// A line is the one about an outage, as it is on the screen.
type line struct {
	drawn      bool
	text       string
	fullScreen bool // where: on the last row, or below the cursor
	size       Size // of the terminal then
	covered    bool // it may have covered what a program drew
}

const (
	saveCursor    = "\x1b7"
	restoreCursor = "\x1b8"
	lastRow       = "\x1b[999;1H"
	rowBelow      = "\x1b[B\r"
	makeRoomBelow = "\x1bD\x1bM" // down, which scrolls at the bottom, and up again
	eraseRow      = "\x1b[2K"
	eraseBelow    = "\x1b[J"
	dim           = "\x1b[0;2m"
)

// drawLine draws the line, or its new text. With mu held.
func (t *Terminal) drawLine(text string) {
	if t.closed || !t.scanner.between() {
		return
	}
	size := t.Size()
	if t.line.drawn && t.line.size != size {
		t.eraseLine()
	}
	if runes := []rune(text); len(runes) > size.Columns-1 {
		text = string(runes[:max(0, size.Columns-1)])
	}
	if t.line.drawn && t.line.text == text {
		return
	}
	where := rowBelow
	if !t.line.drawn {
		t.line.fullScreen = t.scanner.fullScreen()
	}
	if t.line.fullScreen {
		where = lastRow
	} else if !t.line.drawn {
		t.out.WriteString(makeRoomBelow)
	}
	// A terminal forgets the colours with the cursor's place, which is saved.
	t.out.WriteString(saveCursor + where + dim + text + "\x1b[K" + restoreCursor)
	t.line.drawn, t.line.text, t.line.covered, t.line.size = true, text, true, size
}

// eraseLine takes the line away, if there is one. With mu held.
func (t *Terminal) eraseLine() {
	if !t.line.drawn || t.closed {
		return
	}
	t.line.drawn = false
	where, erase := rowBelow, eraseRow
	if t.line.fullScreen {
		where = lastRow
	} else if t.line.size != t.Size() {
		erase = eraseBelow // terminals break lines anew
	}
	t.out.WriteString(saveCursor + where + "\x1b[m" + erase + restoreCursor)
}
