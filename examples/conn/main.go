// Conn is a client that speaks the agent's protocol itself, in some 100 lines, on a
// WebSocket connection; here it is a datachannel.Conn in that connection's place,
// which outlives the network. With --before it is a connection of
// gorilla/websocket, as the client was written for, and the first closed channel
// ends it.
//
//	go run ./conn i-02573cafcfEXAMPLE
//
// It sends lines to a shell and prints what comes. (For a terminal see attach; package
// datachannel's Session is a whole client.)
package main

import (
	"context"
	"flag"
	"io"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

func main() {
	before := flag.Bool("before", false, "on a connection of gorilla/websocket")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: conn [--before] INSTANCE-ID")
	}
	if err := run(context.Background(), flag.Arg(0), *before, os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, target string, before bool, in io.Reader, out io.Writer) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	started, err := ssm.NewFromConfig(cfg).StartSession(ctx, &ssm.StartSessionInput{Target: &target})
	if err != nil {
		return err
	}
	conn, err := dial(ctx, cfg, started, before)
	if err != nil {
		return err
	}
	defer conn.Close()
	c := &client{conn: conn}
	go c.send(in)
	return c.receive(out)
}

func dial(ctx context.Context, cfg aws.Config, started *ssm.StartSessionOutput, before bool) (connection, error) {
	if before {
		return dialBefore(ctx, started)
	}
	return dialAfter(ctx, cfg, started)
}
