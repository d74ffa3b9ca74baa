//go:build !plan9

package ssmresumetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// A program's loop under an outage of ten minutes, which takes no time: in a
// testing/synctest bubble the clock moves while all wait. In a test function, t
// is its own.
func ExampleServer_SetNetwork() {
	synctest.Test(new(testing.T), func(t *testing.T) {
		srv := ssmresumetest.NewPipeServer()
		defer srv.Close()
		client := ssmresume.NewFromConfig(srv.Config()) // what the program under test would be given

		srv.SetNetwork(ssmresumetest.Unanswered)
		time.AfterFunc(10*time.Minute, func() { srv.SetNetwork(ssmresumetest.Up) })

		waits := 0
		rc := ssmresume.NewReconnector(client, "ana-0a1b", func(o *ssmresume.ReconnectorOptions) {
			o.OnWait = func(ssmresume.Wait) { waits++ }
		})
		start := time.Now()
		out, err := rc.Resume(context.Background())
		fmt.Println(out.SessionID, err)
		fmt.Println("tried on:", waits > 100, "back after:", time.Since(start).Round(10*time.Second))
	})
	// Output:
	// ana-0a1b <nil>
	// tried on: true back after: 10m0s
}

// place is a listener behind a server's network, and a way to dial it.
type place struct {
	srv  *ssmresumetest.Server
	l    net.Listener
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// places runs the test on sockets, and in memory in a bubble.
func places(t *testing.T, test func(t *testing.T, p place)) {
	run := func(t *testing.T, srv *ssmresumetest.Server, dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
		defer srv.Close()
		l, err := srv.Listen()
		if err != nil {
			t.Fatal(err)
		}
		test(t, place{srv, l, dial})
	}
	t.Run("sockets", func(t *testing.T) { run(t, ssmresumetest.NewServer(), (&net.Dialer{}).DialContext) })
	t.Run("in memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := ssmresumetest.NewPipeServer()
			run(t, srv, srv.Config().HTTPClient.(*http.Client).Transport.(*http.Transport).DialContext)
		})
	})
}

// pair is the two ends of a connection.
func (p place) pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	client, err := p.dial(t.Context(), "tcp", p.l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = p.l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// read returns what comes within a tenth of a second, or the word for why there
// is none.
func read(t *testing.T, c net.Conn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := c.Read(buf)
	var timeout net.Error
	switch {
	case err == nil:
		return string(buf[:n])
	case errors.Is(err, io.EOF):
		return "EOF"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "nothing"
	}
	return err.Error()
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Errorf("write %q: %v", text, err)
	}
}

func want(t *testing.T, c net.Conn, what, want string) {
	t.Helper()
	if got := read(t, c); got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// connect is what becomes of a connect in a tenth of a second.
func (p place) connect(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	c, err := p.dial(ctx, "tcp", p.l.Addr().String())
	var timeout net.Error
	switch {
	case err == nil:
		c.Close()
		return "made"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "unanswered"
	}
	return err.Error()
}

func TestNetworkUp(t *testing.T) {
	places(t, func(t *testing.T, p place) {
		client, server := p.pair(t)
		write(t, client, "to the server")
		want(t, server, "the server reads", "to the server")
		write(t, server, "to the client")
		want(t, client, "the client reads", "to the client")
		want(t, client, "then", "nothing")
		write(t, server, "last")
		server.Close()
		want(t, client, "after a close", "last")
		want(t, client, "at the end", "EOF")
	})
}

// TestNetworkRefused: also after another state, and more than once.
func TestNetworkRefused(t *testing.T) {
	places(t, func(t *testing.T, p place) {
		for _, before := range []ssmresumetest.Network{ssmresumetest.Up, ssmresumetest.Silent, ssmresumetest.Unanswered, ssmresumetest.Refused} {
			client, server := p.pair(t)
			p.srv.SetNetwork(before)
			p.srv.SetNetwork(ssmresumetest.Refused)
			want(t, client, before.String()+", the client", "reset")
			want(t, server, before.String()+", the server", "reset")
			if got := p.connect(t); got != "refused" {
				t.Errorf("%v, a connect: %s, want refused", before, got)
			}
			p.srv.SetNetwork(ssmresumetest.Up)
		}
		client, server := p.pair(t)
		write(t, client, "again")
		want(t, server, "up again", "again")
	})
}

func TestNetworkUnanswered(t *testing.T) {
	places(t, func(t *testing.T, p place) {
		client, server := p.pair(t)
		p.srv.SetNetwork(ssmresumetest.Unanswered)
		write(t, client, "held")
		want(t, server, "on the connection there is", "nothing")
		if got := p.connect(t); got != "unanswered" && (runtime.GOOS == "linux" || got != "made") {
			t.Errorf("a connect: %s, want unanswered", got)
		}
		late := make(chan error)
		go func() {
			c, err := p.dial(t.Context(), "tcp", p.l.Addr().String())
			if err == nil {
				c.Close()
			}
			late <- err
		}()
		select {
		case err := <-late:
			if runtime.GOOS == "linux" {
				t.Errorf("a connect is answered: %v", err)
			}
			late = nil
		case <-time.After(300 * time.Millisecond):
		}
		p.srv.SetNetwork(ssmresumetest.Up)
		want(t, server, "up again", "held")
		begin := time.Now()
		if late != nil {
			if err := <-late; err != nil || time.Since(begin) > 2*time.Second {
				t.Errorf("the connect under way: %v after %v", err, time.Since(begin))
			}
		}
	})
}

func TestNetworkSilent(t *testing.T) {
	places(t, func(t *testing.T, p place) {
		client, server := p.pair(t)
		quitting, left := p.pair(t)
		p.srv.SetNetwork(ssmresumetest.Silent)
		fresh, freshServer := p.pair(t)
		write(t, client, "one ")
		write(t, server, "back")
		write(t, client, "two")
		write(t, fresh, "fresh")
		write(t, quitting, "lost")
		quitting.Close()
		for what, c := range map[string]net.Conn{"server": server, "client": client, "new one": freshServer, "left one": left} {
			want(t, c, what, "nothing")
		}
		p.srv.SetNetwork(ssmresumetest.Silent) // changes nothing
		p.srv.SetNetwork(ssmresumetest.Up)
		want(t, server, "held for the server", "one two")
		want(t, client, "held for the client", "back")
		want(t, freshServer, "held on the new one", "fresh")
		want(t, left, "what was closed meanwhile", "reset")
	})
}

// TestForgetConnections: they are silent for good, others are not.
func TestForgetConnections(t *testing.T) {
	places(t, func(t *testing.T, p place) {
		client, server := p.pair(t)
		p.srv.ForgetConnections()
		fresh, freshServer := p.pair(t)
		write(t, fresh, "fresh")
		want(t, freshServer, "a new one", "fresh")
		for _, n := range []ssmresumetest.Network{ssmresumetest.Silent, ssmresumetest.Refused, ssmresumetest.Up} {
			p.srv.SetNetwork(n)
			write(t, client, "lost")
			want(t, server, n.String(), "nothing")
		}
		server.Close()
		want(t, client, "after a close", "nothing")
	})
}

func TestResetConnections(t *testing.T) {
	places(t, func(t *testing.T, p place) {
		client, server := p.pair(t)
		p.srv.ResetConnections()
		want(t, client, "the client", "reset")
		want(t, server, "the server", "reset")
		client, server = p.pair(t)
		write(t, client, "again")
		want(t, server, "a new one", "again")
	})
}

// TestReadBeforeReset: what an end has sent arrives, although it then resets. A
// client that exits while bytes for it are unread does so.
func TestReadBeforeReset(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("its kernel forgets what was not read")
	}
	places(t, func(t *testing.T, p place) {
		client, server := p.pair(t)
		write(t, client, "last words")
		if err := client.(interface{ SetLinger(int) error }).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		client.Close()
		time.Sleep(10 * time.Millisecond) // until the reset is there, too
		want(t, server, "the server", "last words")
		want(t, server, "the server, then", "reset")
	})
}

// TestPortIsKept: no client on this machine is given the port of a server, not even
// while that refuses connects.
func TestPortIsKept(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	l, err := srv.Listen()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{strings.TrimPrefix(srv.URL(), "http://"), l.Addr().String()} {
		if _, port, _ := net.SplitHostPort(addr); len(port) != 5 || port >= "32768" {
			t.Errorf("the server is at %s, which a client may be given", addr)
		}
	}
}

// TestBackPressure: a Write waits while 64 KiB are under way, until its deadline.
func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := ssmresumetest.NewPipeServer()
		defer srv.Close()
		l, err := srv.Listen()
		if err != nil {
			t.Fatal(err)
		}
		p := place{srv, l, srv.Config().HTTPClient.(*http.Client).Transport.(*http.Transport).DialContext}
		client, server := p.pair(t)
		client.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := client.Write(make([]byte, 100<<10))
		if n != 64<<10 {
			t.Errorf("%d bytes written, want 64 KiB", n)
		}
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v, want a timeout", err)
		}
		client.SetWriteDeadline(time.Time{})
		go io.CopyN(io.Discard, server, 164<<10)
		if n, err := client.Write(make([]byte, 100<<10)); n != 100<<10 || err != nil {
			t.Errorf("%d bytes written, %v", n, err)
		}
	})
}

// TestNetworkOfTheServer: the endpoint itself lies behind it.
func TestNetworkOfTheServer(t *testing.T) {
	for name, start := range map[string]func() *ssmresumetest.Server{"http": ssmresumetest.NewServer, "https": ssmresumetest.NewTLSServer} {
		srv := start()
		client := ssmresume.NewFromConfig(srv.Config())
		rc := ssmresume.NewReconnector(client, "ana-0a1b", func(o *ssmresume.ReconnectorOptions) {
			o.MaxNetworkWait, o.MaxServiceWait = time.Millisecond, time.Millisecond
		})
		for _, n := range []ssmresumetest.Network{ssmresumetest.Refused, ssmresumetest.Silent, ssmresumetest.Unanswered} {
			srv.SetNetwork(n)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			if _, err := rc.Resume(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s, %v: %v", name, n, err)
			}
			cancel()
			srv.SetNetwork(ssmresumetest.Up)
			if _, err := rc.Resume(t.Context()); err != nil {
				t.Errorf("%s, up after %v: %v", name, n, err)
			}
		}
		srv.SetNetwork(ssmresumetest.Unanswered) // Close is for all states
		srv.Close()
	}
}

// TestListenEndsWithClose, whatever is open.
func TestListenEndsWithClose(t *testing.T) {
	places(t, func(t *testing.T, p place) {
		client, server := p.pair(t)
		p.srv.SetNetwork(ssmresumetest.Silent)
		p.srv.Close()
		want(t, client, "the client", "reset")
		want(t, server, "the server", "reset")
		if c, err := p.l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v, %v", c, err)
		}
		if got := p.connect(t); got != "refused" {
			t.Errorf("a connect: %s", got)
		}
	})
}

// TestRespondComesFirst: what is ordered is sent, whatever the session, its state
// and the signature.
func TestRespondComesFirst(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.AddSession("another")
	srv.Terminate("ended")
	for _, id := range []string{"another", "ended", "unknown"} {
		for name, tc := range map[string]struct {
			resp *ssmresumetest.Response
			want string
		}{
			"TimedOut":     {ssmresumetest.TimedOut(), `200 {"SessionId":"` + id + `","StreamUrl":"ws://`},
			"Truncate(30)": {ssmresumetest.Truncate(30), `200 {"SessionId":"` + id},
			"HangBody":     {ssmresumetest.HangBody(), `200 {"SessionId":"` + id},
			"Fail":         {ssmresumetest.Fail(400, "Odd", ""), `400 {"__type":"com.amazon.coral.service#Odd"}`},
		} {
			srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response { return tc.resp })
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			req, err := http.NewRequestWithContext(ctx, "POST", srv.URL(), strings.NewReader(`{"SessionId":"`+id+`"}`)) // not signed
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			cancel()
			if got := fmt.Sprint(resp.StatusCode, " ", string(body)); !strings.HasPrefix(got, tc.want) {
				t.Errorf("%s for %s: %s, want %s", name, id, got, tc.want)
			}
		}
	}
}
