package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/ssmresume/ssmresume/study/internal/figure"
)

// The test binary is a subject, too.
func TestMain(m *testing.M) {
	if mode := os.Getenv(modeName); mode != "" {
		exitOn(beSubject(mode, os.Args[1:]))
		return
	}
	os.Exit(m.Run())
}

// TestShort runs the short plan. Every subject has figures, and ours lose nothing.
func TestShort(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("subjects are ended by a signal")
	}
	p := shortPlan()
	l, err := newLab(t.Context(), "", p.stall)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	r, err := l.measure(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range subjects {
		for _, direction := range []string{upload, download} {
			bulks := r.bulksOf(direction, p.roundTrips[0], subject)
			if len(bulks) != p.rounds {
				t.Errorf("%s, %s: %d figures, want %d", direction, subject, len(bulks), p.rounds)
			}
			for _, b := range bulks {
				if b.took < p.roundTrips[0]/2 || b.cpu <= 0 || runtime.GOOS == "linux" && b.memory < 1<<20 {
					t.Errorf("%s, %s: %v, %v of the processor, %d bytes of memory", direction, subject, b.took, b.cpu, b.memory)
				}
			}
		}
		for _, ty := range r.typingsOf(p.roundTrips[0], subject) {
			if len(ty.echoes) != p.keys || ty.echo() < p.roundTrips[0] || ty.first <= 0 {
				t.Errorf("%s: %d echoes, median %v, first byte after %v", subject, len(ty.echoes), ty.echo(), ty.first)
			}
		}
	}
	if want := p.rounds * 2 * len(p.unacknowledged) * 3; len(r.recoveries) != want {
		t.Errorf("%d recoveries, want %d", len(r.recoveries), want)
	}
	for _, rec := range r.recoveries {
		// Not how soon: timing decides no test.
		if isOurs(rec.subject) && (rec.closed < 0 || rec.got < 1 || rec.messages < rec.want) {
			t.Errorf("%s, %s lost: %+v", rec.subject, rec.lost, rec)
		}
	}
	for _, pas := range r.passages {
		if isOurs(pas.subject) && (pas.err != nil || pas.arrived != pas.bytes || pas.cuts != p.cuts) {
			t.Errorf("%s, %s through cuts: %+v", pas.subject, pas.direction, pas)
		}
		if pas.subject == bareSocket && pas.err == nil {
			t.Errorf("a bare WebSocket has carried a %s through a cut", pas.direction)
		}
	}
	for _, c := range r.courses {
		if c.arrived() == 0 || isOurs(c.subject) && errors.Is(c.err, errWrong) {
			t.Errorf("%s, %s: %d bytes came, and then: %v", c.subject, c.direction, c.arrived(), c.err)
		}
	}

	r.print(io.Discard)
	dir := t.TempDir()
	if err := figure.WriteFiles(dir, r.files()); err != nil {
		t.Fatal(err)
	}
	if err := plotAgain(dir); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"channel-course.svg", "channel-recovery.svg"} {
		if err := wellFormed(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func isOurs(subject string) bool { return subject == ourSession || subject == ourPlugin }

func wellFormed(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for d := xml.NewDecoder(f); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// TestSink holds a stream to what was sent, byte for byte, and finds when it is fast.
func TestSink(t *testing.T) {
	s := &sink{}
	begun := time.Now()
	for i := range int64(100) { // 1 KiB each 10 ms, then each ms
		after := time.Duration(i) * 10 * time.Millisecond
		if i > 50 {
			after = time.Duration(500+i-50) * time.Millisecond
		}
		s.marks = append(s.marks, mark{begun.Add(after), (i + 1) << 10})
	}
	if got := s.atSpeed(begun.Add(100*time.Millisecond), 20*time.Millisecond, 15<<10).Sub(begun); got < 480*time.Millisecond || got > 510*time.Millisecond {
		t.Errorf("fast from %v on, want about 500 ms", got)
	}
	if got := s.atSpeed(begun, 20*time.Millisecond, 100<<10); !got.IsZero() {
		t.Errorf("a speed that never was came after %v", got.Sub(begun))
	}
	if got := s.reached(50 << 10).Sub(begun); got != 490*time.Millisecond {
		t.Errorf("50 KiB came after %v, want 490 ms", got)
	}
}
