// Tracing puts a span of OpenTelemetry around every attempt to resume a session.
// An SSM endpoint in the program fails twice:
//
//	go run ./tracing
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

func main() {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	var requests atomic.Int32
	srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
		switch requests.Add(1) {
		case 1:
			return ssmresumetest.Fail(http.StatusServiceUnavailable, "ServiceUnavailable", "")
		case 2:
			return ssmresumetest.Reset()
		}
		return nil
	})

	ctx := context.Background()
	traces := sdktrace.NewTracerProvider(sdktrace.WithSyncer(printer{}))
	defer traces.Shutdown(ctx)

	cfg := srv.Config() // stands for that of config.LoadDefaultConfig
	cfg.Credentials = ssmresume.ReloadCredentials(func(context.Context) (aws.CredentialsProvider, error) {
		return srv.Config().Credentials, nil // likewise
	})
	cfg.HTTPClient = tracedClient(traces)
	rc := ssmresume.NewReconnector(ssmresume.NewFromConfig(cfg), "ana-0a1b", func(o *ssmresume.ReconnectorOptions) {
		o.MaxServiceWait = 100 * time.Millisecond // nobody waits for an example
		o.OnWait = func(w ssmresume.Wait) { log.Print(w.Err) }
	})
	out, err := rc.Resume(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("resumed", out.SessionID)
}

// tracedClient turns keep-alives off itself: ssmresume does not look into a
// transport that is wrapped, and a connection that it could reuse may be dead.
func tracedClient(traces *sdktrace.TracerProvider) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	return &http.Client{Transport: otelhttp.NewTransport(transport, otelhttp.WithTracerProvider(traces))}
}

// printer is an exporter of spans.
type printer struct{}

func (printer) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, span := range spans {
		result := "no answer"
		for _, a := range span.Attributes() {
			if a.Key == "http.response.status_code" {
				result = a.Value.String()
			}
		}
		fmt.Println("span", span.Name(), result)
	}
	return nil
}

func (printer) Shutdown(context.Context) error { return nil }
