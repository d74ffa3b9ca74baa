package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/examples/internal/kmskeys"
	"github.com/ssmresume/ssmresume/examples/internal/terminal"
)

// clients returns what the session is resumed with, and what makes its keys.
func (r *Request) clients(ctx context.Context) (*ssmresume.Client, datachannel.DataKeys, error) {
	load := func(ctx context.Context) (aws.Config, error) {
		if r.Config != nil {
			return *r.Config, nil
		}
		return config.LoadDefaultConfig(ctx,
			config.WithRegion(cmp.Or(r.Region, r.First.StreamURL.Region)),
			config.WithSharedConfigProfile(r.Profile),
			config.WithLogger(logging.Nop{})) // the terminal is the session's
	}
	cfg, err := load(ctx)
	if missing := (config.SharedConfigProfileNotExistError{}); errors.As(err, &missing) {
		return nil, nil, fmt.Errorf("the config profile (%s) could not be found", missing.Profile)
	}
	if err != nil {
		return nil, nil, err
	}
	again := ssmresume.ReloadCredentials(func(ctx context.Context) (aws.CredentialsProvider, error) {
		cfg, err := load(ctx)
		return cfg.Credentials, err
	})
	cfg.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		creds, err := again.Retrieve(ctx)
		if err != nil {
			err = fmt.Errorf("%w: %w", terminal.ErrLogin, err)
		}
		return creds, err
	})
	keys := kmskeys.New(cfg)
	if r.Target == "" {
		keys = noTarget{}
	}
	// Some tools start sessions with credentials that they do not hand on. The
	// token alone opens the channel then; without a signature, as before 1.2.764.
	if !r.First.StreamURL.Presigned {
		if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
			if ctx.Err() != nil {
				return nil, nil, ctx.Err()
			}
			r.unsigned = err
			cfg.Credentials = aws.AnonymousCredentials{}
		}
	}
	client := ssmresume.NewFromConfig(cfg, func(o *ssmresume.Options) {
		if endpoint := parseEndpoint(r.Endpoint); endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	})
	return client, keys, nil
}

// noTarget stands in where the command line does not name the target.
type noTarget struct{}

func (noTarget) GenerateDataKey(context.Context, string, map[string]string) (plaintext, ciphertext []byte, err error) {
	return nil, nil, errors.New("the target is unknown, which is part of the encryption context: the AWS CLI is too old for encrypted sessions")
}
