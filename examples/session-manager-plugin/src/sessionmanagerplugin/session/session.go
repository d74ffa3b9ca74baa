// Package session is for programs that link the Go packages of AWS's
// session-manager-plugin: the names that they use, on package datachannel. Their
// imports change, and nothing else; docs/adopt.md says how.
//
// Execute returns when the session has ended. AWS's ends the process, with status 0.
package session

import (
	"cmp"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/examples/internal/plugin"
	"github.com/ssmresume/ssmresume/examples/session-manager-plugin/src/datachannel"
	"github.com/ssmresume/ssmresume/examples/session-manager-plugin/src/log"
	"github.com/ssmresume/ssmresume/examples/session-manager-plugin/src/sdkutil"
)

// A Session is what StartSession has answered.
type Session struct {
	SessionId, StreamUrl, TokenValue string

	Endpoint string // of Systems Manager; empty, or another's: the configuration's
	TargetId string // as StartSession was given it, for sessions that are encrypted with AWS KMS
	Region   string // empty: that of sdkutil.SetRegionAndProfile, or of StreamUrl

	// Config has the credentials with which the session is resumed. Nil means those
	// that the AWS CLI would find. AWS's package has no such field, and finds them so.
	Config *aws.Config

	// Of no use here, for programs that set them:
	DataChannel           datachannel.IDataChannel
	ClientId              string
	IsAwsCliUpgradeNeeded bool
}

// Execute runs the session on the standard streams, or on its local port, and
// returns when it has ended. A command whose exit code is not 0 is an error, as is a
// session that was lost.
func (s *Session) Execute(log.T) error {
	first, err := ssmresume.NewOutput(s.SessionId, s.TokenValue, s.StreamUrl)
	if err != nil {
		return err
	}
	region, profile := sdkutil.RegionAndProfile()
	r := &plugin.Request{
		First:    first,
		Region:   cmp.Or(s.Region, region),
		Profile:  profile,
		Target:   s.TargetId,
		Endpoint: s.Endpoint,
		Config:   s.Config,
	}
	status, err := r.Run()
	if err == nil && status != 0 {
		err = fmt.Errorf("session %s: exit status %d", s.SessionId, status)
	}
	return err
}

// ValidateInputAndStartSession is the whole plugin: args are its command line, with
// its name.
func ValidateInputAndStartSession(args []string, out io.Writer) { plugin.Main(args[1:], out) }
