package main

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// sweep tries the neighbours of the Reconnector's defaults.
type sweep struct {
	maxServiceWait []sweepHerd
	maxNetworkWait []sweepOutage
	dialTimeout    []sweepOutage
}

type sweepHerd struct {
	maxServiceWait time.Duration
	herdResult
}

type sweepOutage struct {
	value   time.Duration
	oldSYNs bool
	stats
}

const sweepLength = 5 * time.Minute // of an outage

func (p plan) runSweep(t *testing.T) sweep {
	var s sweep
	for _, n := range []int{10_000, 100_000} {
		for _, d := range []time.Duration{5 * time.Second, 10 * time.Second, 25 * time.Second, time.Minute} {
			s.maxServiceWait = append(s.maxServiceWait, sweepHerd{d, p.medianHerd(modelRuns, accountSizes(n), reconnector(d, 0), "sweep", n, d)})
		}
	}
	for _, d := range []time.Duration{250 * time.Millisecond, time.Second, 5 * time.Second} {
		s.maxNetworkWait = append(s.maxNetworkWait, sweepOutage{value: d})
	}
	for _, oldSYNs := range []bool{false, true} {
		for _, d := range []time.Duration{2 * time.Second, 3 * time.Second, 5 * time.Second} {
			s.dialTimeout = append(s.dialTimeout, sweepOutage{value: d, oldSYNs: oldSYNs})
		}
	}
	eachCore(len(s.maxNetworkWait)+len(s.dialTimeout), func(i int) {
		if i < len(s.maxNetworkWait) {
			l := &s.maxNetworkWait[i]
			l.stats = p.fakes(t, setting{kind: refused, policy: reconnector(0, l.value)}, sweepLength)
			return
		}
		d := &s.dialTimeout[i-len(s.maxNetworkWait)]
		d.stats = p.fakes(t, setting{kind: unanswered, policy: dialling(d.value), oldSYNs: d.oldSYNs}, sweepLength)
	})
	return s
}

// dialling is the Reconnector with a caller's dialer that gives up earlier than
// the Reconnector would.
func dialling(timeout time.Duration) policy {
	p := reconnector(0, 0)
	p.client = func(dial dialFunc) aws.HTTPClient {
		return buildable(func(ctx context.Context, network, addr string) (net.Conn, error) {
			return withTimeout(timeout, dial)(ctx, network, addr)
		})
	}
	return p
}
