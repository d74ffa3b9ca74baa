package ssmresume_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// withKeys is a pipe server that takes newKeys and calls oldKeys expired, and a
// client with the provider.
func withKeys(t *testing.T, provider aws.CredentialsProvider) (*ssmresumetest.Server, *ssmresume.Client) {
	srv := ssmresumetest.NewPipeServer()
	t.Cleanup(srv.Close)
	srv.SetCredentials(newKeys, oldKeys)
	srv.ExpireCredentials(oldKeys.AccessKeyID)
	return srv, ssmresume.NewFromConfig(srv.Config(), func(o *ssmresume.Options) { o.Credentials = provider })
}

// lapsing gives refused keys at first, and then what it is told.
type lapsing struct {
	asked atomic.Int32 // without the first time
	had   atomic.Bool
	then  func(ctx context.Context, n int32) (aws.Credentials, error)
}

func (p *lapsing) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if !p.had.Swap(true) {
		keys := oldKeys
		keys.Source = "SSOProvider"
		return keys, nil
	}
	return p.then(ctx, p.asked.Add(1))
}

// sdkError is the chain of an SDK client's error.
func sdkError(service, operation string, err error) error {
	return fmt.Errorf("failed to refresh cached credentials, %w", &smithy.OperationError{ServiceID: service, OperationName: operation, Err: err})
}

var (
	noRoute      = &smithyhttp.RequestSendError{Err: &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no route to host")}}
	expiredToken = &smithy.GenericAPIError{Code: "ExpiredToken", Message: "The security token included in the request is expired"}
	noSuchFile   = &fs.PathError{Op: "open", Path: "/home/ana/.aws/sso/cache/x.json", Err: fs.ErrNotExist}
)

// TestKeysThatNeverWere: a first run tells at once what is wrong, unless the
// network is away.
func TestKeysThatNeverWere(t *testing.T) {
	imds := fmt.Errorf("no EC2 IMDS role found, %w", sdkError("ec2imds", "GetMetadata", noRoute))
	for name, tc := range map[string]struct {
		err   error
		stops bool
	}{
		"SSO, no login":           {fmt.Errorf("the SSO session has expired or is invalid: %w", noSuchFile), true},
		"refused by STS":          {sdkError("STS", "AssumeRole", &smithy.GenericAPIError{Code: "AccessDenied"}), true},
		"helper fails":            {errors.New("exit status 1"), true},
		"no EC2":                  {imds, true},
		"no EC2, for a role":      {sdkError("STS", "AssumeRole", imds), true},
		"EC2 disabled":            {sdkError("ec2imds", "GetMetadata", errors.New(`access disabled to EC2 IMDS via client option, or "AWS_EC2_METADATA_DISABLED" environment variable`)), true},
		"EC2, no answer":          {sdkError("ec2imds", "GetMetadata", context.DeadlineExceeded), true},
		"STS, no network":         {sdkError("STS", "AssumeRole", noRoute), false},
		"no DNS":                  {fmt.Errorf("vault: %w", &net.DNSError{Err: "server misbehaving"}), false},
		"no connection":           {fmt.Errorf("vault: %w", &net.OpError{Op: "dial", Err: errors.New("connection refused")}), false},
		"no answer":               {fmt.Errorf("vault: %w", context.DeadlineExceeded), false},
		"SSO's OIDC, no network ": {sdkError("SSO OIDC", "CreateToken", noRoute), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, client := withKeys(t, aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, tc.err }))
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				begin := time.Now()
				_, err := ssmresume.NewReconnector(client, sessionID).Resume(ctx)
				if !errors.Is(err, tc.err) {
					t.Errorf("%v, want the provider's error in it", err)
				}
				if stopped := ctx.Err() == nil; stopped != tc.stops {
					t.Errorf("stopped %v, want %v: %v", stopped, tc.stops, err)
				}
				if tc.stops && (time.Since(begin) != 0 || !strings.Contains(err.Error(), "there are no credentials, and there never were any: ")) {
					t.Errorf("after %v: %v", time.Since(begin), err)
				}
				if n := len(srv.Requests()); n != 0 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

// TestKeysThatWere: any use of the client counts, and from then on the same error
// is waited for.
func TestKeysThatWere(t *testing.T) {
	u, err := ssmresume.ParseStreamURL(streamURL)
	if err != nil {
		t.Fatal(err)
	}
	for name, use := range map[string]func(context.Context, *ssmresume.Client) error{
		"a handshake": func(ctx context.Context, c *ssmresume.Client) error {
			_, err := c.HandshakeHeader(ctx, u)
			return err
		},
		"a call": func(ctx context.Context, c *ssmresume.Client) error {
			_, err := c.ResumeSession(ctx, input)
			return err
		},
		"another session": func(ctx context.Context, c *ssmresume.Client) error {
			_, err := ssmresume.NewReconnector(c, sessionID).Resume(ctx)
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			_, client := withKeys(t, aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				if calls++; calls == 1 {
					return newKeys, nil
				}
				return aws.Credentials{}, errors.New("log in again")
			}))
			if err := use(t.Context(), client); err != nil {
				t.Fatal(name, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := ssmresume.NewReconnector(client, sessionID).Resume(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "log in again") {
				t.Errorf("after %s: %v", name, err)
			}
		})
	}
}

// TestKeysThatCannotChange stop Resume after one request, with what to do.
func TestKeysThatCannotChange(t *testing.T) {
	for source, want := range map[string]string{
		"StaticCredentials":                        "credentials of source StaticCredentials do not change in this process: use ReloadCredentials, or start it again",
		"EnvConfigCredentials":                     "credentials of source EnvConfigCredentials do not change in this process: start it again with new ones",
		"SharedConfigCredentials: /home/ana/.aws/": "credentials of source SharedConfigCredentials: /home/ana/.aws/ do not change in this process: use ReloadCredentials",
		"AnonymousCredentials":                     "the service wants a signature, and AnonymousCredentials have none: set Options.Credentials",
	} {
		for _, wrap := range []func(aws.CredentialsProvider) aws.CredentialsProvider{
			func(p aws.CredentialsProvider) aws.CredentialsProvider { return p },
			func(p aws.CredentialsProvider) aws.CredentialsProvider { return aws.NewCredentialsCache(p) },
		} {
			synctest.Test(t, func(t *testing.T) {
				keys := oldKeys
				keys.Source = source
				provider := wrap(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil }))
				if source == "AnonymousCredentials" {
					provider = wrap(aws.AnonymousCredentials{})
				}
				srv, client := withKeys(t, provider)
				begin := time.Now()
				_, err := ssmresume.NewReconnector(client, sessionID).Resume(t.Context())
				var refused *ssmresume.CredentialsError
				if !errors.As(err, &refused) || refused.Source != source || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %s", err, want)
				}
				if n, took := len(srv.Requests()), time.Since(begin); n != 1 || took != 0 {
					t.Errorf("%s: %d requests in %v", source, n, took)
				}
			})
		}
	}
}

// TestRoleOfExpiredKeys: the SDK asks STS with base keys that it cannot renew. The
// token of a web identity, which it reads anew each time, it can.
func TestRoleOfExpiredKeys(t *testing.T) {
	for name, tc := range map[string]struct {
		err   error
		stops bool
	}{
		"expired":              {sdkError("STS", "AssumeRole", expiredToken), true},
		"expired, as JSON":     {sdkError("STS", "AssumeRole", &smithy.GenericAPIError{Code: "ExpiredTokenException"}), true},
		"denied":               {sdkError("STS", "AssumeRole", &smithy.GenericAPIError{Code: "AccessDenied"}), false},
		"expired web identity": {sdkError("STS", "AssumeRoleWithWebIdentity", &smithy.GenericAPIError{Code: "ExpiredTokenException"}), false},
		"SSO":                  {sdkError("SSO", "GetRoleCredentials", expiredToken), false},
	} {
		for _, reload := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				var provider aws.CredentialsProvider = &lapsing{then: func(context.Context, int32) (aws.Credentials, error) { return aws.Credentials{}, tc.err }}
				if reload { // its base keys may be others
					role := provider
					provider = ssmresume.ReloadCredentials(func(context.Context) (aws.CredentialsProvider, error) { return role, nil })
				}
				_, client := withKeys(t, provider)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				_, err := ssmresume.NewReconnector(client, sessionID).Resume(ctx)
				if stopped := ctx.Err() == nil; stopped != (tc.stops && !reload) || !errors.Is(err, tc.err) {
					t.Errorf("%s, reload %v: stopped %v: %v", name, reload, stopped, err)
				}
				if ctx.Err() == nil && !strings.Contains(err.Error(), "the keys that the role is assumed from have expired and do not change in this process: use ReloadCredentials") {
					t.Error(err)
				}
			})
		}
	}
}

// TestCachedKeysExpire: the cache is told, and has new ones.
func TestCachedKeysExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client := withKeys(t, &cache{current: oldKeys, next: newKeys})
		rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.OnWait = func(w ssmresume.Wait) { t.Errorf("waits: %v", w) }
		})
		if _, err := rc.Resume(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(srv.Requests()); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

// TestLapsedKeysRest: a provider that fails, hands out what was refused, or is
// deaf, is asked after 1 s, 4 s, 16 s, a minute; after ten minutes each 5 minutes.
// All sessions of a client ask as often as one. What the service said is not lost
// behind what the provider says.
func TestLapsedKeysRest(t *testing.T) {
	const latency = 100 * time.Millisecond
	for name, tc := range map[string]struct {
		then func(context.Context, int32) (aws.Credentials, error)
		hang time.Duration
	}{
		"login helper fails": {func(context.Context, int32) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("exit status 1")
		}, 0},
		"the refused keys": {func(context.Context, int32) (aws.Credentials, error) { return oldKeys, nil }, 0},
		"other refused keys": {func(_ context.Context, n int32) (aws.Credentials, error) {
			keys := oldKeys
			keys.SessionToken = fmt.Sprint(n)
			return keys, nil
		}, 0},
		"STS says no": {func(context.Context, int32) (aws.Credentials, error) {
			return aws.Credentials{}, sdkError("STS", "AssumeRole", &smithy.GenericAPIError{Code: "AccessDeniedException"})
		}, 0},
		"empty keys": {func(context.Context, int32) (aws.Credentials, error) { return aws.Credentials{}, nil }, 0},
		"waits for ever": {func(ctx context.Context, _ int32) (aws.Credentials, error) {
			<-ctx.Done()
			return aws.Credentials{}, ctx.Err()
		}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			for _, sessions := range []int{1, 20} {
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex
					var asked []time.Time
					var source string
					if name == "the refused keys" {
						source = "SSOProvider"
					}
					provider := &lapsing{then: func(ctx context.Context, n int32) (aws.Credentials, error) {
						mu.Lock()
						asked = append(asked, time.Now())
						mu.Unlock()
						keys, err := tc.then(ctx, n)
						keys.Source = source
						return keys, err
					}}
					var p aws.CredentialsProvider = provider
					if tc.hang == 0 { // the SDK's cache would wait for the first one for ever
						p = aws.NewCredentialsCache(p)
					}
					srv, client := withKeys(t, p)
					srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
						time.Sleep(latency) // so that all sessions are refused together
						return nil
					})
					const night = 8 * time.Hour
					ctx, cancel := context.WithTimeout(t.Context(), night)
					defer cancel()
					var all sync.WaitGroup
					for range sessions {
						all.Go(func() {
							_, err := ssmresume.NewReconnector(client, sessionID).Resume(ctx)
							if !errors.Is(err, context.DeadlineExceeded) {
								t.Error(err)
							}
							if refused := (*ssmresume.CredentialsError)(nil); name == "login helper fails" && sessions == 1 && errors.As(err, &refused) {
								t.Errorf("the last error is of the first attempt: %v", err)
							}
						})
					}
					all.Wait()
					mu.Lock()
					defer mu.Unlock()
					if len(asked) < 10 {
						t.Fatalf("%d sessions: asked at %v", sessions, asked)
					}
					// A rest, a quarter of it to spread the sessions, and the time it hangs.
					rests := []time.Duration{time.Second, 4 * time.Second, 16 * time.Second, time.Minute, time.Minute}
					for i, rest := range rests {
						if gap := asked[i+1].Sub(asked[i]) - tc.hang; gap < rest || gap > rest*5/4+4*latency {
							t.Errorf("%d sessions: %v between asking for the %d. and the next time, want %v and a quarter at most", sessions, gap, i+1, rest)
						}
					}
					last := asked[len(asked)-1].Sub(asked[len(asked)-2]) - tc.hang
					if last < 5*time.Minute || last > 5*time.Minute*5/4+4*latency {
						t.Errorf("%d sessions: in the end it is asked each %v, want 5 minutes", sessions, last)
					}
					if n := len(asked); n > 120 {
						t.Errorf("%d sessions: asked %d times in a night", sessions, n)
					}
				})
			}
		})
	}
}

// TestRenewedKeysAndTheClock: new keys are asked for once, and the clock is
// corrected by the answer that blames it.
func TestRenewedKeysAndTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client := withKeys(t, &cache{current: oldKeys, next: newKeys})
		srv.SetClockOffset(10 * time.Minute)
		if _, err := client.ResumeSession(t.Context(), input); err != nil {
			t.Error(err)
		}
		same(t, "requests: with the old keys, with the new ones, at the right time", 3, len(srv.Requests()))
	})
}

// TestProviderIsAskedOnce for new keys, where it has nothing to forget.
func TestProviderIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider := &lapsing{then: func(context.Context, int32) (aws.Credentials, error) { return oldKeys, nil }}
		_, client := withKeys(t, provider)
		if _, err := client.ResumeSession(t.Context(), input); !isA[*ssmresume.CredentialsError](err) {
			t.Error(err)
		}
		same(t, "asked for new keys", 1, provider.asked.Load())
	})
}

// TestBothAreTold: what the service said of the keys, and why there are no others.
func TestBothAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := withKeys(t, &lapsing{then: func(context.Context, int32) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("log in\x1b[2J again")
		}})
		var refused *ssmresume.CredentialsError
		if _, err := client.ResumeSession(t.Context(), input); !errors.As(err, &refused) || !refused.Expired || !strings.Contains(err.Error(), `for new credentials: get credentials: log in\x1b[2J again`) {
			t.Errorf("%v, want both, escaped", err)
		}
	})
}

// TestLapsedKeysComeBack: within what the rest leaves, and the next lapse begins
// with short rests again.
func TestLapsedKeysComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var good atomic.Bool
		provider := &lapsing{then: func(context.Context, int32) (aws.Credentials, error) {
			if good.Load() {
				return newKeys, nil
			}
			return aws.Credentials{}, errors.New("log in")
		}}
		srv, client := withKeys(t, provider)
		rc := ssmresume.NewReconnector(client, sessionID)
		begin := time.Now()
		time.AfterFunc(5*time.Minute, func() { good.Store(true) })
		if _, err := rc.Resume(t.Context()); err != nil || time.Since(begin) > 5*time.Minute+75*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		for range 2 {
			time.Sleep(time.Hour)
			good.Store(false)
			begin = time.Now()
			time.AfterFunc(500*time.Millisecond, func() { good.Store(true) })
			if _, err := rc.Resume(t.Context()); err != nil || time.Since(begin) < time.Second || time.Since(begin) > 1250*time.Millisecond {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
		}
		if n := len(srv.Requests()); n != 4 {
			t.Errorf("%d requests, want 4: refused keys are not tried again", n)
		}
	})
}

// TestKeysOfOneEvent: what wakes all sessions of a client has the provider asked
// once, and once more for whom it was too soon.
func TestKeysOfOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider := &lapsing{then: func(context.Context, int32) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("log in")
		}}
		_, client := withKeys(t, provider)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		wakes := make([]chan struct{}, 20)
		for i := range wakes {
			wakes[i] = make(chan struct{}, 1)
			all.Go(func() {
				rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) { o.Wake = wakes[i] })
				if _, err := rc.Resume(ctx); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Hour)
		for range 3 {
			before := provider.asked.Load()
			for _, wake := range wakes {
				wake <- struct{}{}
			}
			time.Sleep(time.Second)
			if n := provider.asked.Load() - before; n < 1 || n > 2 {
				t.Errorf("asked %d times for one event of %d sessions", n, len(wakes))
			}
			time.Sleep(time.Second)
		}
		cancel()
		all.Wait()
	})
}

// TestKeysSpreadTheSessions over a quarter of the provider's rest.
func TestKeysSpreadTheSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := withKeys(t, &lapsing{then: func(context.Context, int32) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("log in")
		}})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		var mu sync.Mutex
		var all sync.WaitGroup
		ends := map[time.Time]bool{}
		for range 100 {
			all.Go(func() {
				ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
					o.OnWait = func(w ssmresume.Wait) {
						mu.Lock()
						defer mu.Unlock()
						ends[time.Now().Add(w.Delay).Truncate(time.Second)] = true
					}
				}).Resume(ctx)
			})
		}
		all.Wait()
		if len(ends) < 30 { // 4 rests of a minute, each with 15 s to spread them
			t.Errorf("100 sessions try in %d different seconds", len(ends))
		}
	})
}

// TestProviderIsBounded: deaf to its ctx, on each way to it.
func TestProviderIsBounded(t *testing.T) {
	u, err := ssmresume.ParseStreamURL(streamURL)
	if err != nil {
		t.Fatal(err)
	}
	for name, use := range map[string]func(context.Context, *ssmresume.Client) error{
		"a call": func(ctx context.Context, c *ssmresume.Client) error {
			_, err := c.ResumeSession(ctx, input)
			return err
		},
		"a handshake": func(ctx context.Context, c *ssmresume.Client) error {
			_, err := c.HandshakeHeader(ctx, u)
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			defer close(release)
			_, client := withKeys(t, aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { <-release; return newKeys, nil }))
			begin := time.Now()
			if err := use(t.Context(), client); time.Since(begin) != time.Minute || err == nil || !strings.Contains(err.Error(), "the provider did not return within 1m0s") {
				t.Errorf("%s: %v after %v", name, err, time.Since(begin))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin = time.Now()
			if err := use(ctx, client); time.Since(begin) != time.Second || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s, with a deadline: %v after %v", name, err, time.Since(begin))
			}
		})
	}
	for name, invalidate := range map[string]bool{"Retrieve": false, "Invalidate": true} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			provider := &deaf{invalidate: invalidate, release: release}
			srv, client := withKeys(t, provider)
			var waits []ssmresume.Wait
			begin := time.Now()
			_, err := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
				o.OnWait = func(w ssmresume.Wait) { waits = append(waits, w) }
			}).Resume(t.Context())
			if took := time.Since(begin); err != nil || len(waits) != 1 || took < 61*time.Second || took > 62*time.Second {
				t.Errorf("%s: %v after %v, waits %v", name, err, took, waits)
			}
			close(release)
			_ = srv
		})
	}
}

// deaf hangs once, and has new keys then.
type deaf struct {
	invalidate bool
	hung       atomic.Bool
	release    chan struct{}
}

func (d *deaf) Retrieve(context.Context) (aws.Credentials, error) {
	if !d.invalidate && !d.hung.Swap(true) {
		<-d.release
	}
	if d.hung.Load() {
		return newKeys, nil
	}
	keys := oldKeys
	keys.Source = "SSOProvider"
	return keys, nil
}

func (d *deaf) Invalidate() {
	if !d.hung.Swap(true) {
		<-d.release
	}
}

// TestProviderPanics on the goroutine of who called, who may recover; and the
// Reconnector goes on.
func TestProviderPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		_, client := withKeys(t, aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			switch calls++; calls {
			case 1, 2:
				panic("the provider's own")
			case 3:
				runtime.Goexit()
			}
			return newKeys, nil
		}))
		rc := ssmresume.NewReconnector(client, sessionID)
		recovered := func(f func()) (v any) {
			defer func() { v = recover() }()
			f()
			return nil
		}
		if v := recovered(func() { client.ResumeSession(t.Context(), input) }); v != "the provider's own" {
			t.Errorf("a call: recovered %v", v)
		}
		if v := recovered(func() { rc.Resume(t.Context()) }); v != "the provider's own" {
			t.Errorf("Resume: recovered %v", v)
		}
		if _, err := client.ResumeSession(t.Context(), input); err == nil || !strings.Contains(err.Error(), "the provider ended its goroutine") {
			t.Errorf("after Goexit: %v", err)
		}
		if _, err := rc.Resume(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestProviderSeesNoTrace: what a provider hears from services of its own is not
// taken for an answer of this one.
func TestProviderHearsForItself(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	sts := ssmresumetest.NewServer()
	defer sts.Close()
	cfg := srv.Config()
	endpoint := "http://127.0.0.1:1" // nobody is there
	var gone atomic.Bool
	client := ssmresume.New(ssmresume.Options{Region: cfg.Region, BaseEndpoint: &endpoint, Credentials: aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		req, err := http.NewRequestWithContext(ctx, "POST", sts.URL(), nil)
		if err != nil {
			return aws.Credentials{}, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return aws.Credentials{}, err
		}
		resp.Body.Close()
		gone.Store(true)
		return newKeys, nil
	})})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	waits := 0
	_, err := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
		o.OnWait = func(w ssmresume.Wait) {
			if waits++; w.Delay > 100*time.Millisecond {
				t.Errorf("wait %d is %v, as after an answer: %v", waits, w.Delay, w.Err)
			}
			if waits == 2 {
				cancel()
			}
		}
	}).Resume(ctx)
	if !errors.Is(err, context.Canceled) || !gone.Load() {
		t.Error(err)
	}
}

// TestRefusedKeysSpareTheService: that the provider's own service is not reached
// does not make it one's own network.
func TestRefusedKeysSpareTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := oldKeys
		keys.Source = "AssumeRoleProvider"
		calls := 0
		srv, client := withKeys(t, aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			if calls++; calls%2 == 1 {
				return keys, nil
			}
			return aws.Credentials{}, sdkError("STS", "AssumeRole", noRoute)
		}))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		waits := 0
		rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.OnWait = func(ssmresume.Wait) { waits++ }
		})
		if _, err := rc.Resume(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if n := len(srv.Requests()); n < 10 || n > 15 || n != waits {
			t.Errorf("%d requests and %d waits in 10 minutes", n, waits)
		}
	})
}

// TestPeerOfTheLastRequest: that the service has refused the old keys says nothing
// of the request with the new ones.
func TestPeerOfTheLastRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client := withKeys(t, &cache{current: oldKeys, next: newKeys})
		srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
			if len(srv.Requests()) == 2 {
				return ssmresumetest.Reset()
			}
			return nil
		})
		var waits []ssmresume.Wait
		rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.OnWait = func(w ssmresume.Wait) { waits = append(waits, w) }
		})
		if _, err := rc.Resume(t.Context()); err != nil || len(waits) != 1 {
			t.Fatal(err, waits)
		}
		between(t, fmt.Sprint("the wait for ", waits[0].Err), waits[0].Delay, 0, 50*time.Millisecond)
	})
}

// TestProviderWithoutNetwork is asked as often as one's own network is tried.
func TestProviderWithoutNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(30 * time.Minute)
		_, client := withKeys(t, aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			if time.Now().Before(back) {
				return aws.Credentials{}, sdkError("STS", "AssumeRole", noRoute)
			}
			return newKeys, nil
		}))
		if _, err := ssmresume.NewReconnector(client, sessionID).Resume(t.Context()); err != nil || time.Since(back) > time.Second {
			t.Errorf("%v, %v after the network", err, time.Since(back))
		}
	})
}
