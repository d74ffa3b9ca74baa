package datachanneltest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
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
		for _, end := range []func(){session.Cut, func() { session.CloseChannel(1000, "Bye") }} {
			end()
			c.want("closed", 0)
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
