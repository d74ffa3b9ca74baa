package datachannel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// left starts a session in which count messages were typed, and whose client is
// gone without a word.
func left(t *testing.T, srv *datachanneltest.Server, o datachanneltest.Options, count int) (*ssmresume.Client, *datachanneltest.Session) {
	t.Helper()
	first, agent := srv.Start(o)
	client := ssmresume.NewFromConfig(srv.Config())
	ctx, leave := context.WithCancel(t.Context())
	s, err := datachannel.Open(ctx, client, first)
	if err != nil {
		t.Fatal(err)
	}
	readUntil(t, s, "$ ")
	for range count {
		io.WriteString(s, "a")
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // until the output is acknowledged, too
	leave()
	s.Wait()
	return client, agent
}

func TestAttach(t *testing.T) {
	counts := []int{0, 1, 63, 64, 65, 300, 10000}
	if testing.Short() {
		counts = counts[:len(counts)-1]
	}
	for _, count := range counts {
		for _, version := range []string{"3.3.1142.0", "3.1.0.0"} {
			t.Run(fmt.Sprint(count, " ", version), func(t *testing.T) {
				inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
					client, agent := left(t, srv, datachanneltest.Options{Program: sh, AgentVersion: version}, count)
					agent.SetRoundTrip(50 * time.Millisecond)
					begun := time.Now()
					s, err := datachannel.Attach(t.Context(), client, agent.ID())
					if err != nil {
						t.Fatal(err)
					}
					defer s.Close()
					limit := 3 * time.Second
					if version == "3.1.0.0" {
						limit = 15 * time.Second // it says nothing of what it has
					}
					if took := time.Since(begun); took > limit {
						t.Errorf("took %v", took)
					}
					io.WriteString(s, "b\n")
					if got, want := readUntil(t, s, ">\n$ "), "<"+strings.Repeat("a", count)+"b >\n$ "; got != want {
						t.Errorf("got %q, want %q", got, want)
					}
					for i := range 300 { // through the numbers of the probes
						typed(t, s, fmt.Sprint("line ", i))
					}
				})
			})
		}
	}
}

func TestAttachWithOutputWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		counter := func(ctx context.Context, term *datachanneltest.Terminal) int {
			fmt.Fprint(term.Stdout, "$ ")
			time.Sleep(200 * time.Millisecond)
			for n := 0; ctx.Err() == nil; n++ {
				fmt.Fprintf(term.Stdout, "%d\n", n)
				time.Sleep(100 * time.Millisecond)
			}
			return 0
		}
		client, agent := left(t, srv, datachanneltest.Options{Program: counter}, 5)
		time.Sleep(time.Hour)
		s, err := datachannel.Attach(t.Context(), client, agent.ID())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var first, last int
		if _, err := fmt.Fscan(s, &first); err != nil {
			t.Fatal(err)
		}
		last = first
		for range 100 {
			var n int
			if _, err := fmt.Fscan(s, &n); err != nil || n != last+1 {
				t.Fatalf("%d follows %d, %v", n, last, err)
			}
			last = n
		}
		// About 10 were read before; none is lost, and few come again.
		if first > 11 {
			t.Errorf("begins with %d", first)
		}
	})
}

// Who holds the channel loses it, and both go on: the numbers are the agent's.
func TestAttachWhileAnotherHoldsTheChannel(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, agent := srv.Start(datachanneltest.Options{Program: sh})
		client := ssmresume.NewFromConfig(srv.Config())
		ctx, leave := context.WithCancel(t.Context())
		old, err := datachannel.Open(ctx, client, first)
		if err != nil {
			t.Fatal(err)
		}
		readUntil(t, old, "$ ")
		typed(t, old, "old one")
		time.Sleep(time.Second)
		leave() // it would come back, as it should: two clients cannot share a session
		s, err := datachannel.Attach(t.Context(), client, agent.ID())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		typed(t, s, "new one")
		old.Wait()
	})
}

func TestAttachIsRefused(t *testing.T) {
	t.Run("port", func(t *testing.T) {
		inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
			client, agent := func() (*ssmresume.Client, *datachanneltest.Session) {
				first, agent := srv.Start(datachanneltest.Options{Dial: echoPort})
				client := ssmresume.NewFromConfig(srv.Config())
				ctx, leave := context.WithCancel(t.Context())
				s, err := datachannel.Open(ctx, client, first)
				if err != nil {
					t.Fatal(err)
				}
				leave()
				s.Wait()
				return client, agent
			}()
			_, err := datachannel.Attach(t.Context(), client, agent.ID())
			if err == nil || !strings.Contains(err.Error(), "no shell") {
				t.Errorf("Attach: %v", err)
			}
		})
	})
	t.Run("gone", func(t *testing.T) {
		inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
			client, agent := left(t, srv, datachanneltest.Options{Program: sh}, 1)
			srv.Terminate(agent.ID())
			_, err := datachannel.Attach(t.Context(), client, agent.ID())
			if !errors.Is(err, ssmresume.ErrSessionGone) {
				t.Errorf("Attach: %v", err)
			}
		})
	})
	t.Run("agent away", func(t *testing.T) {
		inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
			client, agent := left(t, srv, datachanneltest.Options{Program: sh}, 1)
			agent.DisconnectAgent()
			begun := time.Now()
			_, err := datachannel.Attach(t.Context(), client, agent.ID())
			if err == nil || !strings.Contains(err.Error(), "acknowledges nothing") || time.Since(begun) > time.Minute {
				t.Errorf("Attach after %v: %v", time.Since(begun), err)
			}
			agent.ReconnectAgent()
			s, err := datachannel.Attach(t.Context(), client, agent.ID())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			io.WriteString(s, "\n")
			readUntil(t, s, "<a >\n$ ")
		})
	})
}

// An outage while the numbers are sought does no harm.
func TestAttachThroughCuts(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		client, agent := left(t, srv, datachanneltest.Options{Program: sh}, 500)
		agent.SetRoundTrip(50 * time.Millisecond)
		go func() {
			for range 5 {
				time.Sleep(150 * time.Millisecond)
				agent.Cut()
			}
		}()
		s, err := datachannel.Attach(t.Context(), client, agent.ID(), quick)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		io.WriteString(s, "\n")
		readUntil(t, s, "<"+strings.Repeat("a", 500)+" >\n$ ")
	})
}

func TestDetachAndAttachWithState(t *testing.T) {
	for name, kms := range map[string]*datachanneltest.KMS{"clear": nil, "encrypted": {}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
				first, agent := srv.Start(datachanneltest.Options{Program: sh, KMS: kms, TargetID: "i-1"})
				client := ssmresume.NewFromConfig(srv.Config())
				s, err := datachannel.Open(t.Context(), client, first, func(o *datachannel.Options) { o.DataKeys, o.TargetID = kms, "i-1" })
				if err != nil {
					t.Fatal(err)
				}
				readUntil(t, s, "$ ")
				for i := range 20 {
					// What was typed last is not acknowledged, and its output not read.
					fmt.Fprintf(s, "line %d\n", i)
					srv.SetNetwork(ssmresumetest.Refused)
					fmt.Fprintf(s, "more %d\n", i)
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					state, err := s.Detach(ctx)
					cancel()
					if err != nil {
						t.Fatal(err)
					}
					secret, err := state.Reveal()
					if err != nil {
						t.Fatal(err)
					}
					srv.SetNetwork(ssmresumetest.Up)
					if state, err = datachannel.ParseState(secret); err != nil {
						t.Fatal(err)
					}
					begun := time.Now()
					if s, err = datachannel.Attach(t.Context(), client, agent.ID(), func(o *datachannel.Options) { o.State = &state }); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(begun); took != 0 {
						t.Errorf("took %v", took)
					}
					want := fmt.Sprintf("<line %d>\n$ <more %d>\n$ ", i, i)
					if got := readUntil(t, s, fmt.Sprintf("<more %d>\n$ ", i)); got != want {
						t.Fatalf("got %q, want %q", got, want)
					}
				}
				s.Close()
			})
		})
	}
}

func TestDetachOfAPort(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		s, _ := mustOpen(t, srv, datachanneltest.Options{Dial: echoPort})
		if _, err := s.Detach(t.Context()); err == nil {
			t.Error("Detach of a port with many connections")
		}
	})
}

// A session that is left before it has had any output does not know the number
// of that yet, and the next holder has to be told so.
func TestDetachBeforeAnyOutput(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		client, agent := left(t, srv, datachanneltest.Options{Program: sh}, 10)
		s, err := datachannel.Attach(t.Context(), client, agent.ID())
		if err != nil {
			t.Fatal(err)
		}
		state, err := s.Detach(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		secret, err := state.Reveal()
		if err != nil {
			t.Fatal(err)
		}
		if state, err = datachannel.ParseState(secret); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if s, err = datachannel.Attach(ctx, client, agent.ID(), func(o *datachannel.Options) { o.State = &state }); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		io.WriteString(s, "b\n")
		if got, want := readUntil(t, s, ">\n$ "), "<aaaaaaaaaab >\n$ "; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// What the agent has sent while the channel was lost, and repeats on the next
// one, comes before what is new, although Attach has seen no output before.
func TestAttachLosesNoFirstOutput(t *testing.T) {
	for _, name := range []string{"during it", "after it"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
				lines := make(chan string)
				client, agent := left(t, srv, datachanneltest.Options{Program: func(_ context.Context, term *datachanneltest.Terminal) int {
					io.WriteString(term.Stdout, "$ ")
					for line := range lines {
						io.WriteString(term.Stdout, line)
					}
					return 0
				}}, 0)
				defer close(lines)
				next := agent.Stats().NextOutput
				lost := false // the first time that the first output comes
				agent.SetFilter(func(m datachanneltest.Message) datachanneltest.Action {
					if m.Type == "output_stream_data" && m.Number == next && !lost {
						lost = true
						return datachanneltest.Drop
					}
					return datachanneltest.Deliver
				})
				attached := make(chan *datachannel.Session)
				go func() {
					s, err := datachannel.Attach(t.Context(), client, agent.ID(), quick)
					if err != nil {
						t.Error(err)
					}
					attached <- s
				}()
				var s *datachannel.Session
				if name == "after it" {
					s = <-attached
					lines <- "1"
					time.Sleep(10 * time.Millisecond)
					agent.Cut()
					time.Sleep(50 * time.Millisecond)
					lines <- "2."
				} else {
					time.Sleep(1400 * time.Millisecond)
					lines <- "1"
					time.Sleep(10 * time.Millisecond)
					lines <- "2."
					time.Sleep(10 * time.Millisecond)
					srv.SetNetwork(ssmresumetest.Refused)
					agent.Cut()
					time.Sleep(3 * time.Second)
					srv.SetNetwork(ssmresumetest.Up)
					s = <-attached
				}
				if s == nil {
					return
				}
				defer s.Close()
				if got := readUntil(t, s, "."); got != "12." {
					t.Errorf("got %q", got)
				}
			})
		})
	}
}

// A number above the awaited one whose acknowledgements are all lost looks like
// the awaited one. That is no reason to say that there is no shell.
func TestAttachIsNotMisledByLostAcknowledgements(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		client, agent := left(t, srv, datachanneltest.Options{Program: sh}, 20)
		agent.SetRoundTrip(600 * time.Millisecond)
		lost := 0
		agent.SetFilter(func(m datachanneltest.Message) datachanneltest.Action {
			if m.From == datachanneltest.Agent && m.Type == "acknowledge" && m.Number == 40 && lost < 4 {
				lost++
				return datachanneltest.Drop
			}
			return datachanneltest.Deliver
		})
		s, err := datachannel.Attach(t.Context(), client, agent.ID())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		io.WriteString(s, "b\n")
		if got, want := readUntil(t, s, ">\n$ "), "<"+strings.Repeat("a", 20)+"b >\n$ "; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		for i := range 50 { // through the numbers of the probes
			typed(t, s, fmt.Sprint("line ", i))
		}
	})
}
