package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
)

// Environment variables that make this program a subject.
const (
	modeName    = "STUDY_CHANNEL_SUBJECT"
	profilePath = "STUDY_CHANNEL_PROFILE"

	modeSession = "session"
	modeBare    = "bare"
)

// beSubject runs a mode, with the plugin's arguments.
func beSubject(mode string, args []string) error {
	if len(args) != 6 {
		return errors.New("a subject has the six arguments of session-manager-plugin")
	}
	var started struct{ SessionID, TokenValue, StreamURL string }
	if err := json.Unmarshal([]byte(os.Getenv(args[0])), &started); err != nil {
		return err
	}
	if path := os.Getenv(profilePath); path != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if mode == modeBare {
		return runBare(ctx, started.StreamURL, started.TokenValue)
	}
	first, err := ssmresume.NewOutput(started.SessionID, started.TokenValue, started.StreamURL)
	if err != nil {
		return err
	}
	return runSession(ctx, args[1], args[5], first)
}

// sessionWindow has room for 10,000 messages of 1 KiB. With the default of 4 MiB a
// Write would wait before.
const sessionWindow = 16 << 20

// runSession is a Session and nothing else.
func runSession(ctx context.Context, region, endpoint string, first *ssmresume.ResumeSessionOutput) error {
	client := ssmresume.New(ssmresume.Options{Region: region, BaseEndpoint: &endpoint, Credentials: aws.CredentialsProviderFunc(fromFile)})
	s, err := datachannel.Open(ctx, client, first, func(o *datachannel.Options) { o.Window = sessionWindow })
	if err != nil {
		return err
	}
	defer s.Close()
	if s.Type() != datachannel.Port {
		go io.Copy(s, os.Stdin)
		_, err := io.Copy(os.Stdout, s)
		return err
	}
	l, err := openPort(first.SessionID)
	if err != nil {
		return err
	}
	return s.Forward(ctx, l)
}

// openPort listens, and says where.
func openPort(sessionID string) (net.Listener, error) {
	l, err := net.Listen("tcp", "localhost:0")
	if err == nil {
		fmt.Printf("Port %d opened for sessionId %s.\n", l.Addr().(*net.TCPAddr).Port, sessionID)
	}
	return l, err
}

// fromFile reads what lab.writeKeys has written.
func fromFile(context.Context) (aws.Credentials, error) {
	f, err := os.Open(os.Getenv("AWS_SHARED_CREDENTIALS_FILE"))
	if err != nil {
		return aws.Credentials{}, err
	}
	defer f.Close()
	var keys aws.Credentials
	_, err = fmt.Fscanf(f, "["+profileName+"]\naws_access_key_id = %s\naws_secret_access_key = %s\n", &keys.AccessKeyID, &keys.SecretAccessKey)
	return keys, err
}
