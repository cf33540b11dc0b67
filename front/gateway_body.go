package front

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// maxKept is how much of an idempotent request's body is kept to send it
// again to another worker.
const maxKept = 64 << 10

// An upload is a request's body as workers get it. Only one goroutine reads it
// at a time.
type upload struct {
	src    io.Reader
	whole  io.Seeker // src, where all of it can be had again
	replay bool      // keep the beginning
	kept   []byte
	at     int   // of kept, the next to be given again
	read   int64 // from src
	err    error // how src ended
}

func (b *upload) Read(p []byte) (int, error) {
	if b.at < len(b.kept) {
		n := copy(p, b.kept[b.at:])
		b.at += n
		return n, nil
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.src.Read(p)
	b.read += int64(n)
	b.err = err
	if b.replay && b.whole == nil {
		if b.read <= maxKept {
			b.kept = append(b.kept, p[:n]...)
			b.at = len(b.kept)
		} else {
			b.kept = nil
		}
	}
	return n, err
}

// rewind makes the body begin again. It reports false where that cannot be.
func (b *upload) rewind() bool {
	switch {
	case b == nil || b.read == 0 && b.err == nil:
		return true
	case b.whole != nil:
		b.err, b.read = nil, 0
		_, err := b.whole.Seek(0, io.SeekStart)
		return err == nil
	case b.read > int64(len(b.kept)):
		return false
	}
	b.at = 0
	return b.err == nil || b.err == io.EOF
}

// keepsAll says that a body of a length, -1 for an unknown one, can be had again
// whenever it has been read. Whoever reads it may do so meanwhile.
func (b *upload) keepsAll(length int64) bool {
	return b.whole != nil || b.replay && length >= 0 && length <= maxKept
}

// stop ends a Read that waits for the client.
func (b *upload) stop(rc *http.ResponseController) {
	if s, ok := b.src.(interface{ Stop() }); ok {
		s.Stop()
		return
	}
	rc.SetReadDeadline(longAgo)
}

// discard takes what is here of the rest, after stop.
func (b *upload) discard() {
	io.Copy(io.Discard, b.src) // its error is the deadline's
}

// maxSpoolMemory is how much of a spooled body is held in memory; the rest
// goes to a file that has no name any more.
const maxSpoolMemory = 64 << 10

// A spool holds a whole body.
type spool struct {
	io.ReadSeeker
	size int64
	head []byte   // all of it, where file is nil
	file *os.File // nil: it is all in memory
}

// maxInline is how much of a body goes out in one piece with the request: no
// socket is too small for it, so that nobody waits for the other to read.
const maxInline = 16 << 10

// inline returns the whole body if it is here and small, or nil.
func (s *spool) inline() []byte {
	if s == nil || s.size > maxInline {
		return nil
	}
	return s.head
}

// promptTime is how long a client may take for the first maxSpoolMemory bytes,
// or maxLook of a body that says it is larger, to count as one that sends at once.
const promptTime = 500 * time.Millisecond

// maxLook is less than what makes Linux double the receive buffer of a fresh
// connection (64 KiB read in a round trip): of an upload that the application
// refuses, the rest is to stay with the client.
const maxLook = 32 << 10

// takeBody reads what is to be here of the body before a worker is taken:
// all of it where that is asked for or its length is needed; where places are few
// all of a small one, and of a large one so much that a slow client is told from
// one that may stream. It returns the length, or -1.
func (c *call) takeBody() (int64, error) {
	src, length := c.r.Body, c.r.ContentLength
	prompt, look := time.Duration(0), int64(maxSpoolMemory)
	switch {
	case c.x.Settings.Spool, length < 0 && c.g.NeedLength:
	case c.g.FewPlaces && len(c.r.Header["Expect"]) == 0:
		prompt = promptTime
		if length > maxSpoolMemory {
			look = maxLook
		}
	default:
		c.send(upload{src: src, replay: idempotent(c.r.Method)})
		return length, nil
	}
	s, head, err := spoolBody(src, look, prompt)
	c.queued = time.Now()
	switch {
	case err != nil:
		c.send(upload{src: src}) // endBody has to see to what is left of it
		return 0, err
	case s == nil:
		c.send(upload{src: src, replay: idempotent(c.r.Method), kept: head, read: int64(len(head))})
		return length, nil
	}
	c.spool = s
	c.send(upload{src: s, replay: true, whole: s})
	return s.size, nil
}

func (c *call) send(b upload) {
	c.upload = b
	c.body = &c.upload
}

// spoolBody takes all of src, whose length the limits stage bounds. But where
// prompt is not 0 and look bytes of a larger body come within that time, only these.
func spoolBody(src io.Reader, look int64, prompt time.Duration) (whole *spool, begun []byte, err error) {
	var head bytes.Buffer
	start := time.Now()
	n, err := io.CopyN(&head, src, look)
	switch {
	case err == io.EOF:
		return &spool{ReadSeeker: bytes.NewReader(head.Bytes()), size: n, head: head.Bytes()}, nil, nil
	case err != nil:
		return nil, nil, bodyFailure(err)
	case prompt > 0 && time.Since(start) < prompt:
		return nil, head.Bytes(), nil
	}
	s, err := spoolFile(head.Bytes(), src)
	return s, nil, err
}

// spoolFile takes head and all of src.
func spoolFile(head []byte, src io.Reader) (*spool, error) {
	f, err := unnamedFile()
	if err != nil {
		return nil, spoolFailure(err)
	}
	s := &spool{ReadSeeker: f, file: f}
	w := &spoolWriter{f: f}
	if _, err := w.Write(head); err == nil {
		_, err = io.Copy(w, src)
		if err != nil && w.err == nil {
			s.Close()
			return nil, bodyFailure(err)
		}
	}
	if w.err == nil {
		_, w.err = f.Seek(0, io.SeekStart)
	}
	if w.err != nil {
		s.Close()
		return nil, spoolFailure(w.err)
	}
	s.size = w.n
	return s, nil
}

// unnamedFile returns a file that nothing can find and no kill can leave behind.
func unnamedFile() (*os.File, error) {
	f, err := os.CreateTemp("", "frontd-spool-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// A spoolWriter tells errors of the disk from errors of the client.
type spoolWriter struct {
	f   *os.File
	n   int64
	err error
}

func (w *spoolWriter) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	w.n += int64(n)
	w.err = err
	return n, err
}

func (s *spool) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

func bodyFailure(err error) error {
	return &Error{Cause: CauseOf(err), Detail: "read request body", Err: err}
}

func spoolFailure(err error) error {
	return &Error{Cause: SpoolFailed, Detail: fmt.Sprintf("spool request body in %s", os.TempDir()), Err: err}
}
