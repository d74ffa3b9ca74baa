package datachannel

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

// An EndedError reports that the session was ended from the other side:
// terminated, timed out, or gone while there was no channel. errors.Is with
// [ssmresume.ErrSessionGone] is true. Start a new session.
type EndedError struct {
	Message string // the service's words, as they came; may be empty
	err     error
}

// Error returns the service's words, with control characters escaped, or what
// [EndedError.Unwrap] says.
func (e *EndedError) Error() string {
	switch {
	case e.err != nil:
		return "the session has ended: " + e.err.Error()
	case e.Message == "":
		return "the session has ended"
	}
	quoted := strconv.Quote(e.Message) // it may hold control characters
	return "the session has ended: " + quoted[1:len(quoted)-1]
}

// Unwrap returns the error by which the service said so, where there is one.
func (e *EndedError) Unwrap() error { return e.err }

// Is makes an EndedError an [ssmresume.ErrSessionGone].
func (e *EndedError) Is(target error) bool { return target == ssmresume.ErrSessionGone }

// endedBy returns err, as an EndedError if that is what it says.
func endedBy(err error) error {
	if errors.Is(err, ssmresume.ErrSessionGone) {
		return &EndedError{err: err}
	}
	return err
}

// closedBy returns what a message of type channel_closed means: io.EOF where
// the session's command has ended by itself.
func closedBy(payload []byte) error {
	var closed wire.Closed
	if err := json.Unmarshal(payload, &closed); err != nil || closed.Output == "" {
		return io.EOF
	}
	return &EndedError{Message: closed.Output}
}
