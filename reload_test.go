package ssmresume_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

var (
	oldKeys = aws.Credentials{AccessKeyID: "ASIAOLD", SecretAccessKey: "old", SessionToken: "oldtoken", Source: "SharedConfigCredentials: /file"}
	newKeys = aws.Credentials{AccessKeyID: "ASIANEW", SecretAccessKey: "new", SessionToken: "newtoken", Source: "SharedConfigCredentials: /file"}
)

// file is what a program that renews keys has written.
type file struct {
	keys  atomic.Pointer[aws.Credentials]
	loads atomic.Int32
}

func (f *file) write(keys aws.Credentials) { f.keys.Store(&keys) }

// load reads the file once, as the SDK's config package does.
func (f *file) load(context.Context) (aws.CredentialsProvider, error) {
	f.loads.Add(1)
	keys := *f.keys.Load()
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil }), nil
}

// TestReloadCredentials: keys that another program renews are read once, and again
// when the service has refused them; a cache around the provider does no harm.
func TestReloadCredentials(t *testing.T) {
	for name, wrap := range map[string]func(aws.CredentialsProvider) aws.CredentialsProvider{
		"as it is": func(p aws.CredentialsProvider) aws.CredentialsProvider { return p },
		"cached":   func(p aws.CredentialsProvider) aws.CredentialsProvider { return aws.NewCredentialsCache(p) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := ssmresumetest.NewPipeServer()
				defer srv.Close()
				srv.SetCredentials(oldKeys, newKeys)
				var f file
				f.write(oldKeys)
				client := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) {
					o.Credentials = wrap(ssmresume.ReloadCredentials(f.load))
				})
				for range 3 {
					if _, err := client.ResumeSession(t.Context(), input); err != nil {
						t.Fatal(err)
					}
				}
				if n := f.loads.Load(); n != 1 {
					t.Errorf("%d loads while the keys are good, want 1", n)
				}

				f.write(newKeys)
				srv.ExpireCredentials(oldKeys.AccessKeyID)
				before := len(srv.Requests())
				if _, err := client.ResumeSession(t.Context(), input); err != nil {
					t.Errorf("with new keys in the file: %v", err)
				}
				if n := len(srv.Requests()) - before; n != 2 {
					t.Errorf("%d requests, want 2", n)
				}
				if n := f.loads.Load(); n != 2 {
					t.Errorf("%d loads, want 2", n)
				}
			})
		})
	}
}

// TestReloadWaits: while there are no other keys, Resume waits, although the keys
// are static for who loads them, and finds the new ones.
func TestReloadWaits(t *testing.T) {
	for _, source := range []string{"StaticCredentials", oldKeys.Source} {
		synctest.Test(t, func(t *testing.T) {
			srv := ssmresumetest.NewPipeServer()
			defer srv.Close()
			srv.SetCredentials(newKeys, oldKeys)
			srv.ExpireCredentials(oldKeys.AccessKeyID)
			fixed := oldKeys
			fixed.Source = source
			var f file
			f.write(fixed)
			time.AfterFunc(10*time.Minute, func() { f.write(newKeys) })
			client := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) {
				o.Credentials = ssmresume.ReloadCredentials(f.load)
			})
			begin := time.Now()
			_, err := ssmresume.NewReconnector(client, sessionID).Resume(t.Context())
			if err != nil {
				t.Error(err)
			}
			between(t, "back", time.Since(begin), 10*time.Minute, 11*time.Minute+15*time.Second) // it rests for a minute and a quarter
		})
	}
}

// TestReloadOfTheEnvironment: those keys cannot change, however often they are loaded.
func TestReloadOfTheEnvironment(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.SetCredentials(newKeys, oldKeys)
	srv.ExpireCredentials(oldKeys.AccessKeyID)
	env := oldKeys
	env.Source = "EnvConfigCredentials"
	var f file
	f.write(env)
	client := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) { o.Credentials = ssmresume.ReloadCredentials(f.load) })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var refused *ssmresume.CredentialsError
	if _, err := ssmresume.NewReconnector(client, sessionID).Resume(ctx); !errors.As(err, &refused) || ctx.Err() != nil {
		t.Errorf("%v, want a CredentialsError at once", err)
	}
}

// TestReloadAfterFailure: of load, and of what it has loaded.
func TestReloadAfterFailure(t *testing.T) {
	var failure error
	loads, none := 0, false
	provider := ssmresume.ReloadCredentials(func(context.Context) (aws.CredentialsProvider, error) {
		if loads++; loads == 1 {
			return nil, errors.New("no such profile")
		}
		if none {
			return nil, nil
		}
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return oldKeys, failure }), nil
	})
	for i, step := range []struct {
		failure error
		want    string
		loads   int
	}{
		{nil, "load credentials: no such profile", 1},
		{nil, "", 2},
		{errors.New("the SSO session has expired"), "the SSO session has expired", 2},
		{nil, "", 3},
		{nil, "", 3},
	} {
		failure = step.failure
		_, err := provider.Retrieve(t.Context())
		type facts struct {
			Err   string
			Loads int
		}
		same(t, fmt.Sprint("step ", i), facts{step.want, step.loads}, facts{textOf(err, step.want), loads})
	}
	loads, none = 1, true
	failure = errors.New("again")
	_, _ = provider.Retrieve(t.Context())
	if _, err := provider.Retrieve(t.Context()); err == nil || !strings.Contains(err.Error(), "there is no provider") {
		t.Error(err)
	}
}

// TestReloadInAHerd: keys that a hundred sessions find refused are loaded anew
// once, one at a time, and whoever has no time does not wait for the others.
func TestReloadInAHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := ssmresumetest.NewPipeServer()
		defer srv.Close()
		srv.SetCredentials(newKeys, oldKeys)
		srv.ExpireCredentials(oldKeys.AccessKeyID)
		var f file
		f.write(oldKeys)
		client := ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) {
			o.Credentials = ssmresume.ReloadCredentials(func(ctx context.Context) (aws.CredentialsProvider, error) {
				provider, err := f.load(ctx)
				f.write(newKeys)
				time.Sleep(time.Second)
				return provider, err
			})
		})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if _, err := client.ResumeSession(t.Context(), input); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Millisecond)
		hasty, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if _, err := client.ResumeSession(hasty, input); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 100*time.Millisecond {
			t.Errorf("%v after %v, want the deadline's end", err, time.Since(begin))
		}
		all.Wait()
		if n := f.loads.Load(); n != 2 {
			t.Errorf("%d loads, want 2", n)
		}
	})
}
