package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/study/internal/figure"
)

// sharedHerd is a herd in which sessions of an account share a Client, by the real
// code: Reconnectors of one Client take turns while that is throttled.
type sharedHerd struct {
	sizes     []int
	perClient int // sessions; allOfAccount
	runs      int
	herdResult
}

// allOfAccount is one client for each account.
const allOfAccount = 0

var perClients = []int{1, 10, 100, allOfAccount}

func perClientText(n int) string {
	if n == allOfAccount {
		return "all of an account"
	}
	return fmt.Sprint(n)
}

// sharing starts sessions of one account.
func sharing(perClient int) starter {
	return func(cfg aws.Config) func() call {
		var client *ssmresume.Client
		started := 0
		return func() call {
			if started == 0 || perClient != allOfAccount && started%perClient == 0 {
				client = ssmresume.NewFromConfig(cfg)
			}
			started++
			rc := ssmresume.NewReconnector(client, sessionID)
			return func(ctx context.Context) error {
				_, err := rc.Resume(ctx)
				return err
			}
		}
	}
}

// Each is run so often, but the largest, in which chance is little, once; the run in
// the middle is shown, by the time until the last session is back.
const (
	sharedRuns    = 3
	sharedOftenTo = 10_000 // sessions
)

func (p plan) sharedHerds(t *testing.T) []sharedHerd {
	var herds []sharedHerd
	add := func(sizes []int, times int) {
		for _, n := range perClients {
			var runs []herdResult
			r := p.rng("shared", sizes, n)
			for range times {
				runs = append(runs, runHerd(t, r, sizes, ours, sharing(n)))
			}
			slices.SortFunc(runs, func(a, b herdResult) int {
				return cmp.Compare(a.back[len(a.back)-1], b.back[len(b.back)-1])
			})
			herds = append(herds, sharedHerd{sizes, n, times, runs[times/2]})
		}
	}
	for _, n := range p.alone {
		add([]int{n}, sharedRuns)
	}
	for _, n := range p.herds {
		times := 1
		if n <= sharedOftenTo {
			times = sharedRuns
		}
		add(accountSizes(n), times)
	}
	return herds
}

// limit is when the service can have answered all sessions of the largest account,
// the last of which is lost after lossWindow.
func limit(sizes []int) time.Duration { return max(soonest(sizes[0]), lossWindow) }

// overLimit is the time until the last session is back, by the service's limit.
func (h herdResult) overLimit(sizes []int) (float64, bool) {
	all, ok := h.backAt(1)
	return all.Seconds() / limit(sizes).Seconds(), ok
}

func printShared(w io.Writer, herds []sharedHerd) {
	table(w, "SESSIONS OF AN ACCOUNT THAT SHARE A CLIENT, BY THE REAL CODE\n"+
		fmt.Sprintf("The median run of %d up to %s sessions, one run beyond. The limit is when the service\ncan have answered all.", sharedRuns, thousands(sharedOftenTo)), func(row func(...any)) {
		row("accounts", "sessions", "of a client", "calls each", "half back", "99 %", "all", "limit", "all / limit")
		for _, h := range herds {
			over, _ := h.overLimit(h.sizes)
			cells := herdCells(h.herdResult)
			row(len(h.sizes), cells[0], perClientText(h.perClient), cells[2], cells[3], cells[4], cells[5], seconds(limit(h.sizes)), fmt.Sprintf("%.2f", over))
		}
	})
}

func sharedCSV(herds []sharedHerd) figure.Content {
	return figure.CSV([]string{"accounts", "sessions", "sessions_per_client", "runs", "calls_per_session", "half_s", "p99_s", "all_s", "limit_s", "all_by_limit"}, func(row func(...any)) {
		for _, h := range herds {
			over, _ := h.overLimit(h.sizes)
			row(len(h.sizes), h.sessions, perClientText(h.perClient), h.runs, h.callsEach(), h.csvAt(0.5), h.csvAt(0.99), h.csvAt(1), limit(h.sizes), over)
		}
	})
}
