package front

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// An AccessLog writes a line a request.
type AccessLog struct {
	w      io.Writer
	format LogFormat
	last   atomic.Pointer[second]
}

// maxLineKept bounds the memory of a line that is kept for the next, in bytes.
const maxLineKept = 64 << 10

var logLines = sync.Pool{New: func() any { return new([]byte) }}

// NewAccessLog writes each line to w with one Write, on the goroutine that
// serves the request: w must not wait for a disk. It is used by many
// goroutines at once, must not keep the line, and has its own ways to tell of
// failures.
func NewAccessLog(w io.Writer, format LogFormat) *AccessLog {
	return &AccessLog{w: w, format: format}
}

func (l *AccessLog) write(x *Exchange, r *http.Request) {
	line := logLines.Get().(*[]byte)
	switch l.format {
	case LogJSON:
		*line = appendJSON((*line)[:0], x, r, l.second(x.Start))
	case LogTerminal, LogTerminalPlain:
		*line = appendTerminal((*line)[:0], x, r, l.format == LogTerminalPlain)
	default:
		*line = appendText((*line)[:0], x, r, l.second(x.Start))
	}
	_, _ = l.w.Write(*line)
	if cap(*line) <= maxLineKept {
		logLines.Put(line)
	}
}

// A second is what the lines of one second have in common.
type second struct {
	unix int64
	loc  *time.Location
	text string // 21/Nov/2026:02:03:04 +0000
	json string // 2026-11-21T02:03:04
	zone string // Z, +01:00
}

func (l *AccessLog) second(t time.Time) *second {
	unix, loc := t.Unix(), t.Location()
	if s := l.last.Load(); s != nil && s.unix == unix && s.loc == loc {
		return s
	}
	s := newSecond(t)
	l.last.Store(s)
	return s
}

func newSecond(t time.Time) *second {
	return &second{
		unix: t.Unix(), loc: t.Location(), text: t.Format("02/Jan/2006:15:04:05 -0700"),
		json: t.Format("2006-01-02T15:04:05"), zone: t.Format("Z07:00"),
	}
}

// appendTime is time.RFC3339Nano.
func (s *second) appendTime(b []byte, nanos int) []byte {
	b = append(b, s.json...)
	if nanos != 0 {
		digits := [10]byte{'.'}
		for i := 9; i > 0; i-- {
			digits[i] = byte('0' + nanos%10)
			nanos /= 10
		}
		end := len(digits)
		for digits[end-1] == '0' {
			end--
		}
		b = append(b, digits[:end]...)
	}
	return append(b, s.zone...)
}
