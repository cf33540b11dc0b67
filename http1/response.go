package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// A response is the http.ResponseWriter that a handler gets. It is the
// handler's until it returns; what comes later fails, and never reaches
// another request's client.
//
// It implements http.Flusher, http.Hijacker, io.ReaderFrom, io.StringWriter
// and what http.ResponseController asks for. Reading the request's body while
// answering is always allowed (full duplex).
type response struct {
	x *exchange // nil: the handler has returned
}

var errReturned = errors.New("http1: answer written to after its handler returned")

func (w *response) Header() http.Header {
	if w.x == nil {
		return make(http.Header)
	}
	return w.x.header
}

func (w *response) WriteHeader(status int) {
	if w.x != nil {
		w.x.writeHeader(status)
	}
}

func (w *response) Write(p []byte) (int, error) {
	if w.x == nil {
		return 0, errReturned
	}
	return w.x.write(p)
}

// WriteString implements io.StringWriter.
func (w *response) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError sends what is written, the head first if it is not out yet.
func (w *response) FlushError() error {
	if w.x == nil {
		return errReturned
	}
	return w.x.flush()
}

// SetReadDeadline bounds the reads of the request's body.
func (w *response) SetReadDeadline(t time.Time) error {
	if w.x == nil {
		return errReturned
	}
	return w.x.c.in.by(t)
}

// SetWriteDeadline bounds the writes of the answer.
func (w *response) SetWriteDeadline(t time.Time) error {
	if w.x == nil {
		return errReturned
	}
	return w.x.c.out.by(t)
}

// EnableFullDuplex says that the handler goes on reading the body after it has
// begun to answer: a large rest is no reason then to announce the
// connection's end.
func (w *response) EnableFullDuplex() error {
	if w.x == nil {
		return errReturned
	}
	w.x.duplex = true
	return nil
}

// Hijack hands the connection over, with what was read ahead of it.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.x == nil {
		return nil, nil, errReturned
	}
	if w.x.c.hijacked {
		return nil, nil, http.ErrHijacked
	}
	return w.x.c.hijack()
}

func (c *conn) hijack() (net.Conn, *bufio.ReadWriter, error) {
	if c.phase.Swap(away) == watched {
		c.endWatch()
	}
	x := c.x
	ahead := bytes.Clone(x.in[x.from:x.to])
	if c.hasOne {
		ahead, c.hasOne = append(ahead, c.one[0]), false
	}
	if err := c.nc.SetDeadline(time.Time{}); err != nil {
		return nil, nil, fmt.Errorf("hijack: %w", err)
	}
	c.hijacked = true
	var r io.Reader = c.nc
	if len(ahead) > 0 {
		r = io.MultiReader(bytes.NewReader(ahead), c.nc)
	}
	in := bufio.NewReader(r)
	if _, err := in.Peek(len(ahead)); err != nil {
		return nil, nil, fmt.Errorf("hijack: %w", err)
	}
	return c.nc, bufio.NewReadWriter(in, bufio.NewWriter(c.nc)), nil
}

// ReadFrom lets the kernel copy a file to the client where it can.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	if w.x == nil {
		return 0, errReturned
	}
	return w.x.readFrom(src)
}

var (
	_ http.Flusher    = (*response)(nil)
	_ http.Hijacker   = (*response)(nil)
	_ io.ReaderFrom   = (*response)(nil)
	_ io.StringWriter = (*response)(nil)
)
