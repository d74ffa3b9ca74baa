package ssmresume_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

const inNamespace = "SSMRESUME_TEST_IN_NAMESPACE"

// TestSilentNameServer has the first of the two name servers in /etc/resolv.conf
// be silent, as after a VPN has gone. The test runs itself in a mount and a network
// namespace, which Linux may not let it make.
func TestSilentNameServer(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 10 s")
	}
	if os.Getenv(inNamespace) == "" {
		t.Parallel()
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestSilentNameServer$", "-test.v")
		cmd.Env = append(os.Environ(), inNamespace+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		switch out, err := cmd.CombinedOutput(); {
		case cmd.Process == nil:
			t.Skip("no namespaces here: ", err)
		case err != nil:
			t.Errorf("%v\n%s", err, out)
		case strings.Contains(string(out), "--- SKIP"):
			t.Skipf("%s", out)
		}
		return
	}

	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver 127.0.0.2\nnameserver 127.0.0.3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(conf, "/etc/resolv.conf", "", syscall.MS_BIND, ""); err != nil {
		t.Skip("mount over /etc/resolv.conf: ", err)
	}
	if err := loopbackUp(); err != nil {
		t.Skip("bring the loopback interface up: ", err)
	}
	nameServer(t, "127.0.0.2:53")
	nameServer(t, "127.0.0.3:53", typeA, typeAAAA)

	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.SetRespond(first(1, ssmresumetest.Reset()))
	cfg := srv.Config()
	cfg.BaseEndpoint = aws.String(strings.Replace(srv.URL(), "127.0.0.1", "ssm.example.com", 1))
	client := ssmresume.NewFromConfig(cfg)
	begin := time.Now()
	if _, err := client.ResumeSession(t.Context(), input); err != nil { // on the pool, and on a fresh connection
		t.Errorf("ResumeSession: %v", err)
	}
	t.Logf("ResumeSession: %v", time.Since(begin))
	begin = time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := ssmresume.NewReconnector(client, sessionID, func(o *ssmresume.ReconnectorOptions) {
		o.OnWait = func(w ssmresume.Wait) { t.Errorf("Resume waits for %v", w.Err) }
	}).Resume(ctx)
	if took := time.Since(begin); err != nil || took < 4*time.Second || took > 8*time.Second {
		t.Errorf("Resume: %v after %v, want the 5 s that a resolver gives a name server", err, took)
	}
}

func loopbackUp() error {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(socket)
	request := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	copy(request.name[:], "lo")
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(socket), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}
