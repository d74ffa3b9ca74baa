// First starts a session on a managed node and holds its data channel, for a
// client of your own that speaks the agent's protocol: it goes where the
// messages are read. (Package datachannel is a whole client.)
//
//	go run ./first i-02573cafcfEXAMPLE
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	smithyrand "github.com/aws/smithy-go/rand"
	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume"
)

const (
	dialTimeout  = 10 * time.Second
	pingInterval = 30 * time.Second // spares the service and still beats what NATs forget
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: first INSTANCE-ID")
	}
	ctx := context.Background()
	cfg, err := load(ctx)
	if err != nil {
		log.Fatal(err)
	}
	cfg.Credentials = ssmresume.ReloadCredentials(func(ctx context.Context) (aws.CredentialsProvider, error) {
		cfg, err := load(ctx) // again when AWS has refused the keys: another program may have renewed them
		return cfg.Credentials, err
	})
	started, err := ssm.NewFromConfig(cfg).StartSession(ctx, &ssm.StartSessionInput{Target: &os.Args[1]})
	if err != nil {
		log.Fatal(err)
	}
	first, err := ssmresume.NewOutput(aws.ToString(started.SessionId), aws.ToString(started.TokenValue), aws.ToString(started.StreamUrl))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(hold(ctx, ssmresume.NewFromConfig(cfg), first))
}

func load(ctx context.Context) (aws.Config, error) {
	return config.LoadDefaultConfig(ctx, config.WithAssumeRoleCredentialOptions(func(o *stscreds.AssumeRoleOptions) {
		o.TokenProvider = stscreds.StdinTokenProvider // asks for the code, if the profile has an MFA device
	}))
}

// errRefused is an answer to the handshake that does not change: each try would
// only end the token before it.
var errRefused = errors.New("the data channel is refused: the credentials need ssmmessages:OpenDataChannel")

// hold holds the session until it is gone, or trying again cannot help.
func hold(ctx context.Context, client *ssmresume.Client, first *ssmresume.ResumeSessionOutput) error {
	clientID, err := smithyrand.NewUUID(rand.Reader).GetUUID() // the same for all channels of the session
	if err != nil {
		return err
	}
	rc := ssmresume.NewReconnector(client, first.SessionID, func(o *ssmresume.ReconnectorOptions) { // once per session
		o.First = first
		o.OnWait = func(w ssmresume.Wait) { log.Printf("waiting %v: %v", w.Delay.Round(time.Millisecond), w.Err) }
	})
	for {
		out, err := rc.Resume(ctx)
		if err != nil {
			return err // errors.Is(err, ssmresume.ErrSessionGone), trying again cannot help, or ctx ended
		}
		conn, err := dial(ctx, client, out, clientID)
		if errors.Is(err, errRefused) {
			return err
		}
		if err == nil {
			log.Print("open: ", out.SessionID)
			err = serve(ctx, conn)
		}
		log.Print("lost: ", err)
	}
}

// dial opens the data channel.
func dial(ctx context.Context, client *ssmresume.Client, out *ssmresume.ResumeSessionOutput, clientID string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	header, err := client.HandshakeHeader(ctx, out.StreamURL)
	if err != nil {
		return nil, err
	}
	message, err := out.OpenMessage(clientID)
	if err != nil {
		return nil, err
	}
	conn, resp, err := websocket.Dial(ctx, out.StreamURL.DialURL(), &websocket.DialOptions{
		HTTPClient: client.HandshakeClient(),
		HTTPHeader: header,
	})
	if resp != nil && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden) {
		return nil, fmt.Errorf("%w: %s", errRefused, resp.Status)
	}
	if urlErr := (*url.Error)(nil); errors.As(err, &urlErr) {
		err = urlErr.Err // without the URL, whose query is not for logs
	}
	if err != nil {
		return nil, err
	}
	if err := conn.Write(ctx, websocket.MessageText, message); err != nil {
		conn.CloseNow()
		return nil, err
	}
	return conn, nil
}

// serve uses the data channel until it drops.
func serve(ctx context.Context, conn *websocket.Conn) error {
	defer conn.CloseNow()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // a connection that dies in silence gives no error
		for ctx.Err() == nil {
			next := time.After(pingInterval)
			pong, cancel := context.WithTimeout(ctx, pingInterval)
			err := conn.Ping(pong)
			cancel()
			if err != nil {
				conn.CloseNow()
				return
			}
			select {
			case <-next:
			case <-ctx.Done():
			}
		}
	}()
	for {
		_, message, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		log.Printf("a message of %d bytes", len(message)) // your client
	}
}
