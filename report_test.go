package ssmresume_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// A record is what was logged, without the time.
type record struct {
	Level   slog.Level
	Msg     string
	Session string
	Reason  string
	Lasts   time.Duration
}

// records is a slog.Handler.
type records struct {
	mu   sync.Mutex
	list []record
}

func (*records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler     { return r }
func (r *records) WithGroup(string) slog.Handler          { return r }
func (r *records) logger(o *ssmresume.Options)            { o.Logger = slog.New(r) }
func (r *records) Handle(_ context.Context, rec slog.Record) error {
	got := record{Level: rec.Level, Msg: strings.TrimPrefix(rec.Message, "ssmresume: ")}
	rec.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "session":
			got.Session += a.Value.String()
		case "reason":
			got.Reason = a.Value.String()
		case "lasts":
			got.Lasts = a.Value.Duration()
		}
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, got)
	return nil
}

// TestRecordsNameTheirSession: all of them, where one client has a thousand.
func TestRecordsNameTheirSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged records
		srv := ssmresumetest.NewPipeServer()
		defer srv.Close()
		srv.SetClockOffset(time.Hour)
		srv.SetStreamURL(func(string) string { return "odd" })
		client := ssmresume.NewFromConfig(srv.Config(), logged.logger)
		if _, err := client.ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: "session-0"}); err != nil {
			t.Fatal(err)
		}
		srv.SetRespond(first(1000, ssmresumetest.Throttle()))
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				id := fmt.Sprint("session-", i)
				if i%2 == 0 {
					client.ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: id})
				} else {
					ssmresume.NewReconnector(client, id).Resume(t.Context())
				}
			})
		}
		all.Wait()
		seen := map[string]map[string]bool{}
		for _, rec := range logged.list {
			if !strings.HasPrefix(rec.Session, "session-") || strings.Count(rec.Session, "session-") != 1 {
				t.Fatalf("%+v", rec)
			}
			if seen[rec.Msg] == nil {
				seen[rec.Msg] = map[string]bool{}
			}
			seen[rec.Msg][rec.Session] = true
		}
		for msg, sessions := range map[string]int{"trying again": 50, "waiting": 400, "the answer's StreamUrl is not one this package can parse; only DialURL is set": 500, "the local clock is off, signing with the service's time": 1} {
			if n := len(seen[msg]); n < sessions {
				t.Errorf("%q names %d sessions, want %d", msg, n, sessions)
			}
		}
	})
}
