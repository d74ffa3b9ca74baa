package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume"
)

// This file is a data channel's client, to be copied into other programs.

const (
	openTimeout = 10 * time.Second
	readLimit   = 256 << 10 // bytes of a message; the agent's are far smaller
)

// handshakes follow no redirect: it would carry the signature and the security
// token, which are good for five minutes, to another host. Each dials a new
// connection.
var handshakes = &http.Client{
	Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// openChannel dials the data channel that out names and sends its first
// message. clientID is a UUID, the same for all data channels of a session.
func openChannel(ctx context.Context, client *ssmresume.Client, out *ssmresume.ResumeSessionOutput, clientID string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	header, err := client.HandshakeHeader(ctx, out.StreamURL)
	if err != nil {
		return nil, err
	}
	message, err := out.OpenMessage(clientID)
	if err != nil {
		return nil, err
	}
	conn, _, err := websocket.Dial(ctx, out.StreamURL.DialURL(), &websocket.DialOptions{HTTPClient: handshakes, HTTPHeader: header})
	if urlErr := (*url.Error)(nil); errors.As(err, &urlErr) {
		err = urlErr.Err // without the URL, whose query is not for logs
	}
	if err != nil {
		return nil, fmt.Errorf("dial the data channel: %w", err)
	}
	conn.SetReadLimit(readLimit)
	if err := conn.Write(ctx, websocket.MessageText, message); err != nil {
		conn.CloseNow()
		return nil, fmt.Errorf("open the data channel: %w", err)
	}
	return conn, nil
}

// useChannel calls use, which must read from conn all the time, and returns why
// the channel ended. It pings, because a connection that dies in silence gives
// no error: the channel ends when a ping has no answer before the next is due.
func useChannel(ctx context.Context, conn *websocket.Conn, pingInterval time.Duration, use func(context.Context) error) error {
	defer conn.CloseNow()
	ctx, cancel := context.WithCancelCause(ctx)
	var pings sync.WaitGroup
	pings.Go(func() {
		for ctx.Err() == nil {
			next := time.After(pingInterval)
			pong, stop := context.WithTimeout(ctx, pingInterval)
			err := conn.Ping(pong)
			silent := pong.Err() != nil && ctx.Err() == nil
			stop()
			switch {
			case silent:
				cancel(fmt.Errorf("no answer to a ping within %v", pingInterval))
				return
			case err != nil:
				conn.CloseNow() // use knows why, or learns it by this
				return
			}
			select {
			case <-next:
			case <-ctx.Done():
			}
		}
	})
	cancel(use(ctx)) // no effect if the pings were first
	pings.Wait()
	return context.Cause(ctx)
}
