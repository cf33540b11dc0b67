package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// sinkBytes is how much may wait for a slow log, in bytes; a line may have
	// 64 KiB. What does not fit is lost, and counted.
	sinkBytes = 16 << 20
	// sinkPiece is how much leaves at once without waiting for more.
	sinkPiece = 256 << 10
	// sinkPause is how long lines are gathered after a write: the first of a
	// quiet time leaves at once, a busy server wakes the writer 100 times a
	// second and not for each line.
	sinkPause = 10 * time.Millisecond
)

// A sink writes whole lines from a goroutine of its own: nothing that logs
// ever waits for a full disk or a terminal that is stopped. Lines that do not fit
// the queue, or that a write failed with, are counted, and told when there is
// room again.
type sink struct {
	// Immutable.
	path    string    // "": not ours to open again
	json    bool      // what the sink says itself
	alarm   io.Writer // is told that the file cannot be written; nil: nobody is left to tell
	wake    chan struct{}
	reopens chan chan error
	stop    chan struct{}
	done    chan struct{}
	once    sync.Once
	dropped atomic.Uint64 // lines

	mu      sync.Mutex // guards the fields below
	pending []byte
	writing int  // bytes that the writer has in hand
	asleep  bool // the writer waits for wake

	// Owned by the writer goroutine.
	w     io.Writer
	spare []byte // becomes pending
	told  uint64 // of dropped
	torn  bool   // the last write ended within a line
	sick  bool   // the last write failed
}

// newSink writes to the file at path, or to w if path is empty; w is also
// told when the file cannot be written.
func newSink(path string, w io.Writer, json bool) (*sink, error) {
	s := &sink{path: path, w: w, json: json, wake: make(chan struct{}, 1), asleep: true,
		reopens: make(chan chan error), stop: make(chan struct{}), done: make(chan struct{})}
	if path != "" {
		f, err := openLogFile(path)
		if err != nil {
			return nil, err
		}
		s.w, s.alarm = f, w
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
	s.mu.Lock()
	was := len(s.pending)
	if waiting := was + s.writing; waiting > 0 && waiting+len(p) > sinkBytes {
		s.mu.Unlock()
		s.dropped.Add(countLines(p))
		return len(p), nil
	}
	s.pending = append(s.pending, p...)
	wake := s.asleep || was < sinkPiece && len(s.pending) >= sinkPiece
	s.asleep = false
	s.mu.Unlock()
	if wake {
		select {
		case s.wake <- struct{}{}:
		default: // it is on its way
		}
	}
	return len(p), nil
}

func countLines(p []byte) uint64 { return uint64(bytes.Count(p, []byte{'\n'})) }

// sinkWait is how long a log that takes nothing may hold up whoever wants it
// opened again or closed.
const sinkWait = 2 * time.Second

var errSinkStuck = errors.New("the log takes nothing")

// reopen opens the log's path anew, after someone renamed the file: lines
// before it are in the old file, lines after it in the new one.
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
	pause := time.NewTimer(sinkPause)
	defer pause.Stop()
	for {
		select {
		case <-s.wake:
		case <-pause.C:
		case reply := <-s.reopens:
			s.put(s.take()) // these lines are of the old file
			reply <- s.swap()
		case <-s.stop:
			s.put(s.take())
			s.tellLost()
			if f, ok := s.w.(*os.File); ok && s.path != "" {
				f.Close()
			}
			return
		}
		if batch := s.take(); batch != nil {
			s.put(batch)
			pause.Reset(sinkPause)
		}
	}
}

// take returns what waits, or nil: then the next line wakes the writer.
func (s *sink) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := s.pending
	s.writing = len(batch)
	if len(batch) == 0 {
		s.asleep = true
		return nil
	}
	s.pending, s.spare = s.spare[:0], nil
	return batch
}

// put writes a batch, and counts the lines of it that the log did not take.
func (s *sink) put(batch []byte) {
	if batch == nil {
		return
	}
	if cap(batch) <= 2*sinkPiece {
		s.spare = batch[:0]
	}
	if !s.tellLost() {
		s.dropped.Add(countLines(batch))
		return
	}
	n, err := s.w.Write(batch)
	if err != nil {
		s.torn = n > 0 && batch[n-1] != '\n'
		s.dropped.Add(countLines(batch[n:]))
		if !s.sick && s.alarm != nil {
			fmt.Fprintf(s.alarm, "frontd: log not written, lines are lost: %v\n", err)
		}
	}
	s.sick = err != nil
}

// tellLost says how many lines are missing, in their place, and reports
// whether the log takes lines. After a write that took a part only it begins
// on a line of its own.
func (s *sink) tellLost() bool {
	n := s.dropped.Load()
	if n == s.told {
		return true
	}
	var line []byte
	if s.torn {
		line = append(line, '\n')
	}
	if s.json {
		line = fmt.Appendf(line, `{"time":%q,"level":"WARN","msg":"log lines were lost: the log did not take them","lines":%d}`+"\n",
			time.Now().Format(time.RFC3339Nano), n-s.told)
	} else {
		line = fmt.Appendf(line, "frontd: %d log lines were lost: the log did not take them\n", n-s.told)
	}
	if m, err := s.w.Write(line); err != nil {
		s.torn = m == 0 && s.torn || m > 0 && line[m-1] != '\n'
		return false
	}
	s.torn, s.told = false, n
	return true
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
