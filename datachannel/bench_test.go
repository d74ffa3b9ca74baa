package datachannel_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
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

func BenchmarkUpload(b *testing.B) {
	s := openBench(b, acknowledger(b, false))
	data := make([]byte, 32<<10)
	b.SetBytes(uploadSize)
	b.ReportAllocs()
	for b.Loop() {
		uploadSession(b, s, data)
	}
}

func BenchmarkUploadBare(b *testing.B) {
	ws := bare(b, acknowledger(b, false))
	m := wire.Message{Type: wire.Input, Created: time.Now(), ID: wire.NewID(), PayloadType: wire.Data, Payload: make([]byte, 1024)}
	frame := m.Append(nil)
	b.SetBytes(uploadSize)
	b.ReportAllocs()
	for b.Loop() {
		uploadBare(b, ws, frame)
	}
}
