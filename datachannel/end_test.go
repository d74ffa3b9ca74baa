package datachannel_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

func TestCommandsExitCodeAndStderr(t *testing.T) {
	program := func(_ context.Context, term *datachanneltest.Terminal) int {
		io.WriteString(term.Stdout, "out\n")
		io.WriteString(term.Stderr, "err\n")
		return 3
	}
	for _, separate := range []bool{true, false} {
		t.Run(fmt.Sprint(separate), func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
				var stderr bytes.Buffer
				s, _ := mustOpen(t, srv, datachanneltest.Options{Type: datachanneltest.NonInteractiveCommands, Program: program, SeparateOutput: separate},
					func(o *datachannel.Options) { o.Stderr = &stderr })
				out, err := io.ReadAll(s)
				if err != nil {
					t.Error(err)
				}
				code, err := s.Wait()
				if err != nil || s.Type() != datachannel.NonInteractiveCommands {
					t.Errorf("Wait: %v; type %s", err, s.Type())
				}
				got := fmt.Sprintf("%q %q %d", out, stderr.String(), code)
				want := `"out\nerr\n" "" -1`
				if separate {
					want = `"out\n" "err\n" 3`
				}
				if got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		})
	}
}

func TestResize(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		sizes := func(ctx context.Context, term *datachanneltest.Terminal) int {
			fmt.Fprint(term.Stdout, "$ ")
			for {
				select {
				case size := <-term.Resized:
					fmt.Fprintf(term.Stdout, "%dx%d\n", size.Columns, size.Rows)
				case <-ctx.Done():
					return 0
				}
			}
		}
		s, agent := mustOpen(t, srv, datachanneltest.Options{Program: sizes}, quick)
		readUntil(t, s, "$ ")
		s.Resize(80, 24)
		readUntil(t, s, "80x24\n")
		s.Resize(80, 24) // no change: not sent
		agent.Cut()
		s.Resize(132, 43)
		if got := readUntil(t, s, "\n"); got != "132x43\n" {
			t.Errorf("got %q", got)
		}
		if err := s.Resize(0, 24); err == nil {
			t.Error("a terminal of no columns is taken")
		}
	})
}

func TestTerminated(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		s, agent := mustOpen(t, srv, datachanneltest.Options{Program: sh})
		readUntil(t, s, "$ ")
		agent.Terminate("the administrator ended\x1b[2J it")
		if _, err := s.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("Read: %v", err)
		}
		code, err := s.Wait()
		var ended *datachannel.EndedError
		if code != -1 || !errors.Is(err, ssmresume.ErrSessionGone) || !errors.As(err, &ended) || strings.Contains(err.Error(), "\x1b") || !strings.Contains(err.Error(), "the administrator ended") {
			t.Errorf("Wait = %d, %v", code, err)
		}
		if _, err := s.Write([]byte("x")); !errors.Is(err, ssmresume.ErrSessionGone) {
			t.Errorf("Write: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// A session that ends while its channel is away.
func TestGoneInAnOutage(t *testing.T) {
	for name, end := range map[string]func(*datachanneltest.Server, string){
		"does not exist":  func(srv *datachanneltest.Server, id string) { srv.Terminate(id) },
		"without a token": func(srv *datachanneltest.Server, id string) { srv.TimeOut(id) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
				s, _ := mustOpen(t, srv, datachanneltest.Options{Program: sh})
				readUntil(t, s, "$ ")
				srv.SetNetwork(ssmresumetest.Refused)
				time.Sleep(time.Minute)
				end(srv, s.ID())
				srv.SetNetwork(ssmresumetest.Up)
				_, err := s.Wait()
				if ended := (*datachannel.EndedError)(nil); !errors.As(err, &ended) || !errors.Is(err, ssmresume.ErrSessionGone) {
					t.Errorf("Wait: %v", err)
				}
			})
		})
	}
}

func TestCloseAndContext(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		s, agent := mustOpen(t, srv, datachanneltest.Options{Dial: echoPort})
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-agent.Done() // a port's session ends by that
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read: %v", err)
		}
		if _, err := s.Wait(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Wait: %v", err)
		}
	})
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		s, _ := mustOpen(t, srv, datachanneltest.Options{Program: sh})
		readUntil(t, s, "$ ")
		srv.SetNetwork(ssmresumetest.Refused)
		time.Sleep(time.Second)
		if err := s.Close(); err == nil {
			t.Error("Close says nothing of an end that the agent was not told of")
		}
	})
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, _ := srv.Start(datachanneltest.Options{Program: sh})
		ctx, cancel := context.WithCancel(t.Context())
		s, err := datachannel.Open(ctx, ssmresume.NewFromConfig(srv.Config()), first)
		if err != nil {
			t.Fatal(err)
		}
		readUntil(t, s, "$ ")
		cancel()
		if _, err := s.Wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("Wait: %v", err)
		}
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("Read: %v", err)
		}
	})
}

// resumes counts the calls of ResumeSession.
func resumes(srv *datachanneltest.Server) (n int) {
	for _, r := range srv.Requests() {
		if r.Header.Get("X-Amz-Target") == "AmazonSSM.ResumeSession" {
			n++
		}
	}
	return n
}

func TestHandshakeRefused(t *testing.T) {
	handshake := func(r ssmresumetest.Request) bool { return strings.HasPrefix(r.Path, "/v1/data-channel/") }
	for name, test := range map[string]struct {
		respond func(n int) *ssmresumetest.Response // to the nth handshake
		want    string                              // in the error; empty for none
		resumes int
	}{
		"403": {func(int) *ssmresumetest.Response { return ssmresumetest.Raw(403, nil, "no") }, "ssmmessages:OpenDataChannel", 1},
		"401 once": {func(n int) *ssmresumetest.Response {
			if n == 1 {
				return ssmresumetest.Raw(401, nil, "no")
			}
			return nil
		}, "", 1},
		"redirect": {func(int) *ssmresumetest.Response { return ssmresumetest.Redirect("http://127.0.0.1:1/") }, "redirects are not followed", 1},
		"503 twice": {func(n int) *ssmresumetest.Response {
			if n <= 2 {
				return ssmresumetest.Raw(503, nil, "busy")
			}
			return nil
		}, "", 2},
		"stalled once": {func(n int) *ssmresumetest.Response {
			if n == 1 {
				return ssmresumetest.Hang()
			}
			return nil
		}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
				first, _ := srv.Start(datachanneltest.Options{Program: sh})
				n := 0
				srv.SetRespond(func(r ssmresumetest.Request) *ssmresumetest.Response {
					if !handshake(r) {
						return nil
					}
					n++
					return test.respond(n)
				})
				s, err := datachannel.Open(t.Context(), ssmresume.NewFromConfig(srv.Config()), first)
				if err == nil {
					defer s.Close()
					readUntil(t, s, "$ ")
				}
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("Open: %v, want %q", err, test.want)
				}
				if got := resumes(srv); got != test.resumes {
					t.Errorf("%d calls of ResumeSession, want %d", got, test.resumes)
				}
				if err != nil && strings.Contains(err.Error(), "cell-number") {
					t.Errorf("the error shows the URL's query: %v", err)
				}
			})
		})
	}
}

// A token that the service does not take, twice: to go on would end each new one.
func TestOpenRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		s, agent := mustOpen(t, srv, datachanneltest.Options{Program: sh})
		readUntil(t, s, "$ ")
		time.Sleep(time.Hour)
		const reason = "Channel x: request to open data channel does not contain token"
		agent.CloseChannel(1003, reason)
		for agent.Stats().Opened == 1 {
			time.Sleep(time.Second)
		}
		agent.CloseChannel(1003, reason)
		if _, err := s.Wait(); err == nil || !strings.Contains(err.Error(), "does not contain token") {
			t.Errorf("Wait: %v", err)
		}
		if n := resumes(srv); n != 1 {
			t.Errorf("%d calls of ResumeSession, want 1", n)
		}
	})
}

func TestEncrypted(t *testing.T) {
	const target = "mi-0123456789abcdef0"
	denied := errors.New("AccessDeniedException: not allowed to kms:GenerateDataKey")
	for name, test := range map[string]struct {
		kms  *datachanneltest.KMS
		edit func(*datachannel.Options)
		want string
	}{
		"good":               {},
		"with a challenge":   {kms: &datachanneltest.KMS{RequireChallenge: true}},
		"no DataKeys":        {edit: func(o *datachannel.Options) { o.DataKeys = nil }, want: "set Options.DataKeys"},
		"no TargetID":        {edit: func(o *datachannel.Options) { o.TargetID = "" }, want: "set Options.TargetID"},
		"key denied":         {kms: &datachanneltest.KMS{DenyGenerate: denied}, want: "kms:GenerateDataKey"},
		"wrong challenge":    {kms: &datachanneltest.KMS{OtherKey: true}, want: "challenge"},
		"agent's key denied": {kms: &datachanneltest.KMS{DenyDecrypt: errors.New("denied")}, want: "ended"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
				kms := cmp.Or(test.kms, &datachanneltest.KMS{})
				first, agent := srv.Start(datachanneltest.Options{Program: sh, KMS: kms, TargetID: target})
				var clear atomic.Bool
				agent.SetFilter(func(m datachanneltest.Message) datachanneltest.Action {
					if bytes.Contains(m.Payload, []byte("open sesame")) {
						clear.Store(true)
					}
					return datachanneltest.Deliver
				})
				begun := time.Now()
				s, err := datachannel.Open(t.Context(), ssmresume.NewFromConfig(srv.Config()), first, quick, func(o *datachannel.Options) {
					o.DataKeys, o.TargetID = kms, target
					if test.edit != nil {
						test.edit(o)
					}
				})
				if test.want != "" {
					if err == nil || !strings.Contains(err.Error(), test.want) {
						t.Errorf("Open: %v, want %q", err, test.want)
					}
					if took := time.Since(begun); took > 5*time.Second {
						t.Errorf("said after %v", took)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				readUntil(t, s, "$ ")
				typed(t, s, "open sesame")
				agent.Cut()
				typed(t, s, "open sesame")
				if clear.Load() {
					t.Error("what was typed went over the wire in the clear")
				}
			})
		})
	}
}

func TestStalledAgentIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		events := make(chan datachannel.Event, 100)
		s, agent := mustOpen(t, srv, datachanneltest.Options{Program: sh}, func(o *datachannel.Options) {
			o.OnEvent = func(e datachannel.Event) { events <- e }
		})
		readUntil(t, s, "$ ")
		if e := <-events; e.Kind != datachannel.Opened {
			t.Errorf("first event: %+v", e)
		}
		agent.DisconnectAgent()
		fmt.Fprintln(s, "kept meanwhile")
		begun := time.Now()
		if e := <-events; e.Kind != datachannel.Stalled || time.Since(begun) > 70*time.Second {
			t.Errorf("after %v: %+v", time.Since(begun), e)
		}
		time.Sleep(time.Hour)
		agent.ReconnectAgent()
		readUntil(t, s, "<kept meanwhile>\n$ ")
		if n := len(events); n != 0 {
			t.Errorf("%d more events: %+v", n, <-events)
		}
	})
}

// A second stall on the same channel is told, too.
func TestStalledIsToldAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		stalls := 0
		s, agent := mustOpen(t, srv, datachanneltest.Options{Program: sh}, func(o *datachannel.Options) {
			o.OnEvent = func(e datachannel.Event) {
				if e.Kind == datachannel.Stalled {
					stalls++
				}
			}
		})
		readUntil(t, s, "$ ")
		for range 2 {
			agent.DisconnectAgent()
			io.WriteString(s, "a\n")
			time.Sleep(2 * time.Minute)
			agent.ReconnectAgent()
			readUntil(t, s, "<a >\n$ ")
			time.Sleep(time.Minute)
		}
		s.Close()
		if stalls != 2 {
			t.Errorf("told %d times", stalls)
		}
	})
}
