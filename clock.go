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

// A clock knows how far the clock of one endpoint is ahead of the local one.
type clock struct{ offset atomic.Int64 } // nanoseconds

func (c *clock) ahead() time.Duration { return time.Duration(c.offset.Load()) }

// learn reports whether a request was refused, by err, for the time it was signed
// with. Only such an answer, and a success, says what the right time is, and a
// success by which the time was wrong does not: its Date is somebody else's.
func (c *clock) learn(r reading, err error) (wrongTime bool) {
	if r.date.IsZero() {
		return false
	}
	off := r.date.Sub(r.sent.Add(r.offset)).Abs() > maxClockSkew
	wrongTime = off && err != nil && isClockError(err)
	if wrongTime || !off && err == nil {
		c.offset.Store(int64(r.corrected()))
	}
	return wrongTime
}

// A reading is a request's time and its answer's, which tell the clocks apart.
type reading struct {
	offset         time.Duration // with which it was signed
	sent, received time.Time     // by the local clock
	date           time.Time     // by the service's, between the two; zero: not known
}

// corrected returns the offset with which it was signed, or the nearest that agrees
// with the answer. Between sent and received may lie hours: a machine sleeps, or
// its clock is set.
func (r reading) corrected() time.Duration {
	return max(min(r.offset, r.date.Sub(r.sent)), r.date.Sub(r.received))
}

// answerDate returns a zero time where an answer does not tell when it was made.
// One with an Age header comes from a cache and is old.
func answerDate(h http.Header) time.Time {
	if h.Get("Age") != "" {
		return time.Time{}
	}
	date, _ := http.ParseTime(h.Get("Date"))
	return date
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
