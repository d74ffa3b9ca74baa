package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// The message of the data channel; see the package wire of datachannel.
const (
	headerLen   = 116
	overhead    = 120
	typeAt      = 4
	numberAt    = 48
	idAt        = 64
	payloadType = 112
	chunk       = 1024

	inputType  = "input_stream_data               "
	ackType    = "acknowledge                     "
	outputType = "output_stream_data              "

	typeData              = 1
	typeHandshakeRequest  = 5
	typeHandshakeResponse = 6
	typeHandshakeComplete = 7
)

// bare is the least that carries the agent's messages over a WebSocket: numbers
// and acknowledgements, and no digests, nothing kept and nothing sent again. It is the floor for the others, and nobody should use it: what a channel
// loses is lost, and the loss of the channel is its end.
type bare struct {
	ws     *websocket.Conn
	number atomic.Int64  // of the next input
	next   uint64        // the number of the output that is awaited
	in     func([]byte)  // takes the agent's data
	ready  chan struct{} // closed when the agent has shaken hands, or has said something
	begun  sync.Once
}

func runBare(ctx context.Context, streamURL, token string) error {
	ws, _, err := websocket.Dial(ctx, streamURL, nil)
	if err != nil {
		return err
	}
	defer ws.CloseNow()
	ws.SetReadLimit(1 << 20)
	open, err := json.Marshal(map[string]string{"MessageSchemaVersion": "1.0", "RequestId": "r", "TokenValue": token, "ClientId": "c", "ClientVersion": bareVersion})
	if err != nil {
		return err
	}
	if err := ws.Write(ctx, websocket.MessageText, open); err != nil {
		return err
	}
	b := &bare{ws: ws, in: func(data []byte) { os.Stdout.Write(data) }, ready: make(chan struct{})}
	conns := make(chan net.Conn, 1)
	ended := make(chan error, 2)
	go func() { ended <- b.receive(ctx, conns) }()
	go func() {
		select {
		case <-b.ready:
			b.send(os.Stdin)
		case conn := <-conns:
			ended <- b.send(conn)
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

// bareVersion is older than streams: a port then has one connection, whose bytes
// are the messages' data.
const bareVersion = "1.0.0.0"

// receive acknowledges, and hands on. A connection that it accepts goes to conns.
func (b *bare) receive(ctx context.Context, conns chan<- net.Conn) error {
	buf := make([]byte, 1<<20)
	for {
		_, r, err := b.ws.Reader(ctx)
		if err != nil {
			return err
		}
		n := 0
		for err == nil {
			var more int
			more, err = r.Read(buf[n:])
			n += more
		}
		if n < overhead || string(buf[typeAt:typeAt+len(outputType)]) != outputType {
			continue
		}
		frame := buf[:n]
		if err := b.acknowledge(frame); err != nil {
			return err
		}
		if binary.BigEndian.Uint64(frame[numberAt:]) < b.next {
			continue // the agent has repeated it
		}
		b.next++
		switch binary.BigEndian.Uint32(frame[payloadType:]) {
		case typeData:
			b.begun.Do(func() { close(b.ready) })
			b.in(frame[overhead:])
		case typeHandshakeRequest:
			answer := `{"ClientVersion":"` + bareVersion + `","ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":1,"ActionResult":null,"Error":""}],"Errors":null}`
			if err := b.write(typeHandshakeResponse, append(make([]byte, overhead), answer...)); err != nil {
				return err
			}
		case typeHandshakeComplete:
			l, err := openPort("bare")
			if err != nil {
				return err
			}
			conn, err := l.Accept()
			if err != nil {
				return err
			}
			b.begun.Do(func() {})
			b.in = func(data []byte) { conn.Write(data) }
			conns <- conn
		}
	}
}

func (b *bare) acknowledge(frame []byte) error {
	id := frame[idAt : idAt+16]
	ack := fmt.Appendf(make([]byte, overhead, 512), `{"AcknowledgedMessageType":"output_stream_data","AcknowledgedMessageId":"%x-%x-%x-%x-%x","AcknowledgedMessageSequenceNumber":%d,"IsSequentialMessage":true}`,
		id[8:12], id[12:14], id[14:16], id[:2], id[2:8], binary.BigEndian.Uint64(frame[numberAt:]))
	fill(ack, ackType, 0, 0)
	return b.ws.Write(context.Background(), websocket.MessageBinary, ack)
}

// send sends what from gives.
func (b *bare) send(from io.Reader) error {
	read := make([]byte, 32<<10)
	frame := make([]byte, overhead+chunk)
	for {
		n, err := from.Read(read)
		if err != nil {
			return err
		}
		for data := read[:n]; len(data) > 0; {
			n := copy(frame[overhead:], data)
			data = data[n:]
			if err := b.write(typeData, frame[:overhead+n]); err != nil {
				return err
			}
		}
	}
}

// write numbers and sends an input, whose payload is in its place already.
func (b *bare) write(payload uint32, frame []byte) error {
	fill(frame, inputType, b.number.Add(1)-1, payload)
	return b.ws.Write(context.Background(), websocket.MessageBinary, frame)
}

// fill writes the header.
func fill(frame []byte, messageType string, number int64, payload uint32) {
	binary.BigEndian.PutUint32(frame, headerLen)
	copy(frame[typeAt:], messageType)
	binary.BigEndian.PutUint32(frame[36:], 1)
	binary.BigEndian.PutUint64(frame[40:], uint64(time.Now().UnixMilli()))
	binary.BigEndian.PutUint64(frame[numberAt:], uint64(number))
	binary.BigEndian.PutUint32(frame[payloadType:], payload)
	binary.BigEndian.PutUint32(frame[headerLen:], uint32(len(frame)-overhead))
}
