package http1

import (
	"io"
	"net/http"
	"os"
	"sync"
)

// leastFile is how much of a file, in bytes, is worth sending by itself: with less
// the head goes along in one write.
const leastFile = 16 << 10

// readFrom copies src to the client: without a copy of our own where src is a
// file, or an io.LimitedReader of one, the connection is the kernel's, and no chunks
// are made of it. A file that ends before its declared length ends the connection
// after the answer, as with Write.
func (x *exchange) readFrom(src io.Reader) (n int64, err error) {
	if x.c.hijacked {
		return 0, http.ErrHijacked
	}
	if x.status == 0 {
		x.writeHeader(http.StatusOK)
	}
	if f, limit := x.plainFile(src); f != nil {
		if x.send(nil, false); x.err != nil {
			return 0, x.err
		}
		n, whole, err := x.sendFile(f, limit)
		if limit, ok := src.(*io.LimitedReader); ok {
			limit.N -= n
		}
		if whole || err != nil {
			return n, err
		}
		m, err := x.copyFrom(src)
		return n + m, err
	}
	return x.copyFrom(src)
}

// plainFile returns the file that src is, where the kernel may copy it, and how much
// of it is to be sent at most.
func (x *exchange) plainFile(src io.Reader) (*os.File, int64) {
	limit := x.length - x.written
	if limited, ok := src.(*io.LimitedReader); ok {
		limit, src = min(limit, limited.N), limited.R
	}
	f, ok := src.(*os.File)
	if !ok || limit < leastFile || x.bodyless || x.coding || x.c.raw == nil || !x.said.kind && !x.sealed {
		return nil, 0
	}
	// What is no regular file may have to be waited for.
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, 0
	}
	return f, limit
}

// sendFile sends up to n bytes of f, from where it stands. whole is false where it
// is to be gone on with by copying: the system cannot do it with this file.
func (x *exchange) sendFile(f *os.File, n int64) (sent int64, whole bool, err error) {
	for {
		m, able, err := x.c.sendFile(f, n-sent)
		sent, x.written = sent+m, x.written+m
		switch {
		case err == nil:
			return sent, able, nil
		case !x.c.out.early(err):
			x.err = err
			x.c.lost()
			return sent, true, err
		}
	}
}

// copyFrom copies src by Write.
func (x *exchange) copyFrom(src io.Reader) (int64, error) {
	buf := copies.Get().(*[copySize]byte)
	defer copies.Put(buf)
	return io.CopyBuffer(onlyWriter{x}, onlyReader{src}, buf[:])
}

const copySize = 32 << 10

var copies = sync.Pool{New: func() any { return new([copySize]byte) }}

// onlyWriter hides readFrom from io.Copy, onlyReader what src may have of the kind.
type (
	onlyWriter struct{ x *exchange }
	onlyReader struct{ io.Reader }
)

func (w onlyWriter) Write(p []byte) (int, error) { return w.x.write(p) }
