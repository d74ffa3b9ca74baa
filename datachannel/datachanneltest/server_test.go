package datachanneltest_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// parrot prints a prompt and repeats each line, until "exit".
func parrot(_ context.Context, t *datachanneltest.Terminal) int {
	fmt.Fprint(t.Stdout, "$ ")
	in := bufio.NewScanner(t.Stdin)
	for in.Scan() {
		if in.Text() == "exit" {
			return 3
		}
		fmt.Fprintf(t.Stdout, "%s\n$ ", in.Text())
	}
	return 0
}

// servers runs f on each kind of server.
func servers(t *testing.T, f func(t *testing.T, srv *datachanneltest.Server)) {
	t.Run("sockets", func(t *testing.T) {
		srv := datachanneltest.NewServer()
		defer srv.Close()
		f(t, srv)
	})
	t.Run("tls", func(t *testing.T) {
		srv := datachanneltest.NewTLSServer()
		defer srv.Close()
		f(t, srv)
	})
	t.Run("pipes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := datachanneltest.NewPipeServer()
			defer srv.Close()
			f(t, srv)
		})
	})
}

func TestShell(t *testing.T) {
	servers(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, session := srv.Start(datachanneltest.Options{Program: parrot})
		c := open(t, srv, first)
		c.wantOutput("$ ")
		c.send(wire.Data, []byte("one\n"))
		c.wantOutput("one\n$ ")
		for i, end := range []func(){session.Cut, func() { session.CloseChannel(1000, "Bye") }} {
			end()
			c.want("closed", 0)
			if i == 0 && !errors.Is(c.err, syscall.ECONNRESET) {
				t.Errorf("cut: %v, want a reset", c.err)
			}
			if i == 1 && websocket.CloseStatus(c.err) != 1000 {
				t.Errorf("closed: %v", c.err)
			}
			c.resume()
			c.send(wire.Data, []byte("two\n"))
			c.wantOutput("two\n$ ")
		}
		c.send(wire.Data, []byte("exit\n"))
		c.want(wire.ChannelClosed, 0)
		<-session.Done()
		if st := session.Stats(); st.Opened != 3 || st.NextInput != 4 {
			t.Errorf("%+v", st)
		}
	})
}

func echo(context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		io.Copy(far, far)
	}()
	return near, nil
}

func TestMuxPort(t *testing.T) {
	servers(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, session := srv.Start(datachanneltest.Options{Dial: echo})
		c := open(t, srv, first)
		c.shake()
		c.send(wire.Data, []byte("\x01\x00\x00\x00\x03\x00\x00\x00\x01\x02\x05\x00\x03\x00\x00\x00hello"))
		c.wantOutput("\x01\x02\x05\x00\x03\x00\x00\x00hello")
		c.send(wire.Flag, wire.AppendFlag(nil, wire.TerminateSession))
		<-session.Done()
		time.Sleep(time.Millisecond)
	})
}

// on runs f on a pipe server in a bubble, where time costs nothing.
func on(t *testing.T, f func(t *testing.T, srv *datachanneltest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := datachanneltest.NewPipeServer()
		defer srv.Close()
		f(t, srv)
	})
}

// TestOpen: what the gateway lets in, and how it refuses the rest.
func TestOpen(t *testing.T) {
	const noToken = "request to open data channel does not contain token"
	for name, tc := range map[string]struct {
		options datachanneltest.Options
		before  func(srv *datachanneltest.Server, id string) // the channel is opened
		header  func(h http.Header)
		first   string // in place of the open message
		status  int    // of the handshake
		reason  string // of the close
	}{
		"good":              {},
		"unsigned":          {header: func(h http.Header) { clear(h) }, status: http.StatusForbidden},
		"unsigned, allowed": {options: datachanneltest.Options{Unsigned: true}, header: func(h http.Header) { clear(h) }},
		"a wrong signature": {options: datachanneltest.Options{Unsigned: true}, header: func(h http.Header) { h.Set("Authorization", h.Get("Authorization")+"0") }, status: http.StatusForbidden},
		"refused": {before: func(srv *datachanneltest.Server, _ string) {
			srv.SetRespond(func(r ssmresumetest.Request) *ssmresumetest.Response {
				if !strings.HasPrefix(r.Path, "/v1/data-channel/") {
					return nil
				}
				return ssmresumetest.Raw(http.StatusUnauthorized, nil, "")
			})
		}, status: http.StatusUnauthorized},
		"an old token": {before: func(srv *datachanneltest.Server, id string) {
			ssmresume.NewFromConfig(srv.Config()).ResumeSession(context.Background(), &ssmresume.ResumeSessionInput{SessionID: id})
		}, reason: "request to open data channel contains an invalid token"},
		"not JSON":      {first: "open", reason: noToken},
		"no token":      {first: `{"MessageSchemaVersion":"1.0"}`, reason: noToken},
		"gone":          {before: func(srv *datachanneltest.Server, id string) { srv.Session(id).Terminate("") }, reason: "request to open data channel contains an invalid token"},
		"token only":    {first: `{"TokenValue":"TOKEN"}`, reason: "request to open data channel is not complete"},
		"no request ID": {first: `{"MessageSchemaVersion":"1.0","TokenValue":"TOKEN","ClientId":"x","ClientVersion":"1"}`, reason: "request to open data channel is not complete"},
		"no first word": {first: "-", reason: noToken},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(t *testing.T, srv *datachanneltest.Server) {
				tc.options.Program = parrot
				out, session := srv.Start(tc.options)
				if tc.before != nil {
					tc.before(srv, out.SessionID)
				}
				ws, resp, err := dialWith(t, srv, out, tc.header)
				if tc.status != 0 {
					if err == nil || resp == nil || resp.StatusCode != tc.status {
						t.Errorf("%v, %+v, want status %d", err, resp, tc.status)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer ws.CloseNow()
				first, _ := out.OpenMessage("29f14229-70e6-4a15-b7c7-a077aeb94cf1")
				if tc.first != "" {
					first = []byte(strings.ReplaceAll(tc.first, "TOKEN", out.TokenValue.Reveal()))
				}
				if tc.first != "-" {
					ws.Write(t.Context(), websocket.MessageText, first)
				}
				_, b, err := ws.Read(t.Context())
				if tc.reason == "" {
					if m, perr := wire.Parse(b); err != nil || perr != nil || m.Type != wire.StartPublication {
						t.Errorf("%+v, %v, %v", m, err, perr)
					}
					if ids := session.Stats().ClientIDs; !slices.Equal(ids, []string{"29f14229-70e6-4a15-b7c7-a077aeb94cf1"}) {
						t.Errorf("client IDs %q", ids)
					}
					return
				}
				var closed websocket.CloseError
				if tc.first == "-" { // the gateway has given up
					if err == nil {
						t.Error("the channel is open")
					}
				} else if !errors.As(err, &closed) || closed.Code != 1003 || closed.Reason != "Channel "+out.SessionID+": "+tc.reason {
					t.Errorf("%v, want 1003 %s", err, tc.reason)
				}
				if n := session.Stats().Opened; n != 0 {
					t.Errorf("%d channels were opened", n)
				}
			})
		})
	}
}

// TestLastOpenWins: a second client takes the session over.
func TestLastOpenWins(t *testing.T) {
	on(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, session := srv.Start(datachanneltest.Options{Program: parrot})
		c := open(t, srv, first)
		c.wantOutput("$ ")
		out, err := ssmresume.NewFromConfig(srv.Config()).ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: first.SessionID})
		if err != nil {
			t.Fatal(err)
		}
		d := open(t, srv, out)
		c.want("closed", 0)
		d.send(wire.Data, []byte("x\n"))
		d.wantOutput("x\n$ ")
		if st := session.Stats(); st.Opened != 2 || !st.Connected || st.Paused {
			t.Errorf("%+v", st)
		}
	})
}

// TestPublications: each side is told when the other comes and goes.
func TestPublications(t *testing.T) {
	on(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, session := srv.Start(datachanneltest.Options{Program: parrot})
		c := open(t, srv, first)
		c.want(wire.StartPublication, 0)
		c.wantOutput("$ ")
		session.CloseChannel(1000, "Bye")
		c.want("closed", 0)
		if status := websocket.CloseStatus(c.err); status != 1000 || !strings.Contains(c.err.Error(), "Bye") {
			t.Errorf("closed with %v", c.err)
		}
		synctest.Wait()
		if st := session.Stats(); !st.Paused || st.Connected {
			t.Errorf("%+v", st)
		}
		c.resume()
		c.want(wire.StartPublication, 0)
		synctest.Wait()
		if st := session.Stats(); st.Paused || !st.Connected {
			t.Errorf("%+v", st)
		}
		session.DisconnectAgent()
		c.want(wire.PausePublication, 0)
		c.send(wire.Data, []byte("lost\n"))
		synctest.Wait()
		if st := session.Stats(); st.NextInput != 0 {
			t.Errorf("%+v", st)
		}
		session.ReconnectAgent()
		c.want(wire.StartPublication, 0)
		c.sendAt(0, wire.Data, []byte("found\n"))
		c.wantOutput("found\n$ ")
	})
}

// TestCloseInTheMiddle: the close frame comes, although the client goes on
// sending until it has.
func TestCloseInTheMiddle(t *testing.T) {
	srv := datachanneltest.NewServer()
	defer srv.Close()
	first, session := srv.Start(datachanneltest.Options{Program: parrot})
	c := open(t, srv, first)
	for range 20 {
		c.want(wire.StartPublication, 0) // the gateway has let it in
		stop := make(chan struct{})
		var sending sync.WaitGroup
		sending.Go(func() {
			m := wire.Message{Type: wire.Input, Created: time.Now(), PayloadType: wire.Data}
			for c.ws.Write(t.Context(), websocket.MessageBinary, m.Append(nil)) == nil {
				select {
				case <-stop:
					return
				default:
				}
			}
		})
		time.Sleep(time.Millisecond)
		session.CloseChannel(1000, "Bye")
		c.want("closed", 0)
		close(stop)
		sending.Wait()
		if websocket.CloseStatus(c.err) != 1000 {
			t.Errorf("closed: %v", c.err)
		}
		c.resume()
	}
}

// TestUndelivered: what is sent while the other side is away is lost, or kept.
func TestUndelivered(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint(keep), func(t *testing.T) {
			on(t, func(t *testing.T, srv *datachanneltest.Server) {
				clock := func(ctx context.Context, term *datachanneltest.Terminal) int {
					for i := 0; ctx.Err() == nil; i++ {
						fmt.Fprintf(term.Stdout, "%d ", i)
						select {
						case <-time.After(time.Second):
						case <-ctx.Done():
						}
					}
					return 0
				}
				first, session := srv.Start(datachanneltest.Options{Program: clock, KeepUndelivered: keep})
				session.SetRoundTrip(2 * time.Second)
				c := open(t, srv, first)
				c.wantOutput("0 ")
				session.DisconnectAgent()
				c.send(wire.Data, nil)
				time.Sleep(2 * time.Second)
				session.ReconnectAgent()
				time.Sleep(2 * time.Second)
				if got, want := session.Stats().NextInput, map[bool]int64{true: 1}[keep]; got != want {
					t.Errorf("the agent expects %d, want %d", got, want)
				}

				// What is under way when the client goes, before the agent is told.
				session.Cut()
				c.want("closed", 0)
				last := session.Stats().NextOutput - 1
				time.Sleep(1500 * time.Millisecond)
				c.resume()
				time.Sleep(1500 * time.Millisecond) // the agent's repeat would take 2 s
				c.close()
				if c.seen[last] != keep {
					t.Errorf("output %d came: %v", last, c.seen[last])
				}
			})
		})
	}
}

// TestFilter: every action, both ways, and what the filter is told.
func TestFilter(t *testing.T) {
	on(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, session := srv.Start(datachanneltest.Options{Program: parrot})
		var seen []string
		actions := map[string]datachanneltest.Action{}
		var mu sync.Mutex
		session.SetFilter(func(m datachanneltest.Message) datachanneltest.Action {
			mu.Lock()
			defer mu.Unlock()
			key := fmt.Sprintf("%v %s %d", m.From == datachanneltest.Client, m.Type, m.Number)
			seen = append(seen, key)
			session.Stats() // a filter may call the session
			action := actions[key]
			delete(actions, key)
			return action
		})
		order := func(key string, a datachanneltest.Action) {
			mu.Lock()
			defer mu.Unlock()
			actions[key] = a
		}
		c := open(t, srv, first)
		c.wantOutput("$ ")
		synctest.Wait()
		mu.Lock()
		if want := []string{"false output_stream_data 0", "true acknowledge 0"}; !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q", seen, want)
		}
		mu.Unlock()

		order("true input_stream_data 0", datachanneltest.Drop)
		c.send(wire.Data, []byte("a\n"))
		time.Sleep(time.Minute)
		if n := session.Stats().NextInput; n != 0 {
			t.Errorf("a message arrived that was lost: %d", n)
		}
		order("true input_stream_data 0", datachanneltest.Twice)
		c.sendAt(0, wire.Data, []byte("a\n"))
		c.wantOutput("a\n$ ")
		if a, b := ackOf(c), ackOf(c); a != 0 || b != 0 {
			t.Errorf("acknowledged %d and %d", a, b)
		}
		order("true input_stream_data 1", datachanneltest.Late)
		c.send(wire.Data, []byte("b\n"))
		synctest.Wait()
		if n := session.Stats().NextInput; n != 1 {
			t.Errorf("a message arrived that was late: %d", n)
		}
		c.send(wire.Data, []byte("c\n"))
		if a, b := ackOf(c), ackOf(c); a != 2 || b != 1 {
			t.Errorf("acknowledged %d and %d", a, b)
		}
		for got := ""; !strings.HasSuffix(got, "c\n$ "); {
			got += string(c.want(wire.Output, wire.Data).Payload)
		}

		before := session.Stats().Repeats
		order(fmt.Sprintf("true acknowledge %d", session.Stats().NextOutput), datachanneltest.Drop)
		c.send(wire.Data, []byte("d\n"))
		time.Sleep(time.Minute)
		if st := session.Stats(); st.Repeats != before+1 || st.Unacknowledged != 0 {
			t.Errorf("after a lost acknowledgement: %+v", st)
		}
	})
}

func ackOf(c *client) int64 {
	c.t.Helper()
	a, err := wire.ParseAcknowledgement(c.want(wire.Acknowledge, 0).Payload)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// TestRoundTrip: the delay is the one that was ordered, and it does not limit how
// much is under way.
func TestRoundTrip(t *testing.T) {
	on(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, session := srv.Start(datachanneltest.Options{Program: parrot})
		session.SetRoundTrip(100 * time.Millisecond)
		c := open(t, srv, first)
		c.wantOutput("$ ")
		start := time.Now()
		const n = 1000
		for range n {
			c.send(wire.Data, []byte("x\n"))
		}
		for range n {
			ackOf(c)
		}
		if d := time.Since(start); d != 100*time.Millisecond {
			t.Errorf("%d messages were acknowledged after %v", n, d)
		}
	})
}

// TestShorterRoundTrip: a delay that gets shorter keeps the order.
func TestShorterRoundTrip(t *testing.T) {
	on(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, session := srv.Start(datachanneltest.Options{Program: parrot})
		c := open(t, srv, first)
		c.wantOutput("$ ")
		session.SetRoundTrip(2 * time.Hour)
		start := time.Now()
		c.send(wire.Data, []byte("a\n"))
		synctest.Wait()
		session.SetRoundTrip(0)
		c.send(wire.Data, []byte("b\n"))
		time.Sleep(time.Hour)
		if a, b, took := ackOf(c), ackOf(c), time.Since(start); a != 0 || b != 1 || took != time.Hour {
			t.Errorf("acknowledged %d and %d after %v", a, b, took)
		}
		c.send(wire.Data, []byte("c\n"))
		if n, took := ackOf(c), time.Since(start); n != 2 || took != time.Hour {
			t.Errorf("acknowledged %d after %v", n, took)
		}
	})
}

// TestProgramThatDoesNotRead: the gateway takes 8 MiB for it, and no more.
func TestProgramThatDoesNotRead(t *testing.T) {
	on(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, _ := srv.Start(datachanneltest.Options{Program: prompted})
		c := open(t, srv, first)
		c.wantOutput("$ ")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		written := 0
		m := wire.Message{Type: wire.Input, Created: time.Now(), PayloadType: wire.Data, Payload: make([]byte, 64<<10)}
		for c.ws.Write(ctx, websocket.MessageBinary, m.Append(nil)) == nil {
			written += len(m.Payload)
			m.Number++
		}
		if written < 8<<20 || written > 9<<20 {
			t.Errorf("%d bytes were taken", written)
		}
	})
}

// prompted prints a prompt and does nothing.
func prompted(ctx context.Context, t *datachanneltest.Terminal) int {
	fmt.Fprint(t.Stdout, "$ ")
	<-ctx.Done()
	return 0
}

// TestUnderWay: what was on its way to a channel does not come by the next one.
func TestUnderWay(t *testing.T) {
	on(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, session := srv.Start(datachanneltest.Options{Program: parrot})
		session.SetRoundTrip(2 * time.Second)
		c := open(t, srv, first)
		c.wantOutput("$ ")
		c.send(wire.Data, []byte("x\n"))
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		st := session.Stats()
		if st.NextOutput == 1 || st.NextInput != 1 {
			t.Fatalf("%+v", st)
		}
		d := &client{t: t, srv: srv, id: c.id, in: make(chan wire.Message, 100), seen: map[int64]bool{}}
		d.resume() // in its place
		time.Sleep(time.Second)
		synctest.Wait()
		d.close()
		c.close()
		if c.seen[1] || d.seen[1] || session.Stats().Opened != 2 {
			t.Errorf("output 1 came: %v by the first channel, %v by the next; %+v", c.seen[1], d.seen[1], session.Stats())
		}
	})
}

// TestTerminate: both sides and the endpoint learn of it.
func TestTerminate(t *testing.T) {
	on(t, func(t *testing.T, srv *datachanneltest.Server) {
		ended := make(chan error, 1)
		program := func(ctx context.Context, term *datachanneltest.Terminal) int {
			fmt.Fprint(term.Stdout, "$ ")
			<-ctx.Done()
			ended <- ctx.Err()
			return 0
		}
		first, session := srv.Start(datachanneltest.Options{Program: program})
		c := open(t, srv, first)
		c.wantOutput("$ ")
		session.Terminate("Bye, said the administrator")
		var closed wire.Closed
		if err := json.Unmarshal(c.want(wire.ChannelClosed, 0).Payload, &closed); err != nil || closed.Output != "Bye, said the administrator" || closed.SessionID != first.SessionID {
			t.Errorf("%+v, %v", closed, err)
		}
		<-ended
		client := ssmresume.NewFromConfig(srv.Config())
		_, err := client.ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: first.SessionID})
		var gone *ssmresume.DoesNotExistError
		if !errors.As(err, &gone) {
			t.Error(err)
		}
		second, _ := srv.Start(datachanneltest.Options{Program: prompted})
		d := open(t, srv, second)
		d.wantOutput("$ ")
		srv.TimeOut(second.SessionID)
		d.want(wire.ChannelClosed, 0)
		_, err = client.ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: second.SessionID})
		var timedOut *ssmresume.SessionTimedOutError
		if !errors.As(err, &timedOut) {
			t.Error(err)
		}
		session.Terminate("again")
		session.Cut()
		session.CloseChannel(1000, "Bye")
	})
}

// TestMaxMessage: a message that is too long ends the channel.
func TestMaxMessage(t *testing.T) {
	on(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, _ := srv.Start(datachanneltest.Options{Program: parrot, MaxMessage: 1500})
		c := open(t, srv, first)
		c.wantOutput("$ ")
		c.send(wire.Data, make([]byte, 1300))
		ackOf(c)
		c.send(wire.Data, make([]byte, 1500))
		c.want("closed", 0)
		if status := websocket.CloseStatus(c.err); status != websocket.StatusMessageTooBig {
			t.Error(c.err)
		}
	})
}

// TestNetwork: cutting the network cuts calls and channels.
func TestNetwork(t *testing.T) {
	servers(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, session := srv.Start(datachanneltest.Options{Program: parrot})
		c := open(t, srv, first)
		c.wantOutput("$ ")
		srv.SetNetwork(ssmresumetest.Refused)
		c.want("closed", 0)
		client := ssmresume.NewFromConfig(srv.Config())
		if _, err := client.ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: first.SessionID}); err == nil {
			t.Error("a call got through")
		}
		srv.SetNetwork(ssmresumetest.Up)
		c.resume()
		c.send(wire.Data, []byte("x\n"))
		c.wantOutput("x\n$ ")
		srv.SetNetwork(ssmresumetest.Silent)
		c.send(wire.Data, []byte("lost\n"))
		time.Sleep(50 * time.Millisecond)
		if n := session.Stats().NextInput; n != 1 {
			t.Errorf("the agent expects %d", n)
		}
		srv.ForgetConnections()
		srv.SetNetwork(ssmresumetest.Up)
		if hc, ok := srv.Config().HTTPClient.(*http.Client); ok {
			hc.CloseIdleConnections() // else the call would wait on a dead one
		}
		c.resume()
		c.sendAt(1, wire.Data, []byte("y\n"))
		c.wantOutput("y\n$ ")
	})
}

// TestStartSession goes by the API, as the AWS CLI does.
func TestStartSession(t *testing.T) {
	on(t, func(t *testing.T, srv *datachanneltest.Server) {
		call := func(operation, body string) (int, map[string]string) {
			return callSSM(t, srv, operation, body)
		}
		if status, answer := call("StartSession", `{"Target":"i-1"}`); status != http.StatusBadRequest || answer["__type"] != "com.amazon.coral.service#TargetNotConnected" {
			t.Errorf("%d %v", status, answer)
		}
		var asked datachanneltest.StartRequest
		srv.SetStart(func(r datachanneltest.StartRequest) (datachanneltest.Options, error) {
			asked = r
			return datachanneltest.Options{Program: parrot}, nil
		})
		status, answer := call("StartSession", `{"Target":"i-1","DocumentName":"AWS-StartPortForwardingSession","Reason":"test","Parameters":{"portNumber":["80"]}}`)
		if want := (datachanneltest.StartRequest{Target: "i-1", DocumentName: "AWS-StartPortForwardingSession", Reason: "test", Parameters: map[string][]string{"portNumber": {"80"}}}); !reflect.DeepEqual(asked, want) {
			t.Errorf("asked %+v, want %+v", asked, want)
		}
		out, err := ssmresume.NewOutput(answer["SessionId"], answer["TokenValue"], answer["StreamUrl"])
		if err != nil || status != http.StatusOK {
			t.Fatalf("%d %v: %v", status, answer, err)
		}
		c := open(t, srv, out)
		c.wantOutput("$ ")
		if status, answer := call("TerminateSession", `{"SessionId":"`+out.SessionID+`"}`); status != http.StatusOK || answer["SessionId"] != out.SessionID {
			t.Errorf("%d %v", status, answer)
		}
		var closed wire.Closed
		if err := json.Unmarshal(c.want(wire.ChannelClosed, 0).Payload, &closed); err != nil || closed.DestinationID != "i-1" {
			t.Errorf("%+v, %v", closed, err)
		}
		if status, answer := call("TerminateSession", `{"SessionId":"unknown"}`); status != http.StatusBadRequest || answer["__type"] != "DoesNotExistException" {
			t.Errorf("%d %v", status, answer)
		}
	})
}

// callSSM signs with the SDK's signer.
func callSSM(t *testing.T, srv *datachanneltest.Server, operation, body string) (int, map[string]string) {
	t.Helper()
	cfg := srv.Config()
	creds, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, *cfg.BaseEndpoint, strings.NewReader(body))
	req.URL.Path = "/"
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonSSM."+operation)
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, req, hex.EncodeToString(sum[:]), "ssm", cfg.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := cfg.HTTPClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := map[string]string{}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// TestClose: with everything under way, Close ends it all.
func TestClose(t *testing.T) {
	servers(t, func(t *testing.T, srv *datachanneltest.Server) {
		for _, o := range []datachanneltest.Options{{Program: parrot}, {Dial: echo}, {Dial: echo, AgentVersion: "2.3.900.0"}, {Type: datachanneltest.NonInteractiveCommands, Program: parrot}, {}} {
			first, session := srv.Start(o)
			session.SetRoundTrip(time.Hour)
			ws, _, err := dial(t, srv, first)
			if err != nil {
				t.Fatal(err)
			}
			defer ws.CloseNow()
		}
		first, _ := srv.Start(datachanneltest.Options{Program: parrot})
		c := open(t, srv, first)
		c.wantOutput("$ ")
		srv.Close()
		c.want("closed", 0)
	})
}
