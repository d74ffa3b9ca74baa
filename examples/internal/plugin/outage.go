package plugin

import (
	"os"
	"sync"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/examples/internal/terminal"
)

// maxWait is the longest wait that spares the service. It is that of AWS's plugin:
// somebody sits in front of the terminal.
const maxWait = 5 * time.Second

// An outage is told of, and ends sooner if the user asks for it.
type outage struct {
	wake chan struct{}

	mu    sync.Mutex
	shown interface{ OnEvent(datachannel.Event) } // nil: nowhere
	away  bool                                    // there is no channel
}

func newOutage() *outage {
	return &outage{wake: make(chan struct{}, 1), shown: terminal.NewNotice(os.Stderr)}
}

// showOn moves the message to where it does not disturb the session.
func (o *outage) showOn(shown interface{ OnEvent(datachannel.Event) }) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n, ok := o.shown.(*terminal.Notice); ok {
		n.Close()
	}
	o.shown = shown
}

// tell is the session's Options.OnEvent.
func (o *outage) tell(e datachannel.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.away = e.Kind == datachannel.Lost || e.Kind == datachannel.Waiting
	if o.shown != nil {
		o.shown.OnEvent(e)
	}
}

// retry makes the next attempt come at once, in an outage: the user has pressed
// a key, which the session keeps.
func (o *outage) retry() {
	o.mu.Lock()
	away := o.away
	o.mu.Unlock()
	if !away {
		return
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// end takes the message away.
func (o *outage) end() { o.showOn(nil) }

// reconnect is the session's Options.Reconnector.
func (o *outage) reconnect(ro *ssmresume.ReconnectorOptions) {
	ro.Wake = o.wake
	ro.MaxServiceWait = maxWait
}
