package datachannel_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// greet is a program that asks for a name.
func greet(_ context.Context, t *datachanneltest.Terminal) int {
	fmt.Fprint(t.Stdout, "name? ")
	name, _ := bufio.NewReader(t.Stdin).ReadString('\n')
	fmt.Fprintf(t.Stdout, "hello, %s", name)
	return 0
}

// A session from its start to its end. The network is away when a line is typed;
// the line arrives when the network is back, once, and so does what was printed.
// Nobody but OnEvent is told.
func Example() {
	srv := datachanneltest.NewServer() // in place of AWS; a real program loads its aws.Config
	defer srv.Close()
	first, _ := srv.Start(datachanneltest.Options{Program: greet}) // in place of StartSession
	client := ssmresume.NewFromConfig(srv.Config())

	s, err := datachannel.Open(context.Background(), client, first, func(o *datachannel.Options) {
		o.OnEvent = func(e datachannel.Event) {
			if e.Kind == datachannel.Waiting { // once or more
				srv.SetNetwork(ssmresumetest.Up)
				return
			}
			fmt.Println(e.Kind)
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	srv.SetNetwork(ssmresumetest.Refused)
	fmt.Fprintln(s, "Ana")
	out, err := io.ReadAll(s)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := s.Wait(); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", out)
	// Output:
	// opened
	// lost
	// resumed
	// ended
	// name? hello, Ana
}

func ExampleOpen() {
	srv := datachanneltest.NewServer() // in place of AWS
	defer srv.Close()
	first, _ := srv.Start(datachanneltest.Options{Program: greet}) // in place of StartSession
	client := ssmresume.NewFromConfig(srv.Config())

	s, err := datachannel.Open(context.Background(), client, first)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	go io.Copy(s, strings.NewReader("Ana\n"))
	io.Copy(os.Stdout, s)
	if _, err := s.Wait(); err != nil {
		log.Fatal(err)
	}
	// Output: name? hello, Ana
}

// A session that another process started, and that was left or lost, by its ID.
func ExampleAttach() {
	srv := datachanneltest.NewServer()
	defer srv.Close()
	first, _ := srv.Start(datachanneltest.Options{Program: greet})
	client := ssmresume.NewFromConfig(srv.Config())

	before, leave := context.WithCancel(context.Background())
	s, err := datachannel.Open(before, client, first)
	if err != nil {
		log.Fatal(err)
	}
	io.WriteString(s, "An")
	if err := s.Flush(before); err != nil {
		log.Fatal(err)
	}
	leave() // or the process ends
	s.Wait()

	s, err = datachannel.Attach(context.Background(), client, first.SessionID)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	io.WriteString(s, "a\n")
	out, err := io.ReadAll(s)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", out[len(out)-len("hello, Ana\n"):])
	// Output: hello, Ana
}

// With State nothing has to be found, and nothing comes again.
func ExampleSession_Detach() {
	srv := datachanneltest.NewServer()
	defer srv.Close()
	first, _ := srv.Start(datachanneltest.Options{Program: greet})
	client := ssmresume.NewFromConfig(srv.Config())
	ctx := context.Background()

	s, err := datachannel.Open(ctx, client, first)
	if err != nil {
		log.Fatal(err)
	}
	io.WriteString(s, "An")
	state, err := s.Detach(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(state)

	s, err = datachannel.Attach(ctx, client, first.SessionID, func(o *datachannel.Options) { o.State = &state })
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	io.WriteString(s, "a\n")
	io.Copy(os.Stdout, s)
	// Output:
	// [redacted]
	// name? hello, Ana
}

// A local port for a port of the managed node.
func ExampleSession_Forward() {
	remote := func(context.Context) (net.Conn, error) { // in place of the node's port
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			line, _ := bufio.NewReader(far).ReadString('\n')
			fmt.Fprintf(far, "you said %s", line)
		}()
		return near, nil
	}
	srv := datachanneltest.NewServer()
	defer srv.Close()
	first, _ := srv.Start(datachanneltest.Options{Dial: remote})
	client := ssmresume.NewFromConfig(srv.Config())

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := datachannel.Open(ctx, client, first)
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go s.Forward(ctx, l)

	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, "good morning")
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(answer)
	// Output: you said good morning
}

// messages is what a client needs of its WebSocket connection: gorilla's has it,
// and a Conn.
type messages interface {
	ReadMessage() (messageType int, p []byte, err error)
	WriteMessage(messageType int, data []byte) error
	Close() error
}

// existing is a client that numbers, acknowledges and prints by itself.
func existing(conn messages) {
	for {
		_, frame, err := conn.ReadMessage()
		if err != nil {
			log.Fatal(err)
		}
		if output, ok := strings.CutPrefix(string(frame[4:]), "output_stream_data"); ok {
			fmt.Println(output[len(output)-len("name? "):])
			return
		}
	}
}

// A client that speaks the agent's protocol on gorilla's connection gets a Conn
// in its place, and survives.
func ExampleDial() {
	srv := datachanneltest.NewServer()
	defer srv.Close()
	first, _ := srv.Start(datachanneltest.Options{Program: greet})
	client := ssmresume.NewFromConfig(srv.Config())

	conn, err := datachannel.Dial(context.Background(), client, first)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	existing(conn)
	// Output: name?
}
