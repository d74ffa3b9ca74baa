// Package plugintest runs a session-manager-plugin against Session Manager in
// this process, as the AWS CLI would: any plugin, given the path of its binary.
// Package datachanneltest is the other side.
//
//	func TestPlugin(t *testing.T) {
//		plugintest.Test(t, build(t), map[string]string{
//			"key-in-outage": "the write fails, and the plugin ends",
//		})
//	}
//
// The map says what the plugin cannot do, each with the reason. What is listed
// and passes fails the test, too, so that the list stays true.
package plugintest

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
)

const (
	atOnce    = 12               // scenarios; most of their time is spent waiting
	atOnceCLI = 4                // which takes a second of the processor to start
	limit     = 30 * time.Second // of a scenario
	cliStart  = time.Minute      // for the AWS CLI, on a busy machine
)

// A Scenario is one thing that a user of the plugin relies on.
type Scenario struct {
	Name  string        // such as "outage-3s"
	Holds string        // what must be so
	Limit time.Duration // after which it is not; zero means 30 s
	Long  bool          // left out of short runs

	cli bool // also with the AWS CLI, which takes a second to start
	run func(*stage)
}

// Run runs the plugin in the scenario. Of an error the first line says what was
// not so, and the others what the plugin wrote.
func (sc Scenario) Run(ctx context.Context, plugin string) error { return sc.play(ctx, plugin, "") }

// play runs aws, which runs the plugin, or the plugin if aws is empty.
func (sc Scenario) play(ctx context.Context, plugin, aws string) error {
	d := sc.Limit
	if d == 0 {
		d = limit
	}
	if aws != "" {
		d += cliStart
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	dir, err := os.MkdirTemp("", "plugintest")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &stage{ctx: ctx, plugin: plugin, aws: aws, dir: dir, srv: datachanneltest.NewServer()}
	done := make(chan struct{})
	go func() { // of its own: stage.fail ends it
		defer close(done)
		defer s.close()
		sc.run(s)
	}()
	<-done
	return s.err
}

// Test runs all scenarios, each as a subtest. A short run takes less than a
// minute and leaves out those that are long. Where there are no terminals of
// Unix it skips.
func Test(t *testing.T, plugin string, cannot map[string]string) {
	test(t, atOnce, cannot, Scenarios(), func(sc Scenario) error { return sc.Run(t.Context(), plugin) })
}

// TestCLI is Test with `aws ssm start-session`, for some of the scenarios. It skips
// where the AWS CLI is not installed.
func TestCLI(t *testing.T, plugin string, cannot map[string]string) {
	aws, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("the AWS CLI is not installed")
	}
	scenarios := slices.DeleteFunc(Scenarios(), func(sc Scenario) bool { return !sc.cli })
	test(t, atOnceCLI, cannot, scenarios, func(sc Scenario) error { return sc.play(t.Context(), plugin, aws) })
}

func test(t *testing.T, n int, cannot map[string]string, scenarios []Scenario, run func(Scenario) error) {
	if runtime.GOOS == "windows" {
		t.Skip("the scenarios need the terminals and signals of Unix")
	}
	for name := range cannot {
		if !slices.ContainsFunc(Scenarios(), func(sc Scenario) bool { return sc.Name == name }) {
			t.Errorf("there is no scenario %q, which is listed", name)
		}
	}
	if testing.Short() {
		scenarios = slices.DeleteFunc(scenarios, func(sc Scenario) bool { return sc.Long })
	}
	start := ahead(n, run)
	results := map[string]func() error{}
	if !strings.Contains(flag.Lookup("test.run").Value.String(), "/") { // else few are wanted
		for _, sc := range scenarios {
			results[sc.Name] = start(sc)
		}
	}
	for _, sc := range scenarios {
		t.Run(sc.Name, func(t *testing.T) {
			result := results[sc.Name]
			if result == nil {
				result = start(sc)
			}
			err := result()
			reason, listed := cannot[sc.Name]
			switch {
			case err == nil && listed:
				t.Errorf("it holds, but is listed as what the plugin cannot do: %s", reason)
			case err != nil && listed:
				t.Logf("as listed (%s): %s", reason, What(err))
			case err != nil:
				t.Errorf("%s\ndoes not hold: %v", sc.Holds, err)
			}
		})
	}
}

// ahead returns a function that starts a scenario, up to n at a time, and returns
// one that waits for the result.
func ahead(n int, run func(Scenario) error) func(Scenario) func() error {
	slots := make(chan struct{}, n)
	return func(sc Scenario) func() error {
		result := make(chan error, 1)
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			result <- run(sc)
		}()
		return func() error { return <-result }
	}
}

// Results runs scenarios, several at a time, and returns an error or nil for each.
func Results(ctx context.Context, plugin string, scenarios []Scenario) []error {
	start := ahead(atOnce, func(sc Scenario) error { return sc.Run(ctx, plugin) })
	var waits []func() error
	for _, sc := range scenarios {
		waits = append(waits, start(sc))
	}
	errs := make([]error, len(waits))
	for i, wait := range waits {
		errs[i] = wait()
	}
	return errs
}

// What returns what was not so, without what the plugin wrote.
func What(err error) string {
	var f *failure
	if errors.As(err, &f) {
		return f.what
	}
	return err.Error()
}

type failure struct{ what, output string }

func (f *failure) Error() string { return f.what + f.output }
