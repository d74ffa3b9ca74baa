package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// The client is as one is written: it numbers, acknowledges, and takes the order in
// which messages come for the one in which they were sent. It repeats nothing.

// A connection is what the client calls of gorilla's, and what a datachannel.Conn has.
type connection interface {
	ReadMessage() (messageType int, p []byte, err error)
	WriteMessage(messageType int, data []byte) error
	Close() error
}

const (
	binaryMessage = 2 // of a WebSocket
	payloadOutput = 1 // of the protocol: data, both ways
	headerLength  = 116
)

type client struct {
	conn connection
	next int64 // the number of the next input

	writing sync.Mutex // gorilla's takes one message at a time
}

func (c *client) write(message []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.conn.WriteMessage(binaryMessage, message)
}

// send sends lines until the connection or the input ends.
func (c *client) send(in io.Reader) {
	for lines := bufio.NewScanner(in); lines.Scan(); c.next++ {
		if c.write(frame("input_stream_data", c.next, 0, payloadOutput, append(lines.Bytes(), '\r'))) != nil {
			return
		}
	}
}

// receive prints what comes, until the session ends.
func (c *client) receive(out io.Writer) error {
	for {
		_, message, err := c.conn.ReadMessage()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(message) < headerLength+4 {
			return errors.New("a message is cut short")
		}
		number, id, payload := binary.BigEndian.Uint64(message[48:]), message[64:80], message[headerLength+4:]
		switch strings.TrimRight(string(message[4:36]), " \x00") {
		case "channel_closed":
			return nil
		case "output_stream_data":
			if binary.BigEndian.Uint32(message[112:]) == payloadOutput {
				out.Write(payload)
			}
			if err := c.acknowledge(int64(number), id); err != nil {
				return err
			}
		}
	}
}

func (c *client) acknowledge(number int64, id []byte) error {
	payload, err := json.Marshal(struct {
		AcknowledgedMessageType           string
		AcknowledgedMessageId             string
		AcknowledgedMessageSequenceNumber int64
		IsSequentialMessage               bool
	}{"output_stream_data", fmt.Sprintf("%x-%x-%x-%x-%x", id[8:12], id[12:14], id[14:], id[:2], id[2:8]), number, true})
	if err != nil {
		return err
	}
	return c.write(frame("acknowledge", 0, 3, 0, payload))
}

func frame(messageType string, number int64, flags uint64, payloadType uint32, payload []byte) []byte {
	var b bytes.Buffer
	id := make([]byte, 16)
	rand.Read(id)
	digest := sha256.Sum256(payload)
	for _, field := range []any{
		uint32(headerLength), fmt.Appendf(nil, "%-32s", messageType), uint32(1), uint64(time.Now().UnixMilli()),
		number, flags, id, digest, payloadType, uint32(len(payload)), payload,
	} {
		binary.Write(&b, binary.BigEndian, field)
	}
	return b.Bytes()
}
