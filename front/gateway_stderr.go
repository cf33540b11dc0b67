package front

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/frontd/frontd/incident"
)

// Bounds on what one request may put into the log through FCGI_STDERR. What
// is over is counted and told, not kept.
const (
	maxStderrLine  = 8 << 10  // bytes of one line
	maxStderrTotal = 64 << 10 // bytes of one request
)

// stderrLines makes lines of a request's FCGI_STDERR for the log, and keeps
// the end of it for an incident. It is used by the read loop of one connection
// at a time, and by the handler when that loop has let go of it.
type stderrLines struct {
	log     func(x *Exchange, lines []byte) // may be nil
	x       *Exchange
	partial []byte
	lines   []byte // whole ones, for one call of log
	total   int
	dropped int
	traced  bool // the last whole line was an exception's, for programs

	mu   sync.Mutex // guards the fields below
	tail []byte     // at most twice x.keep.Stderr bytes
	said bool       // the request wrote something
}

func (s *stderrLines) begin(g *Gateway, x *Exchange) { s.log, s.x = g.Stderr, x }

// wanted says whether anybody has a use for FCGI_STDERR.
func (s *stderrLines) wanted() bool { return s.log != nil || s.x.keep.Stderr > 0 }

func (s *stderrLines) write(b []byte) {
	s.keep(b)
	for len(b) > 0 && s.log != nil {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		room := maxStderrLine - len(s.partial)
		// What is for programs is no part of the log.
		own := !incident.HostLine(s.partial) && (len(s.partial) > 0 || !incident.HostLine(line))
		if own {
			room = min(room, maxStderrTotal-s.total)
			s.traced = s.traced && len(line) == 0 // also where nothing of it is kept
		}
		if len(line) > room {
			if own {
				s.dropped += len(line) - room
			}
			line = line[:room]
		}
		if own {
			s.total += len(line)
		}
		s.partial = append(s.partial, line...)
		if whole {
			s.endLine()
		}
		b = rest
	}
	s.flush()
}

func (s *stderrLines) endLine() {
	if line := bytes.TrimRight(s.partial, "\r"); len(line) > 0 {
		s.traced = incident.HostLine(line)
		s.lines = append(append(s.lines, line...), '\n')
	}
	s.partial = s.partial[:0]
}

// flush tells of the lines that are whole.
func (s *stderrLines) flush() {
	if len(s.lines) > 0 {
		s.log(s.x, s.lines)
	}
	s.lines = s.lines[:0]
}

// keep appends to the tail, and cuts it only now and then.
func (s *stderrLines) keep(b []byte) {
	limit := s.x.keep.Stderr
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = s.said || len(b) > 0
	if limit == 0 {
		return
	}
	s.tail = append(s.tail, b[max(0, len(b)-limit):]...)
	if len(s.tail) >= 2*limit {
		s.tail = lastLines(s.tail, limit)
	}
}

// lastLines moves the last lines that fit limit to the beginning of b.
func lastLines(b []byte, limit int) []byte {
	if len(b) <= limit {
		return b
	}
	end := b[len(b)-limit:]
	if i := bytes.IndexByte(end, '\n'); i >= 0 && b[len(b)-limit-1] != '\n' {
		end = end[i+1:]
	}
	return b[:copy(b, end)]
}

// silent says that the request has written nothing.
func (s *stderrLines) silent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.said
}

// close logs an unfinished line, and how much was left out, and hands the
// end of it all to the exchange.
func (s *stderrLines) close() {
	if s.log != nil {
		s.endLine()
		if s.dropped > 0 {
			s.lines = appendDropped(s.lines, s.dropped)
			s.dropped = 0
		}
		s.flush()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.x.Stderr = lastLines(append(s.x.Stderr, s.tail...), s.x.keep.Stderr) // an authorizer may have written before
	s.tail = s.tail[:0]
}

// soFar lends the exchange what there is of it, while the worker may still
// write: x.Stderr is as before when use returns.
func (s *stderrLines) soFar(use func()) {
	x := s.x
	before := x.Stderr
	s.mu.Lock()
	x.Stderr = lastLines(append(before[:len(before):len(before)], s.tail...), x.keep.Stderr)
	s.mu.Unlock()
	use()
	x.Stderr = before
}

func appendDropped(b []byte, n int) []byte {
	return fmt.Appendf(b, "… %d more bytes of stderr were left out (at most %d a request, %d a line)\n", n, maxStderrTotal, maxStderrLine)
}
