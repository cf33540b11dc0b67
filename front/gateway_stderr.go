package front

import "bytes"

// Bounds on what one request may put into the log through FCGI_STDERR. What
// is over is counted and told, not kept.
const (
	maxStderrLine  = 8 << 10  // bytes of one line
	maxStderrTotal = 64 << 10 // bytes of one request
)

// stderrLines makes lines of a request's FCGI_STDERR. It is used by the read
// loop of one connection at a time.
type stderrLines struct {
	emit    func(line []byte)
	partial []byte
	total   int
	dropped int
}

func (s *stderrLines) write(b []byte) {
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		room := min(maxStderrLine-len(s.partial), maxStderrTotal-s.total)
		if len(line) > room {
			s.dropped += len(line) - room
			line = line[:room]
		}
		s.total += len(line)
		s.partial = append(s.partial, line...)
		if whole {
			s.flush()
		}
		b = rest
	}
}

func (s *stderrLines) flush() {
	if line := bytes.TrimRight(s.partial, "\r"); len(line) > 0 {
		s.emit(line)
	}
	s.partial = s.partial[:0]
}

// close emits an unfinished line, and how much was left out.
func (s *stderrLines) close() {
	s.flush()
	if s.dropped > 0 {
		s.emit(stderrDropped(s.dropped))
		s.dropped = 0
	}
}
