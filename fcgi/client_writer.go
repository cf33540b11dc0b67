package fcgi

import (
	"net"
	"os"
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

	mu      sync.Mutex // guards the fields below
	drained sync.Cond  // pending was taken, or err was set
	pending []byte
	spare   []byte
	writing bool
	err     error
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

// flushLocked writes what is pending unless someone is writing already, who
// will then take it along. It gives the lock up while it writes.
func (w *connWriter) flushLocked() error {
	if w.writing || w.err != nil {
		return w.err
	}
	w.writing = true
	for len(w.pending) > 0 && w.err == nil {
		buf := w.pending
		w.pending = w.spare[:0]
		w.mu.Unlock()
		err := w.write(buf)
		w.mu.Lock()
		w.spare = buf[:0]
		if cap(buf) > 2*maxPendingData {
			w.spare = nil
		}
		if err != nil && w.err == nil {
			w.err = err
		}
		w.drained.Broadcast()
	}
	w.writing = false
	return w.err
}

// flushLater does what flushLocked does without making its caller, the read
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

func (w *connWriter) write(buf []byte) error {
	// A small write fits the socket's buffer; arming a timer for it would
	// cost more than the write.
	if w.timeout > 0 && len(buf) > 32<<10 {
		w.nc.SetWriteDeadline(time.Now().Add(w.timeout))
		defer w.nc.SetWriteDeadline(time.Time{})
	}
	_, err := w.nc.Write(buf)
	return err
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

// isTimeout reports whether err is a deadline's.
func isTimeout(err error) bool { return os.IsTimeout(err) }
