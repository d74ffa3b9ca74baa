package plugintest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
)

// What runs at the agent.

// parrot repeats each line, until "exit".
func parrot(_ context.Context, t *datachanneltest.Terminal) int {
	fmt.Fprint(t.Stdout, "$ ")
	in := bufio.NewReader(t.Stdin)
	for {
		line, err := readLine(in)
		if err != nil || line == "exit" {
			return 0
		}
		fmt.Fprintf(t.Stdout, "you said %s.\n$ ", line)
	}
}

// readLine ends a line as a terminal does, where Enter is a carriage return, or as
// a pipe does.
func readLine(in *bufio.Reader) (string, error) {
	var line strings.Builder
	for {
		b, err := in.ReadByte()
		if err != nil || b == '\r' || b == '\n' {
			return line.String(), err
		}
		line.WriteByte(b)
	}
}

// keys tells each byte of the input.
func keys(_ context.Context, t *datachanneltest.Terminal) int {
	fmt.Fprint(t.Stdout, "$ ")
	in := bufio.NewReader(t.Stdin)
	for {
		b, err := in.ReadByte()
		if err != nil || b == 'q' {
			return 0
		}
		fmt.Fprintf(t.Stdout, "<%02x>", b)
	}
}

// sizes tells the size of the terminal each time it changes.
func sizes(ctx context.Context, t *datachanneltest.Terminal) int {
	fmt.Fprint(t.Stdout, "$ ")
	for {
		select {
		case size := <-t.Resized:
			fmt.Fprintf(t.Stdout, "<%dx%d>", size.Columns, size.Rows)
		case <-ctx.Done():
			return 0
		}
	}
}

// prints prints the text and ends.
func prints(text string) datachanneltest.Program {
	return func(_ context.Context, t *datachanneltest.Terminal) int {
		io.WriteString(t.Stdout, text)
		return 0
	}
}

// digests reads so many bytes and tells what they were.
func digests(n int) datachanneltest.Program {
	return func(_ context.Context, t *datachanneltest.Terminal) int {
		fmt.Fprint(t.Stdout, "$ ")
		h := sha256.New()
		if _, err := io.CopyN(h, t.Stdin, int64(n)); err != nil {
			return 1
		}
		fmt.Fprintf(t.Stdout, "%x\n", h.Sum(nil))
		io.Copy(io.Discard, t.Stdin)
		return 0
	}
}

func digest(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// A counter prints numbered lines until it is told to end.
type counter struct {
	every    time.Duration
	end      chan struct{}
	printing sync.Mutex
	lines    atomic.Int64
}

func newCounter(every time.Duration) *counter {
	return &counter{every: every, end: make(chan struct{})}
}

func counterLine(i int64) string { return fmt.Sprintf("line %06d\n", i) }

func (c *counter) program(ctx context.Context, t *datachanneltest.Terminal) int {
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		c.printing.Lock()
		io.WriteString(t.Stdout, counterLine(c.lines.Load()))
		c.lines.Add(1)
		c.printing.Unlock()
		select {
		case <-tick.C:
		case <-c.end:
			io.WriteString(t.Stdout, "end\n")
			return 0
		case <-ctx.Done():
			return 0
		}
	}
}

// text is all that it has printed, once it has ended.
func (c *counter) text() string {
	var b strings.Builder
	for i := range c.lines.Load() {
		b.WriteString(counterLine(i))
	}
	return b.String() + "end\n"
}

// serve returns a function that connects to a server in this process.
func serve(server func(net.Conn)) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			server(far)
		}()
		return near, nil
	}
}

func echo(c net.Conn) { io.Copy(c, c) }

// digestServer reads so many bytes and answers what they were.
func digestServer(n int) func(net.Conn) {
	return func(c net.Conn) {
		h := sha256.New()
		if _, err := io.CopyN(h, c, int64(n)); err == nil {
			fmt.Fprintf(c, "%x\n", h.Sum(nil))
		}
		io.Copy(io.Discard, c)
	}
}
