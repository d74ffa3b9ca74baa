package netwake

import "time"

const Groups = groups

var NewWatcher = newWatcher

func (w *watcher) News() bool { return w.news() }

func (w *watcher) Wait() error { return w.wait() }

func (w *watcher) Close() error { return w.socket.Close() }

// Waits returns how long the wait is before each of n values, if something new
// comes every interval.
func Waits(n int, interval time.Duration) (waits []time.Duration) {
	var now time.Time
	for r := newRate(now); len(waits) < n; {
		wait := r.wait(now)
		waits = append(waits, wait)
		now = now.Add(wait)
		r.sent(now)
		now = now.Add(interval)
	}
	return waits
}
