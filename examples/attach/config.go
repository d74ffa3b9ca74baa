package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/examples/internal/awsconfig"
	"github.com/ssmresume/ssmresume/examples/internal/terminal"
)

// loadConfig finds settings and credentials as the AWS CLI does.
func loadConfig(ctx context.Context, o options) (aws.Config, error) {
	asks := &prompt{}
	defer asks.over.Store(true)
	user := awsconfig.User{Asked: asks, Answers: asks}
	settings := []func(*config.LoadOptions) error{
		config.WithRegion(o.region), // if empty, the environment's or the profile's
		config.WithSharedConfigProfile(o.profile),
	}
	cfg, err := user.Load(ctx, settings...)
	if err != nil {
		return cfg, err
	}
	if cfg.Region == "" {
		return cfg, errors.New("no Region: give --region, or set AWS_REGION or the profile's region")
	}
	if o.endpointURL != "" {
		cfg.BaseEndpoint = &o.endpointURL
	}
	hint := "set AWS_PROFILE or --profile, or run aws configure"
	if usesSSO(cfg) {
		hint = "run aws sso login"
		if o.profile != "" {
			hint += " --profile " + quote(o.profile)
		}
	}
	again := user.Reload(cfg, settings...)
	cfg.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		keys, err := again.Retrieve(ctx)
		if err != nil {
			err = fmt.Errorf("%w (%s): %w", terminal.ErrLogin, hint, err)
		}
		return keys, err
	})
	_, err = cfg.Credentials.Retrieve(ctx) // now, while there is somebody to act, and nothing was opened
	return cfg, err
}

// A prompt asks for the codes of an MFA device until the terminal is the session's.
type prompt struct{ over atomic.Bool }

func (p *prompt) Write(b []byte) (int, error) {
	if p.over.Load() {
		return len(b), nil
	}
	return os.Stderr.Write(b)
}

func (p *prompt) Read(b []byte) (int, error) {
	if p.over.Load() {
		return 0, io.EOF
	}
	return os.Stdin.Read(b)
}

// usesSSO reports whether the profile's credentials come from IAM Identity Center.
func usesSSO(cfg aws.Config) bool {
	for _, source := range cfg.ConfigSources {
		shared, ok := source.(config.SharedConfig)
		for profile := &shared; ok && profile != nil; profile = profile.Source {
			if profile.SSOSessionName != "" || profile.SSOStartURL != "" {
				return true
			}
		}
	}
	return false
}

// explain says what to do about err, too.
func explain(err error, o options) string {
	var (
		noProfile config.SharedConfigProfileNotExistError
		denied    *ssmresume.AccessDeniedError
		keys      *ssmresume.CredentialsError
		ended     *datachannel.EndedError
	)
	const startNew = "Start a new one: aws ssm start-session --target INSTANCE-ID"
	switch {
	case errors.As(err, &ended) && ended.Message != "":
		return fmt.Sprintf("%v\n%s", ended, startNew)
	case errors.Is(err, ssmresume.ErrSessionGone):
		return fmt.Sprintf("there is no session %s to attach to: it has ended, or is in another account or Region.\n"+
			startNew+"\n(%v)", o.sessionID, err)
	case errors.As(err, &noProfile):
		return fmt.Sprintf("there is no profile %q: aws configure list-profiles lists them", noProfile.Profile)
	case errors.As(err, &denied):
		return fmt.Sprintf("these credentials may not resume the session: they need the IAM permissions ssm:ResumeSession and\n"+
			"ssmmessages:OpenDataChannel on arn:aws:ssm:*:*:session/%s\n(%v)", o.sessionID, err)
	case errors.As(err, &keys):
		return fmt.Sprintf("the service does not accept these credentials, and they cannot change while this runs: set new ones, or unset\n"+
			"AWS_ACCESS_KEY_ID to use a profile\n(%v)", err)
	}
	return err.Error()
}
