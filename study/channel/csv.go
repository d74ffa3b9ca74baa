package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/ssmresume/ssmresume/study/internal/figure"
)

// files are those of the parts that were measured.
func (r results) files() map[string]figure.Content {
	files := map[string]figure.Content{}
	if len(r.bulks) > 0 {
		files["channel-bulk.csv"] = r.bulkCSV()
	}
	if len(r.typings) > 0 {
		files["channel-shell.csv"] = r.shellCSV()
	}
	if len(r.recoveries) > 0 {
		files["channel-recovery.csv"] = r.recoveryCSV()
		files["channel-recovery.svg"] = recoveryPlot(r.recoveries)
	}
	if len(r.passages) > 0 {
		files["channel-cuts.csv"] = r.cutsCSV()
	}
	if len(r.courses) > 0 {
		files["channel-course.csv"] = r.courseCSV()
		files["channel-course.svg"] = coursePlot(r.courses)
	}
	return files
}

func plotAgain(dir string) error {
	courses, err := readCourses(filepath.Join(dir, "channel-course.csv"))
	if err != nil {
		return err
	}
	recoveries, err := readRecoveries(filepath.Join(dir, "channel-recovery.csv"))
	if err != nil {
		return err
	}
	return figure.WriteFiles(dir, map[string]figure.Content{
		"channel-course.svg":   coursePlot(courses),
		"channel-recovery.svg": recoveryPlot(recoveries),
	})
}

// The tables have each round, so that their spread can be seen.

func (r results) bulkCSV() figure.Content {
	return figure.CSV([]string{"direction", "round_trip_ms", "subject", "bytes", "seconds", "mb_per_s", "cpu_s", "peak_memory_bytes"}, func(row func(...any)) {
		for _, b := range r.bulks {
			row(b.direction, ms(b.roundTrip), b.subject, b.bytes, b.took, b.speed(), b.cpu, b.memory)
		}
	})
}

func (r results) shellCSV() figure.Content {
	return figure.CSV([]string{"round_trip_ms", "subject", "keys", "echo_median_ms", "first_byte_ms", "cpu_s", "peak_memory_bytes"}, func(row func(...any)) {
		for _, t := range r.typings {
			row(ms(t.roundTrip), t.subject, t.keys, ms(t.echo()), ms(t.first), t.cpu, t.memory)
		}
	})
}

// never stands for a time that did not come.
func never(d time.Duration) any {
	if d < 0 {
		return ""
	}
	return ms(d)
}

func why(err error) string {
	if err == nil {
		return "whole"
	}
	return err.Error()
}

func (r results) recoveryCSV() figure.Content {
	return figure.CSV([]string{"lost", "round_trip_ms", "subject", "wanted", "messages", "mb_per_s_before", "away_ms", "full_speed_ms", "all_there_ms", "watched_s", "share_there", "outcome"}, func(row func(...any)) {
		for _, r := range r.recoveries {
			row(r.lost, ms(r.roundTrip), r.subject, r.want, r.messages, r.before/1e6, ms(r.away), never(r.full), never(r.closed), r.waited, r.got, why(r.err))
		}
	})
}

func (r results) cutsCSV() figure.Content {
	return figure.CSV([]string{"direction", "round_trip_ms", "subject", "bytes", "cuts", "arrived", "seconds", "outcome"}, func(row func(...any)) {
		for _, p := range r.passages {
			row(p.direction, ms(p.roundTrip), p.subject, p.bytes, p.cuts, p.arrived, p.took, why(p.err))
		}
	})
}

func (r results) courseCSV() figure.Content {
	return figure.CSV([]string{"direction", "round_trip_ms", "subject", "offered_per_s", "outage_from_s", "outage_to_s", "after_s", "bytes"}, func(row func(...any)) {
		for _, c := range typical(r.courses) {
			for _, p := range c.points {
				row(c.direction, ms(c.roundTrip), c.subject, c.rate, c.from, c.to, p.after, p.bytes)
			}
		}
	})
}

// readCourses reads what courseCSV has written.
func readCourses(name string) ([]course, error) {
	records, err := figure.ReadCSV(name)
	if err != nil {
		return nil, err
	}
	var courses []course
	for _, r := range records {
		c := course{
			subject: r.Values["subject"], direction: r.Values["direction"], roundTrip: milliseconds(&r, "round_trip_ms"),
			rate: r.Number("offered_per_s"), from: r.Seconds("outage_from_s"), to: r.Seconds("outage_to_s"),
		}
		if last := len(courses) - 1; last < 0 || courses[last].subject != c.subject || courses[last].direction != c.direction {
			courses = append(courses, c)
		}
		last := &courses[len(courses)-1]
		last.points = append(last.points, point{r.Seconds("after_s"), int64(r.Count("bytes"))})
		if r.Err != nil {
			return nil, fmt.Errorf("%s: %w", name, r.Err)
		}
	}
	return courses, nil
}

// readRecoveries reads of recoveryCSV what a plot shows.
func readRecoveries(name string) ([]recovery, error) {
	records, err := figure.ReadCSV(name)
	if err != nil {
		return nil, err
	}
	var recoveries []recovery
	for _, r := range records {
		rec := recovery{
			lost: r.Values["lost"], subject: r.Values["subject"], roundTrip: milliseconds(&r, "round_trip_ms"),
			want: r.Count("wanted"), messages: r.Count("messages"), waited: r.Seconds("watched_s"), full: -1,
		}
		if r.Values["full_speed_ms"] != "" {
			rec.full = milliseconds(&r, "full_speed_ms")
		}
		if r.Err != nil {
			return nil, fmt.Errorf("%s: %w", name, r.Err)
		}
		recoveries = append(recoveries, rec)
	}
	return recoveries, nil
}

func milliseconds(r *figure.Record, column string) time.Duration {
	return time.Duration(r.Number(column) * float64(time.Millisecond))
}
