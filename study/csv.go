package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/ssmresume/ssmresume/study/internal/figure"
)

// outageCSV has, for sessions that were lost or waiting in every trial, the time
// from the network's loss until they were given up.
func outageCSV(cells []cell) figure.Content {
	return figure.CSV([]string{"kind", "outage_s", "policy", "clock", "trials", "resumed", "lost", "waiting", "least_s", "median_s", "p95_s", "longest_s", "mean_connects", "mean_logins_asked"}, func(row func(...any)) {
		for _, c := range cells {
			one := func(clock string, s stats, dials, asks any) {
				row(c.kind, c.length, c.policy.name, clock, s.n, s.outcomes[resumed], s.outcomes[lost], s.outcomes[waiting], s.least, s.median, s.p95, s.longest, dials, asks)
			}
			if c.real == nil {
				one("fake", c.fake, c.fake.dials, c.fake.asks)
				continue
			}
			one("loopback", *c.real, "", "")
			one("fake, as on loopback", c.fake, c.fake.dials, "")
		}
	})
}

func herdCSV(herds []herd) figure.Content {
	return figure.CSV([]string{"code", "sessions", "policy", "calls", "back", "lost", "waiting", "half_s", "p99_s", "all_s", "wall_s", "bytes_per_session"}, func(row func(...any)) {
		for _, h := range herds {
			one := func(code string, res herdResult, memory any) {
				row(code, res.sessions, res.policy, res.calls, len(res.back), res.lost, res.waiting, res.csvAt(0.5), res.csvAt(0.99), res.csvAt(1), res.wall, memory)
			}
			one("model", h.model, "")
			if h.real != nil {
				one("real", *h.real, h.real.memory)
			}
		}
	})
}

func (h herdResult) csvAt(share float64) any {
	if d, ok := h.backAt(share); ok {
		return d
	}
	return ""
}

// curvePoints are as many as a plot can show.
const curvePoints = 200

// largest are the herds of the largest size.
func largest(herds []herd) []herd {
	var of []herd
	for _, h := range herds {
		if h.model.sessions == herds[len(herds)-1].model.sessions {
			of = append(of, h)
		}
	}
	return of
}

func herdCurveCSV(herds []herd) figure.Content {
	return figure.CSV([]string{"policy", "sessions", "time_s", "back"}, func(row func(...any)) {
		for _, h := range largest(herds) {
			for i := range curvePoints {
				n := (i + 1) * len(h.model.back) / curvePoints
				if n > 0 {
					row(h.policy.name, h.model.sessions, h.model.back[n-1], n)
				}
			}
		}
	})
}

func sweepCSV(s sweep) figure.Content {
	return figure.CSV([]string{"option", "value_s", "setting", "trials", "calls_per_session", "half_s", "p99_s", "all_s", "median_s", "p95_s", "longest_s", "mean_connects"}, func(row func(...any)) {
		for _, h := range s.maxServiceWait {
			row("MaxServiceWait", h.maxServiceWait, fmt.Sprintf("herd of %d, median run", h.sessions), modelRuns, h.callsEach(), h.csvAt(0.5), h.csvAt(0.99), h.csvAt(1), "", "", "", "")
		}
		one := func(option, setting string, o sweepOutage) {
			row(option, o.value, setting, o.n, "", "", "", "", o.median, o.p95, o.longest, o.dials)
		}
		for _, o := range s.maxNetworkWait {
			one("MaxNetworkWait", "refused for "+lengthText(sweepLength), o)
		}
		for _, o := range s.dialTimeout {
			one("connect timeout", "unanswered for "+lengthText(sweepLength)+", "+kernelText(o.oldSYNs), o)
		}
	})
}

// readOutages reads of outageCSV what a plot shows.
func readOutages(name string) ([]cell, error) {
	records, err := figure.ReadCSV(name)
	if err != nil {
		return nil, err
	}
	var cells []cell
	for _, r := range records {
		if r.Values["clock"] != "fake" {
			continue
		}
		c := cell{length: r.Seconds("outage_s"), fake: stats{
			n:        r.Count("trials"),
			outcomes: map[outcome]int{resumed: r.Count("resumed"), lost: r.Count("lost"), waiting: r.Count("waiting")},
			median:   r.Seconds("median_s"),
			p95:      r.Seconds("p95_s"),
		}}
		c.kind, c.policy.name = outageKind(r.Values["kind"]), r.Values["policy"]
		if r.Err != nil {
			return nil, fmt.Errorf("%s: %w", name, r.Err)
		}
		cells = append(cells, c)
	}
	return cells, nil
}

// readHerds reads of herdCSV and herdCurveCSV what a plot shows.
func readHerds(name, curveName string) ([]herd, error) {
	records, err := figure.ReadCSV(name)
	if err != nil {
		return nil, err
	}
	curve, err := figure.ReadCSV(curveName)
	if err != nil {
		return nil, err
	}
	var herds []herd
	for _, r := range records {
		if r.Values["code"] != "model" {
			continue
		}
		h := herdResult{policy: r.Values["policy"], sessions: r.Count("sessions"), calls: r.Count("calls"), lost: r.Count("lost")}
		back := r.Count("back")
		if r.Err != nil {
			return nil, fmt.Errorf("%s: %w", name, r.Err)
		}
		for _, r := range curve {
			if r.Values["policy"] == h.policy && r.Count("sessions") == h.sessions {
				h.back = append(h.back, slices.Repeat([]time.Duration{r.Seconds("time_s")}, r.Count("back")-len(h.back))...)
			}
			if r.Err != nil {
				return nil, fmt.Errorf("%s: %w", curveName, r.Err)
			}
		}
		herds = append(herds, herd{policy: policy{name: h.policy}, model: h})
		if isLargest := r.Values["sessions"] == records[len(records)-1].Values["sessions"]; isLargest && len(h.back) != back {
			return nil, fmt.Errorf("%s: %d of %d sessions of %s are in %s", name, len(h.back), back, h.policy, curveName)
		}
	}
	return herds, nil
}
