package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
)

const (
	upload   = "upload"
	download = "download"
)

// ends returns which end of a connection sends.
func ends(direction string, near, far net.Conn) (from, to net.Conn) {
	if direction == upload {
		return near, far
	}
	return far, near
}

// A bulk is one transfer through a forwarded port.
type bulk struct {
	subject, direction string
	roundTrip          time.Duration
	bytes              int64
	took               time.Duration
	usage
}

func (b bulk) speed() float64 { return float64(b.bytes) / 1e6 / b.took.Seconds() } // MB/s

// cpuEach is the processor's time for each MiB, in ms.
func (b bulk) cpuEach() float64 { return b.cpu.Seconds() * 1e3 / (float64(b.bytes) / (1 << 20)) }

func (l *lab) bulk(s subject, direction string, roundTrip time.Duration, size int64) (b bulk, err error) {
	p, err := l.start(s, roundTrip, datachanneltest.Options{})
	if err != nil {
		return b, err
	}
	defer func() { b.usage = l.stop(p) }()
	near, far, err := p.dial()
	if err != nil {
		return b, err
	}
	from, to := ends(direction, near, far)
	got := newSink(to, p.exited)
	begun := time.Now()
	src := newSource(from)
	defer src.end()
	src.allow(size)
	err = got.await(size, l.stall)
	b = bulk{subject: s.name, direction: direction, roundTrip: roundTrip, bytes: size, took: time.Since(begun)}
	if err != nil {
		return b, fmt.Errorf("%w, after %d of %d bytes", err, got.total(), size)
	}
	return b, nil
}

// A typing is a shell in which keys are pressed, each after the echo of the one
// before.
type typing struct {
	subject   string
	roundTrip time.Duration
	keys      int
	first     time.Duration // from the start of the process to its first byte of the shell's
	echoes    []time.Duration
	usage
}

const prompt = "[prompt]"

// echo is a shell that does nothing but echo.
func echo(_ context.Context, t *datachanneltest.Terminal) int {
	io.WriteString(t.Stdout, prompt)
	io.Copy(t.Stdout, t.Stdin)
	return 0
}

func (l *lab) typing(s subject, roundTrip time.Duration, keys int) (ty typing, err error) {
	begun := time.Now()
	p, err := l.start(s, roundTrip, datachanneltest.Options{Program: echo})
	if err != nil {
		return ty, err
	}
	defer func() { ty.usage = l.stop(p) }()
	ty = typing{subject: s.name, roundTrip: roundTrip, keys: keys}
	shown := func(n int) error {
		_, err := p.out.await(l.stall, func(b []byte) bool {
			_, after, found := bytes.Cut(b, []byte(prompt))
			return found && len(after) >= n
		}, p.exited)
		return err
	}
	if err := shown(0); err != nil {
		return ty, err
	}
	ty.first = time.Since(begun)
	for i := range keys {
		pressed := time.Now()
		if _, err := p.keys.Write([]byte{'a' + byte(i%26)}); err != nil {
			return ty, err
		}
		if err := shown(i + 1); err != nil {
			return ty, err
		}
		ty.echoes = append(ty.echoes, time.Since(pressed))
	}
	return ty, nil
}

func (ty typing) echo() time.Duration { return median(ty.echoes) }

// median is the upper one of an even number.
func median[T int64 | float64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
