package ssmresume_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// nameServer answers every question of the types that it knows: that the address
// is 127.0.0.1. The others it drops.
func nameServer(t *testing.T, addr string, types ...uint16) net.Addr {
	t.Helper()
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			// RFC 1035, section 4: a header of 12 bytes, and a question, which
			// begins with a name that ends with an empty label.
			name := strings.IndexByte(string(buf[12:n]), 0)
			question := buf[12 : 12+name+5]
			asked := binary.BigEndian.Uint16(question[name+1:])
			for _, known := range types {
				if asked == known {
					conn.WriteTo(answer(buf[:2], question, asked), from)
				}
			}
		}
	}()
	return conn.LocalAddr()
}

const (
	typeA    = 1
	typeAAAA = 28
)

func answer(id, question []byte, asked uint16) []byte {
	msg := append([]byte{id[0], id[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
	if asked == typeA {
		msg[7] = 1 // one answer, for the name at offset 12
		msg = append(msg, 0xc0, 12, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	return msg
}

// hasty is a connection to a name server that is waited for a fraction of the usual
// 5 s.
type hasty struct {
	*net.UDPConn
	fraction int
}

func (c hasty) SetDeadline(t time.Time) error {
	return c.UDPConn.SetDeadline(time.Now().Add(time.Until(t) / time.Duration(c.fraction)))
}

// resolving is a client of srv that looks its name up at a name server which drops
// the questions for IPv6 addresses, as a router may: that takes two time-outs.
func resolving(t *testing.T, srv *ssmresumetest.Server, fraction int) (aws.Config, *http.Transport) {
	server := nameServer(t, "127.0.0.1:0", typeA).String()
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, server)
		if err != nil {
			return nil, err
		}
		return hasty{conn.(*net.UDPConn), fraction}, nil
	}}
	tr := &http.Transport{DialContext: (&net.Dialer{Resolver: resolver}).DialContext}
	t.Cleanup(tr.CloseIdleConnections)
	cfg := srv.Config()
	cfg.HTTPClient = &http.Client{Transport: tr}
	cfg.BaseEndpoint = aws.String(strings.Replace(srv.URL(), "127.0.0.1", "ssm.example.com", 1))
	return cfg, tr
}

// TestSlowLookup: an attempt that was cut off in the look-up of the name gives the
// next one twice the time for it.
func TestSlowLookup(t *testing.T) {
	t.Parallel()
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	cfg, _ := resolving(t, srv, 10) // 2 x 0.5 s
	cfg.Retryer = func() aws.Retryer { return retry.AddWithMaxAttempts(noBackoff(), 2) }
	client := ssmresume.NewFromConfig(cfg, func(o *ssmresume.Options) { o.AttemptTimeout = 700 * time.Millisecond })
	if _, err := client.ResumeSession(t.Context(), input); err != nil {
		t.Errorf("ResumeSession: %v", err)
	}

	client = ssmresume.NewFromConfig(cfg, func(o *ssmresume.Options) { o.AttemptTimeout = 300 * time.Millisecond })
	waits := 0
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
		o.OnWait = func(w ssmresume.Wait) {
			if waits++; !strings.Contains(w.Err.Error(), "no complete answer within 300ms") {
				t.Errorf("waits for %v", w.Err)
			}
		}
	}).Resume(ctx)
	if err != nil || waits != 2 { // 0.3 s and 0.6 s are too little, 1.2 s are not
		t.Errorf("Resume: %v after %d waits, want 2", err, waits)
	}

	// After the look-up there is as much time as ever, and no more.
	srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return ssmresumetest.Hang() })
	client = ssmresume.NewFromConfig(cfg, func(o *ssmresume.Options) { o.AttemptTimeout = 700 * time.Millisecond })
	var at []time.Duration
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	_, err = ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
		o.OnWait = func(w ssmresume.Wait) {
			if at = append(at, w.Elapsed); len(at) == 2 {
				cancel()
			}
		}
	}).Resume(ctx)
	end := time.Now()
	seen := srv.Requests()
	if hung := end.Sub(seen[len(seen)-1].Time); len(at) != 2 || hung < 600*time.Millisecond || hung > 900*time.Millisecond {
		t.Errorf("attempts ended after %v, the last one waited %v for an answer, want 0.7 s; %v", at, hung, err)
	}
}

// TestLookupIsNoConnect: the 5 s of a connect begin after the look-up, which takes
// 10 s here.
func TestLookupIsNoConnect(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 10 s")
	}
	t.Parallel()
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	cfg, _ := resolving(t, srv, 1)
	client := ssmresume.NewFromConfig(cfg, func(o *ssmresume.Options) { o.AttemptTimeout = 20 * time.Second })
	ctx, cancel := context.WithTimeout(t.Context(), 19*time.Second)
	defer cancel()
	_, err := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
		o.OnWait = func(w ssmresume.Wait) { t.Errorf("waits for %v", w.Err) }
	}).Resume(ctx)
	if err != nil {
		t.Error(err)
	}
}

// TestSlowDialer: what a dialer of the caller's own does beside connecting is not
// bounded by the time for a connect.
func TestSlowDialer(t *testing.T) {
	t.Parallel()
	for name, connects := range map[string]bool{"that reports nothing": false, "that connects, and goes on": true} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() {
				t.Skip("it takes 6 s")
			}
			t.Parallel()
			srv := ssmresumetest.NewServer()
			defer srv.Close()
			cfg := srv.Config()
			var dials atomic.Int32
			cfg.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				dials.Add(1)
				d := net.Dialer{}
				if !connects {
					ctx, _ = context.Background(), ctx
				}
				conn, err := d.DialContext(ctx, network, addr)
				if end, ok := ctx.Deadline(); ok && time.Until(end) < 6*time.Second {
					t.Errorf("there are %v left for what follows the connect", time.Until(end))
				}
				select {
				case <-time.After(6 * time.Second): // to build a tunnel
					return conn, err
				case <-ctx.Done():
					conn.Close()
					return nil, ctx.Err()
				}
			}}}
			_, err := ssmresume.NewReconnector(ssmresume.NewFromConfig(cfg), sessionID, func(o *ssmresume.ReconnectorOptions) {
				o.OnWait = func(w ssmresume.Wait) { t.Errorf("waits for %v", w.Err) }
			}).Resume(t.Context())
			if err != nil || dials.Load() != 1 {
				t.Errorf("%v, %d dials", err, dials.Load())
			}
		})
	}
}
