package datachannel

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/ssmresume/ssmresume"
)

const (
	defaultPingInterval = 30 * time.Second
	defaultWindow       = 4 << 20
	defaultMaxBuffered  = 64 << 20
	defaultPayloadSize  = 1024
)

// Options configure a [Conn] or a [Session]. The zero value works.
type Options struct {
	// ClientID is a UUID that names this client to the service, on all channels
	// of the session. Empty means a new one.
	ClientID string

	// TargetID is the ID of the managed node, as StartSession was given it. It is
	// part of the encryption context of a session that is encrypted with AWS KMS,
	// and needed for nothing else.
	TargetID string

	// DataKeys makes the key of a session whose document or account asks for
	// encryption with AWS KMS. Nil means that such a session is refused, with an
	// error that says so.
	DataKeys DataKeys

	// Stderr gets what the agent sends as standard error, which is only that of
	// non-interactive commands whose document has separateOutputStream. It is
	// written by [Session.Read], in the order in which the agent sent it. Nil
	// means that Read returns it with the rest.
	Stderr io.Writer

	// PingInterval is how often the channel is asked whether it lives. One from
	// which nothing comes until the next ping is due is dropped and replaced.
	// Zero or below means 30 s.
	PingInterval time.Duration

	// Window is how many bytes may be written and not acknowledged before Write
	// blocks. Zero or below means 4 MiB.
	Window int

	// MaxBuffered is how many bytes are kept that have not been read yet, or that
	// came before their turn; above it the WebSocket is read no further. After a
	// loss the agent repeats 10 messages a second while new ones come, so much
	// less than the default makes a repair slow. Zero or below means 64 MiB.
	MaxBuffered int

	// PayloadSize is how many bytes of data a message carries at most. Zero or
	// below means 1024, which is what other clients send, so that the service is
	// known to take it.
	PayloadSize int

	// State continues a session that [Session.Detach] has left. For [Attach] only.
	State *State

	// OnEvent is told what becomes of the channel, in order, one event at a time.
	// The session does not go on until it returns, so it must not wait for the
	// session: in it Close, Detach and Wait would never return, and Read, Write
	// and Flush might not. To end the session, end its ctx or call Close on
	// another goroutine. Nil is fine.
	OnEvent func(Event)

	// Reconnector edits the options with which the session is resumed. First and
	// OnWait are set already: OnEvent is told of each wait.
	Reconnector func(*ssmresume.ReconnectorOptions)

	// Logger gets a record of each event (level Debug), and of what is odd but not
	// an error (level Warn). It never gets a secret, nor what is typed and read.
	// Nil means silence.
	Logger *slog.Logger
}

// DataKeys makes data keys with AWS KMS, for sessions that are encrypted. The
// SDK's kms.Client does with few lines around its GenerateDataKey.
type DataKeys interface {
	// GenerateDataKey returns a new key of 64 bytes, and the same encrypted under
	// the KMS key keyID with the given encryption context. The caller needs
	// kms:GenerateDataKey.
	GenerateDataKey(ctx context.Context, keyID string, encryptionContext map[string]string) (plaintext, ciphertext []byte, err error)
}

// EventKind says what an [Event] is.
type EventKind string

const (
	Opened  EventKind = "opened"  // the first channel is open
	Lost    EventKind = "lost"    // the channel is gone; Err says how. The session is kept
	Waiting EventKind = "waiting" // trying again after a wait; Err says why
	Resumed EventKind = "resumed" // there is another channel, and what was under way has been sent again
	Stalled EventKind = "stalled" // the channel is open, but the agent has acknowledged nothing for a minute
	Ended   EventKind = "ended"   // the session has ended, or was left; Err says how
)

// An Event is what became of the data channel.
type Event struct {
	Kind EventKind
	Err  error          // why, for people; nil where there is nothing to say. It holds no secret
	Wait ssmresume.Wait // of Waiting, where there is a wait before an attempt to resume
	Away time.Duration  // of Resumed: how long there was no channel
}

func newOptions(optFns []func(*Options)) Options {
	var o Options
	for _, fn := range optFns {
		fn(&o)
	}
	if o.PingInterval <= 0 {
		o.PingInterval = defaultPingInterval
	}
	if o.Window <= 0 {
		o.Window = defaultWindow
	}
	if o.MaxBuffered <= 0 {
		o.MaxBuffered = defaultMaxBuffered
	}
	if o.PayloadSize <= 0 {
		o.PayloadSize = defaultPayloadSize
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
