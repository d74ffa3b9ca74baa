package ssmresume_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// A session from its start to its end. Its first data channel is lost with the
// network; when the network is back there is another one, until somebody ends the
// session.
func Example() {
	srv := ssmresumetest.NewServer() // in place of AWS; a real program loads its aws.Config
	defer srv.Close()
	client := ssmresume.NewFromConfig(srv.Config())

	sessionID := "ana-0a1b"
	tokenValue, streamURL := srv.Issue(sessionID) // in place of StartSession
	first, err := ssmresume.NewOutput(sessionID, tokenValue, streamURL)
	if err != nil {
		log.Fatal(err)
	}

	// serve stands for the client: it dials out.StreamURL, sends out.OpenMessage and
	// returns when the data channel is lost.
	serve := func(out *ssmresume.ResumeSessionOutput) {
		fmt.Println("a data channel, token", out.TokenValue)
		if out.TokenValue.Equal(first.TokenValue) {
			srv.SetNetwork(ssmresumetest.Refused)
		} else {
			srv.Terminate(sessionID)
		}
	}

	rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
		o.First = first
		o.OnWait = func(w ssmresume.Wait) {
			if errors.Is(w.Err, ssmresume.ErrChannelDropped) {
				return // a channel that is lost at once is waited for, a little
			}
			fmt.Println("no network")
			srv.SetNetwork(ssmresumetest.Up)
		}
	})
	for {
		out, err := rc.Resume(context.Background())
		if errors.Is(err, ssmresume.ErrSessionGone) {
			fmt.Println("the session is gone")
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		serve(out)
	}
	// Output:
	// a data channel, token [redacted]
	// no network
	// a data channel, token [redacted]
	// the session is gone
}

func ExampleClient_ResumeSession() {
	srv := ssmresumetest.NewServer() // stands in for AWS; a real program loads its aws.Config
	defer srv.Close()

	client := ssmresume.NewFromConfig(srv.Config())
	out, err := client.ResumeSession(context.Background(), &ssmresume.ResumeSessionInput{SessionID: "ana-0a1b"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.SessionID, out.TokenValue, out.StreamURL.Role)
	// Output: ana-0a1b [redacted] publish_subscribe
}

func ExampleClient_ResumeSession_errors() {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.Terminate("ana-0a1b")

	client := ssmresume.NewFromConfig(srv.Config())
	_, err := client.ResumeSession(context.Background(), &ssmresume.ResumeSessionInput{SessionID: "ana-0a1b"})
	var denied *ssmresume.AccessDeniedError
	switch {
	case errors.Is(err, ssmresume.ErrSessionGone):
		fmt.Println("start a new session")
	case errors.As(err, &denied):
		fmt.Println("ask for ssm:ResumeSession:", denied.Message)
	case err != nil:
		fmt.Println("try again later:", err)
	}
	// Output: start a new session
}

func ExampleNew() {
	srv := ssmresumetest.NewServer()
	defer srv.Close()

	endpoint := srv.URL()
	client := ssmresume.New(ssmresume.Options{
		Region:       "us-east-2",
		Credentials:  srv.Config().Credentials,
		BaseEndpoint: &endpoint,
	})
	_, err := client.ResumeSession(context.Background(), &ssmresume.ResumeSessionInput{SessionID: "ana-0a1b"})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleNewFromConfig_logging() {
	srv := ssmresumetest.NewServer()
	defer srv.Close()

	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	client := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) { o.Logger = logger })
	out, err := client.ResumeSession(context.Background(), &ssmresume.ResumeSessionInput{SessionID: "ana-0a1b"})
	if err != nil {
		log.Fatal(err)
	}
	logger.Info("resumed", "token", out.TokenValue)
	// Output: level=INFO msg=resumed token=[redacted]
}

func ExampleParseStreamURL() {
	u, err := ssmresume.ParseStreamURL("wss://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/ana-0a1b?role=publish_subscribe&cell-number=AAEA+b/c==")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(u.Partition, u.Region, u.SessionID, u.Role, u.Presigned)
	fmt.Println(u)
	// Output:
	// aws us-east-2 ana-0a1b publish_subscribe false
	// wss://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/ana-0a1b?[redacted]
}

func ExampleNewToken() {
	token := ssmresume.NewToken("AAEAAVbTGsaOnyvc")
	fmt.Printf("%v %d %s\n", token, len(token.Reveal()), token)
	// Output: [redacted] 16 [redacted]
}

func ExampleReconnector() {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.AddSession("ana-0a1b")

	// serve dials out.StreamURL, sends out.OpenMessage and returns when the data
	// channel is lost. Here the session ends at once.
	serve := func(out *ssmresume.ResumeSessionOutput) {
		fmt.Println("data channel of", out.SessionID)
		srv.Terminate(out.SessionID)
	}

	ctx := context.Background()
	client := ssmresume.NewFromConfig(srv.Config())
	rc := ssmresume.NewReconnector(client, "ana-0a1b", func(o *ssmresume.ReconnectorOptions) {
		o.OnWait = func(w ssmresume.Wait) { fmt.Println(w.Err) }
	})
	for {
		out, err := rc.Resume(ctx)
		if errors.Is(err, ssmresume.ErrSessionGone) {
			fmt.Println("the session is gone")
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		serve(out)
	}
	// Output:
	// data channel of ana-0a1b
	// ssmresume: the data channel was lost soon after the session had been resumed
	// the session is gone
}

func ExampleClient_HandshakeHeader() {
	srv := ssmresumetest.NewServer()
	defer srv.Close()

	ctx := context.Background()
	client := ssmresume.NewFromConfig(srv.Config())
	out, err := client.ResumeSession(ctx, &ssmresume.ResumeSessionInput{SessionID: "ana-0a1b"})
	if err != nil {
		log.Fatal(err)
	}
	header, err := client.HandshakeHeader(ctx, out.StreamURL)
	if err != nil {
		log.Fatal(err)
	}
	// Dial out.StreamURL.DialURL() with header, and refuse redirects. Then send:
	message, err := out.OpenMessage("0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5f")
	if err != nil {
		log.Fatal(err)
	}
	scope := strings.Split(header.Get("Authorization"), "/")[2:4]
	fmt.Println(scope, len(message) > len(out.TokenValue.Reveal()))
	// Output: [us-east-2 ssmmessages] true
}

// A program that has started the session has its first data channel already: the
// loop is the same.
func ExampleNewOutput() {
	srv := ssmresumetest.NewServer()
	defer srv.Close()

	// What StartSession has answered.
	sessionID, tokenValue := "ana-0a1b", "AAEAAVbTGsaOnyvc"
	streamURL := "wss://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/ana-0a1b?role=publish_subscribe"
	first, err := ssmresume.NewOutput(sessionID, tokenValue, streamURL)
	if err != nil {
		log.Fatal(err)
	}

	client := ssmresume.NewFromConfig(srv.Config())
	rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) { o.First = first })
	for range 2 {
		out, err := rc.Resume(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("the first token:", out.TokenValue.Equal(first.TokenValue), "calls:", len(srv.Requests()))
	}
	// Output:
	// the first token: true calls: 0
	// the first token: false calls: 1
}

func ExampleReloadCredentials() {
	srv := ssmresumetest.NewServer()
	defer srv.Close()

	cfg := srv.Config()
	cfg.Credentials = ssmresume.ReloadCredentials(func(context.Context) (aws.CredentialsProvider, error) {
		fmt.Println("loading")
		return srv.Config().Credentials, nil // a real program calls config.LoadDefaultConfig(ctx)
	})
	client := ssmresume.NewFromConfig(cfg)
	for range 2 {
		_, err := client.ResumeSession(context.Background(), &ssmresume.ResumeSessionInput{SessionID: "ana-0a1b"})
		fmt.Println(err)
	}
	// Output:
	// loading
	// <nil>
	// <nil>
}
