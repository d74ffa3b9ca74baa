// Command channel shows what the data channel's clients carry, and what becomes of
// that when the channel is cut: package datachanneltest is the other side of a
// Session of package datachannel, of this repository's session-manager-plugin, of
// AWS's, and of a bare WebSocket as the floor. Each runs as a process of its own.
//
//	go run -C study ./channel [-short] [-part name] [-out dir] [-profile dir]
//	go run -C study ./channel -plot dir
//
// It prints tables in Markdown, and writes the figures as CSV and plots as SVG.
// With -plot it measures nothing, but draws the plots of a folder's CSV files anew.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/ssmresume/ssmresume/study/internal/figure"
)

func main() {
	if mode := os.Getenv(modeName); mode != "" {
		exitOn(beSubject(mode, os.Args[1:]))
		return
	}
	out := flag.String("out", filepath.FromSlash("out"), "folder for the CSV and SVG files")
	short := flag.Bool("short", false, "a pass of some seconds, to see that it runs")
	part := flag.String("part", "", "measure only this: "+strings.Join(parts, ", "))
	profile := flag.String("profile", "", "folder for CPU profiles of the Session and the bare WebSocket; empty: none")
	redraw := flag.String("plot", "", "draw the plots of this folder's CSV files anew, and measure nothing")
	flag.Parse()
	if *redraw != "" {
		exitOn(plotAgain(*redraw))
		return
	}
	p := fullPlan()
	if *short {
		p = shortPlan()
	}
	if *part != "" {
		if !slices.Contains(parts, *part) {
			exitOn(fmt.Errorf("no part %q", *part))
		}
		p.parts = []string{*part}
	}
	if *profile != "" {
		var err error
		*profile, err = filepath.Abs(*profile)
		exitOn(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exitOn(study(ctx, p, *profile, os.Stdout, *out))
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "channel:", err)
		os.Exit(1)
	}
}

// What is measured.
const (
	partBulk     = "bulk"
	partShell    = "shell"
	partRecovery = "recovery"
	partCuts     = "cuts"
	partCourse   = "course"
)

var parts = []string{partBulk, partShell, partRecovery, partCuts, partCourse}

// A plan says how much is measured.
type plan struct {
	parts      []string
	stall      time.Duration // after which a stream counts as one that hangs; longer than ours may wait
	rounds     int
	roundTrips []time.Duration
	size       int64 // of a transfer
	slowSize   int64 // of one by a subject that is slow
	keys       int

	cutRoundTrips        []time.Duration
	rate                 float64       // bytes a second that an upload is given
	warm, slowWarm       int64         // bytes before a cut
	unacknowledged       []int         // messages at a cut
	recoveryLimit        time.Duration // after which the speed counts as not back
	slowRounds           int           // of recoveries, where the subject is slow
	passage, slowPassage int64         // bytes through cuts
	passageRounds        int
	cuts                 int
	courseRounds         int
	course               outline
	courseRoundTrip      time.Duration
}

func fullPlan() plan {
	return plan{
		parts:           parts,
		stall:           20 * time.Second,
		rounds:          3,
		roundTrips:      []time.Duration{0, 10 * time.Millisecond, 100 * time.Millisecond},
		size:            64 << 20,
		slowSize:        8 << 20,
		keys:            50,
		cutRoundTrips:   []time.Duration{10 * time.Millisecond, 100 * time.Millisecond},
		rate:            20e6,
		warm:            20e6,
		slowWarm:        1 << 20,
		unacknowledged:  []int{10, 1000, 10_000},
		recoveryLimit:   110 * time.Second,
		slowRounds:      1,
		passage:         64 << 20,
		slowPassage:     4 << 20,
		passageRounds:   3,
		cuts:            3,
		courseRounds:    3,
		course:          outline{rate: 400e3, begin: 3 * time.Second, length: time.Second, whole: 12 * time.Second, interval: 50 * time.Millisecond},
		courseRoundTrip: 10 * time.Millisecond,
	}
}

func shortPlan() plan {
	return plan{
		parts:           parts,
		stall:           5 * time.Second,
		rounds:          1,
		roundTrips:      []time.Duration{10 * time.Millisecond},
		size:            8 << 20,
		slowSize:        256 << 10,
		keys:            10,
		cutRoundTrips:   []time.Duration{10 * time.Millisecond},
		rate:            20e6,
		warm:            4e6,
		slowWarm:        256 << 10,
		unacknowledged:  []int{10},
		recoveryLimit:   5 * time.Second,
		slowRounds:      1,
		passage:         8 << 20,
		slowPassage:     256 << 10,
		passageRounds:   1,
		cuts:            1,
		courseRounds:    1,
		course:          outline{rate: 200e3, begin: 300 * time.Millisecond, length: 300 * time.Millisecond, whole: 1500 * time.Millisecond, interval: 50 * time.Millisecond},
		courseRoundTrip: 10 * time.Millisecond,
	}
}

// results are the figures of a run, one of each for each round.
type results struct {
	bulks      []bulk
	typings    []typing
	recoveries []recovery
	passages   []passage
	courses    []course
}

func study(ctx context.Context, p plan, profile string, w io.Writer, out string) error {
	begun := time.Now()
	l, err := newLab(ctx, profile, p.stall)
	if err != nil {
		return err
	}
	defer l.close()
	fmt.Fprintf(w, "Data channels. %s %s/%s, %d processors.\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
	r, err := l.measure(ctx, p)
	if err != nil {
		return err
	}
	r.print(w)
	if err := figure.WriteFiles(out, r.files()); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nCSV and SVG files are in %s. It took %.0f s.\n", out, time.Since(begun).Seconds())
	return nil
}

// measure takes all figures. In each round the subjects take turns.
func (l *lab) measure(ctx context.Context, p plan) (results, error) {
	var r results
	each := func(what string, rounds int, measure func(s subject) error) error {
		for range rounds {
			for _, s := range l.subjects {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := measure(s); err != nil {
					return fmt.Errorf("%s, %s: %w", what, s.name, err)
				}
			}
		}
		return nil
	}
	for _, part := range p.parts {
		if err := map[string]func(plan, *results, turns) error{
			partBulk: l.bulks, partShell: l.shells, partRecovery: l.recoveries, partCuts: l.passages, partCourse: l.courses,
		}[part](p, &r, each); err != nil {
			return r, err
		}
	}
	return r, nil
}

// turns calls measure for each subject, round by round.
type turns func(what string, rounds int, measure func(s subject) error) error

func (l *lab) bulks(p plan, r *results, each turns) error {
	for _, roundTrip := range p.roundTrips {
		for _, direction := range []string{upload, download} {
			if err := each(direction, p.rounds, func(s subject) error {
				size := p.size
				if s.slow && direction == upload {
					size = p.slowSize
				}
				b, err := l.bulk(s, direction, roundTrip, size)
				r.bulks = append(r.bulks, b)
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lab) shells(p plan, r *results, each turns) error {
	for _, roundTrip := range p.roundTrips {
		if err := each("keys", p.rounds, func(s subject) error {
			ty, err := l.typing(s, roundTrip, p.keys)
			r.typings = append(r.typings, ty)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) recoveries(p plan, r *results, each turns) error {
	for _, roundTrip := range p.cutRoundTrips {
		for _, lost := range []string{lostInputs, lostAcks} {
			for _, messages := range p.unacknowledged {
				done := map[string]int{}
				if err := each("recovery", p.rounds, func(s subject) error {
					warm := p.warm
					if s.slow {
						warm = p.slowWarm
					}
					if done[s.name]++; s.kind == modeBare || s.slow && done[s.name] > p.slowRounds {
						return nil
					}
					rec, err := l.recovery(s, lost, roundTrip, messages, p.rate, warm, p.recoveryLimit)
					r.recoveries = append(r.recoveries, rec)
					return err
				}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (l *lab) passages(p plan, r *results, each turns) error {
	for _, direction := range []string{upload, download} {
		if err := each(direction+" through cuts", p.passageRounds, func(s subject) error {
			size := p.passage
			if s.slow || direction == download {
				size = p.slowPassage
			}
			pas, err := l.passage(s, direction, p.courseRoundTrip, size, p.cuts)
			r.passages = append(r.passages, pas)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) courses(p plan, r *results, each turns) error {
	for _, direction := range []string{upload, download} {
		if err := each(direction+" through an outage", p.courseRounds, func(s subject) error {
			if s.name != ourPlugin && s.name != realPlugin {
				return nil
			}
			c, err := l.course(s, direction, p.courseRoundTrip, p.course)
			r.courses = append(r.courses, c)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
