package datachannel_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// A client is one that somebody else wrote: it numbers, acknowledges and repeats
// by itself, on something with the two methods of a WebSocket connection.
type client struct {
	t    *testing.T
	conn interface {
		ReadMessage() (int, []byte, error)
		WriteMessage(int, []byte) error
	}
	next     int64
	expected int64
	output   strings.Builder
	decline  func(number int64) bool // once each
}

func (c *client) send(text string) {
	c.t.Helper()
	m := wire.Message{Type: wire.Input, Created: time.Now(), Number: c.next, ID: wire.NewID(), PayloadType: wire.Data, Payload: []byte(text)}
	c.next++
	frame := m.Append(nil)
	for range 2 { // it repeats too early, too
		if err := c.conn.WriteMessage(datachannel.BinaryMessage, frame); err != nil {
			c.t.Error(err)
		}
	}
}

func (c *client) readUntil(want string) string {
	c.t.Helper()
	defer c.output.Reset()
	for !strings.HasSuffix(c.output.String(), want) {
		_, frame, err := c.conn.ReadMessage()
		if err != nil {
			c.t.Fatalf("read %q, then %v", c.output.String(), err)
		}
		m, err := wire.Parse(frame)
		if err != nil {
			c.t.Fatal(err)
		}
		if m.Type != wire.Output {
			continue
		}
		if m.Number != c.expected {
			c.t.Fatalf("message %d, want %d", m.Number, c.expected)
		}
		if c.decline != nil && c.decline(m.Number) {
			continue
		}
		c.expected++
		c.output.Write(m.Payload)
		if err := c.conn.WriteMessage(datachannel.BinaryMessage, wire.AppendAcknowledgement(nil, m.Type, m.ID, m.Number)); err != nil {
			c.t.Error(err)
		}
	}
	return c.output.String()
}

func TestConnUnderAClient(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, agent := srv.Start(datachanneltest.Options{Program: sh})
		conn, err := datachannel.Dial(t.Context(), ssmresume.NewFromConfig(srv.Config()), first, quick)
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t: t, conn: conn}
		open, err := json.Marshal(map[string]string{"MessageSchemaVersion": "1.0", "TokenValue": "x"})
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.WriteMessage(datachannel.TextMessage, open); err != nil {
			t.Errorf("the client's own request to open: %v", err)
		}
		c.readUntil("$ ")
		var mu sync.Mutex
		lost := map[string]bool{}
		agent.SetFilter(func(m datachanneltest.Message) datachanneltest.Action {
			mu.Lock()
			defer mu.Unlock()
			if key := fmt.Sprint(m.From, m.Type, m.Number); m.Number%3 == 0 && !lost[key] {
				lost[key] = true
				return datachanneltest.Drop
			}
			return datachanneltest.Deliver
		})
		for i := range 50 {
			switch i % 10 {
			case 3:
				agent.Cut()
			case 6:
				agent.CloseChannel(1000, "Bye")
			}
			c.send(fmt.Sprintf("line %d\n", i))
			if got, want := c.readUntil(">\n$ "), fmt.Sprintf("<line %d>\n$ ", i); got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
		conn.Close()
		if _, _, err := conn.ReadMessage(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// A message that the client does not acknowledge is given again.
func TestConnGivesAgainWhatIsDeclined(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, _ := srv.Start(datachanneltest.Options{Program: sh})
		conn, err := datachannel.Dial(t.Context(), ssmresume.NewFromConfig(srv.Config()), first)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		declined := map[int64]bool{}
		c := &client{t: t, conn: conn, decline: func(n int64) bool {
			again := declined[n]
			declined[n] = true
			return !again
		}}
		c.readUntil("$ ")
		c.send("one time\n")
		if got, want := c.readUntil(">\n$ "), "<one time>\n$ "; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestConnRefusesWhatIsNoMessage(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, _ := srv.Start(datachanneltest.Options{Program: sh})
		conn, err := datachannel.Dial(t.Context(), ssmresume.NewFromConfig(srv.Config()), first)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		output := wire.Message{Type: wire.Output, Created: time.Now(), Payload: []byte("x")}
		for name, write := range map[string]func() error{
			"text":   func() error { return conn.WriteMessage(datachannel.TextMessage, []byte("hello")) },
			"short":  func() error { return conn.WriteMessage(datachannel.BinaryMessage, []byte("hello")) },
			"output": func() error { return conn.WriteMessage(datachannel.BinaryMessage, output.Append(nil)) },
		} {
			if write() == nil {
				t.Errorf("%s: no error", name)
			}
		}
	})
}

// A client that numbers in one goroutine and writes in another may write a lower
// number after a higher one. The agent waits for it.
func TestConnTakesNumbersInAnyOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *datachanneltest.Server) {
		first, agent := srv.Start(datachanneltest.Options{Program: sh})
		conn, err := datachannel.Dial(t.Context(), ssmresume.NewFromConfig(srv.Config()), first)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := &client{t: t, conn: conn}
		c.readUntil("$ ")
		order := []int64{2, 0, 1, 5, 4, 3, 6}
		for _, n := range order {
			c.next = n
			c.send(string("abcdef\n"[n]))
		}
		if got, want := c.readUntil(">\n$ "), "<abcdef >\n$ "; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if next := agent.Stats().NextInput; next != int64(len(order)) {
			t.Errorf("the agent awaits %d", next)
		}
	})
}
