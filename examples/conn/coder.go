package main

import (
	"context"

	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume/datachannel"
)

// A coderConn is a Conn with the methods of coder/websocket. The ctx that counts is
// that of datachannel.Dial.
type coderConn struct{ *datachannel.Conn }

func (c coderConn) Read(context.Context) (websocket.MessageType, []byte, error) {
	t, p, err := c.ReadMessage()
	return websocket.MessageType(t), p, err
}

func (c coderConn) Write(_ context.Context, t websocket.MessageType, p []byte) error {
	return c.WriteMessage(int(t), p)
}

func (c coderConn) CloseNow() error { return c.Close() }
