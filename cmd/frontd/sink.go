package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// How much may wait for a slow log.
const (
	sinkQueue = 8192     // lines
	sinkBytes = 16 << 20 // bytes: a line may have 64 KiB
)

// A sink writes whole lines from a goroutine of its own: nothing that logs
// ever waits for a full disk or a terminal that is stopped. What does not fit
// the queue is counted, and told when there is room again.
type sink struct {
	path    string // "": not ours to open again
	lines   chan []byte
	reopens chan chan error
	stop    chan struct{}
	done    chan struct{}
	once    sync.Once
	dropped atomic.Uint64
	waiting atomic.Int64 // bytes

	// Owned by the writer goroutine.
	w    io.Writer
	told uint64
	torn bool // the last line was written in part: the disk is full
}

// newSink writes to the file at path, or to w if path is empty.
func newSink(path string, w io.Writer) (*sink, error) {
	s := &sink{path: path, w: w, lines: make(chan []byte, sinkQueue),
		reopens: make(chan chan error), stop: make(chan struct{}), done: make(chan struct{})}
	if path != "" {
		f, err := openLogFile(path)
		if err != nil {
			return nil, err
		}
		s.w = f
	}
	go s.run()
	// Close receives its end, by s.done.
	return s, nil
}

func openLogFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

// Write takes whole lines. It never fails and never waits.
func (s *sink) Write(p []byte) (int, error) {
	if n := int64(len(p)); s.waiting.Add(n) <= sinkBytes {
		select {
		case s.lines <- append([]byte(nil), p...):
			return len(p), nil
		default:
		}
	}
	s.waiting.Add(-int64(len(p)))
	s.dropped.Add(1)
	return len(p), nil
}

// sinkWait is how long a log that takes nothing may hold up whoever wants it
// opened again or closed.
const sinkWait = 2 * time.Second

var errSinkStuck = errors.New("the log takes nothing")

// reopen opens the log's path anew, after someone renamed the file.
func (s *sink) reopen() error {
	if s.path == "" {
		return nil
	}
	limit := time.After(sinkWait)
	reply := make(chan error, 1)
	select {
	case s.reopens <- reply:
	case <-s.done:
		return os.ErrClosed
	case <-limit:
		return errSinkStuck
	}
	select {
	case err := <-reply:
		return err
	case <-limit:
		return errSinkStuck
	}
}

// Close writes what waits. Where it cannot be written, it is lost, and the
// writer goroutine with it.
func (s *sink) Close() {
	s.once.Do(func() { close(s.stop) })
	select {
	case <-s.done:
	case <-time.After(sinkWait):
	}
}

func (s *sink) run() {
	defer close(s.done)
	for {
		select {
		case line := <-s.lines:
			s.put(line)
		case reply := <-s.reopens:
			s.drain() // these lines are of the old file
			reply <- s.swap()
		case <-s.stop:
			s.drain()
			if f, ok := s.w.(*os.File); ok && s.path != "" {
				f.Close()
			}
			return
		}
	}
}

func (s *sink) drain() {
	for {
		select {
		case line := <-s.lines:
			s.put(line)
		default:
			return
		}
	}
}

func (s *sink) put(line []byte) {
	s.waiting.Add(-int64(len(line)))
	if n := s.dropped.Load(); n > s.told {
		if s.write(fmt.Appendf(nil, "frontd: %d log lines were lost: the log did not take them\n", n-s.told)) {
			s.told = n
		}
	}
	if !s.write(line) {
		s.dropped.Add(1) // nowhere to say it but in the count
	}
}

// write writes a whole line and reports whether that went well. What is left
// of one that did not gets an end of its own, or it would tear the next.
func (s *sink) write(line []byte) bool {
	if s.torn {
		if _, err := s.w.Write([]byte("\n")); err != nil {
			return false
		}
		s.torn = false
	}
	n, err := s.w.Write(line)
	s.torn = err != nil && n > 0 && n < len(line)
	return err == nil
}

func (s *sink) swap() error {
	f, err := openLogFile(s.path)
	if err != nil {
		return err // the old file stays
	}
	if old, ok := s.w.(*os.File); ok {
		old.Close()
	}
	s.w, s.torn = f, false
	return nil
}
