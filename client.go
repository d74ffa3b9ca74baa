package ssmresume

import (
	"log/slog"
	"reflect"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// A Client calls ResumeSession. It is safe for concurrent use. Make it once:
// it keeps connections, signing keys, retry quota and the learned clock offset.
type Client struct {
	options   Options // with Retryer and HTTPClient filled in
	configErr error   // what NewFromConfig found wrong, for the first call to return
	caller    *caller
}

// New returns a client with the given options, edited by optFns. It never
// fails; what is wrong with the options is returned by the first call.
func New(options Options, optFns ...func(*Options)) *Client {
	return newClient(options, nil, optFns)
}

func newClient(o Options, configErr error, optFns []func(*Options)) *Client {
	for _, fn := range optFns {
		fn(&o)
	}
	if o.Retryer == nil {
		o.Retryer = retry.NewStandard()
	}
	if isNil(o.HTTPClient) {
		o.HTTPClient = awshttp.NewBuildableClient()
	}
	return &Client{o, configErr, newCaller(o, configErr, &shared{signer: newSigner(), pool: newPool(o.HTTPClient)})}
}

// isNil reports whether c is nil, or a pointer that is.
func isNil(c aws.HTTPClient) bool {
	v := reflect.ValueOf(c)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// Options configure a [Client]. The zero value of every field but Region and
// Credentials works. A function that edits Options must not keep the pointer.
type Options struct {
	// Region is the AWS Region of the session, such as "us-east-2". Required.
	Region string

	// Credentials sign the requests. Required; aws.AnonymousCredentials sends
	// them unsigned. They are retrieved for every attempt, so wrap a provider
	// that is slow in aws.NewCredentialsCache, as the SDK's config package does;
	// the Reconnectors of a client ask it one at a time. A provider that does not
	// return within a minute has failed. For keys in a file that another program
	// renews, see [ReloadCredentials].
	Credentials aws.CredentialsProvider

	// HTTPClient sends the requests; nil, or a nil pointer, means a new
	// awshttp.BuildableClient.
	//
	// An *http.Client is used through a copy that follows no redirect, because
	// a redirect would carry the request's signature and security token to
	// another host. Any other implementation must not follow redirects itself.
	//
	// After a transport error the next attempt dials a new connection, on a copy
	// of the transport of a BuildableClient or of an *http.Client on an
	// *http.Transport. An HTTPClient, or an http.RoundTripper in an *http.Client,
	// of any other type is used as it is, such as what BuildableClient.Freeze
	// returns, with requests that say Close: set DisableKeepAlives on the transport
	// inside it, or one attempt may be spent on a connection that is dead. Set its
	// TLSHandshakeTimeout too, or each handshake that gets no answer leaves a
	// connection open.
	//
	// A BuildableClient is used through a copy too, which keeps up to 1,024 idle
	// connections where it says nothing else. Where an attempt or ctx ran out of
	// time, the client's idle connections are closed before the next call: one of
	// them may be dead, and with HTTP/2 would stay in use.
	HTTPClient aws.HTTPClient

	// BaseEndpoint is a custom endpoint, such as "http://127.0.0.1:4566". Its
	// scheme, host, port and path are kept. It cannot be combined with UseFIPS or
	// UseDualStack. Nil means the endpoint of Region.
	BaseEndpoint *string

	// UseFIPS selects the FIPS endpoint of Region.
	UseFIPS aws.FIPSEndpointState

	// UseDualStack selects the endpoint of Region that is reachable over IPv4
	// and IPv6.
	UseDualStack aws.DualStackEndpointState

	// Retryer decides which failures are tried again, how often and after which
	// wait. Nil means retry.NewStandard, with 3 attempts. aws.NopRetryer makes one
	// attempt. A second attempt with refreshed credentials or a corrected clock
	// is made at once and does not count.
	Retryer aws.Retryer

	// AttemptTimeout bounds one HTTP attempt, from dialling to the last byte of
	// the body. Zero means 10 s; below zero means no bound but ctx's.
	AttemptTimeout time.Duration

	// DisableClockSkewCorrection signs with the local clock, whatever the answers
	// say. By default a request that is refused because the local clock is more
	// than 4 minutes off is signed once more with the service's time, and later
	// requests at once.
	DisableClockSkewCorrection bool

	// AppID is added to the User-Agent header, to tell programs apart in logs.
	AppID string

	// StreamHost is the host, or host:port, of an interface VPC endpoint for
	// ssmmessages without private DNS, such as
	// "vpce-0a1b-2c3d.ssmmessages.us-east-2.vpce.amazonaws.com". It is put in place
	// of the host into the StreamURL of every answer and of
	// [ReconnectorOptions.First], and HandshakeHeader signs for it, whatever host
	// it is. Partition and Region stay those of the URL that the service sent. A
	// presigned URL stays as it is, since its signature is for its host. Empty
	// means the service's host.
	StreamHost string

	// Logger gets a record of each retry and wait (level Debug), of what is odd but
	// not an error, of what a person must mend, and of long outages (level Warn; see
	// [Reconnector.Resume]). Each names its session. It never gets a secret. Nil
	// means silence.
	Logger *slog.Logger
}
