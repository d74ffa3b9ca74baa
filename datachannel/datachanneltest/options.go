package datachanneltest

import (
	"context"
	"errors"
	"net"
	"time"
)

// Session types, as the agent's handshake names them.
const (
	StandardStream         = "Standard_Stream"
	InteractiveCommands    = "InteractiveCommands"
	NonInteractiveCommands = "NonInteractiveCommands"
	Port                   = "Port"
)

const localPortForwarding = "LocalPortForwarding"

// Options say what a session is. The zero value is a shell whose program prints
// nothing and ends at once.
type Options struct {
	SessionID    string // empty: a new one
	TargetID     string // the managed node's; empty: one that looks like it
	AgentVersion string // empty: "3.3.1142.0". It decides what the agent can do

	// Type is the session type. Empty means StandardStream or, with Dial, Port.
	// Port and NonInteractiveCommands begin with a handshake, as does every type
	// with KMS.
	Type    string
	Program Program // what runs, unless the type is Port

	// Dial connects to the remote port; with it the type is Port. It may return
	// one end of a net.Pipe.
	Dial func(context.Context) (net.Conn, error)
	// Properties are those of a port, as the handshake tells them. Nil means
	// {"portNumber": "80", "type": "LocalPortForwarding"}, which an agent above
	// 3.0.196.0 carries as streams. Without the type, as AWS-StartSSHSession leaves
	// it, there is one connection for the session.
	Properties map[string]string

	SeparateOutput  bool   // of NonInteractiveCommands: standard error and the exit code are sent as such
	KMS             *KMS   // the key with which the session is encrypted; nil: it is not, as no port is
	CustomerMessage string // of the handshake

	// OutputPause is how long the agent sleeps after each message of output. The
	// real one sleeps 1 ms after each KiB, which no client can hurry.
	OutputPause time.Duration
	// MaxMessage is how long a message may be before the gateway closes the
	// channel with status 1009. Zero means 4 MiB.
	MaxMessage int64
	// KeepUndelivered makes the gateway keep what is sent while the other side is
	// away, and deliver it when that is back. By default it is dropped. What AWS
	// does is not known.
	KeepUndelivered bool
	// Unsigned lets clients in whose WebSocket handshake is not signed, as those of
	// session-manager-plugin before 1.2.764 are.
	Unsigned bool
}

func (o Options) withDefaults() Options {
	if o.SessionID == "" {
		o.SessionID = "test-" + randomHex(17)
	}
	if o.TargetID == "" {
		o.TargetID = "i-" + randomHex(17)
	}
	if o.AgentVersion == "" {
		o.AgentVersion = defaultAgent
	}
	if o.Type == "" {
		o.Type = StandardStream
	}
	if o.Type == Port && o.Dial == nil {
		o.Dial = func(context.Context) (net.Conn, error) { return nil, errors.New("no Options.Dial") }
	}
	if o.Dial != nil {
		o.Type, o.KMS = Port, nil
		if o.Properties == nil {
			o.Properties = map[string]string{"portNumber": "80", "type": localPortForwarding}
		}
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = 4 << 20
	}
	o.SeparateOutput = o.SeparateOutput && o.Type == NonInteractiveCommands
	return o
}
