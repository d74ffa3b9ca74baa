// Package bench measures ssmresume beside the SSM package of the AWS SDK for Go
// and beside the floor, the same steps written out for one case, in one run,
// since machines differ and are shared.
package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/ssmresume/ssmresume"
)

const (
	sessionID = "Mary-Major-07a16060613c408b5"
	streamURL = "wss://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/" + sessionID + "?role=publish_subscribe&cell-number=AAEAAVbT+saOnyvcUoNG/ifbv5r=="
)

// answer is as long as the service's: real tokens have about 700 characters.
var answer = fmt.Appendf(nil, `{"SessionId":%q,"StreamUrl":%q,"TokenValue":"%s"}`, sessionID, streamURL, bytes.Repeat([]byte("AAEAAVbT+/"), 70))

var header = http.Header{
	"Content-Type":     {"application/x-amz-json-1.1"},
	"Date":             {"Sat, 14 Mar 2026 15:09:26 GMT"},
	"X-Amzn-Requestid": {"74d66468-126a-5db3-b534-99287bbca9e0"},
}

// memory is an HTTPClient that answers from memory.
type memory struct{}

func (memory) Do(req *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode:    http.StatusOK,
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(answer)),
		ContentLength: int64(len(answer)),
		Request:       req,
	}, nil
}

// credentials are in a cache, as config.LoadDefaultConfig makes them.
var credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}, nil
}))

// callers returns one caller each of ours, of the SDK's and of the floor. Each
// has a client of its own, made by newClient.
func callers(endpoint string, newClient func() aws.HTTPClient) []peer {
	config := func() aws.Config {
		return aws.Config{Region: "us-east-2", BaseEndpoint: &endpoint, Credentials: credentials, HTTPClient: newClient()}
	}
	ours := ssmresume.NewFromConfig(config())
	sdk := ssm.NewFromConfig(config())
	return []peer{
		{"ssmresume", func() error {
			_, err := ours.ResumeSession(context.Background(), &ssmresume.ResumeSessionInput{SessionID: sessionID})
			return err
		}},
		{"sdk", func() error {
			_, err := sdk.ResumeSession(context.Background(), &ssm.ResumeSessionInput{SessionId: aws.String(sessionID)})
			return err
		}},
		{"floor", floor(endpoint, newClient())},
	}
}

// floor returns what a program would do that has no retry, no timeout, no
// errors by type and no checks, and needs one endpoint.
func floor(endpoint string, client aws.HTTPClient) func() error {
	signer := v4.NewSigner()
	return func() error {
		ctx := context.Background()
		body := []byte(`{"SessionId":"` + sessionID + `"}`)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", "AmazonSSM.ResumeSession")
		creds, err := credentials.Retrieve(ctx)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		if err := signer.SignHTTP(ctx, creds, req, hex.EncodeToString(sum[:]), "ssm", "us-east-2", time.Now()); err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		var out struct{ SessionId, StreamUrl, TokenValue string }
		if err := json.Unmarshal(data, &out); err != nil {
			return err
		}
		if out.TokenValue == "" {
			return errors.New("no token")
		}
		return nil
	}
}

// BenchmarkMemory is the cost of a call without a network.
func BenchmarkMemory(b *testing.B) {
	compare(b, 2000, callers("https://ssm.us-east-2.amazonaws.com", func() aws.HTTPClient { return memory{} }))
}

// BenchmarkLoopback is the latency of a call to a server in this process.
func BenchmarkLoopback(b *testing.B) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header()["X-Amzn-Requestid"] = header["X-Amzn-Requestid"]
		w.Header()["Content-Type"] = header["Content-Type"]
		w.Write(answer)
	})
	plain, tls := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer tls.Close()
	for _, srv := range []struct {
		name string
		*httptest.Server
	}{{"http", plain}, {"https", tls}} {
		for _, conn := range []struct {
			name  string
			fresh bool
			calls int
		}{{"warm", false, 500}, {"new", true, 50}} {
			b.Run(srv.name+"/"+conn.name, func(b *testing.B) {
				compare(b, conn.calls, callers(srv.URL, func() aws.HTTPClient {
					tr := srv.Client().Transport.(*http.Transport).Clone()
					tr.DisableKeepAlives = conn.fresh
					b.Cleanup(tr.CloseIdleConnections)
					return &http.Client{Transport: tr}
				}))
			})
		}
	}
}

// BenchmarkParseStreamURL has as its peer what a program would do that trusts
// the URL.
func BenchmarkParseStreamURL(b *testing.B) {
	compare(b, 20000, []peer{
		{"ssmresume", func() error {
			_, err := ssmresume.ParseStreamURL(streamURL)
			return err
		}},
		{"net-url", func() error {
			u, err := url.Parse(streamURL)
			if err != nil {
				return err
			}
			_, err = url.ParseQuery(u.RawQuery)
			return err
		}},
	})
}
