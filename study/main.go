// Command study shows how Systems Manager sessions come back after an outage
// of the network, and after a fault that hits many sessions at once: with this
// library's Reconnector, with the AWS SDK called once, with the SDK in a careful
// loop, and with the policies of two versions of the session-manager-plugin.
//
//	go run . [-short] [-seed n] [-out dir]
//	go run . -plot dir
//
// It prints tables, and writes the figures as CSV and plots as SVG. With -plot it
// measures nothing, but draws the plots of a folder's CSV files anew.
//
// The policies' real code runs on the fake clock of testing/synctest, with real
// net/http transports over an in-memory network; a model of waits is used only
// where a herd is too large for that. Short outages also run on loopback, on the
// real clock.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume/study/internal/figure"
)

func main() {
	out := flag.String("out", filepath.FromSlash("out"), "folder for the CSV and SVG files")
	short := flag.Bool("short", false, "a pass of some seconds, to see that it runs")
	seed := flag.Uint64("seed", 1, "of the study's random numbers; the libraries' jitter has none")
	redraw := flag.String("plot", "", "draw the plots of this folder's CSV files anew, and measure nothing")
	flag.Parse()
	if *redraw != "" {
		if err := plotAgain(*redraw); err != nil {
			fmt.Fprintln(os.Stderr, "study:", err)
			os.Exit(1)
		}
		return
	}

	p := fullPlan(*seed)
	if *short {
		p = shortPlan(*seed)
	}
	// synctest.Test wants a *testing.T, and testing.Main is what the package offers
	// to a program that is not a test binary. It ends the program and would print
	// PASS, so the exit is ours.
	testing.Main(
		func(string, string) (bool, error) { return true, nil },
		[]testing.InternalTest{{Name: "outage", F: func(t *testing.T) {
			if err := study(t, p, os.Stdout, *out); err != nil {
				fmt.Fprintln(os.Stderr, "study:", err)
				os.Exit(1)
			}
			os.Exit(0)
		}}}, nil, nil)
}

func plotAgain(dir string) error {
	cells, err := readOutages(filepath.Join(dir, "outage.csv"))
	if err != nil {
		return err
	}
	herds, err := readHerds(filepath.Join(dir, "herd.csv"), filepath.Join(dir, "herd-curve.csv"))
	if err != nil {
		return err
	}
	return figure.WriteFiles(dir, map[string]figure.Content{"outage.svg": outagePlot(cells), "herd.svg": herdPlot(herds)})
}

func study(t *testing.T, p plan, w io.Writer, out string) error {
	start := time.Now()
	printHeading(w, p)
	cells := p.outages(t)
	printOutages(w, p, cells)
	real, err := p.loopback(t)
	if err != nil {
		return err
	}
	printLoopback(w, p, real)
	herds := p.allHerds(t)
	printHerds(w, p, herds)
	shared := p.sharedHerds(t)
	printShared(w, shared)
	s := p.runSchedules()
	printSchedules(w, p, s)
	files := map[string]figure.Content{
		"outage.csv":     outageCSV(append(cells, real...)),
		"herd.csv":       herdCSV(herds),
		"shared.csv":     sharedCSV(shared),
		"schedules.csv":  schedulesCSV(s),
		"herd-curve.csv": herdCurveCSV(herds),
		"outage.svg":     outagePlot(cells),
		"herd.svg":       herdPlot(herds),
	}
	if p.sweep {
		s := p.runSweep(t)
		printSweep(w, p, s)
		files["sweep.csv"] = sweepCSV(s)
	}
	if err := figure.WriteFiles(out, files); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nCSV and SVG files are in %s. It took %.0f s.\n", out, time.Since(start).Seconds())
	return nil
}
