package netwake_test

import (
	"context"
	"fmt"
	"log"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/netwake"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

func ExampleNotify() {
	srv := ssmresumetest.NewServer() // in place of AWS
	defer srv.Close()
	client := ssmresume.NewFromConfig(srv.Config())
	ctx, cancel := context.WithCancel(context.Background()) // until the session is left
	defer cancel()

	wake := make(chan struct{}, 1) // for keys that the user presses, too
	if err := netwake.Notify(ctx, wake); err != nil {
		log.Print("the network is polled: ", err)
	}
	rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
		o.Wake = wake
	})
	out, err := rc.Resume(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.SessionID)
	// Output: Mary-Major-07a16060613c408b5
}

const sessionID = "Mary-Major-07a16060613c408b5"
