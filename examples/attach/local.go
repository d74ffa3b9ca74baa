//go:build !windows

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/examples/internal/terminal"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

const banner = "A real %s over Session Manager's protocol, both ends of it in this process.\r\n" +
	"  Ctrl-] n   cuts the network: go on typing, and bring it back with Ctrl-] n\r\n" +
	"  Ctrl-] c   closes the channel, as AWS does about once an hour\r\n" +
	"  Ctrl-] d   leaves the session, to attach to it again      Ctrl-] ?   helps\r\n\r\n"

func attachLocal(ctx context.Context, o options, stderr io.Writer) (code int, err error) {
	shell := os.Getenv("SHELL")
	if _, err := exec.LookPath(shell); err != nil {
		shell = "sh"
	}
	srv := datachanneltest.NewServer()
	defer srv.Close()
	p, ctx, err := newSeat(ctx, ssmresume.NewFromConfig(srv.Config()), o)
	if err != nil {
		return 0, err
	}
	defer p.t.Close()
	first, session := srv.Start(datachanneltest.Options{Program: runShell(shell, p.t.Size())})
	p.options.sessionID = session.ID()

	p.help = "Ctrl-] then: n network off/on, c close the channel, d leave, Ctrl-] itself"
	network := ssmresumetest.Up
	p.command = func(key byte) bool {
		switch key {
		case 'n':
			if network = ssmresumetest.Refused - network; network == ssmresumetest.Up {
				p.t.Show("the network is back", time.Second)
			}
			srv.SetNetwork(network)
		case 'c':
			session.CloseChannel(1000, "Bye")
		default:
			return false
		}
		return true
	}
	p.onEvent = func(e datachannel.Event) {
		if e.Kind == datachannel.Resumed {
			p.t.Show(fmt.Sprintf("the channel is back after %v; nothing was lost", e.Away.Round(time.Millisecond)), 3*time.Second)
		}
	}

	fmt.Fprintf(p.t, banner, filepath.Base(shell))
	s, err := p.begin(ctx, func(ctx context.Context) (*datachannel.Session, error) {
		return datachannel.Open(ctx, p.client, first, p.edit)
	})
	for err == nil {
		code, err = p.sit(ctx, s)
		if !errors.Is(err, errLeft) {
			break
		}
		if _, err = p.leave(s); err != nil {
			break
		}
		p.t.Reset()
		fmt.Fprintf(p.t, "\r\nLeft; the shell goes on. With AWS, this would come back to it, from anywhere:\r\n  attach %s\r\n"+
			"Enter does it here; q ends the shell.\r\n", session.ID())
		if err = p.waitForEnter(ctx); err != nil {
			break
		}
		s, err = p.attach(ctx)
	}
	p.t.Close()
	if errors.Is(err, errLeft) {
		err = nil
	}
	if err == nil {
		fmt.Fprintln(stderr)
	}
	return code, err
}

// waitForEnter returns errLeft at q, Ctrl-C and Ctrl-D.
func (p *seat) waitForEnter(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case keys, ok := <-p.t.Keys():
			if !ok {
				return errLeft
			}
			for i, key := range keys {
				switch key {
				case '\r', '\n':
					p.typed = append(p.typed, keys[i+1:]...)
					return nil
				case 'q', 0x03, 0x04:
					return errLeft
				}
			}
		}
	}
}

// runShell returns a Program that runs a shell on a pty, as the agent does.
func runShell(shell string, size terminal.Size) datachanneltest.Program {
	return func(ctx context.Context, t *datachanneltest.Terminal) int {
		cmd := exec.Command(shell)
		f, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: uint16(size.Columns), Rows: uint16(size.Rows)})
		if err != nil {
			fmt.Fprintf(t.Stdout, "%v\r\n", err)
			return 1
		}
		go io.Copy(f, t.Stdin)
		ended := make(chan struct{})
		var resizing sync.WaitGroup
		resizing.Go(func() {
			for {
				select {
				case s := <-t.Resized:
					pty.Setsize(f, &pty.Winsize{Cols: uint16(s.Columns), Rows: uint16(s.Rows)})
				case <-ctx.Done():
					cmd.Process.Signal(syscall.SIGHUP)
					f.Close() // the shell's children may hold it open
					return
				case <-ended:
					return
				}
			}
		})
		io.Copy(t.Stdout, f)
		close(ended)
		resizing.Wait()
		f.Close()
		cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
}
