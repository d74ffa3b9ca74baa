// Reconnect holds a session through outages, draws what happens, and counts
// what was lost: nothing. By default all is in this process, on loopback:
// Session Manager and an agent, by package datachanneltest, with the real
// protocol between them and the client, which is package datachannel:
//
//	go run ./reconnect
//	go run ./reconnect --kind refused --outage 30s
//
// In the session runs a shell that counts, four lines a second, while as
// many numbered lines are typed into it. The service closes the channel, as it does
// about once an hour; then the network is cut, once for each --kind, and what
// is under way at that moment is lost with it:
//
//   - refused: connections are reset, new ones refused
//   - unanswered: connections die in silence, and new ones get no answer until
//     the network is back
//   - silent: connections die in silence, and new ones are made, but no byte
//     passes on them until the network is back
//   - recycle: the network stays, and the service closes the channel once more
//   - all: refused, unanswered and silent, one after the other
//
// The exit status is 0 only if every line arrived once, in order, at both ends;
// 130 after an interrupt.
//
// # With a real session
//
// With --session-id, a session of Systems Manager is held until it ends or the
// program is interrupted:
//
//	go run ./reconnect --session-id Mary-Major-07a16060613c408b5 --region us-east-2
//
// It attaches to the session and takes it from whichever client has it. What the
// session prints is counted and thrown away: start one for it alone. The exit
// status is 0 after an interrupt, which leaves the session as it is, and 1 if the
// session is gone. --region, --profile and --endpoint-url are for the SSM
// endpoint.
package main

import (
	"bufio"
	"context"
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

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/netwake"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// kinds are the outages that --kind names, by the network's state. Up is one by
// a close.
var kinds = map[string][]ssmresumetest.Network{
	"all":        {ssmresumetest.Refused, ssmresumetest.Unanswered, ssmresumetest.Silent},
	"refused":    {ssmresumetest.Refused},
	"unanswered": {ssmresumetest.Unanswered},
	"silent":     {ssmresumetest.Silent},
	"recycle":    {ssmresumetest.Up},
}

const (
	pause      = 2 * time.Second // before and after an outage
	backWithin = time.Minute     // of an outage's end, or the program gives up

	// So long the service believes in a channel that has died in silence. What the
	// agent sends meanwhile is lost, and repeated: ten lines a second. How long AWS
	// takes is not known.
	serviceNotices = 2 * time.Second
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
	o, err := parse(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "reconnect: %v; --help lists the flags\n", err)
		return 2
	case o.sessionID != "":
		err = holdReal(ctx, o, stdout)
	default:
		srv := datachanneltest.NewServer()
		defer srv.Close()
		err = holdLocal(ctx, srv, o, stdout)
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

func parse(args []string, help io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("reconnect", flag.ContinueOnError)
	f.SetOutput(io.Discard) // run prints the error
	f.StringVar(&o.kind, "kind", "all", "what happens to the network: refused, unanswered, silent, recycle or all")
	f.DurationVar(&o.outage, "outage", 3*time.Second, "for how long")
	f.StringVar(&o.sessionID, "session-id", "", "hold this session of Systems Manager, in place of a local one")
	f.StringVar(&o.region, "region", "", "the session's Region, if not the configured one")
	f.StringVar(&o.profile, "profile", "", "the profile to use of the AWS configuration files")
	f.StringVar(&o.endpointURL, "endpoint-url", "", "the SSM endpoint, if not the Region's")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			f.SetOutput(help)
			f.Usage()
		}
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
	case kinds[o.kind] == nil:
		return o, fmt.Errorf("unknown --kind %q: it is refused, unanswered, silent, recycle or all", o.kind)
	case o.outage < 0:
		return o, fmt.Errorf("--outage %v is negative", o.outage)
	}
	return o, nil
}

// holdReal holds a session of the service.
func holdReal(ctx context.Context, o options, stdout io.Writer) error {
	load := func(ctx context.Context) (aws.Config, error) {
		return config.LoadDefaultConfig(ctx,
			config.WithRegion(o.region), // if empty, the environment's or the profile's
			config.WithSharedConfigProfile(o.profile))
	}
	cfg, err := load(ctx)
	if err != nil {
		return err
	}
	cfg.Credentials = ssmresume.ReloadCredentials(func(ctx context.Context) (aws.CredentialsProvider, error) {
		cfg, err := load(ctx)
		return cfg.Credentials, err
	})
	if o.endpointURL != "" {
		cfg.BaseEndpoint = &o.endpointURL
	}
	r := newReport(stdout, time.Minute)
	r.line("attaching to %s", o.sessionID)
	wake := make(chan struct{}, 1)
	_ = netwake.Notify(ctx, wake) // without, the network is polled
	s, err := datachannel.Attach(ctx, ssmresume.NewFromConfig(cfg), o.sessionID, func(o *datachannel.Options) {
		o.OnEvent = r.event
		o.Reconnector = func(o *ssmresume.ReconnectorOptions) { o.Wake = wake }
	})
	if err == nil {
		for buf := make([]byte, 32<<10); err == nil; _, err = s.Read(buf) {
			r.output()
		}
		_, err = s.Wait()
	}
	r.stop()
	r.printOutages()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// holdLocal holds a session of srv through outages.
func holdLocal(ctx context.Context, srv *datachanneltest.Server, o options, stdout io.Writer) error {
	networks := kinds[o.kind]
	total := 2*pause + time.Duration(len(networks))*(o.outage+pause+time.Second) // and a little more than that
	ctx, leave := context.WithTimeout(ctx, total+backWithin)
	defer leave()
	r := newReport(stdout, total)

	var typed, printed tally
	first, agent := srv.Start(datachanneltest.Options{Program: shell(&typed, &printed)})
	s, err := datachannel.Open(ctx, ssmresume.NewFromConfig(srv.Config()), first, func(o *datachannel.Options) {
		o.OnEvent = func(e datachannel.Event) {
			r.event(e)
			if e.Kind == datachannel.Ended {
				leave() // there is nothing to wait for any more
			}
		}
		// Short, for people who watch.
		o.PingInterval = time.Second
		o.Reconnector = func(ro *ssmresume.ReconnectorOptions) { ro.MaxServiceWait = time.Second }
	})
	if err != nil {
		r.stop()
		return err
	}
	var reading, typing sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(s); lines.Scan(); {
			printed.arrive(lines.Text())
			r.output()
		}
	})
	enough := make(chan struct{})
	typing.Go(func() { typed.send(s, enough) })

	err = cut(ctx, srv, agent, ssmresumetest.Up, 0, r)
	for _, network := range networks {
		if err != nil {
			break
		}
		err = cut(ctx, srv, agent, network, o.outage, r)
	}
	if err == nil {
		err = sleep(ctx, pause)
	}
	close(enough)
	typing.Wait()
	if err == nil {
		r.line("exit is typed")
		fmt.Fprintln(s, "exit")
	} else {
		leave()
	}
	_, err = s.Wait()
	reading.Wait() // until all output is read
	r.stop()

	r.printOutages()
	ok := r.printLines(typed.now(int(s.Stats().Repeats)), printed.now(agent.Stats().Repeats))
	switch {
	case err != nil:
		return fmt.Errorf("the session did not come back: %w", err)
	case !ok:
		return errors.New("lines were lost, or came twice")
	}
	return nil
}

// cut takes the channel away after a pause, and returns when it is back.
func cut(ctx context.Context, srv *datachanneltest.Server, agent *datachanneltest.Session, network ssmresumetest.Network, d time.Duration, r *report) error {
	if err := sleep(ctx, pause); err != nil {
		return err
	}
	var back <-chan struct{}
	if network == ssmresumetest.Up {
		r.line("the service closes the channel, as it does about once an hour")
		back = r.begin("closed")
		r.over()
		agent.CloseChannel(1000, "Bye")
	} else {
		r.line("the network is cut: %v", network)
		back = r.begin(network.String())
		srv.SetNetwork(network)
		srv.ForgetConnections()
		if err := sleep(ctx, min(d, serviceNotices)); err != nil {
			return err
		}
		agent.Cut() // the service's end; the client hears nothing of it
		if err := sleep(ctx, d-serviceNotices); err != nil {
			return err
		}
		r.line("the network is back")
		r.over()
		srv.SetNetwork(ssmresumetest.Up)
	}
	select {
	case <-back:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
