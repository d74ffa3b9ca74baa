package ssmresume_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
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

// warnings returns those of level Warn.
func (r *records) warnings() []record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.list), func(rec record) bool { return rec.Level < slog.LevelWarn })
}

// TestOutageIsReported after 30 s, and then each time it has lasted twice as long,
// in whatever way it passes: in short waits, in attempts that hang, in one wait.
func TestOutageIsReported(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		late   time.Duration // an attempt's time, at most
	}{
		"refused":   {"nobody answers", 0},
		"silent":    {"nobody answers", 10 * time.Second},
		"throttled": {"the service allows no more requests for now", 0},
	} {
		for _, patience := range []time.Duration{time.Hour, 7 * time.Second} { // of each Resume
			synctest.Test(t, func(t *testing.T) {
				srv, _, n := outage(t)
				if name == "throttled" {
					srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return ssmresumetest.Throttle() })
				} else {
					n.set(name)
				}
				var logged records
				cfg := srv.Config()
				client := ssmresume.NewFromConfig(cfg, logged.logger)
				rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) { o.MaxServiceWait = time.Hour })
				for begin := time.Now(); time.Since(begin) < time.Hour; {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					if _, err := rc.Resume(ctx); !errors.Is(err, context.DeadlineExceeded) {
						t.Fatal(err)
					}
					cancel()
				}
				want := 30 * time.Second
				for _, got := range logged.warnings() {
					between(t, fmt.Sprintf("%s, patience %v: age at the report", name, patience), got.Lasts, want, want+tc.late)
					got.Lasts = 0
					if name == "silent" && patience < 10*time.Second {
						tc.reason = "no attempt has ended yet"
					}
					same(t, name, record{slog.LevelWarn, "the session is not back yet", sessionID, tc.reason, 0}, got)
					want *= 2
				}
				if want != 3840*time.Second {
					t.Errorf("%s, patience %v: the last report is not that at 32 minutes: %v", name, patience, logged.warnings())
				}

				// The next outage is reported anew.
				srv.SetRespond(nil)
				n.set("up")
				if _, err := rc.Resume(t.Context()); err != nil {
					t.Fatal(err)
				}
				before := len(logged.warnings())
				time.Sleep(time.Hour)
				n.set("refused")
				ctx, cancel := context.WithTimeout(t.Context(), 31*time.Second)
				defer cancel()
				rc.Resume(ctx)
				if got := logged.warnings()[before:]; len(got) != 1 || got[0].Lasts != 30*time.Second {
					t.Errorf("%s, the next outage: %v", name, got)
				}
			})
		}
	}
}

// TestShortOutageIsNotReported: what heals by itself wakes nobody.
func TestShortOutageIsNotReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, _, n := outage(t)
		var logged records
		rc := ssmresume.NewReconnector(ssmresume.NewFromConfig(srv.Config(), logged.logger), sessionID)
		for range 5 {
			n.set("refused")
			time.AfterFunc(25*time.Second, func() { n.set("up") })
			if _, err := rc.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if got := logged.warnings(); len(got) != 0 {
			t.Error(got)
		}
	})
}

// TestPersonMustAct: it is said at once, and once for each reason of an outage.
func TestPersonMustAct(t *testing.T) {
	tlsServer := httptest.NewUnstartedServer(http.NotFoundHandler())
	tlsServer.Config.ErrorLog = log.New(io.Discard, "", 0)
	tlsServer.StartTLS()
	defer tlsServer.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) }))
	defer proxy.Close()
	viaProxy := &http.Client{Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }}}
	noHost := &http.Client{Transport: &http.Transport{DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}}
	}}}
	noDNS := &http.Client{Transport: &http.Transport{DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "server misbehaving", Name: addr}}
	}}}
	const zone = "no Region is known that is named like us-east-2a, and it has no endpoint: is it an availability zone?"
	for name, tc := range map[string]struct {
		region, endpoint string
		client           *http.Client
		want             string
	}{
		"unknown CA":                {"us-east-2", tlsServer.URL, &http.Client{}, "TLS fails: an unknown certificate, no TLS on this port, or a captive portal"},
		"no TLS on the port":        {"us-east-2", strings.Replace(plain.URL, "http:", "https:", 1), &http.Client{}, "TLS fails: an unknown certificate, no TLS on this port, or a captive portal"},
		"proxy's password":          {"us-east-2", "", viaProxy, "the proxy wants another user name or password"},
		"proxy's password, http":    {"us-east-2", "http://ssm.example.com", viaProxy, "the proxy wants a user name and a password"},
		"availability zone":         {"us-east-2a", "", noHost, zone},
		"a Region, or offline":      {"us-east-2", "", noHost, ""},
		"availability zone, no DNS": {"us-east-2a", "", noDNS, ""},
		"custom endpoint":           {"us-east-2a", "https://ssm.example.com", noHost, ""},
	} {
		var logged records
		client := ssmresume.New(ssmresume.Options{Region: tc.region, Credentials: credentials("id", "secret", ""), HTTPClient: tc.client}, logged.logger, func(o *ssmresume.Options) {
			if tc.endpoint != "" {
				o.BaseEndpoint = &tc.endpoint
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		waits := 0
		_, err := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.MaxServiceWait, o.MaxNetworkWait = time.Millisecond, time.Millisecond
			o.OnWait = func(ssmresume.Wait) {
				if waits++; waits == 3 {
					cancel()
				}
			}
		}).Resume(ctx)
		if !errors.Is(err, context.Canceled) {
			t.Error(name, err)
		}
		var got []string
		for _, rec := range logged.warnings() {
			if rec.Msg == "a person must act" && rec.Session == sessionID {
				got = append(got, rec.Reason)
			}
		}
		if want := strings.Trim(tc.want, "\n"); strings.Join(got, "\n") != want {
			t.Errorf("%s: told %q, want %q once; %v", name, got, want, err)
		}
	}
}

// TestPersonIsToldOfKeys: once for each outage, also where the network goes away
// between.
func TestPersonIsToldOfKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged records
		var good atomic.Bool
		srv, _ := withKeys(t, nil)
		provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			if good.Load() {
				return newKeys, nil
			}
			keys := oldKeys
			keys.Source = "SSOProvider"
			return keys, nil
		})
		client := ssmresume.NewFromConfig(srv.Config(), logged.logger, func(o *ssmresume.Options) { o.Credentials = provider })
		rc := ssmresume.NewReconnector(client, sessionID)
		for outages := 1; outages <= 2; outages++ {
			good.Store(false)
			srv.SetRespond(nil)
			time.AfterFunc(3*time.Second, func() {
				srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return ssmresumetest.Reset() })
			})
			time.AfterFunc(10*time.Second, func() { srv.SetRespond(nil) })
			time.AfterFunc(20*time.Second, func() { good.Store(true) })
			if _, err := rc.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := slices.DeleteFunc(logged.warnings(), func(rec record) bool { return rec.Msg != "a person must act" })
			if len(got) != outages || got[0].Reason != "the service refuses the credentials: log in, or have them renewed" || got[0].Lasts != 0 {
				t.Errorf("after %d outages: %v", outages, got)
			}
			time.Sleep(time.Hour)
		}
	})
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
