// Package datachannel holds a Session Manager session: it opens the session's
// data channel, speaks the agent's protocol on it, and brings the channel back,
// with all that was under way, for as long as the service has the session.
//
// Give [Open] what StartSession answered, and treat the [Session] as what it is,
// a stream to the shell, command or port at the other end:
//
//	client := ssmresume.NewFromConfig(cfg)
//	first, err := ssmresume.NewOutput(*started.SessionId, *started.TokenValue, *started.StreamUrl)
//	...
//	s, err := datachannel.Open(ctx, client, first)
//	...
//	go io.Copy(s, os.Stdin)
//	io.Copy(os.Stdout, s)
//	code, err := s.Wait()
//
// Most programs need no more than that, with [Session.Forward] in place of Read
// and Write where the session is of type Port; the zero value of [Options] is
// right for them. For the others there are
//
//   - [Session.Dial], one connection to the session's port, without a listener,
//   - [Attach], which opens a session that runs already, by its ID alone, and
//     [Session.Detach], which leaves one to be attached to,
//   - [Options.DataKeys], for sessions that are encrypted with AWS KMS,
//   - [Dial], for a program that speaks the agent's protocol itself, on a connection
//     of gorilla/websocket or another package: a [Conn] takes that connection's
//     place,
//   - package [github.com/ssmresume/ssmresume/datachannel/datachanneltest], Session
//     Manager in the process of your tests.
//
// # What becomes of a session when the network goes
//
// Service and network end a data channel now and then: with status 1000 about
// once an hour, with a reset, or without a word. The user of a Session sees a
// pause: Read waits, Write goes on until Options.Window is full. A channel from
// which nothing comes is found by pings, within two Options.PingInterval, and
// within some 6 s while input is under way. The session is resumed by an
// [ssmresume.Reconnector], which waits however long that takes. On the new channel
// both sides send again what the other has not acknowledged, so that nothing is
// lost and nothing comes twice. [Options.OnEvent] is told of each step.
//
// What cannot heal ends the session at once, and [Session.Wait] says how: with an
// exit code where the command has ended, with an [EndedError] where the session
// was terminated or timed out, with an error that says what to do where IAM
// refuses the channel, which needs ssmmessages:OpenDataChannel.
//
// # Limits
//
// The agent at the other end has limits that no client can mend. It has a channel
// of its own, and gives it up for good after some seconds without a network at
// the node; that is told as an event of kind [Stalled]. It sends at most 1 KiB
// each millisecond, and repeats 10 messages a second of what was lost. At the end
// of a command it waits 2 s for what is not acknowledged.
//
// The protocol is that of session-manager-plugin 1.2.764.0, as its public sources
// and those of amazon-ssm-agent say it; tests hold this package to recordings of
// both. It has not been run against AWS itself by its authors.
//
// # Secrets
//
// Tokens, data keys, and what is typed and read are in no error, event, log or
// print. A [State] is a secret, and prints as "[redacted]".
package datachannel
