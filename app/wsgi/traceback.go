package wsgi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// TracebackPrefix begins the line on a request's FCGI_STDERR that tells of an
// uncaught exception in a form for programs, after the traceback for people.
// It is there where Options.Tracebacks is set.
const TracebackPrefix = "frontd-traceback: "

// maxTraceback is what a line may have, in bytes: 60 frames with their locals,
// with room. A longer one is not the host's.
const maxTraceback = 1 << 20

// ErrNoTraceback is what ParseTraceback returns for any other line.
var ErrNoTraceback = errors.New("wsgi: not a traceback line")

// A Traceback is one exception.
type Traceback struct {
	Type    string  `json:"type"` // with its module, but for Python's own
	Message string  `json:"message"`
	Frames  []Frame `json:"frames"` // outermost first; of more than 60 the middle is left out
	// Cause is the exception that this one was raised from, or during the
	// handling of which; nil if there is none. At most five follow each other.
	Cause *Traceback `json:"cause,omitempty"`
}

// A Frame is one call in it.
type Frame struct {
	File     string            `json:"file"`
	Line     int               `json:"line"`
	Function string            `json:"function"` // from Python 3.11 with its class
	Code     string            `json:"code"`     // the line of source, "" if it is not known
	Locals   map[string]string `json:"locals,omitempty"`
}

// ParseTraceback reads a line that begins with TracebackPrefix, with or without
// its newline. An application can write such a line itself: what is in it is
// its word.
func ParseTraceback(line []byte) (*Traceback, error) {
	text, ok := bytes.CutPrefix(line, []byte(TracebackPrefix))
	if !ok || len(line) > maxTraceback {
		return nil, ErrNoTraceback
	}
	var t Traceback
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, fmt.Errorf("wsgi: traceback line: %w", err)
	}
	if t.Type == "" {
		return nil, errors.New("wsgi: traceback line without a type")
	}
	return &t, nil
}
