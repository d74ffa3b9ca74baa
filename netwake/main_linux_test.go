package netwake_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

const inNamespace = "NETWAKE_TEST_IN_NAMESPACE"

// noNamespace says why these tests are not in a network namespace of their own.
var noNamespace error

// TestMain runs the tests again in a network namespace, where they take interfaces
// up and down, and its exit status is theirs.
func TestMain(m *testing.M) {
	if os.Getenv(inNamespace) == "" {
		if noNamespace = tryNamespace(); noNamespace == nil {
			os.Exit(runInNamespace())
		}
	} else if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "ip link set lo up: %v %s\n", err, out)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func namespaced(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	return cmd
}

// tryNamespace makes all that the tests need of a namespace, and drops it.
func tryNamespace() error {
	out, err := namespaced("ip", "link", "add", "name", "net0", "type", "veth", "peer", "name", "far0").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w %s", err, out)
	}
	return nil
}

func runInNamespace() int {
	runtime.LockOSThread() // at whose end the tests would be killed
	cmd := namespaced("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// needsNamespace skips a test where there is none, but fails it where there should be.
func needsNamespace(tb testing.TB) {
	tb.Helper()
	switch {
	case noNamespace == nil:
	case os.Getenv("CI") == "true" && os.Getuid() == 0:
		tb.Fatalf("no network namespace with the command ip in it, although root runs this: %v", noNamespace)
	default:
		tb.Skipf("no network namespace with the command ip in it: %v", noNamespace)
	}
}

// A place runs commands of ip(8), which are separated by semicolons. What they do
// has been told to whoever listens when it returns.
type place func(tb testing.TB, commands string)

// ip is the place where the tests are.
func ip(tb testing.TB, commands string) {
	tb.Helper()
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(commands, "; ", "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Errorf("ip %s: %v\n%s", commands, err, out)
	}
}

// cable makes the interface net0, which is down, and has nothing but a cable to far0.
// That is up in a namespace of its own, with the addresses 192.0.2.1, at which the
// listener is, and 2001:db8::1. All of it goes at the end of the test.
func cable(tb testing.TB) (far place, l net.Listener) {
	tb.Helper()
	needsNamespace(tb)
	work, done := make(chan func()), make(chan struct{})
	go func() {
		runtime.LockOSThread() // and not unlocked: the thread ends, and its namespace
		for do := range work {
			do()
			done <- struct{}{}
		}
	}()
	there := func(do func()) {
		work <- do
		<-done
	}
	far = func(tb testing.TB, commands string) {
		tb.Helper()
		there(func() { ip(tb, commands) })
	}

	var thread int
	there(func() {
		thread = syscall.Gettid()
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			tb.Error(err)
		}
	})
	ip(tb, fmt.Sprintf("link add name net0 type veth peer name far0; link set far0 netns %d", thread))
	far(tb, "address add 192.0.2.1/24 dev far0; address add 2001:db8::1/64 dev far0 nodad; link set far0 up")
	there(func() {
		var err error
		if l, err = net.Listen("tcp4", "192.0.2.1:0"); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(func() {
		if l != nil {
			l.Close()
		}
		ip(tb, "link del net0")
		close(work)
	})
	if tb.Failed() {
		tb.FailNow()
	}
	return far, l
}
