package datachanneltest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
)

// A test of a program that holds a session, which is a few lines here: its channel
// is closed as AWS closes it about once an hour, then reset, and then somebody ends
// the session. In a test function, t.Errorf stands in the place of fmt.Println.
func Example() {
	srv := datachanneltest.NewServer()
	defer srv.Close()
	first, session := srv.Start(datachanneltest.Options{
		Program: func(_ context.Context, t *datachanneltest.Terminal) int {
			fmt.Fprintln(t.Stdout, "ready") // what is typed before is thrown away
			for lines := bufio.NewScanner(t.Stdin); lines.Scan(); {
				fmt.Fprintln(t.Stdout, "you said", lines.Text())
			}
			return 0
		},
	})

	client := ssmresume.NewFromConfig(srv.Config()) // what the program under test would be given
	s, err := datachannel.Open(context.Background(), client, first, func(o *datachannel.Options) {
		o.Reconnector = func(o *ssmresume.ReconnectorOptions) {
			o.MaxServiceWait = 10 * time.Millisecond // a channel that drops at once is not waited for in a test
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	lines := bufio.NewScanner(s)
	say := func(line string) {
		fmt.Fprintln(s, line)
		lines.Scan()
		fmt.Println(lines.Text())
	}

	lines.Scan()
	session.CloseChannel(1000, "Bye")
	say("one")
	session.Cut()
	say("two")
	fmt.Println("channels:", session.Stats().Opened)

	session.Terminate("Terminated by the administrator.")
	_, err = s.Wait()
	fmt.Println("gone:", errors.Is(err, ssmresume.ErrSessionGone))
	// Output:
	// you said one
	// you said two
	// channels: 3
	// gone: true
}
