package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxHeadBytes bounds the head of an answer; peers send a few hundred bytes.
const maxHeadBytes = 16 << 10

// readBuffer is what is read at once, in bytes: large, so that the harness
// costs little where an answer is large.
const readBuffer = 64 << 10

var (
	errStatus = errors.New("status")
	errBody   = errors.New("body differs")
	errHead   = errors.New("malformed head")
)

// A responseReader reads HTTP/1 answers from a connection and compares each
// body with the right one while it reads.
type responseReader struct {
	src    io.Reader
	buf    []byte
	r, w   int
	got    int64 // bytes since begin
	closes bool  // the connection ends with the last answer
}

func newResponseReader(src io.Reader) *responseReader {
	return &responseReader{src: src, buf: make([]byte, readBuffer)}
}

func (r *responseReader) reset(src io.Reader) { r.src, r.r, r.w, r.closes = src, 0, 0, false }

// begin starts an answer; untouched says that not a byte of it has come.
func (r *responseReader) begin()          { r.got = 0 }
func (r *responseReader) untouched() bool { return r.got == 0 }

// fill reads more; EOF is io.ErrUnexpectedEOF, for an answer is under way.
func (r *responseReader) fill() error {
	if r.r == r.w {
		r.r, r.w = 0, 0
	} else if r.w == len(r.buf) {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	if r.w == len(r.buf) {
		return fmt.Errorf("%w: line too long", errHead)
	}
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	r.got += int64(n)
	if n > 0 {
		return nil
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// answerHead is what the head of an answer says of its body.
type answerHead struct {
	status  int
	length  int64 // -1: not said
	chunked bool
}

// read takes one answer, which must be 200 with the body want.
func (r *responseReader) read(want []byte) error {
	h, err := r.head()
	if err != nil {
		return err
	}
	switch {
	case h.status != 200:
		return fmt.Errorf("%w %d", errStatus, h.status)
	case h.chunked:
		return r.chunks(want)
	case h.length >= 0:
		if h.length != int64(len(want)) {
			return fmt.Errorf("%w: %d bytes, want %d", errBody, h.length, len(want))
		}
		return r.match(want)
	}
	return r.toEnd(want)
}

func (r *responseReader) head() (answerHead, error) {
	for from := 0; ; {
		if i := bytes.Index(r.buf[r.r+from:r.w], []byte("\r\n\r\n")); i >= 0 {
			text := string(r.buf[r.r : r.r+from+i])
			r.r += from + i + 4
			h, err := r.parseHead(text)
			if err == nil && h.status >= 100 && h.status < 200 {
				from = 0
				continue // an interim answer
			}
			return h, err
		}
		from = max(0, r.w-r.r-3)
		if r.w-r.r > maxHeadBytes {
			return answerHead{}, fmt.Errorf("%w: over %d bytes", errHead, maxHeadBytes)
		}
		if err := r.fill(); err != nil {
			return answerHead{}, err
		}
	}
}

func (r *responseReader) parseHead(text string) (answerHead, error) {
	h := answerHead{length: -1}
	status, rest, _ := strings.Cut(text, "\r\n")
	if len(status) < 12 || !strings.HasPrefix(status, "HTTP/1.") || status[8] != ' ' {
		return h, fmt.Errorf("%w: %.40q", errHead, status)
	}
	code, err := strconv.Atoi(status[9:12])
	if err != nil {
		return h, fmt.Errorf("%w: %.40q", errHead, status)
	}
	h.status = code
	r.closes = status[7] == '0' // HTTP/1.0 keeps only what it says it keeps
	for rest != "" {
		var field string
		field, rest, _ = strings.Cut(rest, "\r\n")
		name, value, ok := strings.Cut(field, ":")
		if !ok {
			return h, fmt.Errorf("%w: %.40q", errHead, field)
		}
		if err := r.field(&h, name, strings.TrimSpace(value)); err != nil {
			return h, err
		}
	}
	return h, nil
}

func (r *responseReader) field(h *answerHead, name, value string) error {
	switch {
	case strings.EqualFold(name, "Content-Length"):
		n, err := strconv.ParseUint(value, 10, 62)
		if err != nil {
			return fmt.Errorf("%w: Content-Length %.40q", errHead, value)
		}
		h.length = int64(n)
	case strings.EqualFold(name, "Transfer-Encoding"):
		h.chunked = strings.EqualFold(value, "chunked")
	case strings.EqualFold(name, "Connection"):
		if strings.EqualFold(value, "close") {
			r.closes = true
		} else if strings.EqualFold(value, "keep-alive") {
			r.closes = false
		}
	}
	return nil
}

// match takes as many bytes as want has.
func (r *responseReader) match(want []byte) error {
	for len(want) > 0 {
		if r.r == r.w {
			if err := r.fill(); err != nil {
				return err
			}
		}
		n := min(len(want), r.w-r.r)
		if !bytes.Equal(r.buf[r.r:r.r+n], want[:n]) {
			return errBody
		}
		r.r += n
		want = want[n:]
	}
	return nil
}

func (r *responseReader) chunks(want []byte) error {
	for {
		text, err := r.line()
		if err != nil {
			return err
		}
		text, _, _ = strings.Cut(text, ";")
		n, err := strconv.ParseUint(strings.TrimSpace(text), 16, 32)
		if err != nil {
			return fmt.Errorf("%w: chunk size %.40q", errHead, text)
		}
		if n == 0 {
			if len(want) > 0 {
				return fmt.Errorf("%w: %d bytes missing", errBody, len(want))
			}
			return r.trailer()
		}
		if n > uint64(len(want)) {
			return fmt.Errorf("%w: too long", errBody)
		}
		if err := r.match(want[:n]); err != nil {
			return err
		}
		want = want[n:]
		if end, err := r.line(); err != nil || end != "" {
			return errors.Join(err, fmt.Errorf("%w: no end of chunk", errHead))
		}
	}
}

func (r *responseReader) trailer() error {
	for {
		if text, err := r.line(); err != nil || text == "" {
			return err
		}
	}
}

func (r *responseReader) line() (string, error) {
	for {
		if i := bytes.IndexByte(r.buf[r.r:r.w], '\n'); i >= 0 {
			text := r.buf[r.r : r.r+i]
			r.r += i + 1
			return string(bytes.TrimSuffix(text, []byte("\r"))), nil
		}
		if r.w-r.r > maxHeadBytes {
			return "", fmt.Errorf("%w: line over %d bytes", errHead, maxHeadBytes)
		}
		if err := r.fill(); err != nil {
			return "", err
		}
	}
}

// toEnd takes a body that ends with the connection.
func (r *responseReader) toEnd(want []byte) error {
	r.closes = true
	if err := r.match(want); err != nil {
		return err
	}
	if r.r < r.w {
		return fmt.Errorf("%w: too long", errBody)
	}
	switch err := r.fill(); err {
	case io.ErrUnexpectedEOF:
		return nil
	case nil:
		return fmt.Errorf("%w: too long", errBody)
	default:
		return err
	}
}
