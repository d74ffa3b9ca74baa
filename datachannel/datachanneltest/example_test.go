package datachanneltest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
)

// hold stands for the program under test: it opens the data channel again each
// time it drops. (It does nothing else. Package datachannel has a whole client.)
func hold(ctx context.Context, cfg aws.Config, first *ssmresume.ResumeSessionOutput, opened func()) error {
	client := ssmresume.NewFromConfig(cfg)
	rc := ssmresume.NewReconnector(client, first.SessionID, func(o *ssmresume.ReconnectorOptions) {
		o.First = first
		o.MaxServiceWait = 10 * time.Millisecond // a channel that drops at once is not waited for in a test
	})
	dialer := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if c, ok := cfg.HTTPClient.(*http.Client); ok {
		dialer.Transport = c.Transport
	}
	for {
		out, err := rc.Resume(ctx)
		if err != nil {
			return err
		}
		header, err := client.HandshakeHeader(ctx, out.StreamURL)
		if err != nil {
			return err
		}
		message, err := out.OpenMessage("29f14229-70e6-4a15-b7c7-a077aeb94cf1")
		if err != nil {
			return err
		}
		conn, _, err := websocket.Dial(ctx, out.StreamURL.DialURL(), &websocket.DialOptions{HTTPClient: dialer, HTTPHeader: header})
		if err != nil {
			return err
		}
		if conn.Write(ctx, websocket.MessageText, message) == nil {
			if _, _, err = conn.Read(ctx); err == nil { // start_publication
				opened()
			}
			for err == nil {
				_, _, err = conn.Read(ctx)
			}
		}
		conn.CloseNow()
	}
}

// A test of a program that holds a session: its channel is closed as AWS closes
// it about once an hour, then reset, and then somebody ends the session. In a test
// function, t.Errorf stands in the place of fmt.Println.
func Example() {
	srv := datachanneltest.NewServer()
	defer srv.Close()
	first, session := srv.Start(datachanneltest.Options{
		Program: func(ctx context.Context, t *datachanneltest.Terminal) int {
			fmt.Fprint(t.Stdout, "$ ")
			<-ctx.Done()
			return 0
		},
	})

	opened := make(chan struct{})
	result := make(chan error)
	go func() {
		result <- hold(context.Background(), srv.Config(), first, func() { opened <- struct{}{} })
	}()

	<-opened
	session.CloseChannel(1000, "Bye")
	<-opened
	session.Cut()
	<-opened
	session.Terminate("Terminated by the administrator.")
	session.Cut()
	fmt.Println("gone:", errors.Is(<-result, ssmresume.ErrSessionGone))
	fmt.Println("channels:", session.Stats().Opened)
	// Output:
	// gone: true
	// channels: 3
}
