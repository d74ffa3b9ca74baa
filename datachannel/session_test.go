package datachannel_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
)

// sh is a shell of few words: it repeats what is typed, counts, and exits.
func sh(_ context.Context, t *datachanneltest.Terminal) int {
	fmt.Fprint(t.Stdout, "$ ")
	in := bufio.NewScanner(t.Stdin)
	for in.Scan() {
		switch word, rest, _ := strings.Cut(in.Text(), " "); word {
		case "exit":
			return 0
		default:
			fmt.Fprintf(t.Stdout, "<%s %s>\n$ ", word, rest)
		}
	}
	return 0
}

// quick makes a session come back at once, however often it is cut.
func quick(o *datachannel.Options) {
	o.Reconnector = func(r *ssmresume.ReconnectorOptions) { r.MaxServiceWait = time.Millisecond }
}

func readUntil(t *testing.T, r io.Reader, want string) string {
	t.Helper()
	var got strings.Builder
	buf := make([]byte, 4096)
	for !strings.HasSuffix(got.String(), want) {
		n, err := r.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			t.Fatalf("read %q, then %v; want %q", got.String(), err, want)
		}
	}
	return got.String()
}

func TestShell(t *testing.T) {
	srv := datachanneltest.NewServer()
	defer srv.Close()
	first, agent := srv.Start(datachanneltest.Options{Program: sh})
	s, err := datachannel.Open(t.Context(), ssmresume.NewFromConfig(srv.Config()), first, quick)
	if err != nil {
		t.Fatal(err)
	}
	readUntil(t, s, "$ ")
	for i, end := range []func(){func() {}, agent.Cut, func() { agent.CloseChannel(1000, "Bye") }} {
		end()
		fmt.Fprintf(s, "line %d\n", i)
		readUntil(t, s, fmt.Sprintf("<line %d>\n$ ", i))
	}
	io.WriteString(s, "exit\n")
	if rest, err := io.ReadAll(s); err != nil || len(rest) > 0 {
		t.Errorf("after exit: %q, %v", rest, err)
	}
	if code, err := s.Wait(); code != -1 || err != nil {
		t.Errorf("Wait = %d, %v", code, err)
	}
	if st := s.Stats(); st.Channels != 3 {
		t.Errorf("%+v", st)
	}
}
