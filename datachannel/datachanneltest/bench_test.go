package datachanneltest_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// BenchmarkInput shows what the agent takes from a client that does nothing but
// send: the roof over every benchmark of a real one.
func BenchmarkInput(b *testing.B) {
	for _, size := range []int{1024, 16 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			srv := datachanneltest.NewServer()
			defer srv.Close()
			first, _ := srv.Start(datachanneltest.Options{Unsigned: true, Program: func(_ context.Context, t *datachanneltest.Terminal) int {
				fmt.Fprint(t.Stdout, "$ ")
				io.Copy(io.Discard, t.Stdin)
				return 0
			}})
			ws, _, err := websocket.Dial(b.Context(), first.StreamURL.DialURL(), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer ws.CloseNow()
			message, _ := first.OpenMessage("29f14229-70e6-4a15-b7c7-a077aeb94cf1")
			ws.Write(b.Context(), websocket.MessageText, message)
			acks := func() {
				for {
					_, frame, err := ws.Read(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					if m, _ := wire.ParseUnverified(frame); m.Type == wire.Acknowledge {
						return
					} else if m.Type == wire.Output {
						ws.Write(b.Context(), websocket.MessageBinary, wire.AppendAcknowledgement(nil, m.Type, m.ID, m.Number))
						if m.Number == 0 {
							return
						}
					}
				}
			}
			acks() // the prompt's
			payload := make([]byte, size)
			b.SetBytes(int64(size))
			go func() {
				for n := range b.N {
					m := wire.Message{Type: wire.Input, Created: time.Now(), Number: int64(n), PayloadType: wire.Data, Payload: payload}
					ws.Write(context.Background(), websocket.MessageBinary, m.Append(nil))
				}
			}()
			for range b.N {
				acks()
			}
		})
	}
}
