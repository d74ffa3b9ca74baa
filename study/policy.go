package main

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/ssmresume/ssmresume"
)

const (
	sessionID = "Mary-Major-07a16060613c408b5"
	ours      = "ssmresume" // the name of our policy
)

type call func(context.Context) error

// policy is a way to bring one session back.
type policy struct {
	name string
	// client is the HTTP client that the policy uses, on another network.
	client func(dialFunc) aws.HTTPClient
	// start makes a client of its own. one calls once; resume follows the policy,
	// and if it returns an error the session is lost.
	start func(aws.Config) (one, resume call)
	// model makes the waits of one session that is only ever throttled, as start
	// does, for herds too large to run.
	model func(*rand.Rand) waits
}

// reconnector is this library's Reconnector. Zero means its default.
func reconnector(maxServiceWait, maxNetworkWait time.Duration) policy {
	return policy{
		name: ours,
		client: func(dial dialFunc) aws.HTTPClient {
			return buildable(dial)
		},
		start: func(cfg aws.Config) (one, resume call) {
			client := ssmresume.NewFromConfig(cfg)
			rc := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
				o.MaxServiceWait, o.MaxNetworkWait = maxServiceWait, maxNetworkWait
			})
			return func(ctx context.Context) error {
					_, err := client.ResumeSession(ctx, &ssmresume.ResumeSessionInput{SessionID: sessionID})
					return err
				}, func(ctx context.Context) error {
					_, err := rc.Resume(ctx)
					return err
				}
		},
		model: reconnectorModel(maxServiceWait),
	}
}

// sdkOnce is a program that calls the SDK and gives up on its error, as the
// SDK's examples do.
var sdkOnce = policy{
	name:   "SDK, one call",
	client: func(dial dialFunc) aws.HTTPClient { return buildable(dial).Freeze() },
	start: func(cfg aws.Config) (one, resume call) {
		c := sdkCall(ssm.NewFromConfig(cfg))
		return c, c
	},
	model: sdkOnceModel,
}

const (
	tunedReadTimeout = 5 * time.Second
	// tunedPause is there because the SDK's own waits are not enough: once its
	// retry quota is used up, after 35 failed connects, a call fails at once, and a
	// loop without a pause would do nothing but call.
	tunedPause = time.Second
)

// sdkTuned is a careful program: no read on a connection may take longer than
// 5 s, and the call is repeated until ctx ends.
var sdkTuned = policy{
	name: "SDK, tuned loop",
	client: func(dial dialFunc) aws.HTTPClient {
		return buildable(dial).WithReadTimeout(tunedReadTimeout).Freeze()
	},
	start: func(cfg aws.Config) (one, resume call) {
		c := sdkCall(ssm.NewFromConfig(cfg))
		return c, func(ctx context.Context) error {
			for {
				err := c(ctx)
				if err == nil || ctx.Err() != nil {
					return err
				}
				sleep(ctx, tunedPause)
			}
		}
	},
	model: sdkTunedModel,
}

// The session-manager-plugin's retries: config, retry, sdkutil and session of
// https://github.com/aws/session-manager-plugin/tree/mainline/src. Measured with
// the real plugin, a session is lost after 50 to 65 s of refused connections with
// its versions on the old SDK, 1.2, and after 3.1 to 6.2 s with that on the SDK v2,
// 1.3.0.0 of April 2026.
const (
	pluginRetries     = 5 // DataChannelNumMaxRetries
	pluginFirstDelay  = 100 * time.Millisecond
	pluginTries       = 4 // SsmCliRetryer of 1.2: 3 retries
	pluginTryDelay    = time.Second
	pluginTryJitter   = 500 * time.Millisecond
	pluginGranularity = time.Millisecond
)

// plugin12 is the policy of the session-manager-plugin 1.2, on the new SDK's client
// with the old one's transport, http.DefaultTransport. Unlike the old SDK it tries
// again within a call after a reset, which gives it more time.
var plugin12 = policy{
	name: "plugin 1.2's policy",
	client: func(dial dialFunc) aws.HTTPClient {
		tr := http.DefaultTransport.(*http.Transport).Clone()
		tr.DialContext = withTimeout(defaultTransportDialTimeout, dial)
		return &http.Client{Transport: tr}
	},
	start: func(cfg aws.Config) (one, resume call) {
		cfg.Retryer = func() aws.Retryer { return newPluginRetryer() }
		c := sdkCall(ssm.NewFromConfig(cfg))
		return c, func(ctx context.Context) error { return pluginLoop(ctx, c) }
	},
	model: plugin12Model,
}

// plugin13 is the policy of the session-manager-plugin 1.3.0.0: a call is one
// attempt, for which it loads the SDK's configuration anew, and so has a pool and
// connections of its own (GetConfigWithQuickCheck).
var plugin13 = policy{
	name:   "plugin 1.3's policy",
	client: func(dial dialFunc) aws.HTTPClient { return buildable(dial) },
	start: func(cfg aws.Config) (one, resume call) {
		cfg.RetryMaxAttempts = 1
		shared := cfg.HTTPClient
		c := func(ctx context.Context) error {
			cfg := cfg
			if b, ok := shared.(*awshttp.BuildableClient); ok {
				cfg.HTTPClient = b.WithTransportOptions()
			}
			return sdkCall(ssm.NewFromConfig(cfg))(ctx)
		}
		return c, func(ctx context.Context) error { return pluginLoop(ctx, c) }
	},
	model: plugin13Model,
}

// pluginLoop is RepeatableExponentialRetryer, whose longest interval, 5 s, these
// waits do not reach.
func pluginLoop(ctx context.Context, c call) error {
	delay := pluginFirstDelay + jitter(pluginFirstDelay)
	for failures := 0; ; failures++ {
		err := c(ctx)
		if err == nil || failures == pluginRetries || ctx.Err() != nil {
			return err
		}
		sleep(ctx, delay)
		delay *= 2
	}
}

type pluginRetryer struct{ *retry.Standard }

func newPluginRetryer() pluginRetryer {
	return pluginRetryer{retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = pluginTries
		o.RateLimiter = ratelimit.None // the old SDK had none
	})}
}

// RetryDelay is counted from attempt 1.
func (pluginRetryer) RetryDelay(attempt int, _ error) (time.Duration, error) {
	return 1 << (attempt - 1) * (pluginTryDelay + jitter(pluginTryJitter)), nil
}

func jitter(d time.Duration) time.Duration { return rand.N(d).Truncate(pluginGranularity) }

// policies are the five of the study.
func policies() []policy { return []policy{reconnector(0, 0), sdkOnce, sdkTuned, plugin12, plugin13} }

// buildable is the SDK's HTTP client on another network.
func buildable(dial dialFunc) *awshttp.BuildableClient {
	b := awshttp.NewBuildableClient()
	dial = withTimeout(b.GetDialer().Timeout, dial)
	return b.WithTransportOptions(func(tr *http.Transport) { tr.DialContext = dial })
}

// defaultTransportDialTimeout is that of http.DefaultTransport, in
// net/http/transport.go.
const defaultTransportDialTimeout = 30 * time.Second

// withTimeout does what net.Dialer does with its Timeout.
func withTimeout(d time.Duration, dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		return dial(ctx, network, addr)
	}
}

func sdkCall(client *ssm.Client) call {
	return func(ctx context.Context) error {
		_, err := client.ResumeSession(ctx, &ssm.ResumeSessionInput{SessionId: aws.String(sessionID)})
		return err
	}
}

// sleep returns false if ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
