package supervisor

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of a worker's output.
const (
	// MaxLine is the most bytes of a line that are delivered at once.
	MaxLine = 64 << 10

	// CutMark ends each piece of a longer line but the last.
	CutMark = " [cut: line over 64 KiB goes on]"

	// FloodRate is how many bytes a second of one stream are delivered, where
	// a line counts as 128 bytes at least. What is more is a flood: it is still
	// read, but its lines are only counted, until a second has less;
	// "[dropped 1234 lines, 56789 bytes: …]" says how many, within a second.
	FloodRate = 4 << 20

	// LastingRate is FloodRate of a flood that goes on, from its second second
	// on: nobody reads more of it, and to tell it costs ten times as much as to
	// count it.
	LastingRate = 256 << 10

	// PaceRate is how many bytes a second of a flood are read: a worker that
	// writes faster waits in its own write, as for a slow disk. By "held up" of
	// the same line it is told for how long. Without it, one that floods has two
	// CPUs to itself: its own and ours.
	PaceRate = 16 << 20

	floodWindow = time.Second
	lineCost    = 128 // bytes: short lines cost those who take them as much as longer ones

	firstBuffer = 4 << 10 // grows to MaxLine for those that need it
	tailLines   = 20      // lines of stderr that are kept
	tailWidth   = 1 << 10 // bytes of each that are kept
	lastWords   = 4 << 10 // bytes of dropped lines that are kept for the stream's end
	pipeMax     = 1 << 20 // bytes that a pipe can hold: /proc/sys/fs/pipe-max-size
	pipeUsual   = 64 << 10
)

// A source is the end of a worker's pipe that we read: an *os.File.
type source interface {
	io.ReadCloser
	syscall.Conn
	SetReadDeadline(time.Time) error
}

// A lineReader takes lines from a worker's pipe. Its run owns it.
type lineReader struct {
	pipe   source
	stream string
	emit   func(stream string, line []byte)
	ended  atomic.Bool   // the process has ended
	over   chan struct{} // closed with it

	buf []byte // what was read and not delivered; its capacity is what a read may take

	window       time.Time // when the present allowance began
	due          time.Time // the pipe's deadline; zero is none
	allowance    int       // bytes that may be delivered in this window
	came         int       // bytes in it, counted alike
	droppedLines int
	droppedBytes int
	last         []byte // the last of the dropped lines, whole, with their ends

	flood flood
}

func newLineReader(pipe source, stream string, emit func(string, []byte)) *lineReader {
	return &lineReader{pipe: pipe, stream: stream, emit: emit, over: make(chan struct{}), buf: make([]byte, 0, firstBuffer)}
}

// finish tells run that the process has ended: what is in the pipe is all that
// counts, even if a descendant in a session of its own holds it open.
func (r *lineReader) finish() {
	r.ended.Store(true)
	r.pipe.SetReadDeadline(time.Unix(1, 0))
	close(r.over) // after it: whoever wakes up reads the rest, which a deadline set then would end
}

// run reads until the pipe's other end is closed, or until finish and the pipe
// is empty. It closes the pipe.
func (r *lineReader) run() {
	defer r.pipe.Close()
	for {
		r.setDeadline()
		room := r.buf[len(r.buf):cap(r.buf)]
		n, err := r.pipe.Read(room)
		r.take(n)
		switch {
		case err == nil:
			r.keepPace(n, len(room))
		case errors.Is(err, os.ErrDeadlineExceeded) && r.ended.Load():
			r.rest()
			r.end()
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			r.settle()
		default:
			r.end()
			return
		}
	}
}

// setDeadline makes run wake up to report what was dropped, once.
func (r *lineReader) setDeadline() {
	due := time.Time{}
	if r.droppedLines > 0 {
		due = r.window.Add(floodWindow)
	}
	if due.Equal(r.due) {
		return
	}
	r.due = due
	r.pipe.SetReadDeadline(due)
	if r.ended.Load() { // finish may have come between
		r.pipe.SetReadDeadline(time.Unix(1, 0))
	}
}

// rest reads what is in the pipe, without waiting for more.
func (r *lineReader) rest() {
	conn, err := r.pipe.SyscallConn()
	if err != nil {
		return
	}
	all := func(fd uintptr) bool {
		for total := 0; total < pipeMax; {
			n, err := syscall.Read(int(fd), r.buf[len(r.buf):cap(r.buf)])
			if err == syscall.EINTR {
				continue
			}
			if n <= 0 {
				break // EAGAIN, end, or error: all of them the end
			}
			total += n
			r.take(n)
		}
		return true
	}
	for err = os.ErrDeadlineExceeded; errors.Is(err, os.ErrDeadlineExceeded); {
		r.pipe.SetReadDeadline(time.Time{})
		err = conn.Read(all) // finish may set its deadline once more, before all began
	}
}

// take delivers the whole lines in buf, after n more bytes were read into it.
// It leaves room for the next read.
func (r *lineReader) take(n int) {
	if n == 0 {
		return
	}
	if now := time.Now(); now.Sub(r.window) >= floodWindow {
		r.open(now)
	}
	searched := len(r.buf)
	r.buf = r.buf[:searched+n]
	filled := len(r.buf) == cap(r.buf) // there is more: larger reads are cheaper
	rest := r.buf
	for {
		if r.came > r.allowance { // none of the rest is delivered: no need to part it
			if i := bytes.LastIndexByte(rest, '\n'); i >= 0 {
				r.came += max(i, lineCost*r.drop(rest[:i]))
				rest = rest[i+1:]
			}
			break
		}
		i := bytes.IndexByte(rest[searched:], '\n')
		if i < 0 {
			break
		}
		r.deliver(rest[:searched+i], "")
		rest, searched = rest[searched+i+1:], 0
	}
	r.buf = r.buf[:copy(r.buf, rest)]
	switch {
	case len(r.buf) == MaxLine:
		r.deliver(r.buf, CutMark)
		r.buf = r.buf[:0]
	case filled && cap(r.buf) < MaxLine:
		grown := make([]byte, len(r.buf), min(2*cap(r.buf), MaxLine))
		copy(grown, r.buf)
		r.buf = grown
	}
}

// deliver hands out one line, or drops it if the allowance is used up.
func (r *lineReader) deliver(line []byte, mark string) {
	r.came += max(len(line), lineCost)
	if r.came > r.allowance {
		r.drop(line)
		return
	}
	if line = bytes.TrimSuffix(line, []byte("\r")); mark != "" {
		line = append(bytes.Clone(line), mark...)
	}
	r.emit(r.stream, line)
}

// end delivers a last line that has no end, and what is left to tell.
func (r *lineReader) end() {
	if len(r.buf) > 0 {
		r.deliver(r.buf, "")
	}
	r.settle()
}

// settle says what was dropped of a stream that is silent or at its end, but for
// the last of it, which it delivers: why the worker ended is what a flood is read for.
func (r *lineReader) settle() {
	last := r.last
	for line := range bytes.Lines(last) {
		r.droppedLines--
		r.droppedBytes -= len(line) - 1
	}
	r.report()
	for line := range bytes.Lines(last) {
		r.emit(r.stream, bytes.TrimRight(line, "\r\n"))
	}
}

// A tail keeps the last lines that a worker wrote on stderr.
type tail struct {
	mu   sync.Mutex
	ring [tailLines]string
	next int // of all lines ever
}

func (t *tail) add(line []byte) {
	if len(line) > tailWidth {
		line = append(line[:tailWidth:tailWidth], "…"...)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ring[t.next%tailLines] = string(line)
	t.next++
}

// lines returns them, oldest first.
func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []string
	for i := max(0, t.next-tailLines); i < t.next; i++ {
		list = append(list, t.ring[i%tailLines])
	}
	return list
}
