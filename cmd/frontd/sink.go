package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// sinkQueue is how many lines may wait for a slow log.
const sinkQueue = 8192

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

	// Owned by the writer goroutine.
	w    io.Writer
	told uint64
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
	select {
	case s.lines <- append([]byte(nil), p...):
	default:
		s.dropped.Add(1)
	}
	return len(p), nil
}

// reopen opens the log's path anew, after someone renamed the file.
func (s *sink) reopen() error {
	if s.path == "" {
		return nil
	}
	reply := make(chan error, 1)
	select {
	case s.reopens <- reply:
		return <-reply
	case <-s.done:
		return os.ErrClosed
	}
}

// Close writes what waits.
func (s *sink) Close() {
	s.once.Do(func() { close(s.stop) })
	<-s.done
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
	if n := s.dropped.Load(); n > s.told {
		fmt.Fprintf(s.w, "frontd: %d log lines were lost: the log did not take them\n", n-s.told)
		s.told = n
	}
	if _, err := s.w.Write(line); err != nil {
		s.dropped.Add(1) // nowhere to say it but in the count
	}
}

func (s *sink) swap() error {
	f, err := openLogFile(s.path)
	if err != nil {
		return err // the old file stays
	}
	if old, ok := s.w.(*os.File); ok {
		old.Close()
	}
	s.w = f
	return nil
}
