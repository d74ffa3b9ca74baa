// Reconnect holds a session's data channel through an outage, and loses no
// message. By default all is in this process, on loopback: an SSM endpoint, a
// data channel server that stands in for Session Manager, and a network between
// them and the client that can be cut:
//
//	go run ./reconnect
//	go run ./reconnect --kind refused --outage 30s
//
// The client sends numbered messages all the time. After two seconds the server
// closes the channel, as Session Manager does about once an hour; after five the
// network is cut. What --kind says happens to it:
//
//   - unanswered: connections die in silence, and new ones get no answer until
//     the network is back
//   - refused: connections are reset, new ones refused
//   - silent: connections die in silence, and new ones are made but no byte
//     passes on them, so that one attempt must time out (10 s)
//   - recycle: the server closes the channel once more, the network stays
//
// The exit status is 0 only if every message and every echo arrived once.
//
// # With a real session
//
// With --session-id, a session of Systems Manager is held, until it is gone or
// the program is interrupted:
//
//	go run ./reconnect --session-id Mary-Major-07a16060613c408b5 --region us-east-2
//
// It takes the data channel over from whichever client has it. The program does
// not speak the agent's protocol: it opens the channel, counts what comes out
// of it, and brings it back whenever it is lost. The exit status is 0 after an
// interrupt, and 1 if the session is gone. --region, --profile and
// --endpoint-url are for the SSM endpoint.
//
// channel.go is the client of the data channel, to be copied.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	smithyrand "github.com/aws/smithy-go/rand"
	"github.com/coder/websocket"

	"github.com/ssmresume/ssmresume"
)

const (
	localSession = "Mary-Major-07a16060613c408b5"
	recycle      = "recycle"

	localPing = time.Second      // short, for people who watch
	realPing  = 30 * time.Second // spares the service and still beats what NATs forget

	sendInterval = 50 * time.Millisecond
	recycleAfter = 2 * time.Second
	cutAfter     = 3 * time.Second // after that
	goOnFor      = 2 * time.Second // with the session back
	backWithin   = time.Minute     // of the outage's end, or the program gives up
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

type options struct {
	kind   string
	outage time.Duration

	sessionID, region, profile, endpointURL string
}

// run returns the exit status: 0, 1 if something was lost or the session did
// not come back, 2 for a wrong command line, 130 after an interrupt.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "reconnect:", err)
		return 2
	}
	if o.sessionID != "" {
		err = holdReal(ctx, o, stdout)
	} else {
		err = holdLocal(ctx, o, stdout)
	}
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		return 130
	}
	fmt.Fprintln(stderr, "reconnect:", err)
	return 1
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("reconnect", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.kind, "kind", unanswered, "what happens to the network: unanswered, refused, silent or recycle")
	f.DurationVar(&o.outage, "outage", 5*time.Second, "for how long")
	f.StringVar(&o.sessionID, "session-id", "", "hold this session of Systems Manager, in place of a local one")
	f.StringVar(&o.region, "region", "", "the session's Region, if not the configured one")
	f.StringVar(&o.profile, "profile", "", "the profile to use of the AWS configuration files")
	f.StringVar(&o.endpointURL, "endpoint-url", "", "the SSM endpoint, if not the Region's")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	given := map[string]bool{}
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	local := given["kind"] || given["outage"]
	remote := given["region"] || given["profile"] || given["endpoint-url"]
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q: all arguments are flags", f.Arg(0))
	case given["session-id"] && o.sessionID == "":
		return o, errors.New("--session-id is empty")
	case local && o.sessionID != "":
		return o, errors.New("--kind and --outage are for the local session: a real network cannot be cut from here")
	case remote && o.sessionID == "":
		return o, errors.New("--region, --profile and --endpoint-url need a --session-id")
	case o.kind != unanswered && o.kind != refused && o.kind != silent && o.kind != recycle:
		return o, fmt.Errorf("unknown --kind %q: it is unanswered, refused, silent or recycle", o.kind)
	case o.outage < 0:
		return o, fmt.Errorf("--outage %v is negative", o.outage)
	}
	return o, nil
}

// hold keeps the channel of a session until the session is gone or ctx ends,
// and calls use for each connection.
func hold(ctx context.Context, client *ssmresume.Client, sessionID string, ping time.Duration, r *report, use func(context.Context, *websocket.Conn) error) error {
	clientID, err := smithyrand.NewUUID(rand.Reader).GetUUID()
	if err != nil {
		return err
	}
	rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) { o.OnWait = r.waits })
	for {
		out, err := rc.Resume(ctx)
		if err != nil {
			return err
		}
		r.resumed()
		conn, err := openChannel(ctx, client, out, clientID)
		if err == nil {
			r.opened()
			err = useChannel(ctx, conn, ping, func(ctx context.Context) error { return use(ctx, conn) })
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.lost(err)
	}
}

func holdReal(ctx context.Context, o options, stdout io.Writer) error {
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithRegion(o.region), // if empty, the environment's or the profile's
		config.WithSharedConfigProfile(o.profile))
	if err != nil {
		return err
	}
	if o.endpointURL != "" {
		cfg.BaseEndpoint = aws.String(o.endpointURL)
	}
	r := &report{timeline: newTimeline(stdout, time.Minute)}
	defer r.refreshes()()
	r.line("resuming %s", o.sessionID)
	err = hold(ctx, ssmresume.NewFromConfig(cfg), o.sessionID, realPing, r, func(ctx context.Context, conn *websocket.Conn) error {
		for {
			if _, _, err := conn.Read(ctx); err != nil {
				return err
			}
			r.message()
		}
	})
	if ctx.Err() != nil {
		err = nil
	}
	fmt.Fprintln(stdout)
	r.printOutages(stdout)
	return err
}

func holdLocal(ctx context.Context, o options, stdout io.Writer) error {
	s, err := startService(localSession)
	if err != nil {
		return err
	}
	defer s.close()
	fmt.Fprintln(stdout, "A session in one process on loopback: an SSM endpoint, a data channel that echoes, and a\nnetwork to them that will be cut.")
	fmt.Fprintln(stdout)

	cfg := s.ssm.Config()
	cfg.BaseEndpoint = aws.String(s.url)
	r := &report{timeline: newTimeline(stdout, recycleAfter+cutAfter+o.outage+goOnFor+3*time.Second)}
	stopRefreshes := r.refreshes()

	ctx, cancel := context.WithTimeout(ctx, recycleAfter+cutAfter+o.outage+goOnFor+backWithin)
	defer cancel()
	messages, echoes := newMailbox(), newTally()
	var held error
	var holding sync.WaitGroup
	holding.Go(func() {
		defer cancel() // there is nothing to play for any more
		held = hold(ctx, ssmresume.NewFromConfig(cfg), localSession, localPing, r, func(ctx context.Context, conn *websocket.Conn) error {
			return messages.run(ctx, conn, func(text string) {
				echoes.add(text)
				r.message()
			})
		})
	})
	err = play(ctx, o, s, r, messages)
	cancel()
	holding.Wait()
	stopRefreshes()

	fmt.Fprintln(stdout)
	r.printOutages(stdout)
	fmt.Fprintln(stdout)
	ok := printMessages(stdout, messages, s.echoes, s.texts, echoes)
	switch {
	case err != nil:
		return fmt.Errorf("the session did not come back: %w", errors.Join(err, held))
	case !ok:
		return errors.New("messages were lost or duplicated")
	}
	return nil
}

// play lets things happen to the network while messages are sent.
func play(ctx context.Context, o options, s *service, r *report, messages *mailbox) error {
	var sending sync.WaitGroup
	enough := make(chan struct{})
	sending.Go(func() {
		for n := 1; ; n++ {
			messages.send(text(n))
			select {
			case <-time.After(sendInterval):
			case <-enough:
				return
			}
		}
	})
	err := cut(ctx, o, s, r)
	close(enough)
	sending.Wait()
	if err != nil {
		return err
	}
	for { // until all is acknowledged on both sides
		sent, arrived, _ := messages.counts()
		echoed, returned, _ := s.echoes.counts()
		if arrived == sent && returned == echoed && echoed == sent {
			r.line("all messages and echoes are acknowledged")
			return nil
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

func cut(ctx context.Context, o options, s *service, r *report) error {
	bye := func() *outage {
		r.line("the service closes the channel, as it does about once an hour")
		o := r.begin("service closes")
		r.end(o) // nothing is in the way of a new channel
		s.recycle()
		return o
	}
	if err := sleep(ctx, recycleAfter); err != nil {
		return err
	}
	bye()
	if err := sleep(ctx, cutAfter); err != nil {
		return err
	}
	var last *outage
	if o.kind == recycle {
		last = bye()
	} else {
		r.line("the network is cut: %s", o.kind)
		last = r.begin(o.kind)
		r.mark(func(c *cell) { c.cut = true })
		if err := s.path.set(o.kind); err != nil {
			return err
		}
		if err := sleep(ctx, o.outage); err != nil {
			return err
		}
		if err := s.path.set(""); err != nil {
			return err
		}
		r.end(last)
		r.mark(func(c *cell) { c.cut = false })
		r.line("the network is back")
	}
	select {
	case <-last.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return sleep(ctx, goOnFor)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
