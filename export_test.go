package ssmresume

import "time"

// ReadJSON returns the type of a JSON text's value, as its first byte, and the
// types and strings of the members of an object.
func ReadJSON(text string) (kind byte, members [][3]string, rest string) {
	kind, read, rest := readJSON(text)
	for _, m := range read {
		members = append(members, [3]string{m.key, string(m.kind), m.text})
	}
	return kind, members, rest
}

// SetClockBack does to what r owes what setting the clock back does.
func SetClockBack(r *Reconnector, d time.Duration) { r.pace.since = r.pace.since.Add(d) }

// OwedSince returns when the wait began that r owes.
func OwedSince(r *Reconnector) time.Time { return r.pace.since }
