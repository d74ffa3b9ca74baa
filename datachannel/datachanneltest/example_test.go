package datachanneltest_test

import (
	"bufio"
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
)

var _ = testing.Short
var _ = synctest.Wait
var _ ssmresume.Token
var _ = bufio.NewScanner
var _ context.Context

// A session whose program greets whoever types a name.
func Example() {
	srv := datachanneltest.NewServer()
	defer srv.Close()
	first, session := srv.Start(datachanneltest.Options{
		Program: func(_ context.Context, t *datachanneltest.Terminal) int {
			fmt.Fprint(t.Stdout, "name? ")
			name, _ := bufio.NewReader(t.Stdin).ReadString('\n')
			fmt.Fprint(t.Stdout, "hello ", name)
			return 0
		},
	})
	_ = first
	_ = session
	fmt.Println(first.SessionID == session.ID(), first.TokenValue)
	// Output: true [redacted]
}
