package datachannel_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
)

// A startSessionOutput has the fields of ssm.StartSessionOutput.
type startSessionOutput struct{ SessionId, TokenValue, StreamUrl *string }

// hold is a terminal on a session, from its start to its end.
func hold(ctx context.Context, cfg aws.Config, started startSessionOutput) (exitCode int, err error) {
	client := ssmresume.NewFromConfig(cfg)
	first, err := ssmresume.NewOutput(*started.SessionId, *started.TokenValue, *started.StreamUrl)
	if err != nil {
		return 0, err
	}
	s, err := datachannel.Open(ctx, client, first)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	go io.Copy(s, os.Stdin)
	io.Copy(os.Stdout, s)
	return s.Wait()
}

// What StartSession has answered, from the start to the exit code.
func Example_hold() {
	srv := datachanneltest.NewServer() // in place of AWS
	defer srv.Close()
	answer, session := srv.Start(datachanneltest.Options{
		Type: datachanneltest.NonInteractiveCommands,
		Program: func(_ context.Context, t *datachanneltest.Terminal) int {
			fmt.Fprintln(t.Stdout, "hello")
			return 3
		},
		SeparateOutput: true,
	})
	token, url := answer.TokenValue.Reveal(), answer.StreamURL.DialURL()

	code, err := hold(context.Background(), srv.Config(), startSessionOutput{&answer.SessionID, &token, &url})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("exit code", code, "after", session.Stats().Opened, "channel")
	// Output:
	// hello
	// exit code 3 after 1 channel
}
