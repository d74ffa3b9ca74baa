package datachannel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

const (
	// protocolVersion is the version of session-manager-plugin whose protocol this
	// is; agents decide by it whether a port carries many connections.
	protocolVersion = "1.2.764.0"

	// An agent that starts a shell sends its prompt after about 1 s. One that has
	// sent nothing for so long runs a command that waits for input.
	quietStart = 10 * time.Second
)

// shakeHands answers the agent's handshake, if there is one, and returns when
// input may be sent. What is sent earlier the agent acknowledges and drops.
func (s *Session) shakeHands(ctx context.Context) error {
	quiet := time.NewTimer(quietStart)
	defer quiet.Stop()
	var request wire.Message
	for request.Type == "" {
		select {
		case request = <-s.handshake:
		case <-s.started:
			return nil
		case <-quiet.C:
			// Only while there is a channel is it the agent that is silent.
			wait := quietStart - s.link.upFor()
			if wait <= 0 {
				return nil
			}
			quiet.Reset(wait)
		case <-s.link.ended:
			return s.handshakeError()
		}
	}
	if request.PayloadType != wire.HandshakeRequest {
		return fmt.Errorf("the agent began the handshake with a message of type %d", request.PayloadType)
	}
	response, failed := s.answer(ctx, request.Payload)
	if err := s.respond(wire.HandshakeResponse, response); err != nil {
		return s.handshakeError()
	}
	if failed != nil {
		ctx, cancel := context.WithTimeout(ctx, closeTimeout)
		defer cancel()
		_ = s.link.flush(ctx) // so that the agent ends the session, too
		return failed
	}
	for {
		select {
		case m := <-s.handshake:
			switch m.PayloadType {
			case wire.EncChallengeRequest:
				if err := s.answerChallenge(m.Payload); err != nil {
					return err
				}
			case wire.HandshakeComplete:
				var complete wire.Complete
				if err := json.Unmarshal(m.Payload, &complete); err != nil {
					return fmt.Errorf("the agent's end of the handshake: %w", err)
				}
				s.message = complete.CustomerMessage
				return nil
			}
		case <-s.link.ended:
			return s.handshakeError()
		}
	}
}

// handshakeError says how the link ended while nothing was read yet. A command
// that is over already is no error.
func (s *Session) handshakeError() error {
	if err := s.link.over(); err != io.EOF {
		return err
	}
	return nil
}

func (s *Session) respond(t wire.PayloadType, response any) error {
	payload, err := json.Marshal(response)
	if err != nil {
		return err
	}
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	return s.link.enqueue(t, payload)
}

// answer does what the agent asks for. If the error is not nil the response says
// so, and the agent ends the session.
func (s *Session) answer(ctx context.Context, payload []byte) (*wire.Response, error) {
	response := &wire.Response{ClientVersion: protocolVersion}
	var request wire.Handshake
	if err := json.Unmarshal(payload, &request); err != nil {
		return response, fmt.Errorf("the agent's handshake: %w", err)
	}
	s.agentVersion = request.AgentVersion
	s.link.mu.Lock()
	s.link.window.reacks = compareVersions(request.AgentVersion, "3.2.1041.0") >= 0
	s.link.mu.Unlock()

	var failed error
	for _, action := range request.RequestedClientActions {
		processed := wire.ProcessedAction{ActionType: action.ActionType, ActionStatus: wire.ActionSuccess}
		var err error
		switch action.ActionType {
		case wire.ActionSessionType:
			err = s.learnType(action.ActionParameters)
		case wire.ActionKMSEncryption:
			processed.ActionResult, err = s.makeKeys(ctx, action.ActionParameters)
		default:
			processed.ActionStatus = wire.ActionUnsupported
			processed.Error = fmt.Sprintf("Unsupported action %s", action.ActionType)
			failed = errors.Join(failed, fmt.Errorf("the agent asks for %q, which is not known here", action.ActionType))
		}
		if err != nil {
			processed.ActionStatus = wire.ActionFailed
			processed.Error = "Failed to process action " + action.ActionType // not err: the agent logs it
			failed = errors.Join(failed, err)
		}
		response.ProcessedClientActions = append(response.ProcessedClientActions, processed)
	}
	return response, failed
}

func (s *Session) learnType(parameters []byte) error {
	var p wire.SessionTypeParameters
	if err := json.Unmarshal(parameters, &p); err != nil {
		return fmt.Errorf("the agent's session type: %w", err)
	}
	switch t := Type(p.SessionType); t {
	case Shell, InteractiveCommands, NonInteractiveCommands, Port:
		s.kind = t
	default:
		return fmt.Errorf("the session's type is %q, which is not known here", p.SessionType)
	}
	if s.kind != Port {
		return nil
	}
	var properties map[string]any
	if err := json.Unmarshal(p.Properties, &properties); err != nil && len(p.Properties) > 0 {
		return fmt.Errorf("the agent's port: %w", err)
	}
	s.properties = map[string]string{}
	for name, value := range properties {
		if value != nil {
			s.properties[name] = fmt.Sprint(value)
		}
	}
	return nil
}

// compareVersions compares versions of numbers and dots. An unknown one, or one
// that cannot be read, is the lowest.
func compareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y int
		x, a = leadingNumber(a)
		y, b = leadingNumber(b)
		if x != y {
			if x < y {
				return -1
			}
			return 1
		}
	}
	return 0
}

func leadingNumber(s string) (n int, rest string) {
	for i, c := range s {
		switch {
		case c == '.':
			return n, s[i+1:]
		case c < '0' || c > '9' || n > 1<<24:
			return -1, ""
		}
		n = 10*n + int(c-'0')
	}
	return n, ""
}
