package ssmresume

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/smithy-go"
)

// maxClockSkew is what the SDK tolerates before it blames the clock. AWS
// refuses signatures that are 5 minutes old.
const maxClockSkew = 4 * time.Minute

// A clock knows how far the service's clock is ahead of the local one.
type clock struct{ offset atomic.Int64 } // nanoseconds

func (c *clock) ahead() time.Duration { return time.Duration(c.offset.Load()) }

// learn reads the Date of an answer. It believes a trusted peer only: anybody
// else could make us sign for a time of his choice. An answer with an Age header
// comes from a cache and is old.
func (c *clock) learn(h http.Header, trusted bool) {
	if !trusted || h.Get("Age") != "" {
		return
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		c.offset.Store(int64(time.Until(date)))
	}
}

// clockErrorCodes are the codes by which AWS refuses a signature for its time.
// All have other causes too, so they count only beside a Date that is off. The
// first five are the SDK's.
var clockErrorCodes = map[string]bool{
	"InvalidSignatureException": true,
	"SignatureDoesNotMatch":     true,
	"AuthFailure":               true,
	"RequestTimeTooSkewed":      true,
	"AccessDeniedException":     true,
	"RequestExpired":            true,
}

func isClockError(err error) bool {
	var apiErr smithy.APIError
	return errors.As(err, &apiErr) && clockErrorCodes[apiErr.ErrorCode()]
}
