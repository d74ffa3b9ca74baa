package ssmresume

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// ReloadCredentials returns a provider for keys that another program renews, such
// as those in ~/.aws/credentials, which the SDK reads once:
//
//	cfg.Credentials = ssmresume.ReloadCredentials(func(ctx context.Context) (aws.CredentialsProvider, error) {
//		cfg, err := config.LoadDefaultConfig(ctx)
//		return cfg.Credentials, err
//	})
//
// It calls load at the first Retrieve, and again at the next one after the
// service has refused the keys, or the loaded provider or load itself has failed.
// Between, it asks the loaded provider each time, so that this one's own cache and
// renewal count. Its errors are those of load and of the loaded provider. A cache
// around it, such as the one that config.LoadDefaultConfig adds, does no harm.
//
// Keys that load makes by credentials.NewStaticCredentialsProvider count as keys
// that can change: a Reconnector waits for others. Those of the environment still
// cannot. It is safe for concurrent use, load too is called once at a time.
func ReloadCredentials(load func(context.Context) (aws.CredentialsProvider, error)) aws.CredentialsProvider {
	return &reloader{load: load, turn: make(chan struct{}, 1)}
}

// rejectedKey is the key in a ctx of the credentials that the service has refused.
type rejectedKey struct{}

// A reloadError is one of credentials that can change.
type reloadError struct{ error }

func (e *reloadError) Unwrap() error { return e.error }

type reloader struct {
	load func(context.Context) (aws.CredentialsProvider, error)

	turn   chan struct{} // a lock that ctx can end the wait for; guards what follows
	loaded aws.CredentialsProvider
	last   aws.Credentials // what loaded has given last
}

func (r *reloader) Retrieve(ctx context.Context) (aws.Credentials, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return aws.Credentials{}, ctx.Err()
	}
	// Another session may have had them loaded anew since.
	if rejected, ok := ctx.Value(rejectedKey{}).(aws.Credentials); ok && sameKeys(rejected, r.last) {
		r.loaded = nil
	}
	if r.loaded == nil {
		loaded, err := r.load(ctx)
		switch {
		case err != nil:
			return aws.Credentials{}, &reloadError{fmt.Errorf("load credentials: %w", err)}
		case loaded == nil:
			return aws.Credentials{}, &reloadError{errors.New("load credentials: there is no provider")}
		}
		r.loaded = loaded
	}
	creds, err := r.loaded.Retrieve(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.loaded = nil
		}
		return creds, &reloadError{err}
	}
	if isFixed(creds.Source) && creds.Source != envSource {
		creds.Source = "ReloadCredentials of " + creds.Source // they can change
	}
	r.last = creds
	return creds, nil
}
