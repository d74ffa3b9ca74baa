package datachanneltest

import (
	"io"
	"sync"
)

// pipeSize is how much a pipe holds, as those of Linux do.
const pipeSize = 64 << 10

// A pipe carries bytes from writers to a reader, and holds pipeSize of them.
type pipe struct {
	mu      sync.Mutex
	changed *sync.Cond
	buf     []byte // what was written and not yet read
	eof     bool   // nothing more will be written
	closed  bool   // nothing more will be read
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
	for len(p.buf) == 0 && !p.eof && !p.closed {
		p.changed.Wait()
	}
	switch {
	case p.closed:
		return 0, io.ErrClosedPipe
	case len(p.buf) == 0:
		return 0, io.EOF
	}
	n := copy(b, p.buf)
	p.buf = p.buf[n:]
	if len(p.buf) == 0 && cap(p.buf) < 1<<10 {
		p.buf = nil
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
		for len(p.buf) >= pipeSize && !p.eof && !p.closed {
			p.changed.Wait()
		}
		if p.eof || p.closed {
			return n, io.ErrClosedPipe
		}
		part := b[n:min(len(b), n+pipeSize-len(p.buf))]
		p.buf = append(p.buf, part...)
		n += len(part)
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
	p.buf = nil
	p.changed.Broadcast()
}
