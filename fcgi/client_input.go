package fcgi

import (
	"io"
	"sync"
	"time"
)

// How much of a request body moves at once: one full record, or as many as go out
// in one write where the client sends so fast that they are here.
const (
	stdinPiece  = maxFilled
	stdinPieces = maxBatched
)

// pump moves the body, and after it the data of a Filter, to the application:
// no more of it is read from the client than the application has asked for, or
// the socket takes.
func (s *stream) pump(stdin, data io.Reader) {
	defer close(s.pumpDone)
	var buf inputBuffer
	defer buf.free()
	if stdin != nil && !s.pumpStream(&s.stdin, stdin, &buf, data == nil) {
		return
	}
	if data != nil {
		s.pumpStream(&s.data, data, &buf, true)
	}
}

// An input is one stream towards the application.
type input struct {
	typ    Type
	window int64 // bytes that may be sent, with flow control; guarded by stream.mu
}

// pumpStream sends src to its end. last says that no stream follows.
func (s *stream) pumpStream(in *input, src io.Reader, buf *inputBuffer, last bool) bool {
	n := 0
	for {
		room, ok := s.waitWindow(in)
		if !ok {
			return false
		}
		b := buf.after(n, room)
		b = b[:min(room, len(b))]
		var err error
		n, err = src.Read(b)
		if !s.readDone(in, n, err) {
			return false
		}
		if !s.sendInput(in, b[:n], err == io.EOF, last) {
			return false
		}
		if err != nil {
			return true
		}
	}
}

// An inputBuffer is what a body is read into: of one piece as long as the client
// sends no faster, so that one who stops for long holds no more.
type inputBuffer struct {
	one  *[stdinPiece]byte
	many *[stdinPieces]byte
}

var (
	oneInput   = sync.Pool{New: func() any { return new([stdinPiece]byte) }}
	manyInputs = sync.Pool{New: func() any { return new([stdinPieces]byte) }}
)

// after returns the memory for the next read, of at most room bytes, after one of n:
// half a record at once is a client that sends fast.
func (b *inputBuffer) after(n, room int) []byte {
	many := n >= stdinPiece/2 && room > stdinPiece
	switch {
	case many && b.many == nil:
		b.free()
		b.many = manyInputs.Get().(*[stdinPieces]byte)
	case !many && b.one == nil:
		b.free()
		b.one = oneInput.Get().(*[stdinPiece]byte)
	}
	if b.many != nil {
		return b.many[:]
	}
	return b.one[:]
}

func (b *inputBuffer) free() {
	if b.one != nil {
		oneInput.Put(b.one)
	}
	if b.many != nil {
		manyInputs.Put(b.many)
	}
	*b = inputBuffer{}
}

// waitWindow returns how much of the body may be sent, or false at the end of
// the request.
func (s *stream) waitWindow(in *input) (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for (s.onDemand || s.c.window > 0 && in.window == 0) && !s.ended && s.err == nil {
		s.more.Wait()
	}
	if s.ended || s.err != nil {
		return 0, false
	}
	s.inRead = true
	if s.c.window == 0 {
		return stdinPiece, true
	}
	return int(min(in.window, stdinPieces)), true
}

// readDone takes what a Read of the body gave. A client that broke off is
// never an end of STDIN: it ends the request.
func (s *stream) readDone(in *input, n int, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inRead = false
	s.fed = time.Now()
	if s.ended || s.err != nil {
		return false
	}
	in.window -= int64(n)
	if err != nil && err != io.EOF {
		s.pumpErr = err
		s.signal()
		return false
	}
	return true
}

// sendInput sends a piece of an input stream; end and last say that it is the
// stream's last one, and that of all of them.
func (s *stream) sendInput(in *input, b []byte, end, last bool) bool {
	w := &s.c.out
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waitRoomLocked() != nil || s.over {
		return false
	}
	if end && last {
		s.mu.Lock()
		s.stdinDone = true
		s.mu.Unlock()
	}
	w.streamLocked(in.typ, s.id, b, end)
	// The read loop learns of a lost connection, and tells the consumer: what
	// the application answered before it left is still to be read.
	return w.flushLocked() == nil
}

// stopPump ends the sending of the body. It reports false where the pump
// waits for the client in a Read that only the owner of the body can end.
func (s *stream) stopPump() bool {
	if s.pumpDone == nil {
		return true
	}
	s.mu.Lock()
	if s.err == nil && !s.ended {
		s.err = ErrAborted
	}
	s.more.Signal()
	inRead := s.inRead
	s.mu.Unlock()
	if inRead {
		select {
		case <-s.pumpDone:
			return true
		default:
			return false
		}
	}
	<-s.pumpDone
	return true
}
