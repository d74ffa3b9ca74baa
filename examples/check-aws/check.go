package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/examples/internal/awsconfig"
)

// A step takes no longer than this. An agent that acknowledges nothing is told
// after some 10 s, an old one's place is found after as long.
const stepTimeout = time.Minute

// maxTries bounds how often the data channel is dialled in vain: an answer other
// than 401 and 403 costs a call of ResumeSession each time.
const maxTries = 3

// pings in the time that the channel is held.
const pings = 3

// A step is a part of the check, and what came of it.
type step struct {
	name   string
	result string
	took   time.Duration
	failed bool
	done   bool
}

// A check goes through the steps. The first that fails is the last.
type check struct {
	options options
	tell    io.Writer
	mask    masker
	cfg     aws.Config
	client  *ssmresume.Client
	first   *ssmresume.ResumeSessionOutput
	conns   connections
	events  chan datachannel.Event

	attaching chan attached // while Attach has not returned
	session   *datachannel.Session
	end       context.CancelFunc // of the session
	left      bool

	steps   []step
	differs []string // from what the library takes for granted
}

func newCheck(o options, tell io.Writer) *check {
	return &check{options: o, tell: tell, mask: newMasker(o), events: make(chan datachannel.Event, 256)}
}

// A part is what a step does.
type part struct {
	name, what string
	do         func(context.Context) (string, error)
}

func (c *check) parts() []part {
	parts := []part{
		{"credentials", "looking for your settings and credentials, as the AWS CLI does", c.credentials},
		{"ResumeSession", "calling ssm:ResumeSession: from now on the token that the session's last client has is worth nothing", c.resume},
		{"StreamUrl", "looking at the address that came with the token", c.streamURL},
		{"open", "opening the data channel there (ssmmessages:OpenDataChannel): who is still connected is thrown out", c.open},
		{"attach", "asking the agent for the place in the session, with messages that it cannot read", c.attach},
		{"hold", fmt.Sprintf("holding the channel for %v, with a ping each %v; counting what comes", c.options.hold, c.pingInterval().Round(time.Millisecond)), c.hold},
	}
	if !c.options.noDrop {
		parts = append(parts, part{"drop", "resetting the connection under the channel, as a network does that is lost, and waiting for it to come back", c.drop})
	}
	if c.options.enter {
		parts = append(parts, part{"enter", "pressing Enter in the shell, once (--enter)", c.enter})
	}
	return append(parts, part{"leave", "leaving the session, which goes on", c.leave})
}

// run reports whether all steps were passed.
func (c *check) run(ctx context.Context) bool { return c.runParts(ctx, c.parts()) }

func (c *check) runParts(ctx context.Context, parts []part) (passed bool) {
	passed = true
	for i, p := range parts {
		s := step{name: p.name}
		if passed {
			fmt.Fprintf(c.tell, "%d/%d %s ...\n", i+1, len(parts), p.what)
			begun := time.Now()
			result, err := p.do(ctx)
			s.took, s.done, s.result = time.Since(begun), true, c.mask.text(result)
			if err != nil {
				passed, s.failed = false, true
				s.result = c.mask.text(err.Error())
				if advice := c.advise(err); advice != "" {
					s.result += ". " + advice
				}
			}
			fmt.Fprintf(c.tell, "    %s: %s (%v)\n", map[bool]string{true: "FAILED", false: "ok"}[s.failed], s.result, round(s.took))
		}
		c.steps = append(c.steps, s)
	}
	c.abandon()
	return passed
}

func (c *check) note(format string, args ...any) {
	c.differs = append(c.differs, c.mask.text(fmt.Sprintf(format, args...)))
}

func (c *check) pingInterval() time.Duration { return c.options.hold / pings }

func (c *check) credentials(ctx context.Context) (string, error) {
	settings := []func(*config.LoadOptions) error{
		config.WithRegion(c.options.region), // if empty, the environment's or the profile's
		config.WithSharedConfigProfile(c.options.profile),
	}
	cfg, err := awsconfig.User{Asked: c.tell, Answers: os.Stdin}.Load(ctx, settings...)
	if err != nil {
		return "", err
	}
	c.cfg = cfg
	if cfg.Region == "" {
		return "", errNoRegion
	}
	if c.options.endpointURL != "" {
		cfg.BaseEndpoint = &c.options.endpointURL
	}
	keys, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return "", err
	}
	c.mask.secret(keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken)
	c.mask.account(keys.AccountID)
	dialer, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		dialer = awshttp.NewBuildableClient()
	}
	cfg.HTTPClient = dialer.WithTransportOptions(c.conns.watch)
	c.client = ssmresume.NewFromConfig(cfg)

	source, _, _ := strings.Cut(keys.Source, ":") // the rest is a path
	kind := "long-lived"
	if keys.SessionToken != "" {
		kind = "temporary"
	}
	text := fmt.Sprintf("%s ones of %s, Region %s", kind, cmp.Or(source, "an unknown provider"), cfg.Region)
	if keys.CanExpire {
		text += fmt.Sprintf(", good for %v", time.Until(keys.Expires).Round(time.Minute))
	}
	return text, nil
}

func (c *check) resume(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	out, err := c.client.ResumeSession(ctx, &ssmresume.ResumeSessionInput{SessionID: c.options.sessionID})
	if err != nil {
		if answer := (*awshttp.ResponseError)(nil); errors.As(err, &answer) && answer.ServiceRequestID() != "" {
			c.note("the call that failed has the request ID %s, status %d", answer.ServiceRequestID(), answer.HTTPStatusCode())
		}
		return "", err
	}
	c.first = out
	c.mask.secret(out.TokenValue.Reveal())
	switch {
	case out.SessionID == "":
		c.note("the answer has no SessionId")
	case out.SessionID != c.options.sessionID:
		return "", errors.New("the answer is for another session")
	}
	if out.RequestID == "" {
		c.note("the answer has no x-amzn-RequestId")
	}
	return fmt.Sprintf("a token of %d characters; request ID %s", len(out.TokenValue.Reveal()), out.RequestID), nil
}

// knownQuery are the parameters that StreamUrls were seen with.
var knownQuery = []string{"role", "cell-number"}

func (c *check) streamURL(context.Context) (string, error) {
	u := c.first.StreamURL
	if u.IsZero() {
		return "", errors.New("the answer has no StreamUrl")
	}
	parsed, err := url.Parse(u.DialURL())
	if err != nil || u.Host == "" {
		return "", errors.New("the StreamUrl is none that the library takes: it is not repeated here, since it may hold a signature")
	}
	var query []string
	for pair := range strings.SplitSeq(parsed.RawQuery, "&") {
		name, value, named := strings.Cut(pair, "=")
		if !named {
			name, value = "", pair // which may be a secret
		}
		if name != "role" {
			c.mask.secret(value)
		}
		if query = append(query, name); !slices.Contains(knownQuery, name) {
			c.note("the StreamUrl's query has %q", name)
		}
	}
	version, _, _ := strings.Cut(strings.TrimPrefix(parsed.Path, "/"), "/")
	text := fmt.Sprintf("%s://%s/%s/data-channel/..., role %q, query %s", parsed.Scheme, c.mask.host(u), version, u.Role, strings.Join(query, ", "))
	if u.Presigned {
		text += ", presigned"
		c.note("the StreamUrl is presigned")
	}
	if u.SessionID != c.options.sessionID {
		return "", errors.New("the StreamUrl is for another session")
	}
	if version != "v1" {
		c.note("the StreamUrl's version is %s", version)
	}
	if u.Role != ssmresume.RolePublishSubscribe {
		c.note("the StreamUrl's role is %q", u.Role)
	}
	switch {
	case u.Partition == "":
		c.note("the StreamUrl's host is in no AWS partition that the library knows")
	case u.Region != c.cfg.Region:
		c.note("the StreamUrl's Region is %s", u.Region)
	}
	return text, nil
}

// attached is what datachannel.Attach returned.
type attached struct {
	session *datachannel.Session
	err     error
}

// open begins to attach, and returns when the channel is open.
func (c *check) open(ctx context.Context) (string, error) {
	sessionCtx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // an interrupt leaves it in order
	c.end = cancel
	c.attaching = make(chan attached, 1)
	go func() {
		s, err := datachannel.Attach(sessionCtx, c.client, c.options.sessionID, func(o *datachannel.Options) {
			o.PingInterval = c.pingInterval()
			o.OnEvent = func(e datachannel.Event) {
				select {
				case c.events <- e:
				default: // nobody looks any more
				}
			}
			o.Reconnector = func(ro *ssmresume.ReconnectorOptions) { ro.First = c.first } // no call for what is here already
		})
		c.attaching <- attached{s, err}
	}()
	if err := c.await(ctx, datachannel.Opened, maxTries); err != nil {
		return "", err
	}
	return "the WebSocket handshake was answered with 101, and the request with the token was sent", nil
}

// await waits for an event. So many tries may fail before it; zero means any number
// until the time is over.
func (c *check) await(ctx context.Context, kind datachannel.EventKind, tries int) error {
	late := time.NewTimer(stepTimeout)
	defer late.Stop()
	var last error
	for failed := 0; ; {
		select {
		case e := <-c.events:
			switch {
			case e.Kind == kind:
				return nil
			case e.Kind == datachannel.Ended:
				return e.Err
			case e.Err == nil, errors.Is(e.Err, ssmresume.ErrChannelDropped): // a pause after what was told
				continue
			}
			last = e.Err
			if failed++; failed == tries {
				return last
			}
		case <-late.C:
			if last == nil {
				return fmt.Errorf("nothing happened for %v", stepTimeout)
			}
			return fmt.Errorf("not in %v: %w", stepTimeout, last)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watch waits so long. A channel that is lost meanwhile is an error.
func (c *check) watch(ctx context.Context, d time.Duration) error {
	enough := time.NewTimer(d)
	defer enough.Stop()
	for {
		select {
		case e := <-c.events:
			if e.Kind == datachannel.Lost || e.Kind == datachannel.Ended {
				return &lostError{e.Err}
			}
		case <-enough.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A lostError says how the channel was lost when nobody had reset it.
type lostError struct{ err error }

func (e *lostError) Error() string { return "the channel was lost: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

func (c *check) attach(ctx context.Context) (string, error) {
	select {
	case a := <-c.attaching:
		c.attaching = nil
		if a.err != nil {
			return "", a.err
		}
		c.session = a.session
	case <-time.After(stepTimeout):
		return "", fmt.Errorf("not in %v", stepTimeout)
	case <-ctx.Done():
		return "", ctx.Err()
	}
	st := c.session.Stats()
	if st.Channels > 1 {
		c.note("finding the place took %d channels", st.Channels)
	}
	return fmt.Sprintf("the place is found; %s", counts(st)), nil
}

func counts(st datachannel.Stats) string {
	return fmt.Sprintf("so far %d messages with %d bytes of output, %d that came again", st.Received, st.BytesReceived, st.Duplicates)
}

func (c *check) hold(ctx context.Context) (string, error) {
	if err := c.watch(ctx, c.options.hold); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d pings, and none without an answer; %s", pings, counts(c.session.Stats())), nil
}

func (c *check) drop(ctx context.Context) (string, error) {
	before := c.session.Stats()
	if !c.conns.reset() {
		return "", errors.New("there is no connection to reset")
	}
	if err := c.await(ctx, datachannel.Lost, 0); err != nil {
		return "", err
	}
	if err := c.await(ctx, datachannel.Resumed, 0); err != nil {
		return "", err
	}
	st := c.session.Stats()
	if err := c.watch(ctx, c.pingInterval()); err != nil {
		return "", err
	}
	if n := st.Channels - before.Channels; n != 1 {
		c.note("coming back took %d channels", n)
	}
	return fmt.Sprintf("back after %v, with a new token, and it stays; %s", round(st.Away-before.Away), counts(c.session.Stats())), nil
}

func (c *check) enter(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	before, begun := c.session.Stats(), time.Now()
	if _, err := c.session.Write([]byte("\r")); err != nil {
		return "", err
	}
	if err := c.session.Flush(ctx); err != nil {
		return "", fmt.Errorf("the agent does not acknowledge it: %w", err)
	}
	took := time.Since(begun)
	if err := c.watch(ctx, c.pingInterval()); err != nil { // for the answer
		return "", err
	}
	n := c.session.Stats().BytesReceived - before.BytesReceived
	if n == 0 {
		c.note("Enter was acknowledged, and the shell printed nothing in %v", c.pingInterval())
	}
	return fmt.Sprintf("acknowledged after %v, and then %d bytes of output", round(took), n), nil
}

func (c *check) leave(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout/6)
	defer cancel()
	state, err := c.session.Detach(ctx)
	if err != nil {
		return "", err
	}
	c.left = true
	data, err := state.Reveal()
	if err != nil {
		return "", err
	}
	// No other program should look into a State: this one is of the same repository.
	var numbers struct {
		NextInput, NextOutput int64
		AnyOutput             bool
		Unacknowledged        [][]byte
		Unread                []struct{ Data []byte }
	}
	if err := json.Unmarshal(data, &numbers); err != nil {
		return "", errors.New("the State cannot be read") // not err: it may quote the State
	}
	text := fmt.Sprintf("the next input has number %d", numbers.NextInput)
	if !numbers.AnyOutput { // else there was none
		text += fmt.Sprintf(", the next output %d", numbers.NextOutput)
	}
	if n := len(numbers.Unacknowledged); n > 0 {
		c.note("%d messages were not acknowledged at the end", n)
	}
	unread := 0
	for _, chunk := range numbers.Unread {
		unread += len(chunk.Data)
	}
	switch {
	case c.options.statePath != "":
		if err := os.WriteFile(c.options.statePath, data, 0o600); err != nil {
			return "", fmt.Errorf("the session goes on, but --state is not written: %w", err)
		}
		text += fmt.Sprintf("; %d bytes of output are kept for attach --state", unread)
	case unread > 0:
		text += fmt.Sprintf("; %d bytes of output were taken, and do not come again", unread)
	}
	return text, nil
}

// abandon leaves a session of which a step has failed.
func (c *check) abandon() {
	if c.end == nil {
		return
	}
	if c.session != nil && !c.left {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.session.Detach(ctx)
	}
	c.end()
	if c.attaching != nil {
		<-c.attaching // the channel is closed by then
	}
}

// connections are those that the client dials.
type connections struct {
	mu   sync.Mutex
	last net.Conn
}

func (c *connections) watch(tr *http.Transport) {
	dial := tr.DialContext
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err == nil {
			c.mu.Lock()
			c.last = conn
			c.mu.Unlock()
		}
		return conn, err
	}
}

// reset resets the connection that was dialled last, which is that of the channel
// where there is one.
func (c *connections) reset() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		return false
	}
	if tcp, ok := c.last.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.last.Close()
	c.last = nil
	return true
}
