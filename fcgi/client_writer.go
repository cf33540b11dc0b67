package fcgi

import (
	"net"
	"runtime"
	"sync"
	"time"
)

// A connWriter joins the records of many requests into few writes. The
// goroutine that finds the connection idle writes at once; what others append
// meanwhile leaves with its next write. Nobody waits for company.
type connWriter struct {
	// Immutable.
	nc      net.Conn
	timeout time.Duration // a peer that takes nothing for so long is gone; 0: it may take its time
	failed  func(error)   // if not nil, is told of the first write that fails

	mu      sync.Mutex // guards the fields below
	drained sync.Cond  // pending was taken, or err was set
	pending []byte
	spare   []byte
	writing bool
	sent    int64 // bytes that the connection has taken
	err     error

	// Owned by whoever is writing.
	rearm time.Time // when the write deadline is to be set anew
	batch batch
}

// maxPendingData is how much may wait behind a write before a sender of
// stream data waits too. Control records never wait.
const maxPendingData = 256 << 10

func (w *connWriter) init(nc net.Conn, timeout time.Duration) {
	w.nc, w.timeout = nc, timeout
	w.drained.L = &w.mu
}

// waitRoomLocked returns when stream data may be appended.
func (w *connWriter) waitRoomLocked() error {
	for w.err == nil && len(w.pending) >= maxPendingData {
		w.drained.Wait()
	}
	return w.err
}

// maxRounds is how often one goroutine writes for others before another one
// takes over: what it came for is out after the first time.
const maxRounds = 4

// flushLocked writes what is pending unless someone is writing already, who
// will then take it along. It gives the lock up while it writes.
func (w *connWriter) flushLocked() error {
	if w.writing || w.err != nil {
		return w.err
	}
	w.writing = true
	for round := 0; len(w.pending) > 0 && w.err == nil && round < maxRounds; round++ {
		buf := w.pending
		w.pending = w.spare[:0]
		w.mu.Unlock()
		n, err := w.write(buf)
		w.mu.Lock()
		w.wroteLocked(buf, int64(n), err)
	}
	w.writing = false
	w.flushLaterLocked()
	return w.err
}

// gatherLocked lets the goroutines that can run go first: of the requests that
// came together each appends its own, and one write takes them all. It gives the
// lock up. Only for who has company: alone it would be a delay for nothing.
func (w *connWriter) gatherLocked() {
	if w.writing || w.err != nil {
		return // whoever writes takes it along
	}
	w.writing = true
	w.mu.Unlock()
	runtime.Gosched()
	w.mu.Lock()
	w.writing = false
}

// tellFailed gives the lock up.
func (w *connWriter) tellFailed(err error) {
	if w.failed == nil {
		return
	}
	w.mu.Unlock()
	w.failed(err)
	w.mu.Lock()
}

// flushLaterLocked does what flushLocked does without making its caller, the read
// loop, wait for the peer: two ends that both wait to write would wait for ever.
func (w *connWriter) flushLaterLocked() {
	if w.writing || w.err != nil || len(w.pending) == 0 {
		return
	}
	go func() {
		// Ends with the write; its error reaches every later writer in w.err.
		w.mu.Lock()
		defer w.mu.Unlock()
		w.flushLocked()
	}()
}

// write writes buf. The deadline is set once for many writes, to between one
// and two timeouts from each: a timer is dearer than a small write. One that
// has passed without a write does nothing until the next, which sets it anew.
func (w *connWriter) write(buf []byte) (int, error) {
	w.arm()
	return w.nc.Write(buf)
}

func (w *connWriter) arm() {
	if w.timeout <= 0 {
		return
	}
	if now := time.Now(); now.After(w.rearm) {
		w.nc.SetWriteDeadline(now.Add(2 * w.timeout))
		w.rearm = now.Add(w.timeout)
	}
}

// streamLocked sends b, at most maxBatched bytes, as records of a stream, and if
// end is true the stream's end, behind what is pending. Where b is large and nobody
// writes it does so at once, giving the lock up, and copies b nowhere; else
// flushLocked has to follow.
func (w *connWriter) streamLocked(t Type, id uint16, b []byte, end bool) {
	if len(b) < directPiece || w.writing || w.err != nil {
		w.pending = AppendStream(w.pending, t, id, b)
		if end {
			w.pending = AppendRecord(w.pending, t, id, nil)
		}
		return
	}
	w.writing = true
	buf := w.pending
	w.pending = w.spare[:0]
	w.batch.begin(buf)
	w.batch.stream(t, id, b)
	if end {
		w.batch.header(t, id, 0)
	}
	w.mu.Unlock()
	w.arm()
	n, err := w.batch.write(w.nc)
	w.mu.Lock()
	w.writing = false
	w.wroteLocked(buf, n, err)
}

// wroteLocked takes note of what became of a write.
func (w *connWriter) wroteLocked(buf []byte, n int64, err error) {
	w.sent += n
	w.spare = buf[:0]
	if cap(buf) > 2*maxPendingData {
		w.spare = nil
	}
	if err != nil && w.err == nil {
		w.err = err
		w.tellFailed(err)
	}
	w.drained.Broadcast()
}

// fail makes every present and later writer return err.
func (w *connWriter) fail(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.drained.Broadcast()
	w.mu.Unlock()
}
