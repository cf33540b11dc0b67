package supervisor

import (
	"bytes"
	"errors"
	"fmt"
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
	// a line counts as 128 bytes at least. What is more is still read, but its
	// lines are only counted; "[dropped 1234 lines, 56789 bytes: …]" says how
	// many, within a second.
	FloodRate = 4 << 20

	// PaceRate is how many bytes a second of one stream are read, after the
	// first MiB: a worker that writes faster waits in its own write, as
	// for a slow disk. Without it, one that floods has two CPUs to itself: its
	// own and ours. By "held up" of the same line it is told for how long.
	PaceRate = 32 << 20

	floodWindow = time.Second
	paceBurst   = 1 << 20 * time.Second / PaceRate
	lineCost    = 128 // bytes: short lines cost those who take them as much as longer ones

	firstBuffer = 4 << 10 // grows to MaxLine for those that need it
	tailLines   = 20      // lines of stderr that are kept
	tailWidth   = 1 << 10 // bytes of each that are kept
	pipeMax     = 1 << 20 // bytes that a pipe can hold: /proc/sys/fs/pipe-max-size
)

// A lineReader takes lines from a worker's pipe. Its run owns it.
type lineReader struct {
	pipe   *os.File
	stream string
	emit   func(stream string, line []byte)
	ended  atomic.Bool   // the process has ended
	over   chan struct{} // closed with it

	buf  []byte // what was read and not delivered; its capacity is what a read may take
	long bool   // buf is the rest of a line whose beginning was delivered

	window       time.Time // when the present allowance began
	due          time.Time // the pipe's deadline; zero is none
	used         int       // bytes of it
	droppedLines int
	droppedBytes int

	read  time.Time     // when all that was read may have been, at PaceRate
	pause *time.Timer   // nil before the first
	held  time.Duration // how long nothing was read
}

func newLineReader(pipe *os.File, stream string, emit func(string, []byte)) *lineReader {
	return &lineReader{pipe: pipe, stream: stream, emit: emit, over: make(chan struct{}), buf: make([]byte, 0, firstBuffer)}
}

// finish tells run that the process has ended: what is in the pipe is all that
// counts, even if a descendant in a session of its own holds it open.
func (r *lineReader) finish() {
	r.ended.Store(true)
	close(r.over)
	r.pipe.SetReadDeadline(time.Unix(1, 0))
}

// run reads until the pipe's other end is closed, or until finish and the pipe
// is empty. It closes the pipe.
func (r *lineReader) run() {
	defer r.pipe.Close()
	for {
		r.setDeadline()
		n, err := r.pipe.Read(r.buf[len(r.buf):cap(r.buf)])
		r.take(n)
		r.keepPace(n)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && r.ended.Load():
			r.rest()
			r.end()
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			r.report()
		case err != nil:
			r.end()
			return
		}
	}
}

// keepPace waits until n bytes more may have been read, or until finish: what
// is in the pipe then is bounded.
func (r *lineReader) keepPace(n int) {
	now := time.Now()
	if full := now.Add(-paceBurst); r.read.Before(full) {
		r.read = full
	}
	r.read = r.read.Add(time.Duration(n) * time.Second / PaceRate)
	wait := r.read.Sub(now)
	if wait <= 0 {
		return
	}
	if r.pause == nil {
		r.pause = time.NewTimer(wait)
	} else {
		r.pause.Reset(wait)
	}
	select {
	case <-r.pause.C:
		r.held += time.Since(now)
	case <-r.over:
		r.pause.Stop()
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
	r.pipe.SetReadDeadline(time.Time{})
	conn, err := r.pipe.SyscallConn()
	if err != nil {
		return
	}
	conn.Read(func(fd uintptr) bool {
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
	})
}

// take delivers the whole lines in buf, after n more bytes were read into it.
// It leaves room for the next read.
func (r *lineReader) take(n int) {
	if n == 0 {
		return
	}
	if now := time.Now(); now.Sub(r.window) >= floodWindow {
		r.report()
		r.window, r.used = now, 0
	}
	searched := len(r.buf)
	r.buf = r.buf[:searched+n]
	filled := len(r.buf) == cap(r.buf) // there is more: larger reads are cheaper
	rest := r.buf
	for {
		i := bytes.IndexByte(rest[searched:], '\n')
		if i < 0 {
			break
		}
		r.deliver(rest[:searched+i], "")
		rest, searched, r.long = rest[searched+i+1:], 0, false
	}
	r.buf = r.buf[:copy(r.buf, rest)]
	switch {
	case len(r.buf) == MaxLine:
		r.deliver(r.buf, CutMark)
		r.buf, r.long = r.buf[:0], true
	case filled && cap(r.buf) < MaxLine:
		grown := make([]byte, len(r.buf), min(2*cap(r.buf), MaxLine))
		copy(grown, r.buf)
		r.buf = grown
	}
}

// deliver hands out one line, or drops it if the allowance is used up.
func (r *lineReader) deliver(line []byte, mark string) {
	r.used += max(len(line), lineCost)
	if r.used > FloodRate {
		r.droppedLines++
		r.droppedBytes += len(line)
		return
	}
	if line = bytes.TrimSuffix(line, []byte("\r")); mark != "" {
		line = append(bytes.Clone(line), mark...)
	}
	r.emit(r.stream, line)
}

// end delivers a last line that has no end.
func (r *lineReader) end() {
	if len(r.buf) > 0 {
		r.deliver(r.buf, "")
	}
	r.report()
}

func (r *lineReader) report() {
	if r.droppedLines > 0 {
		line := fmt.Appendf(nil, "[dropped %d lines, %d bytes: more than %d MiB a second", r.droppedLines, r.droppedBytes, FloodRate>>20)
		if held := r.held.Round(time.Millisecond); held > 0 {
			line = fmt.Appendf(line, "; the worker was held up at %d MiB a second, for %v", PaceRate>>20, held)
		}
		r.emit(r.stream, append(line, ']'))
	}
	r.droppedLines, r.droppedBytes, r.held = 0, 0, 0
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
