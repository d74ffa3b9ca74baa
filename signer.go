package ssmresume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// The services in the scope of a signature.
const (
	callService      = "ssm"
	handshakeService = "ssmmessages"
)

// emptySHA256 is the hash of an empty body.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// A signer signs with SigV4. A client has one, since it caches derived keys.
type signer struct{ sigv4 *v4.Signer }

func newSigner() signer { return signer{v4.NewSigner()} }

// signCall adds the headers that sign req, whose body has the given hash.
func (s signer) signCall(ctx context.Context, req *http.Request, bodySHA256 string, creds aws.Credentials, region string, at time.Time) error {
	if err := s.sigv4.SignHTTP(ctx, creds, req, bodySHA256, callService, region, at); err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	return nil
}

// signHandshake returns the headers that sign a GET of u.
func (s signer) signHandshake(ctx context.Context, u StreamURL, creds aws.Credentials, region string, at time.Time) (http.Header, error) {
	// Not DialURL's own request: the signer rewrites its query.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.DialURL(), nil)
	if err != nil {
		return nil, errors.New("the stream URL is not valid") // not err: it repeats the query
	}
	if err := s.sigv4.SignHTTP(ctx, creds, req, emptySHA256, handshakeService, region, at); err != nil {
		return nil, err
	}
	return req.Header, nil
}

// HandshakeHeader returns the headers that sign the WebSocket handshake with the
// data channel: Authorization, X-Amz-Date and, with temporary credentials,
// X-Amz-Security-Token. Session Manager's own client sends them from version
// 1.2.764.0 on. For a presigned URL, and with aws.AnonymousCredentials, the
// header is empty.
//
// Dial u.DialURL() as it is, within five minutes, after which AWS refuses the
// signature, and with a client that refuses redirects: one that follows them
// sends the headers, which are secrets, to wherever it is pointed. The caller
// needs ssmmessages:OpenDataChannel.
//
// HandshakeHeader refuses a host outside AWS, so that the headers reach AWS only,
// unless it is Options.StreamHost, or the client's own endpoint is a custom one
// outside AWS, as in a test. It refuses a ws:// URL of another machine, unless that
// endpoint is http:// too.
func (c *Client) HandshakeHeader(ctx context.Context, u StreamURL) (http.Header, error) {
	h, err := c.caller.handshakeHeader(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("ssmresume: sign the data channel's handshake: %w", err)
	}
	return h, nil
}

func (c *caller) handshakeHeader(ctx context.Context, u StreamURL) (http.Header, error) {
	switch {
	case c.err != nil:
		return nil, c.err
	case u.Host == "" || u.IsZero(): // fields alone hold no URL to sign
		return nil, errors.New("the stream URL is empty, or was not made by ParseStreamURL, which makes one of what the service sent")
	case u.Presigned || c.keys.anonymous:
		return http.Header{}, nil
	case u.Partition == "" && u.Host != c.streamHost && !c.outsideAWS():
		return nil, fmt.Errorf("host %q is not one of AWS's: it must not get the credentials", u.Host)
	}
	if d, err := url.Parse(u.DialURL()); err != nil || d.Scheme == "ws" && c.endpoint.Scheme == "https" && !isLoopback(d.Hostname()) {
		return nil, fmt.Errorf("the stream URL is not wss: the credentials must not reach host %q unencrypted", u.Host)
	}
	if err := checkQuery(u); err != nil {
		return nil, err
	}
	creds, err := c.keys.retrieve(ctx)
	if err != nil {
		return nil, scrubError(err, "")
	}
	return c.signer.signHandshake(ctx, u, creds, cmp.Or(u.Region, c.region), time.Now().Add(c.clockOffset()))
}

// checkQuery refuses what the signer would drop: the query that is signed would
// then not be the one that is dialled.
func checkQuery(u StreamURL) error {
	_, query, _ := strings.Cut(u.DialURL(), "?")
	if _, err := url.ParseQuery(query); err != nil {
		return errors.New("the stream URL's query cannot be parsed")
	}
	if query == "" {
		return nil
	}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" || pair[0] == '=' {
			return errors.New("the stream URL's query has an empty parameter")
		}
	}
	return nil
}
