package main

import (
	"slices"
	"time"
)

// stats are those of the trials of one kind, length and policy.
type stats struct {
	n        int
	outcomes map[outcome]int
	most     outcome // the most frequent
	// Of the sessions that were resumed, or, if there is none, of the others.
	least, median, p95, longest time.Duration
	dials, asks                 float64 // means
}

func newStats(results []result) stats {
	s := stats{n: len(results), outcomes: map[outcome]int{}}
	of := map[outcome][]time.Duration{}
	for _, res := range results {
		s.outcomes[res.outcome]++
		of[res.outcome] = append(of[res.outcome], res.after)
		s.dials += float64(res.dials) / float64(len(results))
		s.asks += float64(res.asks) / float64(len(results))
	}
	for _, o := range []outcome{resumed, lost, waiting} {
		if s.outcomes[o] > s.outcomes[s.most] {
			s.most = o
		}
	}
	took := of[resumed]
	if len(took) == 0 {
		took = of[s.most]
	}
	slices.Sort(took)
	s.least, s.longest = took[0], took[len(took)-1]
	s.median, s.p95 = quantile(took, 0.5), quantile(took, 0.95)
	return s
}

// quantile is the nearest rank's.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
