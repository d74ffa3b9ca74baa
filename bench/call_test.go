// Package bench measures ssmresume beside the SSM package of the AWS SDK for
// Go, in one run, since machines differ and are shared.
package bench

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/ssmresume/ssmresume"
)

const (
	sessionID = "Mary-Major-07a16060613c408b5"
	streamURL = "wss://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/" + sessionID + "?role=publish_subscribe&cell-number=AAEAAVbT+saOnyvcUoNG/ifbv5r=="
)

// memory is an HTTPClient that answers from memory, as the service does.
type memory struct{ body []byte }

func newMemory() *memory {
	token := bytes.Repeat([]byte("AAEAAVbT+/"), 70) // real tokens have about 700 characters
	return &memory{[]byte(`{"SessionId":"` + sessionID + `","StreamUrl":"` + streamURL + `","TokenValue":"` + string(token) + `"}`)}
}

var header = http.Header{
	"Content-Type":     {"application/x-amz-json-1.1"},
	"Date":             {"Sat, 14 Mar 2026 15:09:26 GMT"},
	"X-Amzn-Requestid": {"74d66468-126a-5db3-b534-99287bbca9e0"},
}

func (m *memory) Do(req *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode:    http.StatusOK,
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(m.body)),
		ContentLength: int64(len(m.body)),
		Request:       req,
	}, nil
}

func config() aws.Config {
	return aws.Config{
		Region:     "us-east-2",
		HTTPClient: newMemory(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}, nil
		}),
	}
}

// ours and theirs return one call each.
func ours() func() error {
	client := ssmresume.NewFromConfig(config())
	return func() error {
		_, err := client.ResumeSession(context.Background(), &ssmresume.ResumeSessionInput{SessionID: sessionID})
		return err
	}
}

func theirs() func() error {
	client := ssm.NewFromConfig(config())
	return func() error {
		_, err := client.ResumeSession(context.Background(), &ssm.ResumeSessionInput{SessionId: aws.String(sessionID)})
		return err
	}
}

func run(b *testing.B, call func() error) {
	b.ReportAllocs()
	for b.Loop() {
		if err := call(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResumeSession(b *testing.B) {
	b.Run("ssmresume", func(b *testing.B) { run(b, ours()) })
	b.Run("sdk", func(b *testing.B) { run(b, theirs()) })
}

func BenchmarkParseStreamURL(b *testing.B) {
	run(b, func() error {
		_, err := ssmresume.ParseStreamURL(streamURL)
		return err
	})
}
