package netwake

import "time"

const Groups = groups

type Watcher = watcher

var NewWatcher = newWatcher

// News does not wait.
func (w *watcher) News() bool {
	var may bool
	w.conn.Read(func(fd uintptr) bool {
		may = w.read(fd)
		return true
	})
	return may && w.news()
}

func (w *watcher) WaitForNews() error {
	for {
		if err := w.wait(); err != nil || w.news() {
			return err
		}
	}
}

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
