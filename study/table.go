package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

func printHeading(w io.Writer, p plan) {
	fmt.Fprintf(w, "Sessions after an outage. %s %s/%s, %d processors, seed %d.\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), p.seed)
}

// table aligns rows whose cells are separated by tabs.
func table(w io.Writer, title string, rows func(row func(cells ...any))) {
	fmt.Fprintf(w, "\n%s\n", title)
	var buf strings.Builder
	tw := tabwriter.NewWriter(&buf, 0, 0, 0, ' ', 0)
	rows(func(cells ...any) {
		for _, c := range cells {
			fmt.Fprintf(tw, "  %v\t", c)
		}
		fmt.Fprintln(tw)
	})
	tw.Flush()
	for line := range strings.Lines(buf.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
}

func printOutages(w io.Writer, p plan, cells []cell) {
	fmt.Fprintf(w, "\nOutages on a fake clock: from the outage's end to the session's return, median / 95 %%.\n"+
		"%d trials in each place, %d of %s; each outage is up to 20 %% shorter or longer.\n",
		p.repeats(p.lengths[0]), p.repeats(p.lengths[len(p.lengths)-1]), lengthText(p.lengths[len(p.lengths)-1]))
	for _, kind := range outageKinds {
		table(w, strings.ToUpper(string(kind)), func(row func(...any)) {
			header := []any{"outage"}
			for _, policy := range policies() {
				header = append(header, policy.name)
			}
			row(header...)
			for _, length := range p.lengths {
				line := []any{lengthText(length)}
				for _, c := range cells {
					if c.kind == kind && c.length == length {
						line = append(line, c.fake.text())
					}
				}
				row(line...)
			}
		})
	}
}

// text is the share of sessions that are lost, and how long the others took.
func (s stats) text() string {
	var parts []string
	if n := s.outcomes[lost]; n > 0 {
		parts = append(parts, percent(n, s.n)+" lost")
	}
	if n := s.outcomes[waiting]; n > 0 {
		parts = append(parts, percent(n, s.n)+" still waiting")
	}
	if s.outcomes[resumed] > 0 {
		parts = append(parts, seconds(s.median)+" / "+seconds(s.p95))
	}
	return strings.Join(parts, ", ")
}

func printLoopback(w io.Writer, p plan, cells []cell) {
	title := fmt.Sprintf("THE SAME FOR REAL, ON LOOPBACK, BESIDE THE FAKE CLOCK\n"+
		"%d real trials each. Agreement: the same outcomes, and a real median no more than %v before\n"+
		"the earliest and %v after the latest on the fake clock. Trials end %v after the outage.",
		p.reals, seconds(clockEarly), seconds(clockLate), seconds(p.patience))
	table(w, title, func(row func(...any)) {
		row("outage", "policy", "real", "fake clock", "earliest, latest", "agree")
		for _, c := range cells {
			agree := "yes"
			if err := c.disagreement(); err != nil {
				agree = "NO: " + err.Error()
			}
			bounds := ""
			if c.fake.outcomes[resumed] > 0 {
				bounds = seconds(c.fake.least) + ", " + seconds(c.fake.longest)
			}
			row(lengthText(c.length)+" "+string(c.kind), c.policy.name, c.real.text(), c.fake.text(), bounds, agree)
		}
	})
	if !canLeaveUnanswered {
		fmt.Fprintln(w, "  (only Linux can leave a connect unanswered on loopback without root)")
	}
}

func printHerds(w io.Writer, p plan, herds []herd) {
	title := fmt.Sprintf("HERD: ALL SESSIONS LOSE THEIR CHANNEL IN THE SAME SECOND\n"+
		"%d accounts; the service answers %d calls a second for each, %d at once, the others get\n"+
		"ThrottlingException. Model of the policies' waits, the median run of %d; below is the real code.", herdAccounts, herdRate, herdBurst, modelRuns)
	table(w, title, func(row func(...any)) {
		row("sessions", "policy", "calls each", "half back", "99 %", "all", "lost", "all / limit")
		for _, h := range herds {
			over := ""
			if by, all := h.model.overLimit(accountSizes(h.model.sessions)); all {
				over = fmt.Sprintf("%.2f", by)
			}
			row(append(herdCells(h.model), over)...)
		}
	})
	table(w, "THE SAME BY THE REAL CODE, AND WHAT IT COSTS\n"+
		"Time of the simulation on this machine; memory of a session that waits, with its own client.", func(row func(...any)) {
		row("sessions", "policy", "calls each", "half back", "99 %", "all", "lost", "wall time", "a call", "memory")
		for _, h := range herds {
			if h.real == nil {
				continue
			}
			memory := ""
			if h.real.memory > 0 {
				memory = fmt.Sprintf("%.1f KB", float64(h.real.memory)/1000)
			}
			row(append(herdCells(*h.real), seconds(h.real.wall), fmt.Sprintf("%.0f µs", h.real.wall.Seconds()*1e6/float64(h.real.calls)), memory)...)
		}
	})
	for _, h := range herds {
		if h.model.waiting > 0 {
			fmt.Fprintf(w, "  %d of %d sessions still wait after %s with %s.\n", h.model.waiting, h.model.sessions, lengthText(herdHorizon), h.policy.name)
		}
	}
	largest := accountSizes(p.herds[len(p.herds)-1])[0]
	fmt.Fprintf(w, "  No policy can have all of the largest account's %s sessions back before %s.\n", thousands(largest), seconds(soonest(largest)))
}

// soonest is when the service has answered n calls.
func soonest(n int) time.Duration {
	return time.Duration(float64(max(n-herdBurst, 0)) / herdRate * float64(time.Second))
}

func herdCells(h herdResult) []any {
	at := func(share float64) string {
		if d, ok := h.backAt(share); ok {
			return seconds(d)
		}
		return "never"
	}
	return []any{thousands(h.sessions), h.policy, fmt.Sprintf("%.2f", h.callsEach()), at(0.5), at(0.99), at(1), percent(h.lost, h.sessions)}
}

func (h herdResult) callsEach() float64 { return float64(h.calls) / float64(h.sessions) }

func printSweep(w io.Writer, p plan, s sweep) {
	table(w, fmt.Sprintf("SWEEP: MaxServiceWait, in the herd (model, the median run of %d)", modelRuns), func(row func(...any)) {
		row("sessions", "MaxServiceWait", "calls each", "half back", "99 %", "all")
		for _, h := range s.maxServiceWait {
			cells := herdCells(h.herdResult)
			row(cells[0], h.maxServiceWait, cells[2], cells[3], cells[4], cells[5])
		}
	})
	table(w, fmt.Sprintf("SWEEP: MaxNetworkWait, refused for %s (n = %d)", lengthText(sweepLength), p.repeats(sweepLength)), func(row func(...any)) {
		row("MaxNetworkWait", "median / 95 %", "longest", "connects a minute")
		for _, o := range s.maxNetworkWait {
			row(o.value, o.text(), seconds(o.longest), fmt.Sprintf("%.1f", o.dials/sweepLength.Minutes()))
		}
	})
	table(w, fmt.Sprintf("SWEEP: time for a connect, unanswered for %s (n = %d)", lengthText(sweepLength), p.repeats(sweepLength)), func(row func(...any)) {
		row("connect given up after", "kernel", "median / 95 %", "longest", "connects a minute")
		for _, o := range s.dialTimeout {
			row(o.value, kernelText(o.oldSYNs), o.text(), seconds(o.longest), fmt.Sprintf("%.1f", o.dials/sweepLength.Minutes()))
		}
	})
}

func kernelText(oldSYNs bool) string {
	if oldSYNs {
		return "Linux before 6.5"
	}
	return "Linux 6.5"
}

// seconds is readable over six orders of magnitude.
func seconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < 5*time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f min", d.Minutes())
}

// lengthText is a length that is a whole number of seconds, minutes or hours.
func lengthText(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// thousands is n with a comma, for n below a million.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

// percent is rounded, but 0 and 100 mean none and all.
func percent(n, of int) string {
	p := float64(n) / float64(of) * 100
	switch {
	case n == 0, n == of:
		return fmt.Sprintf("%.0f %%", p)
	case p < 0.1, p > 99.9:
		return fmt.Sprintf("%.3f %%", p)
	}
	return fmt.Sprintf("%.1f %%", p)
}
