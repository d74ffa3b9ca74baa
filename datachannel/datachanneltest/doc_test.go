package datachanneltest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
)

// Keep this in step with the package's documentation.
func TestADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := datachanneltest.NewPipeServer()
		defer srv.Close()
		first, session := srv.Start(datachanneltest.Options{Program: idle})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- hold(ctx, srv.Config(), first, func() {}) }()
		for range 24 {
			time.Sleep(time.Hour)
			session.CloseChannel(1000, "Bye")
		}
		time.Sleep(time.Minute)
		if n := session.Stats().Opened; n != 25 {
			t.Errorf("%d channels in 24 hours", n)
		}
		cancel()
		<-ended
	})
}

func idle(ctx context.Context, _ *datachanneltest.Terminal) int {
	<-ctx.Done()
	return 0
}
