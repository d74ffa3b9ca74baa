package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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

// A record is a line of a CSV file, by the names of its columns.
type record struct {
	values map[string]string
	err    error // the first
}

func readCSV(name string) ([]record, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(lines) < 2 {
		return nil, fmt.Errorf("%s: there is nothing in it", name)
	}
	var records []record
	for _, line := range lines[1:] {
		r := record{values: map[string]string{}}
		for i, value := range line {
			r.values[lines[0][i]] = value
		}
		records = append(records, r)
	}
	return records, nil
}

func (r *record) number(column string) float64 {
	n, err := strconv.ParseFloat(r.values[column], 64)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("column %s: %w", column, err)
	}
	return n
}

func (r *record) count(column string) int { return int(r.number(column)) }

func (r *record) seconds(column string) time.Duration {
	return time.Duration(r.number(column) * float64(time.Second)).Round(time.Millisecond)
}

// readOutages reads of outageCSV what a plot shows.
func readOutages(name string) ([]cell, error) {
	records, err := readCSV(name)
	if err != nil {
		return nil, err
	}
	var cells []cell
	for _, r := range records {
		if r.values["clock"] != "fake" {
			continue
		}
		c := cell{length: r.seconds("outage_s"), fake: stats{
			n:        r.count("trials"),
			outcomes: map[outcome]int{resumed: r.count("resumed"), lost: r.count("lost"), waiting: r.count("waiting")},
			median:   r.seconds("median_s"),
			p95:      r.seconds("p95_s"),
		}}
		c.kind, c.policy.name = outageKind(r.values["kind"]), r.values["policy"]
		if r.err != nil {
			return nil, fmt.Errorf("%s: %w", name, r.err)
		}
		cells = append(cells, c)
	}
	return cells, nil
}

// readHerds reads of herdCSV and herdCurveCSV what a plot shows.
func readHerds(name, curveName string) ([]herd, error) {
	records, err := readCSV(name)
	if err != nil {
		return nil, err
	}
	curve, err := readCSV(curveName)
	if err != nil {
		return nil, err
	}
	var herds []herd
	for _, r := range records {
		if r.values["code"] != "model" {
			continue
		}
		h := herdResult{policy: r.values["policy"], sessions: r.count("sessions"), calls: r.count("calls"), lost: r.count("lost")}
		back := r.count("back")
		if r.err != nil {
			return nil, fmt.Errorf("%s: %w", name, r.err)
		}
		for _, r := range curve {
			if r.values["policy"] == h.policy && r.count("sessions") == h.sessions {
				h.back = append(h.back, slices.Repeat([]time.Duration{r.seconds("time_s")}, r.count("back")-len(h.back))...)
			}
			if r.err != nil {
				return nil, fmt.Errorf("%s: %w", curveName, r.err)
			}
		}
		herds = append(herds, herd{policy: policy{name: h.policy}, model: h})
		if isLargest := r.values["sessions"] == records[len(records)-1].values["sessions"]; isLargest && len(h.back) != back {
			return nil, fmt.Errorf("%s: %d of %d sessions of %s are in %s", name, len(h.back), back, h.policy, curveName)
		}
	}
	return herds, nil
}
