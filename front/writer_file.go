package front

import (
	"io"
	"os"
	"sync"
)

// ReadFrom implements io.ReaderFrom: a file goes to the client without a copy of our
// own where the server can have the kernel do it, by pieces as with Write, for the
// same reason. Anything else is copied by Write.
func (w *writer) ReadFrom(src io.Reader) (n int64, err error) {
	to, ok := w.w.(io.ReaderFrom)
	limited, isLimited := src.(*io.LimitedReader)
	if isLimited {
		src = limited.R
	}
	f, isFile := src.(*os.File)
	if !ok || !isLimited || !isFile {
		if isLimited {
			src = limited
		}
		return copyBody(w, src)
	}
	w.head(200)
	piece := io.LimitedReader{R: f}
	for limited.N > 0 {
		want := min(limited.N, maxPiece)
		piece.N = want
		w.renew()
		m, err := to.ReadFrom(&piece)
		n += m
		limited.N -= m
		w.x.BytesOut += m
		if err != nil {
			w.failed(err)
			return n, err
		}
		if m < want {
			break // the file's end
		}
	}
	return n, nil
}

// copyBody copies src to w by Write, with memory that is there.
func copyBody(w io.Writer, src io.Reader) (int64, error) {
	buf := bodyCopies.Get().(*[copySize]byte)
	defer bodyCopies.Put(buf)
	return io.CopyBuffer(onlyWriter{w}, src, buf[:])
}

const copySize = 32 << 10

var bodyCopies = sync.Pool{New: func() any { return new([copySize]byte) }}

// onlyWriter hides ReadFrom from io.Copy.
type onlyWriter struct{ io.Writer }
