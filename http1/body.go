package http1

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

type bodyState uint8

const (
	inData     bodyState = iota
	atSize               // at a chunk's size
	atDataEnd            // at the CRLF behind a chunk's data
	inTrailers           // behind the last chunk
	atEnd
)

const (
	maxChunkLine = 4096     // bytes of a chunk's size and extensions, net/http's own limit
	maxTrailers  = 16 << 10 // bytes of all trailers

	// maxChunkDigits is net/http's: zeros in front are read as far as they go by
	// some and, past the width of their integer, as something else by others.
	maxChunkDigits = 16

	// chunkAllowance and maxExcess bound extensions over a whole body, which
	// count for no limit of its size: else a byte of it could cost a line of 4 KiB.
	chunkAllowance = 16
	maxExcess      = 16 << 10
)

// A body is a request's body. Read returns io.EOF only where the message says
// that the body ends: io.ErrUnexpectedEOF where the client left before that, a
// *Rule where the chunks are malformed, the connection's error otherwise. It
// is read by one goroutine at a time, maybe another one than the handler's.
type body struct {
	// Immutable.
	c       *conn
	req     *http.Request // gets the trailers
	chunked bool

	mu      sync.Mutex // guards the fields below; held by Read while it waits
	state   bodyState
	left    int64 // bytes of the body or the chunk to come
	trailer int   // bytes of trailers so far
	excess  int64 // bytes of chunks' lines beyond what honest ones need, so far
	err     error // that every further Read returns
	closed  bool

	goMu sync.Mutex // guards the field below
	goOn bool       // the client waits for 100 Continue

	// Owned by whoever writes the answer.
	unasked bool // the client still waited when it began
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	if b.err != nil {
		return 0, b.err
	}
	if err := b.sayGoOn(); err != nil {
		b.err = err
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.read(p)
	if err != nil {
		b.err = err
		if err == io.EOF {
			b.c.bodyEnded()
		}
	}
	return n, err
}

// read returns a part of the body. With the last one comes io.EOF, where that
// is known already: net/http does so, and no further Read need wait for it.
func (b *body) read(p []byte) (n int, err error) {
	for n == 0 && err == nil && b.state != atEnd {
		if b.state == inData {
			n, err = b.data(p)
			continue
		}
		err = b.line(true)
	}
	for b.chunked && err == nil && b.state != inData && b.state != atEnd && b.c.x.buffered() > 0 {
		if err = b.line(false); err == errShort {
			return n, nil
		}
	}
	if err == nil && b.state == atEnd {
		err = io.EOF
	}
	return n, err
}

// data takes a part of the body's or a chunk's bytes: what the buffer holds,
// or else straight from the connection, where no more than belongs to it is read.
func (b *body) data(p []byte) (n int, err error) {
	x := b.c.x
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	switch {
	case x.buffered() > 0:
		n = copy(p, x.in[x.from:x.to])
		x.from += n
	case len(p) < len(x.in):
		// Many small reads of the handler are few of the connection; and what
		// follows a chunk comes along.
		if err = x.more(); err != nil {
			return 0, b.ended(err)
		}
		return b.data(p)
	default:
		if n, err = b.c.read(p); n == 0 {
			return 0, b.ended(err)
		}
	}
	if b.left -= int64(n); b.left == 0 {
		b.state = atEnd
		if b.chunked {
			b.state = atDataEnd
		}
	}
	return n, nil
}

// ended gives the connection's end within a body its name.
func (b *body) ended(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

var errShort = errors.New("line not complete")

// line takes a line between chunks' data. If wait is false it takes what is
// here, or returns errShort.
func (b *body) line(wait bool) error {
	x, limit := b.c.x, maxChunkLine
	if b.state == inTrailers {
		limit = maxTrailers
	}
	for scanned := 0; ; {
		have := x.in[x.from:x.to]
		if b.state == atDataEnd && !bytes.HasPrefix(crlf, have[:min(2, len(have))]) {
			return RuleChunkEnd
		}
		if lf := bytes.IndexByte(have[scanned:], '\n'); lf >= 0 {
			line := have[:scanned+lf]
			x.from += scanned + lf + 1
			if len(line) == 0 || line[len(line)-1] != '\r' || bytes.IndexByte(line, '\r') != len(line)-1 {
				return RuleLineEnd
			}
			return b.take(line[:len(line)-1])
		}
		if scanned = len(have); scanned > limit {
			return b.tooLong()
		}
		if !wait {
			return errShort
		}
		if err := x.more(); err != nil {
			return b.ended(err)
		}
	}
}

var crlf = []byte("\r\n")

func (b *body) tooLong() *Rule {
	if b.state == inTrailers {
		return RuleTrailerSize
	}
	return RuleChunkLine
}

func (b *body) take(line []byte) error {
	switch b.state {
	case atDataEnd:
		b.state = atSize
	case atSize:
		return b.size(line)
	case inTrailers:
		if len(line) == 0 {
			b.state = atEnd
			return nil
		}
		return b.trailerField(line)
	}
	return nil
}

// size takes chunk-size [ chunk-ext ] (RFC 9112 §7.1), without the white space
// that §7.1.1 allows around an extension but calls bad.
func (b *body) size(line []byte) error {
	if len(line) > maxChunkLine {
		return RuleChunkLine
	}
	digits, extension, _ := bytes.Cut(line, []byte{';'})
	n, ok := number(digits, 16)
	if !ok || len(digits) > maxChunkDigits || !allIn(extension, inValue) {
		return RuleChunkSize
	}
	// A line's allowance is its own digits and a half of its chunk: what is over
	// it adds up, and a sender of real chunks works it off again.
	b.excess = max(0, b.excess+int64(len(line))-chunkAllowance-n/2)
	if b.excess > maxExcess {
		return RuleChunkExcess
	}
	if b.state, b.left = inData, n; n == 0 {
		b.state = inTrailers
	}
	return nil
}

// trailerField takes a field behind the last chunk (RFC 9112 §7.1.2).
func (b *body) trailerField(line []byte) error {
	if b.trailer += len(line); b.trailer > maxTrailers {
		return RuleTrailerSize
	}
	name, value, ok := bytes.Cut(line, []byte{':'})
	value = trimOWS(value)
	if !ok || len(name) == 0 || !allIn(name, inToken) || !allIn(value, inValue) {
		return RuleTrailer
	}
	key := canonical(string(name))
	if headOnly(key) {
		return RuleTrailerKind
	}
	if b.req.Trailer == nil {
		b.req.Trailer = make(http.Header)
	}
	b.req.Trailer[key] = append(b.req.Trailer[key], string(value))
	return nil
}

// sayGoOn answers 100 to a client that waits for it, before its body is first
// read (RFC 9110 §10.1.1), unless the final answer is on its way.
func (b *body) sayGoOn() error {
	b.goMu.Lock()
	defer b.goMu.Unlock()
	if !b.goOn {
		return nil
	}
	b.goOn = false
	_, err := b.c.write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	return err
}

// noGoOn says whether the client still waits for 100 Continue, which it will
// not get: its body may come, or not (RFC 9110 §10.1.1).
func (b *body) noGoOn() bool {
	b.goMu.Lock()
	defer b.goMu.Unlock()
	waits := b.goOn
	b.goOn = false
	return waits
}

// Close implements io.Closer. The rest is left for after the handler.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// short says whether so little is left, for all that is known, that it is
// read for the sake of the connection.
func (b *body) short() bool {
	if !b.mu.TryLock() {
		return true // it is being read, and so it may be to its end
	}
	defer b.mu.Unlock()
	return b.err == nil && (b.chunked || b.left < maxDrain) || b.err == io.EOF
}

// lock takes the body from the handler: somebody who still reads it gets an error.
func (b *body) lock() {
	if b.mu.TryLock() {
		return
	}
	b.c.in.interrupt()
	b.mu.Lock()
	b.c.in.resume()
	b.err = http.ErrBodyReadAfterClose
}

// drop is called instead of finish where the connection ends anyway.
func (b *body) drop() {
	b.lock()
	defer b.mu.Unlock()
	b.closed = true
}

// finish is called when the handler has returned: nothing reads the body after
// it. It takes what is left, within bounds, and says whether that was all.
func (b *body) finish() bool {
	b.lock()
	defer b.mu.Unlock()
	if b.err == nil && (b.goOn || b.unasked) { // nobody else has a hand in it any more
		b.err = http.ErrBodyReadAfterClose // it may never come
	}
	err := b.err
	switch {
	case err == nil:
		b.c.in.notAfter(time.Now().Add(drainTime))
		err = b.drain()
	case errors.Is(err, os.ErrDeadlineExceeded) && !b.c.x.closes:
		// The handler did not want to wait for it, but the client has been told of
		// no end: it may be on its way, and the next request behind it.
		_ = b.c.in.by(time.Now().Add(drainTime)) // fails on a closed connection, as the read will
		err = b.drain()
	}
	b.closed, b.err = true, http.ErrBodyReadAfterClose
	return err == io.EOF
}

// drain reads the rest, less than maxDrain bytes and for drainTime.
func (b *body) drain() error {
	if b.state == inData && b.left >= maxDrain && !b.chunked {
		return io.ErrShortBuffer
	}
	waste := drains.Get().(*[4096]byte)
	defer drains.Put(waste)
	for total := 0; total < maxDrain; {
		n, err := b.read(waste[:])
		if total += n; err != nil {
			return err
		}
	}
	return io.ErrShortBuffer
}

var drains = sync.Pool{New: func() any { return new([4096]byte) }}

const (
	// maxDrain, net/http's number, and drainTime bound what is read of a body that the handler
	// left, to keep the connection; over them it is closed.
	maxDrain  = 256 << 10
	drainTime = 5 * time.Second
)
