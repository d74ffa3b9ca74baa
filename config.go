package ssmresume

import (
	"context"
	"errors"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// NewFromConfig returns a client with the settings of cfg, which are usually
// made by config.LoadDefaultConfig. It never fails; what is wrong with the
// settings is returned by the first call.
//
// Used are Region, Credentials, HTTPClient, Retryer, RetryMaxAttempts,
// RetryMode, BaseEndpoint, AppID and, from ConfigSources, the endpoint URL for SSM
// (AWS_ENDPOINT_URL_SSM, the services section of a profile), the switch that
// ignores configured endpoint URLs, FIPS and dual-stack.
//
// Not used are APIOptions, Interceptors and ServiceOptions (wrap HTTPClient
// instead), ClientLogMode and Logger (set [Options.Logger]), DefaultsMode (set
// [Options.AttemptTimeout] and Retryer), EndpointResolver and
// EndpointResolverWithOptions (set [Options.BaseEndpoint]),
// DisableClockSkewCorrection, which only newer SDKs than this package needs have
// (set [Options.DisableClockSkewCorrection]), and all that has no meaning for this
// call.
func NewFromConfig(cfg aws.Config, optFns ...func(*Options)) *Client {
	o := Options{
		Region:       cfg.Region,
		Credentials:  cfg.Credentials,
		HTTPClient:   cfg.HTTPClient,
		BaseEndpoint: cfg.BaseEndpoint,
		AppID:        cfg.AppID,
	}
	o.Retryer = configRetryer(cfg)
	err := errors.Join(
		configEndpoint(cfg, &o),
		fromSources(cfg.ConfigSources, func(s fipsSource) (found bool, err error) {
			o.UseFIPS, found, err = s.GetUseFIPSEndpoint(context.Background())
			return found, err
		}),
		fromSources(cfg.ConfigSources, func(s dualStackSource) (found bool, err error) {
			o.UseDualStack, found, err = s.GetUseDualStackEndpoint(context.Background())
			return found, err
		}),
	)
	//lint:ignore SA1019 whoever still sets them means it
	if err == nil && (cfg.EndpointResolver != nil || cfg.EndpointResolverWithOptions != nil) {
		err = errResolver
	}
	return newClient(o, err, optFns)
}

// errResolver is no error where there is a BaseEndpoint.
var errResolver = errors.New("EndpointResolver and EndpointResolverWithOptions are not used: set BaseEndpoint instead (Options.BaseEndpoint, AWS_ENDPOINT_URL_SSM)")

// The methods by which the SDK's config sources hand out settings. The SDK
// keeps these interfaces in an internal package.
type (
	fipsSource interface {
		GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error)
	}
	dualStackSource interface {
		GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error)
	}
	endpointSource interface {
		GetServiceBaseEndpoint(ctx context.Context, sdkID string) (string, bool, error)
	}
	ignoreEndpointsSource interface {
		GetIgnoreConfiguredEndpoints(context.Context) (bool, bool, error)
	}
)

// fromSources calls get for each source that has its method, until one has a
// value or fails.
func fromSources[S any](sources []any, get func(S) (found bool, err error)) error {
	for _, source := range sources {
		if s, ok := source.(S); ok {
			if found, err := get(s); found || err != nil {
				return err
			}
		}
	}
	return nil
}

func configRetryer(cfg aws.Config) aws.Retryer {
	var r aws.Retryer
	switch {
	case cfg.Retryer != nil:
		r = cfg.Retryer()
	case cfg.RetryMode == aws.RetryModeAdaptive:
		r = retry.NewAdaptiveMode()
	default:
		r = retry.NewStandard()
	}
	if r != nil && cfg.RetryMaxAttempts != 0 {
		r = retry.AddWithMaxAttempts(r, cfg.RetryMaxAttempts)
	}
	return r
}

// configEndpoint applies the SDK's precedence: the service's own URL before the
// global one, and within that the environment before the profile. The global
// URL is already in cfg.BaseEndpoint.
func configEndpoint(cfg aws.Config, o *Options) error {
	_, global := os.LookupEnv("AWS_ENDPOINT_URL")
	_, specific := os.LookupEnv("AWS_ENDPOINT_URL_SSM")
	if global && !specific {
		return nil
	}
	var ignore bool
	err := fromSources(cfg.ConfigSources, func(s ignoreEndpointsSource) (found bool, err error) {
		ignore, found, err = s.GetIgnoreConfiguredEndpoints(context.Background())
		return found, err
	})
	if ignore || err != nil {
		return err
	}
	return fromSources(cfg.ConfigSources, func(s endpointSource) (bool, error) {
		v, found, err := s.GetServiceBaseEndpoint(context.Background(), serviceID)
		if found && err == nil {
			o.BaseEndpoint = &v
		}
		return found, err
	})
}
