// Package awsconfig finds settings and keys as the AWS CLI does, for programs
// with a user at a terminal: it asks for the code of an MFA device, says how to
// log in again, and reads keys that another program has renewed.
package awsconfig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/logincreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/ssmresume/ssmresume"
)

// A User is asked for codes, on standard error and standard input as a rule.
type User struct {
	Asked   io.Writer
	Answers io.Reader
}

// Load is config.LoadDefaultConfig for a user who has an MFA device.
func (u User) Load(ctx context.Context, optFns ...func(*config.LoadOptions) error) (aws.Config, error) {
	return config.LoadDefaultConfig(ctx, append(optFns, config.WithAssumeRoleCredentialOptions(func(o *stscreds.AssumeRoleOptions) {
		o.TokenProvider = func() (string, error) { return u.ask(ctx, aws.ToString(o.SerialNumber)) }
	}))...)
}

// ask ends with ctx, which [stscreds.StdinTokenProvider] does not, and leaves
// standard output to the program.
func (u User) ask(ctx context.Context, serial string) (string, error) {
	fmt.Fprintf(u.Asked, "Enter MFA code for %s: ", serial)
	read := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(u.Answers).ReadString('\n')
		read <- strings.TrimSpace(line)
	}()
	select {
	case code := <-read:
		if code == "" {
			return "", errors.New("no MFA code was given")
		}
		return code, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Reload returns the credentials of cfg, which Load has returned for the same
// options, and reads them again when the service has refused them.
func (u User) Reload(cfg aws.Config, optFns ...func(*config.LoadOptions) error) aws.CredentialsProvider {
	first := cfg.Credentials // its user need not give a code twice
	return ssmresume.ReloadCredentials(func(ctx context.Context) (aws.CredentialsProvider, error) {
		if loaded := first; loaded != nil {
			first = nil
			return loaded, nil
		}
		cfg, err := u.Load(ctx, optFns...)
		return cfg.Credentials, err
	})
}

// LoginCommand returns what the user has to type where err, of the credentials of
// cfg, says that a login is over, or an empty string. Many of the SDK's errors say
// so in words only; so what is excluded are a network that is away and the word of
// another service.
func LoginCommand(cfg aws.Config, err error) string {
	var (
		unsent *smithyhttp.RequestSendError
		apiErr smithy.APIError
	)
	if errors.As(err, &unsent) {
		return ""
	}
	if errors.As(err, &apiErr) {
		switch id := service(err); {
		case id == "SSO" && apiErr.ErrorCode() == "UnauthorizedException":
		case id == "SSO OIDC" && apiErr.ErrorFault() == smithy.FaultClient: // will not renew the login
		default:
			return ""
		}
	}
	isRole := aws.IsCredentialsProvider(cfg.Credentials, (*stscreds.AssumeRoleProvider)(nil))
	for _, source := range cfg.ConfigSources {
		p, ok := source.(config.SharedConfig)
		for ok && isRole && p.Source != nil { // the login of another profile
			p = *p.Source
		}
		switch {
		case !ok:
		case (p.SSOSession != nil || p.SSOStartURL != "") && (isRole || aws.IsCredentialsProvider(cfg.Credentials, (*ssocreds.Provider)(nil))):
			return "aws sso login --profile " + p.Profile
		case p.LoginSession != "" && (isRole || aws.IsCredentialsProvider(cfg.Credentials, (*logincreds.Provider)(nil))):
			return "aws login --profile " + p.Profile
		}
	}
	return ""
}

// service is the one whose operation has failed for all the others around it.
func service(err error) (id string) {
	for op := (*smithy.OperationError)(nil); errors.As(err, &op); err = op.Err {
		id = op.ServiceID
	}
	return id
}
