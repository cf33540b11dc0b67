package front

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// A compressWriter encodes one answer, or does not: that is decided by its
// head, and where that does not tell the size, by the first of its bytes.
type compressWriter struct {
	w        http.ResponseWriter
	c        *Compression
	encoding string
	headOnly bool

	state  compressState
	status int
	held   []byte  // while undecided
	enc    encoder // while encoding
}

type compressState uint8

const (
	headless  compressState = iota // no final head yet
	undecided                      // the head waits for more of the body
	plain                          // as it is
	encoding
)

var compressWriters = sync.Pool{New: func() any { return new(compressWriter) }}

func (cw *compressWriter) Header() http.Header         { return cw.w.Header() }
func (cw *compressWriter) Unwrap() http.ResponseWriter { return cw.w }

// WriteHeader decides, if it can. Called again while nothing is sent, it
// begins anew: the handler failed after all.
func (cw *compressWriter) WriteHeader(status int) {
	if status < 200 || cw.state == plain || cw.state == encoding {
		cw.w.WriteHeader(status)
		return
	}
	cw.status, cw.held = status, cw.held[:0]
	h := cw.w.Header()
	if !cw.c.takes(status, h) {
		cw.asItIs()
		return
	}
	size, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	switch {
	case err != nil:
		cw.state = undecided
	case size < cw.c.MinSize:
		cw.asItIs()
	default:
		cw.begin()
	}
}

func (cw *compressWriter) asItIs() {
	cw.state = plain
	cw.w.WriteHeader(cw.status)
}

// begin sends the head of an encoded answer. That of a HEAD is the same (RFC
// 9110 §9.3.2): the length of what GET would get is not known.
func (cw *compressWriter) begin() {
	cw.state = encoding
	h := cw.w.Header()
	h["Content-Encoding"] = []string{cw.encoding}
	delete(h, "Content-Length")
	delete(h, "Accept-Ranges")
	if tag := h.Get("Etag"); strings.HasPrefix(tag, `"`) {
		h["Etag"] = []string{"W/" + tag}
	}
	cw.w.WriteHeader(cw.status)
	if !cw.headOnly {
		cw.enc = encoders[cw.encoding].Get().(encoder)
		cw.enc.Reset(cw.w)
	}
}

func (cw *compressWriter) Write(p []byte) (int, error) {
	if cw.state == headless {
		cw.WriteHeader(http.StatusOK)
	}
	switch {
	case cw.state == undecided && int64(len(cw.held)+len(p)) < cw.c.MinSize:
		cw.held = append(cw.held, p...)
		return len(p), nil
	case cw.state == undecided:
		if err := cw.encodeHeld(); err != nil {
			return 0, err
		}
	}
	return cw.body(p)
}

// ReadFrom implements io.ReaderFrom, for files that are sent as they are.
func (cw *compressWriter) ReadFrom(src io.Reader) (int64, error) {
	if to, ok := cw.w.(io.ReaderFrom); ok && cw.state == plain {
		return to.ReadFrom(src)
	}
	return copyBody(cw, src)
}

func (cw *compressWriter) encodeHeld() error {
	cw.begin()
	if len(cw.held) == 0 {
		return nil
	}
	_, err := cw.body(cw.held)
	return err
}

func (cw *compressWriter) body(p []byte) (int, error) {
	if cw.enc != nil {
		return cw.enc.Write(p)
	}
	return cw.w.Write(p)
}

// FlushError sends what there is: who flushes means the client to have it now.
func (cw *compressWriter) FlushError() error {
	if cw.state == headless {
		cw.WriteHeader(http.StatusOK)
	}
	if cw.state == undecided {
		if err := cw.encodeHeld(); err != nil {
			return err
		}
	}
	if cw.enc != nil {
		if err := cw.enc.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(cw.w).Flush()
}

// Flush implements http.Flusher for handlers that do not ask for the error.
func (cw *compressWriter) Flush() { _ = cw.FlushError() }

// finish ends an answer that the handler has ended.
func (cw *compressWriter) finish() {
	switch cw.state {
	case undecided: // smaller than worth the while
		if len(cw.held) > 0 {
			cw.w.Header()["Content-Length"] = []string{strconv.Itoa(len(cw.held))}
		}
		cw.asItIs()
		if len(cw.held) > 0 {
			cw.w.Write(cw.held) // an error is the writer's to record
		}
	case encoding:
		if cw.enc != nil {
			cw.enc.Close() // likewise
		}
	case headless, plain:
	}
}

// maxHeld is what is kept of memory for the next answer.
const maxHeld = 64 << 10

// release gives memory back. An answer that was broken off is not ended: its
// encoding stays visibly without an end.
func (cw *compressWriter) release() {
	if cw.enc != nil {
		cw.enc.Reset(nil)
		encoders[cw.encoding].Put(cw.enc)
	}
	held := cw.held[:0]
	if cap(held) > maxHeld {
		held = nil
	}
	*cw = compressWriter{held: held}
	compressWriters.Put(cw)
}
