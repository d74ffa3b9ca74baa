package datachannel_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// acknowledger is a gateway that does as little as one can: it acknowledges each
// message, without a look at its payload, and sends back what is data if it is
// to echo. The bare client and the Session meet the same one.
func acknowledger(b *testing.B, echo bool) string {
	b.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		ctx := context.Background()
		ws.SetReadLimit(1 << 20)
		ws.Read(ctx) // the request to open
		buf := make([]byte, 1<<20)
		out := make([]byte, 1<<20)
		output := func(number int64, payload []byte) {
			m := wire.Message{Type: wire.Output, Created: time.Now(), Number: number, PayloadType: wire.Data, Payload: payload}
			ws.Write(ctx, websocket.MessageBinary, m.Append(out[:0]))
		}
		output(0, []byte("$ "))
		for next := int64(1); ; {
			_, reader, err := ws.Reader(ctx)
			if err != nil {
				return
			}
			n := 0
			for err == nil {
				var k int
				k, err = reader.Read(buf[n:])
				n += k
			}
			m, err := wire.ParseUnverified(buf[:n])
			if err != nil || m.Type != wire.Input {
				continue
			}
			ws.Write(ctx, websocket.MessageBinary, wire.AppendAcknowledgement(out[:0], m.Type, m.ID, m.Number))
			if echo {
				output(next, m.Payload)
				next++
			}
		}
	}))
	b.Cleanup(srv.Close)
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

func openBench(b *testing.B, url string) *datachannel.Session {
	b.Helper()
	endpoint := "http" + strings.TrimPrefix(url, "ws")
	client := ssmresume.New(ssmresume.Options{Region: "us-east-2", Credentials: aws.AnonymousCredentials{}, BaseEndpoint: &endpoint})
	first, err := ssmresume.NewOutput("ana-0a1b", "token", url+"/v1/data-channel/ana-0a1b?role=publish_subscribe")
	if err != nil {
		b.Fatal(err)
	}
	s, err := datachannel.Open(b.Context(), client, first)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	io.ReadFull(s, make([]byte, 2))
	return s
}

// bare dials without a Session.
func bare(b *testing.B, url string) *websocket.Conn {
	b.Helper()
	ws, _, err := websocket.Dial(b.Context(), url, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ws.CloseNow() })
	ws.Write(b.Context(), websocket.MessageText, []byte("{}"))
	ws.Read(b.Context())
	return ws
}

const uploadSize = 32 << 20

func uploadSession(b *testing.B, s *datachannel.Session, data []byte) {
	for sent := 0; sent < uploadSize; sent += len(data) {
		if _, err := s.Write(data); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// uploadBare sends the same frames, made before, and reads as many answers.
func uploadBare(b *testing.B, ws *websocket.Conn, frame []byte) {
	const count = uploadSize / 1024
	done := make(chan error)
	go func() {
		for range count {
			if _, _, err := ws.Read(context.Background()); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range count {
		if err := ws.Write(context.Background(), websocket.MessageBinary, frame); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// ratio runs both in turn, and reports the median of how long a takes beside b.
func ratio(b *testing.B, name string, x, y func()) {
	b.Helper()
	x()
	y()
	var ratios []float64
	for b.Loop() {
		begun := time.Now()
		x()
		middle := time.Now()
		y()
		ratios = append(ratios, float64(middle.Sub(begun))/float64(time.Since(middle)))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], name)
	b.ReportMetric(0, "ns/op") // of both together: it says nothing
}

// BenchmarkUpload compares a Session's upload with the bare WebSocket carrying
// the same frames and acknowledgements.
func BenchmarkUpload(b *testing.B) {
	s := openBench(b, acknowledger(b, false))
	ws := bare(b, acknowledger(b, false))
	data := make([]byte, 32<<10)
	frame := inputFrame(make([]byte, 1024))
	ratio(b, "bare-speed", func() { uploadBare(b, ws, frame) }, func() { uploadSession(b, s, data) })
}

// BenchmarkKeystroke compares how long a keystroke and its echo take, with the
// same four frames.
func BenchmarkKeystroke(b *testing.B) {
	const count = 2000
	s := openBench(b, acknowledger(b, true))
	ws := bare(b, acknowledger(b, true))
	key, frame := []byte("x"), inputFrame([]byte("x"))
	ack := wire.AppendAcknowledgement(nil, wire.Output, [16]byte{}, 0)
	ratio(b, "bare-time", func() {
		for range count {
			s.Write(key)
			if _, err := io.ReadFull(s, key); err != nil {
				b.Fatal(err)
			}
		}
	}, func() {
		for range count {
			ws.Write(b.Context(), websocket.MessageBinary, frame)
			for range 2 { // the acknowledgement and the echo
				if _, _, err := ws.Read(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			ws.Write(b.Context(), websocket.MessageBinary, ack)
		}
	})
}

// BenchmarkAllocations counts what a message of an upload needs, at both ends.
func BenchmarkAllocations(b *testing.B) {
	s := openBench(b, acknowledger(b, false))
	data := make([]byte, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Write(data); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func inputFrame(payload []byte) []byte {
	m := wire.Message{Type: wire.Input, Created: time.Now(), ID: wire.NewID(), PayloadType: wire.Data, Payload: payload}
	return m.Append(nil)
}
