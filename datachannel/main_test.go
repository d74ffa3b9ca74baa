package datachannel_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
)

// serverSessions makes the test binary a server with so many sessions.
const serverSessions = "DATACHANNEL_TEST_SESSIONS"

func TestMain(m *testing.M) {
	if count, err := strconv.Atoi(os.Getenv(serverSessions)); err == nil {
		serve(count)
		return
	}
	os.Exit(m.Run())
}

// started is what serve prints of each session, on a line.
type started struct{ ID, Token, StreamURL, Endpoint, AccessKeyID, SecretAccessKey string }

func serve(count int) {
	srv := datachanneltest.NewServer()
	defer srv.Close()
	keys, err := srv.Config().Credentials.Retrieve(context.Background())
	if err != nil {
		panic(err)
	}
	out := json.NewEncoder(os.Stdout)
	for range count {
		first, _ := srv.Start(datachanneltest.Options{Program: sh})
		out.Encode(started{first.SessionID, first.TokenValue.Reveal(), first.StreamURL.DialURL(), srv.URL(), keys.AccessKeyID, keys.SecretAccessKey})
	}
	io.Copy(io.Discard, os.Stdin)
}

// startServerProcess runs serve in another process, until the test ends.
func startServerProcess(t *testing.T, count int) (*ssmresume.Client, []*ssmresume.ResumeSessionOutput) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverSessions+"="+strconv.Itoa(count))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	decoder := json.NewDecoder(bufio.NewReader(out))
	var client *ssmresume.Client
	var sessions []*ssmresume.ResumeSessionOutput
	for range count {
		var s started
		if err := decoder.Decode(&s); err != nil {
			t.Fatal(err)
		}
		first, err := ssmresume.NewOutput(s.ID, s.Token, s.StreamURL)
		if err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, first)
		if client == nil {
			client = ssmresume.New(ssmresume.Options{
				Region:       "us-east-2",
				BaseEndpoint: &s.Endpoint,
				Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
					return aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey}, nil
				}),
			})
		}
	}
	return client, sessions
}
