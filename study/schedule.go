package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/ssmresume/ssmresume/study/internal/figure"
)

// What clients that share nothing can do about a herd. Each learns only that it was
// refused, each time, so whatever it does is a schedule that is fixed in advance,
// the same in an account of 50 sessions and of 5,000.

// schedules are those of the table, the Reconnector's first.
func schedules() []policy {
	named := func(name string, model func(*rand.Rand) waits) policy { return policy{name: name, model: model} }
	return []policy{
		named("windows up to 25 s (ssmresume)", reconnectorModel(0)),
		named("windows up to 5 s", reconnectorModel(5*time.Second)),
		named("windows up to 10 s", reconnectorModel(10*time.Second)),
		named("windows up to 60 s", reconnectorModel(time.Minute)),
		named("5 s for half a minute, then 25 s", stepped(30*time.Second)),
		named("0.1 of the time since the loss", proportional(0.1)),
		named("0.3 of the time since the loss", proportional(0.3)),
		named("the time since the loss", proportional(1)),
		named(forTwoSizesName, forTwoSizes),
	}
}

// stepped has windows up to 5 s until so long after the loss, and then up to 25 s.
func stepped(until time.Duration) func(*rand.Rand) waits {
	return func(r *rand.Rand) waits {
		first, then := reconnectorModel(5*time.Second)(r), reconnectorModel(0)(r)
		var passed time.Duration
		return func() (wait time.Duration, goOn bool) {
			wait, _ = then() // whose window grows meanwhile
			if passed < until {
				wait, _ = first()
			}
			passed += wait
			return wait, true
		}
	}
}

// proportional has no scale: each wait is random in the upper three quarters of a
// window that is in proportion to the time since the loss, or 1 s if that is more.
func proportional(share float64) func(*rand.Rand) waits {
	return func(r *rand.Rand) waits {
		var passed time.Duration
		return func() (time.Duration, bool) {
			window := max(time.Second, time.Duration(share*float64(passed)))
			wait := window/4 + upTo(r, window-window/4)
			passed += wait
			return wait, true
		}
	}
}

// A round is when an attempt is made, in seconds: at a random time between two
// since the loss or, if it is relative, since the attempt before it.
type round struct {
	relative bool
	from, to float64
}

const forTwoSizesName = "made for 10,000 and 100,000"

// forTwoSizesRounds are what a search over such schedules has found that was to
// come near to the goals for herds of 10,000 and of 100,000 sessions. The last round
// is repeated.
var forTwoSizesRounds = []round{
	{false, 1.511, 3.012},
	{true, 2.033, 4.899},
	{false, 8.179, 17.272},
	{false, 18.037, 26.730},
	{false, 27.739, 170.157},
	{false, 143.505, 230.189},
	{false, 226.526, 253.615},
	{false, 203.636, 225.183},
	{true, 14.575, 17.979},
}

func forTwoSizes(r *rand.Rand) waits {
	var passed float64
	n := 0
	return func() (time.Duration, bool) {
		at := forTwoSizesRounds[min(n, len(forTwoSizesRounds)-1)]
		n++
		then := at.from + r.Float64()*(at.to-at.from)
		if at.relative {
			then += passed
		}
		wait := max(then-passed, 0.1)
		passed += wait
		return time.Duration(wait * float64(time.Second)), true
	}
}

// scheduled is a schedule in one size of herd, by the model.
type scheduled struct {
	schedule string
	sizes    []int
	runs     int
	herdResult
}

func (p plan) runSchedules() []scheduled {
	var sizes [][]int
	for _, n := range p.scheduleHerds {
		sizes = append(sizes, accountSizes(n))
	}
	for _, n := range p.scheduleAlone {
		sizes = append(sizes, []int{n})
	}
	all := schedules()
	cells := make([]scheduled, len(sizes)*len(all))
	eachCore(len(cells), func(i int) {
		of, s := sizes[i%len(sizes)], all[i/len(sizes)]
		runs := modelRuns
		if of[0] <= 1000 {
			runs *= 5 // which session is the last is chance
		}
		cells[i] = scheduled{s.name, of, runs, p.medianHerd(runs, of, s, "schedule", of, s.name)}
	})
	return cells
}

// price is how much later than possible the last session is back, by the service's
// limit, times the calls of each. A client that does not know how long the service
// will take pays with one for the other.
func (s scheduled) price() float64 {
	over, _ := s.overLimit(s.sizes)
	return (over - 1) * s.callsEach()
}

func printSchedules(w io.Writer, p plan, cells []scheduled) {
	show := func(title string, sizes []int, isAlone bool, text func(scheduled) string) {
		table(w, title, func(row func(...any)) {
			header := []any{"schedule, sessions:"}
			for _, n := range sizes {
				header = append(header, thousands(n))
			}
			row(header...)
			for _, s := range schedules() {
				line := []any{s.name}
				for _, c := range cells {
					if c.schedule == s.name && (len(c.sizes) == 1) == isAlone {
						line = append(line, text(c))
					}
				}
				row(line...)
			}
		})
	}
	lastAndCalls := func(s scheduled) string {
		over, _ := s.overLimit(s.sizes)
		return fmt.Sprintf("%.2f %4.1f", over, s.callsEach())
	}
	show(fmt.Sprintf("SCHEDULES OF CLIENTS THAT SHARE NOTHING: ALL BACK / LIMIT, CALLS EACH\n"+
		"Herds in %d accounts, model, the median run of %d or, up to 20,000 sessions, of %d.", herdAccounts, modelRuns, 5*modelRuns), p.scheduleHerds, false, lastAndCalls)
	show("THE SAME IN ONE ACCOUNT", p.scheduleAlone, true, lastAndCalls)
	show("THE SAME IN ONE ACCOUNT: (ALL BACK / LIMIT - 1) * CALLS EACH", p.scheduleAlone, true, func(s scheduled) string { return fmt.Sprintf("%.2f", s.price()) })
}

func schedulesCSV(cells []scheduled) figure.Content {
	return figure.CSV([]string{"schedule", "accounts", "sessions", "runs", "calls_per_session", "half_s", "p99_s", "all_s", "limit_s", "all_by_limit"}, func(row func(...any)) {
		for _, c := range cells {
			over, _ := c.overLimit(c.sizes)
			row(c.schedule, len(c.sizes), c.sessions, c.runs, c.callsEach(), c.csvAt(0.5), c.csvAt(0.99), c.csvAt(1), limit(c.sizes), over)
		}
	})
}
