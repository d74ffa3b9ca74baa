package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// content writes a file.
type content func(io.Writer) error

func writeFiles(dir string, files map[string]content) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for name, write := range files {
		var buf bytes.Buffer
		if err := write(&buf); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), buf.Bytes(), 0o666); err != nil {
			return err
		}
	}
	return nil
}

func csvOf(header []string, rows func(row func(...any))) content {
	return func(w io.Writer) error {
		out := csv.NewWriter(w)
		if err := out.Write(header); err != nil {
			return err
		}
		rows(func(cells ...any) {
			var line []string
			for _, c := range cells {
				line = append(line, csvText(c))
			}
			_ = out.Write(line) // Error tells
		})
		out.Flush()
		return out.Error()
	}
}

// csvText writes times in seconds.
func csvText(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return fmt.Sprintf("%.3f", v.Seconds())
	case float64:
		return fmt.Sprintf("%.3f", v)
	}
	return fmt.Sprint(v)
}

// outageCSV has, for sessions that were lost or waiting in every trial, the time
// from the network's loss until they were given up.
func outageCSV(cells []cell) content {
	return csvOf([]string{"kind", "outage_s", "policy", "clock", "trials", "resumed", "lost", "waiting", "least_s", "median_s", "p95_s", "longest_s", "mean_connects"}, func(row func(...any)) {
		for _, c := range cells {
			one := func(clock string, s stats, dials any) {
				row(c.kind, c.length, c.policy.name, clock, s.n, s.outcomes[resumed], s.outcomes[lost], s.outcomes[waiting], s.least, s.median, s.p95, s.longest, dials)
			}
			if c.real == nil {
				one("fake", c.fake, c.fake.dials)
				continue
			}
			one("loopback", *c.real, "")
			one("fake, as on loopback", c.fake, c.fake.dials)
		}
	})
}

func herdCSV(herds []herd) content {
	return csvOf([]string{"code", "sessions", "policy", "calls", "back", "lost", "waiting", "half_s", "p99_s", "all_s", "wall_s", "bytes_per_session"}, func(row func(...any)) {
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

func herdCurveCSV(herds []herd) content {
	return csvOf([]string{"policy", "sessions", "time_s", "back"}, func(row func(...any)) {
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

func sweepCSV(s sweep) content {
	return csvOf([]string{"option", "value_s", "setting", "trials", "calls_per_session", "half_s", "p99_s", "all_s", "median_s", "p95_s", "longest_s", "mean_connects"}, func(row func(...any)) {
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
