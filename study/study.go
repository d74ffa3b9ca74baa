package main

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// plan says how much is run.
type plan struct {
	seed          uint64
	lengths       []time.Duration
	repeats       func(length time.Duration) int
	real          []time.Duration // lengths that are run on loopback too
	reals         int             // trials of each of these
	patience      time.Duration   // on loopback
	herds         []int
	alone         []int                             // sessions of accounts that are alone
	scheduleHerds []int                             // sessions in many accounts
	scheduleAlone []int                             // and in one
	realHerds     func(sessions int, p policy) bool // whether the real code runs it too
	sweep         bool
}

func fullPlan(seed uint64) plan {
	return plan{
		seed:    seed,
		lengths: []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute},
		repeats: func(length time.Duration) int {
			if length > 5*time.Minute {
				return 100
			}
			return 200
		},
		real:          []time.Duration{time.Second, 5 * time.Second},
		reals:         20,
		patience:      15 * time.Second,
		herds:         []int{100, 1000, 10_000, 100_000},
		alone:         []int{1000},
		scheduleHerds: []int{1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000},
		scheduleAlone: []int{100, 200, 500, 1000, 2000, 5000},
		realHerds: func(sessions int, p policy) bool {
			return sessions <= 10_000 || p.name == ours
		},
		sweep: true,
	}
}

func shortPlan(seed uint64) plan {
	return plan{
		seed:          seed,
		lengths:       []time.Duration{time.Second, 30 * time.Second, 5 * time.Minute},
		repeats:       func(time.Duration) int { return 10 },
		real:          []time.Duration{time.Second},
		reals:         4,
		patience:      3 * time.Second,
		herds:         []int{100, 1000},
		alone:         []int{200},
		scheduleHerds: []int{1000, 10_000},
		scheduleAlone: []int{200, 1000},
		realHerds:     func(int, policy) bool { return true },
	}
}

// rng is the random numbers of one part of the study. The libraries draw their
// own jitter, so that runs with the same seed are alike but not the same; only
// the model of a herd is.
func (p plan) rng(part ...any) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, part...)
	return rand.New(rand.NewPCG(p.seed, h.Sum64()))
}

// cell is one place in the table of outages.
type cell struct {
	setting
	length time.Duration
	fake   stats
	real   *stats // nil if it was not run
}

func (p plan) outages(t *testing.T) []cell {
	var cells []cell
	for _, kind := range outageKinds {
		for _, length := range p.lengths {
			for _, policy := range policies() {
				cells = append(cells, cell{setting: setting{kind: kind, policy: policy}, length: length})
			}
		}
	}
	eachCore(len(cells), func(i int) {
		c := &cells[i]
		c.fake = p.fakes(t, c.setting, c.length)
	})
	return cells
}

func (p plan) fakes(t *testing.T, in setting, length time.Duration) stats {
	var results []result
	r := p.rng(in.kind, length, in.policy.name)
	for range p.repeats(length) {
		results = append(results, newTrial(r, length).onFakeClock(t, in, patience))
	}
	return newStats(results)
}

// loopback runs the short outages for real, all at once since they mostly wait,
// and the same outages again on the fake clock.
func (p plan) loopback(t *testing.T) ([]cell, error) {
	var cells []cell
	for _, kind := range []outageKind{refused, unanswered} {
		if kind == unanswered && !canLeaveUnanswered {
			continue
		}
		for _, length := range p.real {
			for _, policy := range policies() {
				cells = append(cells, cell{setting: setting{kind: kind, policy: policy}, length: length})
			}
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	reals := make([][]result, len(cells))
	var wg sync.WaitGroup
	for i, c := range cells {
		reals[i] = make([]result, p.reals)
		r := p.rng("loopback", c.kind, c.length, c.policy.name)
		for j := range p.reals {
			tr := newTrial(r, c.length)
			wg.Go(func() {
				var err error
				if reals[i][j], err = tr.onLoopback(ctx, c.setting, p.patience); err != nil {
					cancel(fmt.Errorf("%s for %v, %s, on loopback: %w", c.kind, c.length, c.policy.name, err))
				}
			})
		}
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	eachCore(len(cells), func(i int) {
		var fakes []result
		for range max(1, p.repeats(cells[i].length)/p.reals) {
			for _, res := range reals[i] {
				fakes = append(fakes, res.onFakeClock(t, cells[i].setting, p.patience))
			}
		}
		real := newStats(reals[i])
		cells[i].fake, cells[i].real = newStats(fakes), &real
	})
	return cells, nil
}

const (
	// A real trial may be so much earlier than any on the fake clock, since timers
	// are not exact, and so much later, since a busy machine adds time.
	clockEarly = 50 * time.Millisecond
	clockLate  = time.Second
)

// disagreement returns how the real trials differ from the same ones on the fake
// clock: in what became of a session and never did there, or in a median outside
// the fake clock's extremes.
func (c cell) disagreement() error {
	for o := range c.real.outcomes {
		if c.fake.outcomes[o] == 0 {
			return fmt.Errorf("outcomes %v, on the fake clock %v", c.real.outcomes, c.fake.outcomes)
		}
	}
	if c.real.median < c.fake.least-clockEarly || c.real.median > c.fake.longest+clockLate {
		return fmt.Errorf("median %v, on the fake clock %v to %v", c.real.median, c.fake.least, c.fake.longest)
	}
	return nil
}

// herd is one size and policy, by the model and by the real code.
type herd struct {
	policy policy
	model  herdResult
	real   *herdResult // nil if it was not run
}

func (p plan) allHerds(t *testing.T) []herd {
	var herds []herd
	for _, n := range p.herds {
		sizes := accountSizes(n)
		for _, policy := range policies() {
			h := herd{policy: policy, model: p.medianHerd(modelRuns, sizes, policy, "herd", n, policy.name)}
			if p.realHerds(n, policy) {
				real := runHerd(t, p.rng("herd", n, policy.name), sizes, policy.name, policy.alone)
				h.real = &real
			}
			herds = append(herds, h)
		}
	}
	return herds
}

// medianHerd models a herd so many times and returns the run in the middle, by
// the sessions lost and then by the time until the last is back.
func (p plan) medianHerd(n int, sizes []int, policy policy, part ...any) herdResult {
	var runs []herdResult
	r := p.rng(part...)
	for range n {
		runs = append(runs, modelHerd(r, sizes, policy))
	}
	slices.SortFunc(runs, func(a, b herdResult) int {
		return cmp.Or(cmp.Compare(a.lost, b.lost), cmp.Compare(a.back[len(a.back)-1], b.back[len(b.back)-1]))
	})
	return runs[n/2]
}

const modelRuns = 5

// eachCore calls do for 0 to n-1, on all processors.
func eachCore(n int, do func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
