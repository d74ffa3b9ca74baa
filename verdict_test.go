package ssmresume_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume"
)

// TestPeerWhoAnswered: in whatever way an answer fails, who gave it is spared.
func TestPeerWhoAnswered(t *testing.T) {
	for name, answer := range map[string]string{
		"header cut off":      "HTTP/1.1 200 OK\r\nContent-Ty",
		"malformed":           "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"not HTTP":            "220 smtp.example.com ESMTP\r\n",
		"two Content-Lengths": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					io.WriteString(conn, answer)
				}
				conn.Close()
			}
		}()
		endpoint := "http://" + l.Addr().String()
		client := ssmresume.New(ssmresume.Options{Region: "us-east-2", BaseEndpoint: &endpoint, Credentials: credentials("id", "secret", "")})
		ctx, cancel := context.WithCancel(t.Context())
		var told ssmresume.Wait
		ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.OnWait = func(w ssmresume.Wait) {
				told = w
				cancel()
			}
		}).Resume(ctx)
		between(t, fmt.Sprintf("%s: the wait for %v", name, told.Err), told.Delay, 250*time.Millisecond, time.Second)
		l.Close()
	}
}

// TestPeerOfHTTP2: a peer that ends the stream or the connection by a word has
// answered; where a connection is lost, nobody has.
func TestPeerOfHTTP2(t *testing.T) {
	needsHTTP2(t)
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	const (
		settings  = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
		goAway    = "\x00\x00\x08\x07\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x0b" // ENHANCE_YOUR_CALM
		rstStream = "\x00\x00\x04\x03\x00\x00\x00\x00\x01" + "\x00\x00\x00\x07"                      // REFUSED_STREAM
	)
	for name, tc := range map[string]struct {
		frames            string
		shortest, longest time.Duration
	}{
		"GOAWAY":     {settings + goAway, 250 * time.Millisecond, time.Second},
		"RST_STREAM": {settings + rstStream, 250 * time.Millisecond, time.Second},
		"lost":       {settings, 0, 50 * time.Millisecond},
	} {
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: cert.TLS.Certificates, NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					io.ReadAtLeast(conn, make([]byte, 1<<10), 200) // the preface and the request's headers
					io.WriteString(conn, tc.frames)
					conn.Close()
				}()
			}
		}()
		tr := cert.Client().Transport.(*http.Transport).Clone()
		tr.ForceAttemptHTTP2 = true
		endpoint := "https://" + l.Addr().String()
		client := ssmresume.New(ssmresume.Options{Region: "us-east-2", BaseEndpoint: &endpoint, Credentials: credentials("id", "secret", ""), HTTPClient: &http.Client{Transport: tr}})
		ctx, cancel := context.WithCancel(t.Context())
		var told ssmresume.Wait
		ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
			o.OnWait = func(w ssmresume.Wait) {
				told = w
				cancel()
			}
		}).Resume(ctx)
		between(t, fmt.Sprintf("%s: the wait for %v", name, told.Err), told.Delay, tc.shortest, tc.longest)
		l.Close()
	}
}
