package session_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/examples/plugintest"
	"github.com/ssmresume/ssmresume/examples/session-manager-plugin/src/datachannel"
	"github.com/ssmresume/ssmresume/examples/session-manager-plugin/src/log"
	"github.com/ssmresume/ssmresume/examples/session-manager-plugin/src/sdkutil"
	"github.com/ssmresume/ssmresume/examples/session-manager-plugin/src/sessionmanagerplugin/session"
	_ "github.com/ssmresume/ssmresume/examples/session-manager-plugin/src/sessionmanagerplugin/session/portsession"
	_ "github.com/ssmresume/ssmresume/examples/session-manager-plugin/src/sessionmanagerplugin/session/shellsession"
)

// cannot is what a program that links this package cannot do, and the plugin of
// this repository can.
var cannot = map[string]string{
	"command-separate": "ValidateInputAndStartSession returns nothing, as AWS's does, so the exit status is the program's own",
}

// TestLinked: a program that has the whole plugin in it.
func TestLinked(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the scenarios need the terminals and signals of Unix")
	}
	program := filepath.Join(t.TempDir(), "session-manager-plugin")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-race=false", "-ldflags", "-s -w", "-o", program, "../../testdata/plugin").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	plugintest.Test(t, program, cannot)
}

// TestExecute: with credentials of the program's own.
func TestExecute(t *testing.T) {
	sdkutil.SetRegionAndProfile("us-east-2", "no-such-profile")
	defer sdkutil.SetRegionAndProfile("", "")
	for code, want := range map[int]string{0: "<nil>", 3: "session ana-0a1b: exit status 3"} {
		srv := datachanneltest.NewServer()
		defer srv.Close()
		cfg := srv.Config()
		first, handle := srv.Start(datachanneltest.Options{
			SessionID:      "ana-0a1b",
			Type:           datachanneltest.NonInteractiveCommands,
			SeparateOutput: true,
			Program: func(_ context.Context, t *datachanneltest.Terminal) int {
				fmt.Fprintln(t.Stdout, "hello")
				return code
			},
		})
		s := session.Session{
			SessionId:   first.SessionID,
			StreamUrl:   first.StreamURL.DialURL(),
			TokenValue:  first.TokenValue.Reveal(),
			Endpoint:    "https://ecs.us-east-2.amazonaws.com", // as the AWS CLI gives it
			ClientId:    "not-a-uuid",
			TargetId:    "i-0123456789abcdef0",
			DataChannel: &datachannel.DataChannel{},
			Config:      &cfg,
		}
		if got := fmt.Sprint(s.Execute(log.Logger(false, s.ClientId))); got != want {
			t.Errorf("code %d: %s, want %s", code, got, want)
		}
		<-handle.Done()
	}
}

// TestRefuses what is no answer of StartSession, and a profile that is not there.
func TestRefuses(t *testing.T) {
	err := new(session.Session).Execute(log.Logger(false, ""))
	if err == nil || !strings.HasPrefix(err.Error(), "ssmresume: ") {
		t.Error(err)
	}
	sdkutil.SetRegionAndProfile("us-east-2", "no-such-profile")
	defer sdkutil.SetRegionAndProfile("", "")
	first, err := ssmresume.NewOutput("ana-0a1b", "t", "wss://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/ana-0a1b")
	if err != nil {
		t.Fatal(err)
	}
	s := session.Session{SessionId: first.SessionID, StreamUrl: first.StreamURL.DialURL(), TokenValue: "t"}
	if err := s.Execute(log.Logger(false, "")); err == nil || !strings.Contains(err.Error(), "no-such-profile") {
		t.Error(err)
	}
}
