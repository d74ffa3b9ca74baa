package datachanneltest

import (
	"io"
	"sync"
)

// pipeSize is how much a pipe holds, as those of Linux do.
const pipeSize = 64 << 10

// buffers holds the buffers of pipes that are empty, which most are.
var buffers = sync.Pool{New: func() any { return new([pipeSize]byte) }}

// A pipe carries bytes from writers to a reader, and holds pipeSize of them.
type pipe struct {
	mu       sync.Mutex
	changed  *sync.Cond
	buf      *[pipeSize]byte // nil while it is empty
	from, to int             // of buf: what was written and not yet read
	eof      bool            // nothing more will be written
	closed   bool            // nothing more will be read
}

func newPipe() *pipe {
	p := &pipe{}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// Read returns what there is, and blocks while there is nothing.
func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.buf == nil && !p.eof && !p.closed {
		p.changed.Wait()
	}
	switch {
	case p.closed:
		return 0, io.ErrClosedPipe
	case p.buf == nil:
		return 0, io.EOF
	}
	n := copy(b, p.buf[p.from:p.to])
	if p.from += n; p.from == p.to {
		p.free()
	}
	p.changed.Broadcast()
	return n, nil
}

// Write blocks while the pipe is full. Writes of several goroutines may mix where
// they are longer than there is room for.
func (p *pipe) Write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for p.to-p.from == pipeSize && !p.eof && !p.closed {
			p.changed.Wait()
		}
		if p.eof || p.closed {
			return n, io.ErrClosedPipe
		}
		if p.buf == nil && n < len(b) {
			p.buf = buffers.Get().(*[pipeSize]byte)
		}
		if len(b)-n > pipeSize-p.to && p.from > 0 {
			p.to = copy(p.buf[:], p.buf[p.from:p.to])
			p.from = 0
		}
		if p.buf != nil {
			m := copy(p.buf[p.to:], b[n:])
			p.to += m
			n += m
		}
		p.changed.Broadcast()
		if n == len(b) {
			return n, nil
		}
	}
}

// end lets the reader read what there is, and then io.EOF.
func (p *pipe) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.eof = true
	p.changed.Broadcast()
}

// close ends both sides at once.
func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.free()
	p.changed.Broadcast()
}

// free gives the buffer back. p.mu is held.
func (p *pipe) free() {
	if p.buf != nil {
		buffers.Put(p.buf)
	}
	p.buf, p.from, p.to = nil, 0, 0
}
