package datachanneltest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
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
		go func() { ended <- hold(ctx, srv.Config(), first) }() // the program under test
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

func hold(ctx context.Context, cfg aws.Config, first *ssmresume.ResumeSessionOutput) error {
	s, err := datachannel.Open(ctx, ssmresume.NewFromConfig(cfg), first)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Wait()
	return err
}

func idle(ctx context.Context, _ *datachanneltest.Terminal) int {
	<-ctx.Done()
	return 0
}
