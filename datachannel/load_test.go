package datachannel_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
)

// heap returns how much memory is in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// A reader that stops reading holds up the agent, not the process's memory, and
// a writer only when the buffer is full.
func TestReaderThatStopsReading(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() {
		size = 16 << 20
	}
	const maxBuffered = 2 << 20
	srv := datachanneltest.NewServer()
	defer srv.Close()
	program := func(_ context.Context, term *datachanneltest.Terminal) int {
		io.WriteString(term.Stdout, "$ ")
		io.Copy(term.Stdout, noise(1, size))
		io.ReadFull(term.Stdin, make([]byte, 1)) // the client has it all: at its end the agent repairs for 2 s only
		return 0
	}
	s, _ := mustOpen(t, srv, datachanneltest.Options{Program: program}, quick, func(o *datachannel.Options) { o.MaxBuffered = maxBuffered })
	io.ReadFull(s, make([]byte, 2))
	var before, after int64
	for { // until nothing more comes
		before = after
		time.Sleep(200 * time.Millisecond)
		if after = s.Stats().BytesReceived; after == before && after > maxBuffered/2 {
			break
		}
	}
	if after > maxBuffered {
		t.Errorf("%d bytes are kept for a reader that does not read", after)
	}
	time.Sleep(time.Second)
	if st := s.Stats(); st.Channels != 1 {
		t.Errorf("the channel was given up: %+v", st)
	}
	checkNoise(t, s, 1, size)
	io.WriteString(s, "q")
}

// A writer is held up by an agent whose program does not read, and nothing is
// lost when it does.
func TestWriterAgainstAnAgentThatDoesNotRead(t *testing.T) {
	const size, window = 16 << 20, 1 << 20
	srv := datachanneltest.NewServer()
	defer srv.Close()
	read := make(chan struct{})
	sum := make(chan [32]byte, 1)
	program := func(_ context.Context, term *datachanneltest.Terminal) int {
		io.WriteString(term.Stdout, "$ ")
		<-read
		got, _ := sumOf(t, io.LimitReader(term.Stdin, size))
		sum <- got
		return 0
	}
	s, _ := mustOpen(t, srv, datachanneltest.Options{Program: program}, quick, func(o *datachannel.Options) { o.Window = window })
	readUntil(t, s, "$ ")
	start := heap()
	written := make(chan struct{})
	go func() {
		defer close(written)
		if _, err := io.Copy(s, noise(2, size)); err != nil {
			t.Error(err)
		}
	}()
	var before, after int64 = -1, 0
	for before != after { // until the window is full
		before = after
		time.Sleep(200 * time.Millisecond)
		after = s.Stats().BytesSent
	}
	// The agent and its program keep some, in this process too.
	if grown := int64(heap()) - int64(start); grown > window+8<<20 {
		t.Errorf("%d bytes more are in use", grown)
	}
	if after > size/2 {
		t.Errorf("%d bytes were taken", after)
	}
	close(read)
	<-written
	if want, _ := sumOf(t, noise(2, size)); <-sum != want {
		t.Error("input: not the bytes that were sent")
	}
}

// 10,000 idle sessions in a process. The service is another one, so that what is
// counted is the client's.
func TestIdleSessions(t *testing.T) {
	count := 10000
	if testing.Short() {
		count = 500
	}
	client, sessions := startServerProcess(t, count)
	goroutines, memory := runtime.NumGoroutine(), heap()
	open := make([]*datachannel.Session, count)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i, first := range sessions {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			s, err := datachannel.Open(t.Context(), client, first)
			if err != nil {
				t.Error(err)
				return
			}
			readUntil(t, s, "$ ")
			typed(t, s, "something typed")
			open[i] = s
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	perSession := (int64(heap()) - int64(memory)) / int64(count)
	if perSession > 64<<10 {
		t.Errorf("%d bytes each", perSession)
	}
	if n := float64(runtime.NumGoroutine()-goroutines) / float64(count); n > 6 {
		t.Errorf("%.1f goroutines each", n)
	}
	t.Logf("%d bytes and %.1f goroutines each", perSession, float64(runtime.NumGoroutine()-goroutines)/float64(count))
	for _, s := range open {
		wg.Go(func() { s.Close() })
	}
	wg.Wait()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines are left", runtime.NumGoroutine()-goroutines)
			break
		}
	}
}

// Four connections at once, through a real listener to a real one.
func TestForwardOverSockets(t *testing.T) {
	const size = 8 << 20
	remote, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	go func() {
		for {
			conn, err := remote.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	srv := datachanneltest.NewServer()
	defer srv.Close()
	s, _ := mustOpen(t, srv, datachanneltest.Options{Dial: func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", remote.Addr().String())
	}})
	local, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	forwarded := make(chan error, 1)
	go func() { forwarded <- s.Forward(ctx, local) }()
	var wg sync.WaitGroup
	for i := range uint64(4) {
		wg.Go(func() {
			conn, err := net.Dial("tcp", local.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			go io.Copy(conn, noise(i, size))
			checkNoise(t, conn, i, size)
		})
	}
	wg.Wait()
	cancel()
	if err := <-forwarded; err != context.Canceled {
		t.Errorf("Forward: %v", err)
	}
}
