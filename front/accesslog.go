package front

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	logQueue = 4096      // lines that may wait; over it a line is dropped and counted
	logBatch = 64 << 10  // bytes gathered for one write
	logLine  = 128 << 10 // bytes of a line's memory kept for the next
)

// An AccessLog writes lines from a goroutine of its own, so that a slow or
// full disk never holds a request up: what does not fit the queue is dropped
// and counted. Close it after the last request.
type AccessLog struct {
	// Immutable.
	path   string // "" if the sink is not a file of ours
	format LogFormat
	errors *slog.Logger
	lines  chan *[]byte
	reopen chan chan error
	stop   chan struct{}
	done   chan struct{}
	once   sync.Once
	err    error // of the last close; read after done

	dropped atomic.Uint64

	// Owned by the writer goroutine.
	sink io.Writer
	torn bool // the last write ended within a line
	sick bool // the last write failed
}

var linePool = sync.Pool{New: func() any { return new([]byte) }}

// NewAccessLog writes to sink, which stays the caller's to close. Failures to
// write are told to errors, once until it works again.
func NewAccessLog(sink io.Writer, format LogFormat, errors *slog.Logger) *AccessLog {
	l := newAccessLog(format, errors)
	l.sink = sink
	go l.run()
	// Close receives its end, by l.done.
	return l
}

// OpenAccessLog appends to a file, made with mode 0640 if it is not there.
func OpenAccessLog(path string, format LogFormat, errors *slog.Logger) (*AccessLog, error) {
	f, err := openLog(path)
	if err != nil {
		return nil, err
	}
	l := newAccessLog(format, errors)
	l.path, l.sink = path, f
	go l.run()
	// Close receives its end, by l.done.
	return l, nil
}

func newAccessLog(format LogFormat, errors *slog.Logger) *AccessLog {
	return &AccessLog{format: format, errors: errors, lines: make(chan *[]byte, logQueue),
		reopen: make(chan chan error), stop: make(chan struct{}), done: make(chan struct{})}
}

func openLog(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open access log: %w", err)
	}
	return f, nil
}

// Dropped returns how many lines were lost: the queue was full, or a write failed.
func (l *AccessLog) Dropped() uint64 { return l.dropped.Load() }

// Reopen opens the file's path anew, after someone renamed the file: lines
// before it are in the old file, lines after it in the new one. If it fails
// the old one stays. It does nothing for a sink that is no file of ours.
func (l *AccessLog) Reopen() error {
	reply := make(chan error, 1)
	select {
	case l.reopen <- reply:
		return <-reply
	case <-l.done:
		return os.ErrClosed
	}
}

// Close writes what waits and, where the file is ours, closes it.
func (l *AccessLog) Close() error {
	l.once.Do(func() { close(l.stop) })
	<-l.done
	return l.err
}

func (l *AccessLog) write(x *Exchange, r *http.Request, now time.Time) {
	line := linePool.Get().(*[]byte)
	if l.format == LogJSON {
		*line = appendJSON((*line)[:0], x, r, now)
	} else {
		*line = appendText((*line)[:0], x, r, now)
	}
	select {
	case l.lines <- line:
	default:
		l.dropped.Add(1)
		linePool.Put(line)
	}
}

func (l *AccessLog) run() {
	defer close(l.done)
	batch := make([]byte, 0, logBatch)
	for {
		select {
		case line := <-l.lines:
			batch = l.gather(appendLine(batch, line))
		case reply := <-l.reopen:
			batch = l.gather(batch)
			reply <- l.swap()
		case <-l.stop:
			l.gather(batch)
			if c, ok := l.sink.(io.Closer); ok && l.path != "" {
				l.err = c.Close()
			}
			return
		}
	}
}

// gather writes batch with all lines that wait, and returns it empty.
func (l *AccessLog) gather(batch []byte) []byte {
	for {
		select {
		case line := <-l.lines:
			batch = appendLine(batch, line)
			if len(batch) >= logBatch {
				batch = l.flush(batch)
			}
		default:
			return l.flush(batch)
		}
	}
}

func appendLine(batch []byte, line *[]byte) []byte {
	batch = append(batch, *line...)
	if cap(*line) <= logLine {
		linePool.Put(line)
	}
	return batch
}

// flush writes batch. After a write that took a part only, the next begins on
// a line of its own.
func (l *AccessLog) flush(batch []byte) []byte {
	if len(batch) == 0 {
		return batch
	}
	rest, torn := batch, l.torn
	if torn {
		rest = append([]byte{'\n'}, batch...)
	}
	n, err := l.sink.Write(rest)
	if n > 0 {
		l.torn = rest[n-1] != '\n'
	}
	if err != nil {
		lost := bytes.Count(rest[n:], []byte{'\n'})
		if torn && n == 0 {
			lost-- // the one in front ended a line lost before
		}
		l.dropped.Add(uint64(lost))
		if !l.sick && l.errors != nil {
			l.errors.Error("access log not written, lines are lost", "error", err)
		}
	} else if l.sick && l.errors != nil {
		l.errors.Info("access log is written again", "lost", l.dropped.Load())
	}
	l.sick = err != nil
	return batch[:0]
}

func (l *AccessLog) swap() error {
	if l.path == "" {
		return nil
	}
	f, err := openLog(l.path)
	if err != nil {
		return err
	}
	old := l.sink
	l.sink, l.torn = f, false
	if c, ok := old.(io.Closer); ok {
		if err := c.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			return fmt.Errorf("close old access log: %w", err)
		}
	}
	return nil
}
