package datachannel_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// inBubble runs f with a server in memory, on a fake clock.
func inBubble(t *testing.T, f func(t *testing.T, srv *datachanneltest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := datachanneltest.NewPipeServer()
		defer srv.Close()
		f(t, srv)
	})
}

func mustOpen(t *testing.T, srv *datachanneltest.Server, o datachanneltest.Options, optFns ...func(*datachannel.Options)) (*datachannel.Session, *datachanneltest.Session) {
	t.Helper()
	first, agent := srv.Start(o)
	s, err := datachannel.Open(t.Context(), ssmresume.NewFromConfig(srv.Config()), first, optFns...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, agent
}

// typed checks that the shell executes a line once.
func typed(t *testing.T, s *datachannel.Session, line string) {
	t.Helper()
	fmt.Fprintln(s, line)
	word, rest, _ := strings.Cut(line, " ")
	if got, want := readUntil(t, s, "\n$ "), fmt.Sprintf("<%s %s>\n$ ", word, rest); got != want {
		t.Errorf("typed %q: got %q, want %q", line, got, want)
	}
}

func TestADayWithACloseEachHour(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		s, agent := mustOpen(t, srv, datachanneltest.Options{Program: sh})
		readUntil(t, s, "$ ")
		for hour := range 24 {
			time.Sleep(time.Hour)
			agent.CloseChannel(1000, "Bye")
			typed(t, s, fmt.Sprintf("hour %d", hour))
		}
		if n := len(srv.Requests()); s.Stats().Channels != 25 {
			t.Errorf("%d requests, %+v", n, s.Stats())
		}
	})
}

// The official client never acknowledges a message twice, and hangs for ever here.
func TestLostAcknowledgementAndLostOutput(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		s, agent := mustOpen(t, srv, datachanneltest.Options{Program: sh})
		readUntil(t, s, "$ ")
		typed(t, s, "before")
		var mu sync.Mutex
		acks, outputs := 1, 1
		lost := agent.Stats().NextOutput + 1
		agent.SetFilter(func(m datachanneltest.Message) datachanneltest.Action {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case m.From == datachanneltest.Client && m.Type == "acknowledge" && acks > 0:
				acks--
				return datachanneltest.Drop
			case m.Type == "output_stream_data" && m.Number == lost && outputs > 0:
				outputs--
				return datachanneltest.Drop
			}
			return datachanneltest.Deliver
		})
		begun := time.Now()
		typed(t, s, "one")
		typed(t, s, "two")
		typed(t, s, "three")
		if took := time.Since(begun); took > time.Second {
			t.Errorf("whole after %v", took)
		}
		mu.Lock()
		defer mu.Unlock()
		if acks != 0 || outputs != 0 {
			t.Errorf("%d acknowledgements and %d outputs were not lost", acks, outputs)
		}
	})
}

// download sends size bytes when a line is typed, and stays.
func download(size int64) datachanneltest.Program {
	return func(_ context.Context, t *datachanneltest.Terminal) int {
		io.WriteString(t.Stdout, "$ ")
		in := bufio.NewReader(t.Stdin)
		in.ReadString('\n')
		io.Copy(t.Stdout, noise(1, size))
		in.ReadString('\n')
		return 0
	}
}

func checkNoise(t *testing.T, r io.Reader, seed uint64, size int64) {
	t.Helper()
	got, n := sumOf(t, io.LimitReader(r, size))
	want, _ := sumOf(t, noise(seed, size))
	if got != want {
		t.Errorf("%d bytes, not the %d that were sent", n, size)
	}
}

func TestDownloadCutInTheMiddle(t *testing.T) {
	const size = 4 << 20
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		s, agent := mustOpen(t, srv, datachanneltest.Options{Program: download(size), OutputPause: time.Millisecond})
		readUntil(t, s, "$ ")
		agent.SetRoundTrip(100 * time.Millisecond)
		io.WriteString(s, "\n")
		begun := time.Now()
		checkNoise(t, s, 1, size/2)
		agent.Cut()
		checkRest(t, s, 1, size/2, size)
		// 4 s of sending, and at 10 a second the repair of what was on its way: at
		// most the round trip's worth of 1 ms each.
		if took := time.Since(begun); took > 30*time.Second {
			t.Errorf("whole after %v", took)
		}
		t.Logf("%v, %+v, %+v", time.Since(begun), s.Stats(), agent.Stats())
	})
}

func checkRest(t *testing.T, r io.Reader, seed uint64, from, size int64) {
	t.Helper()
	want := noise(seed, size)
	io.CopyN(io.Discard, want, from)
	wantSum, _ := sumOf(t, want)
	got, n := sumOf(t, io.LimitReader(r, size-from))
	if got != wantSum {
		t.Errorf("%d bytes from %d on, not those that were sent", n, from)
	}
}

// What is typed too early the agent acknowledges and throws away.
func TestInputIsHeldBackUntilTheAgentIsReady(t *testing.T) {
	late := func(ctx context.Context, term *datachanneltest.Terminal) int {
		time.Sleep(5 * time.Second)
		return sh(ctx, term)
	}
	for name, o := range map[string]datachanneltest.Options{
		"first output": {Program: late},
		"handshake":    {Program: late, KMS: &datachanneltest.KMS{}, TargetID: "i-1"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
				s, _ := mustOpen(t, srv, o, func(co *datachannel.Options) { co.DataKeys, co.TargetID = o.KMS, "i-1" })
				fmt.Fprintln(s, "early bird")
				if got, want := readUntil(t, s, ">\n$ "), "$ <early bird>\n$ "; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		})
	}
}

// A command that waits for input before it says anything gets it all the same.
func TestInputOfASilentCommand(t *testing.T) {
	silent := func(_ context.Context, term *datachanneltest.Terminal) int {
		line, _ := bufio.NewReader(term.Stdin).ReadString('\n')
		fmt.Fprintf(term.Stdout, "got %s", line)
		return 4
	}
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		begun := time.Now()
		mustOpen(t, srv, datachanneltest.Options{Type: datachanneltest.InteractiveCommands, Program: silent})
		if took := time.Since(begun); took != 10*time.Second {
			t.Errorf("ready after %v", took)
		}
	})
}

// cat repeats its input.
func cat(_ context.Context, t *datachanneltest.Terminal) int {
	io.WriteString(t.Stdout, "$ ")
	io.Copy(t.Stdout, t.Stdin)
	return 0
}

func TestAllThatIsUnacknowledgedIsSentAgainAtOnce(t *testing.T) {
	const count, rtt = 1000, 100 * time.Millisecond
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		resumed := make(chan time.Time, 1)
		s, agent := mustOpen(t, srv, datachanneltest.Options{Program: cat}, quick, func(o *datachannel.Options) {
			o.OnEvent = func(e datachannel.Event) {
				if e.Kind == datachannel.Resumed {
					resumed <- time.Now()
				}
			}
		})
		readUntil(t, s, "$ ")
		agent.SetRoundTrip(rtt)
		var mu sync.Mutex
		deliver := false
		passed := map[int64]time.Time{} // when each input was on its way to the agent
		agent.SetFilter(func(m datachanneltest.Message) datachanneltest.Action {
			mu.Lock()
			defer mu.Unlock()
			if m.From != datachanneltest.Client || m.Type != "input_stream_data" {
				return datachanneltest.Deliver
			}
			if !deliver {
				return datachanneltest.Drop
			}
			if _, again := passed[m.Number]; !again {
				passed[m.Number] = time.Now()
			}
			return datachanneltest.Deliver
		})
		var want bytes.Buffer
		for i := range count {
			line := fmt.Sprintf("%d\n", i)
			want.WriteString(line)
			io.WriteString(s, line)
		}
		time.Sleep(50 * time.Millisecond)
		mu.Lock()
		deliver = true
		mu.Unlock()
		agent.Cut()
		got := make([]byte, want.Len())
		if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("got %d bytes, %v: not what was typed", len(got), err)
		}
		begun := <-resumed
		mu.Lock()
		defer mu.Unlock()
		var last time.Duration
		for _, at := range passed {
			last = max(last, at.Sub(begun))
		}
		if len(passed) != count || last > rtt {
			t.Errorf("%d of %d were sent again, the last after %v", len(passed), count, last)
		}
	})
}

// A gateway may lose acknowledgements, swap messages and send them twice, and
// never stop doing so.
func TestAGatewayThatIsNeverSound(t *testing.T) {
	const size = 1 << 20
	for _, version := range []string{"3.3.1142.0", "3.1.0.0"} {
		t.Run(version, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
				s, agent := mustOpen(t, srv, datachanneltest.Options{Program: cat, AgentVersion: version})
				readUntil(t, s, "$ ")
				agent.SetRoundTrip(10 * time.Millisecond)
				r := rand.New(rand.NewPCG(1, 1))
				var mu sync.Mutex
				agent.SetFilter(func(m datachanneltest.Message) datachanneltest.Action {
					mu.Lock()
					defer mu.Unlock()
					switch n := r.IntN(100); {
					case n < 5 && m.Type == "acknowledge" && (m.From == datachanneltest.Agent || version == "3.3.1142.0"):
						return datachanneltest.Drop
					case n < 20:
						return datachanneltest.Twice
					case n < 40:
						return datachanneltest.Late
					}
					return datachanneltest.Deliver
				})
				go io.Copy(s, noise(3, size))
				checkNoise(t, s, 3, size)
				time.Sleep(time.Minute)
				if st := s.Stats(); st.Unacknowledged > 100 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestSilenceIsNoticed(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
			lost := make(chan time.Time, 10)
			s, _ := mustOpen(t, srv, datachanneltest.Options{Program: sh}, func(o *datachannel.Options) {
				o.OnEvent = func(e datachannel.Event) {
					if e.Kind == datachannel.Lost {
						lost <- time.Now()
					}
				}
			})
			readUntil(t, s, "$ ")
			time.Sleep(10 * time.Minute)
			begun := time.Now()
			srv.SetNetwork(ssmresumetest.Silent)
			if took := (<-lost).Sub(begun); took > time.Minute {
				t.Errorf("noticed after %v", took)
			}
			srv.SetNetwork(ssmresumetest.Up)
			typed(t, s, "back again")
			if n := len(lost); n > 0 {
				t.Errorf("%d more channels were lost", n)
			}
		})
	})
	t.Run("with input under way", func(t *testing.T) {
		inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
			lost := make(chan time.Time, 10)
			s, _ := mustOpen(t, srv, datachanneltest.Options{Program: sh}, func(o *datachannel.Options) {
				o.OnEvent = func(e datachannel.Event) {
					if e.Kind == datachannel.Lost {
						lost <- time.Now()
					}
				}
			})
			readUntil(t, s, "$ ")
			srv.SetNetwork(ssmresumetest.Silent)
			begun := time.Now()
			fmt.Fprintln(s, "typed once")
			if took := (<-lost).Sub(begun); took > 10*time.Second {
				t.Errorf("noticed after %v", took)
			}
			srv.SetNetwork(ssmresumetest.Up)
			if got, want := readUntil(t, s, ">\n$ "), "<typed once>\n$ "; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	})
}

// TestLostSaysHow: a person reads the words, a program the status.
func TestLostSaysHow(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		lost := make(chan error, 1)
		s, agent := mustOpen(t, srv, datachanneltest.Options{Program: sh}, func(o *datachannel.Options) {
			o.OnEvent = func(e datachannel.Event) {
				if e.Kind == datachannel.Lost {
					lost <- e.Err
				}
			}
		})
		readUntil(t, s, "$ ")
		agent.CloseChannel(1000, "Bye")
		err := <-lost
		if got, want := err.Error(), `closed by the service with 1000 "Bye"`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := websocket.CloseStatus(err); got != websocket.StatusNormalClosure {
			t.Errorf("status %v", got)
		}
		typed(t, s, "back again")
	})
}

// TestCloseIsToldWhileWriting: the writer, too, finds its channel gone then.
func TestCloseIsToldWhileWriting(t *testing.T) {
	srv := datachanneltest.NewServer()
	defer srv.Close()
	lost, resumed := make(chan error, 1), make(chan bool, 1)
	s, agent := mustOpen(t, srv, datachanneltest.Options{Program: sh}, quick, func(o *datachannel.Options) {
		o.OnEvent = func(e datachannel.Event) {
			switch e.Kind {
			case datachannel.Lost:
				lost <- e.Err
			case datachannel.Resumed:
				resumed <- true
			}
		}
	})
	go io.Copy(io.Discard, s)
	go func() {
		for {
			if _, err := io.WriteString(s, "typed\n"); err != nil {
				return
			}
			time.Sleep(10 * time.Microsecond)
		}
	}()
	for opened := 1; opened <= 50; opened++ {
		for agent.Stats().Opened < opened { // the client knows it before the service
			time.Sleep(time.Millisecond)
		}
		agent.CloseChannel(1000, "Bye")
		if err := <-lost; websocket.CloseStatus(err) != websocket.StatusNormalClosure {
			t.Errorf("close %d is told as: %v", opened, err)
		}
		<-resumed
	}
}

// echoPort is a remote port that repeats lines.
func echoPort(context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		io.Copy(far, far)
	}()
	return near, nil
}

// A forwarded connection lives through everything that its channel meets.
func TestForwardedConnection(t *testing.T) {
	faults := map[string]func(srv *datachanneltest.Server, agent *datachanneltest.Session){
		"close 1000": func(_ *datachanneltest.Server, agent *datachanneltest.Session) { agent.CloseChannel(1000, "Bye") },
		"reset":      func(_ *datachanneltest.Server, agent *datachanneltest.Session) { agent.Cut() },
		"300 ms of loss, then a reset": func(_ *datachanneltest.Server, agent *datachanneltest.Session) {
			agent.SetFilter(func(datachanneltest.Message) datachanneltest.Action { return datachanneltest.Drop })
			time.Sleep(300 * time.Millisecond)
			agent.SetFilter(nil)
			agent.Cut()
		},
		"silence of 20 s": away(ssmresumetest.Silent, 20*time.Second),
		"refused 20 s":    away(ssmresumetest.Refused, 20*time.Second),
		"refused 350 s":   away(ssmresumetest.Refused, 350*time.Second),
		"SSM denied 90 s": func(srv *datachanneltest.Server, agent *datachanneltest.Session) {
			srv.SetRespond(func(r ssmresumetest.Request) *ssmresumetest.Response {
				return ssmresumetest.Fail(503, "ServiceUnavailable", "")
			})
			agent.Cut()
			time.Sleep(90 * time.Second)
			srv.SetRespond(nil)
		},
	}
	for name, fault := range faults {
		for _, version := range []string{"2.3.900.0", "3.3.1142.0"} {
			t.Run(name+"/"+version, func(t *testing.T) {
				inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
					s, agent := mustOpen(t, srv, datachanneltest.Options{Dial: echoPort, AgentVersion: version})
					agent.SetRoundTrip(20 * time.Millisecond)
					conn, err := s.Dial(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					defer conn.Close()
					stop := make(chan struct{})
					sent := make(chan int)
					go func() {
						n := 0
						for ; ; n++ {
							select {
							case <-stop:
								sent <- n
								return
							case <-time.After(20 * time.Millisecond):
							}
							fmt.Fprintf(conn, "%d\n", n)
						}
					}()
					up := make(chan time.Time, 1)
					go func() {
						time.Sleep(time.Second)
						fault(srv, agent)
						up <- time.Now()
						time.Sleep(10 * time.Second)
						close(stop)
					}()
					in := bufio.NewScanner(conn)
					total := -1
					var back time.Duration
					var since time.Time
					for n := 0; n != total; n++ {
						if !in.Scan() {
							t.Fatalf("line %d: %v", n, in.Err())
						}
						if got := in.Text(); got != fmt.Sprint(n) {
							t.Fatalf("line %d is %q", n, got)
						}
						select {
						case since = <-up:
						default:
						}
						if !since.IsZero() && back == 0 {
							back = time.Since(since)
						}
						select {
						case total = <-sent:
							if total == n+1 {
								n = total - 1
							}
						default:
						}
						if total == n+1 {
							break
						}
					}
					t.Logf("back %v after the network, %+v", back, s.Stats())
				})
			})
		}
	}
}

func away(n ssmresumetest.Network, d time.Duration) func(*datachanneltest.Server, *datachanneltest.Session) {
	return func(srv *datachanneltest.Server, _ *datachanneltest.Session) {
		srv.SetNetwork(n)
		time.Sleep(d)
		srv.SetNetwork(ssmresumetest.Up)
	}
}

// An outage during the handshake is not the silence of a command that waits for
// input.
func TestOutageDuringTheHandshake(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, agent := srv.Start(datachanneltest.Options{Dial: echoPort, AgentVersion: "2.3.900.0"})
		s, err := datachannel.Open(t.Context(), ssmresume.NewFromConfig(srv.Config()), first, func(o *datachannel.Options) {
			o.OnEvent = func(e datachannel.Event) {
				if e.Kind == datachannel.Opened {
					srv.SetNetwork(ssmresumetest.Refused)
					agent.Cut()
					time.AfterFunc(12*time.Second, func() { srv.SetNetwork(ssmresumetest.Up) })
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if s.Type() != datachannel.Port {
			t.Errorf("the session is a %s", s.Type())
		}
	})
}
