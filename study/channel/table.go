package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

var subjects = []string{ourSession, ourPlugin, realPlugin, bareSocket}

// of returns the values that are meant, of a list of figures.
func of[F, V any](figures []F, is func(F) bool, value func(F) V) (values []V) {
	for _, f := range figures {
		if is(f) {
			values = append(values, value(f))
		}
	}
	return values
}

// unique returns each value once, in order of appearance.
func unique[F any, V comparable](figures []F, value func(F) V) (values []V) {
	for _, f := range figures {
		if v := value(f); !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

// ratio is the median of the ratios of each round.
func ratio(of, to []float64) float64 {
	ratios := make([]float64, min(len(of), len(to)))
	for i := range ratios {
		ratios[i] = of[i] / to[i]
	}
	return median(ratios)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (r results) print(w io.Writer) {
	if len(r.bulks) > 0 {
		r.printBulks(w)
	}
	if len(r.typings) > 0 {
		r.printTypings(w)
	}
	if len(r.recoveries) > 0 {
		r.printRecoveries(w)
	}
	if len(r.passages) > 0 {
		r.printPassages(w)
	}
	if len(r.courses) > 0 {
		r.printCourses(w)
	}
}

func (r results) bulksOf(direction string, roundTrip time.Duration, subject string) []bulk {
	return of(r.bulks, func(b bulk) bool {
		return b.direction == direction && b.roundTrip == roundTrip && b.subject == subject
	}, func(b bulk) bulk { return b })
}

func (r results) printBulks(w io.Writer) {
	for _, direction := range unique(r.bulks, func(b bulk) string { return b.direction }) {
		fmt.Fprintf(w, "\n%s through a forwarded port, medians\n\n", direction)
		fmt.Fprintf(w, "| round trip | | MiB | MB/s | × %s | × %s | processor, ms/MiB | peak memory, MiB |\n|---|---|---|---|---|---|---|---|\n", realPlugin, bareSocket)
		for _, roundTrip := range unique(r.bulks, func(b bulk) time.Duration { return b.roundTrip }) {
			speeds := func(subject string) (values []float64) {
				for _, b := range r.bulksOf(direction, roundTrip, subject) {
					values = append(values, b.speed())
				}
				return values
			}
			for _, subject := range subjects {
				bulks := r.bulksOf(direction, roundTrip, subject)
				all := func(bulk) bool { return true }
				own := speeds(subject)
				fmt.Fprintf(w, "| %v | %s | %d | %.2f | %.2f | %.2f | %.1f | %.0f |\n", roundTrip, subject, bulks[0].bytes>>20,
					median(own), ratio(own, speeds(realPlugin)), ratio(own, speeds(bareSocket)),
					median(of(bulks, all, bulk.cpuEach)), float64(median(of(bulks, all, func(b bulk) int64 { return b.memory })))/(1<<20))
			}
		}
	}
}

func (r results) typingsOf(roundTrip time.Duration, subject string) []typing {
	return of(r.typings, func(t typing) bool { return t.roundTrip == roundTrip && t.subject == subject }, func(t typing) typing { return t })
}

func (r results) printTypings(w io.Writer) {
	fmt.Fprintf(w, "\na shell, medians\n\n")
	fmt.Fprintf(w, "| round trip | | keystroke to echo, ms | × %s | process start to first byte, ms | × %s | processor for %d keys, ms | peak memory, MiB |\n|---|---|---|---|---|---|---|---|\n", realPlugin, realPlugin, r.typings[0].keys)
	for _, roundTrip := range unique(r.typings, func(t typing) time.Duration { return t.roundTrip }) {
		echoes := func(subject string) []float64 {
			return of(r.typingsOf(roundTrip, subject), func(typing) bool { return true }, func(t typing) float64 { return ms(t.echo()) })
		}
		firsts := func(subject string) []float64 {
			return of(r.typingsOf(roundTrip, subject), func(typing) bool { return true }, func(t typing) float64 { return ms(t.first) })
		}
		for _, subject := range subjects {
			own := r.typingsOf(roundTrip, subject)
			all := func(typing) bool { return true }
			fmt.Fprintf(w, "| %v | %s | %.2f | %.2f | %.0f | %.2f | %.0f | %.0f |\n", roundTrip, subject,
				median(echoes(subject)), ratio(echoes(subject), echoes(realPlugin)),
				median(firsts(subject)), ratio(firsts(subject), firsts(realPlugin)),
				median(of(own, all, func(t typing) float64 { return ms(t.cpu) })),
				float64(median(of(own, all, func(t typing) int64 { return t.memory })))/(1<<20))
		}
	}
}

// A place is the recoveries of one kind, in all rounds.
type place struct {
	lost      string
	roundTrip time.Duration
	want      int
	subject   string
}

func (r recovery) place() place { return place{r.lost, r.roundTrip, r.want, r.subject} }

func (r results) recoveriesOf(p place) []recovery {
	return of(r.recoveries, func(r recovery) bool { return r.place() == p }, func(r recovery) recovery { return r })
}

func (r results) printRecoveries(w io.Writer) {
	fmt.Fprintf(w, "\nan upload after a cut, medians; times from the next channel on\n\n")
	fmt.Fprintf(w, "| lost | round trip | | unacknowledged messages | MB/s before | full speed again after, ms | round trips | all of them there after, ms | outcome |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, p := range unique(r.recoveries, recovery.place) {
		recs := r.recoveriesOf(p)
		all := func(recovery) bool { return true }
		back := func(r recovery) bool { return r.full >= 0 }
		full, trips, closed := "", "", ""
		if fulls := of(recs, back, func(r recovery) time.Duration { return r.full }); len(fulls) > 0 {
			full, trips = fmt.Sprintf("%.1f", ms(median(fulls))), fmt.Sprintf("%.2f", float64(median(fulls))/float64(p.roundTrip))
		}
		if closeds := of(recs, func(r recovery) bool { return r.closed >= 0 }, func(r recovery) time.Duration { return r.closed }); len(closeds) > 0 {
			closed = fmt.Sprintf("%.1f", ms(median(closeds)))
		}
		fmt.Fprintf(w, "| %s | %v | %s | %d | %.2f | %s | %s | %s | %s |\n", p.lost, p.roundTrip, p.subject,
			median(of(recs, all, func(r recovery) int64 { return int64(r.messages) })),
			median(of(recs, all, func(r recovery) float64 { return r.before / 1e6 })), full, trips, closed, outcome(recs))
	}
}

// outcome says what became of the streams that did not go on.
func outcome(recs []recovery) string {
	failed := of(recs, func(r recovery) bool { return r.err != nil }, func(r recovery) recovery { return r })
	if len(failed) == 0 {
		return "0 lost"
	}
	f := failed[0]
	return fmt.Sprintf("%d of %d: %v; %.1f %% of them there after %.0f s", len(failed), len(recs), f.err, 100*f.got, f.waited.Seconds())
}

func (r results) printPassages(w io.Writer) {
	fmt.Fprintf(w, "\nthrough cuts; the agent sends 1 KiB each millisecond, as the real one does\n\n")
	fmt.Fprintf(w, "| | | round trip | KiB | cuts | bytes lost | seconds |\n|---|---|---|---|---|---|---|\n")
	type place struct{ direction, subject string }
	for _, p := range unique(r.passages, func(p passage) place { return place{p.direction, p.subject} }) {
		all := of(r.passages, func(q passage) bool { return place{q.direction, q.subject} == p }, func(q passage) passage { return q })
		lost := "0"
		var ends []string
		for _, end := range unique(all, func(q passage) string { return why(q.err) }) {
			same := of(all, func(q passage) bool { return why(q.err) == end && q.err != nil }, func(q passage) passage { return q })
			if len(same) > 0 {
				ends = append(ends, fmt.Sprintf("%d of %d: %s after %d bytes, at cut %d", len(same), len(all), end, same[0].arrived, same[0].cuts))
			}
		}
		if len(ends) > 0 {
			lost = strings.Join(ends, "; ")
		}
		seconds := ""
		if whole := of(all, func(q passage) bool { return q.err == nil }, func(q passage) float64 { return q.took.Seconds() }); len(whole) > 0 {
			seconds = fmt.Sprintf("%.1f", median(whole))
		}
		fmt.Fprintf(w, "| %s | %s | %v | %d | %d | %s | %s |\n", p.direction, p.subject, all[0].roundTrip, all[0].bytes>>10, all[0].cuts, lost, seconds)
	}
}

func (r results) printCourses(w io.Writer) {
	first := r.courses[0]
	fmt.Fprintf(w, "\n%.0f KB/s for %v, without a network from %v to %v\n\n", first.rate/1e3, first.points[len(first.points)-1].after.Round(time.Second), first.from, first.to)
	fmt.Fprintf(w, "| | | MB that arrived, each round | outcome |\n|---|---|---|---|\n")
	type place struct{ direction, subject string }
	for _, p := range unique(r.courses, func(c course) place { return place{c.direction, c.subject} }) {
		arrived, outcomes := "", ""
		for _, c := range r.courses {
			if (place{c.direction, c.subject}) == p {
				arrived += fmt.Sprintf(" %.2f", float64(c.arrived())/1e6)
				outcomes += " " + why(c.err) + ";"
			}
		}
		fmt.Fprintf(w, "| %s | %s |%s |%s |\n", p.direction, p.subject, arrived, strings.TrimSuffix(outcomes, ";"))
	}
}
