// Package incident is what went wrong: it gathers application errors, takes
// the secrets out, recognises the same error when it comes again, and keeps a
// bounded number of them on disk.
package incident

import (
	"fmt"
	"strings"
	"time"
)

// A Kind says what made an incident.
type Kind string

// Kinds of incidents (contract 5).
const (
	Exception   Kind = "exception"    // the application answered 5xx and said why on the request's stderr
	Crash       Kind = "crash"        // a worker ended that was not asked to
	Timeout     Kind = "timeout"      // a request took too long, its worker was replaced
	BadAnswer   Kind = "bad-response" // the worker's answer is not CGI, or its connection was lost
	StartFailed Kind = "start-failed" // a worker did not come up
	Panic       Kind = "panic"        // a defect of frontd itself
	ErrorStatus Kind = "error-status" // 5xx without a word of why
)

// An Incident is one application error, however often it came. All of it is
// free of secrets as far as Redactor finds them, and bounded: see Record.
type Incident struct {
	ID          string    `json:"id"` // made of Fingerprint: the same error has the same id for ever
	Fingerprint string    `json:"fingerprint"`
	Kind        Kind      `json:"kind"`
	Cause       string    `json:"cause,omitempty"` // the word in the access log, "" for an application's own answer
	Detail      string    `json:"detail,omitempty"`
	App         string    `json:"app,omitempty"`
	First       time.Time `json:"first"`
	Last        time.Time `json:"last"`
	Count       uint64    `json:"count"`
	Quiet       bool      `json:"quiet,omitempty"` // it is kept, and nobody is told by mail or webhook

	// Of the first occurrence.
	Request   *Request   `json:"request,omitempty"` // nil: a worker that had none in hand
	Status    int        `json:"status,omitempty"`  // what the client got, 0: nothing or not known
	Stderr    string     `json:"stderr,omitempty"`  // what the request itself wrote there, the end of it
	Traceback *Traceback `json:"traceback,omitempty"`
	Raw       string     `json:"raw,omitempty"` // a traceback that was not understood, or a part of one: verbatim
	Worker    *Worker    `json:"worker,omitempty"`
	LastLines []string   `json:"last_lines,omitempty"` // that the worker printed, of whatever request
	Stacks    []string   `json:"stacks,omitempty"`     // that the worker wrote when asked what it is doing
	InFlight  []string   `json:"in_flight,omitempty"`  // requests that a worker had in hand when it ended

	// Of the latest occurrences, newest last, at most maxSeen.
	Seen []Occurrence `json:"seen,omitempty"`
}

// An Occurrence is one time that an incident came.
type Occurrence struct {
	Time    time.Time `json:"time"`
	Request string    `json:"request,omitempty"` // its id
	PID     int       `json:"pid,omitempty"`
}

// A Request is what was asked.
type Request struct {
	ID      string    `json:"id"`
	Method  string    `json:"method"`
	URL     string    `json:"url"` // with scheme and host
	Proto   string    `json:"proto,omitempty"`
	Client  string    `json:"client,omitempty"`
	Headers []Field   `json:"headers,omitempty"`
	Form    []Field   `json:"form,omitempty"` // of a urlencoded or multipart body, as far as Body has it
	Body    string    `json:"body,omitempty"` // its first bytes, "" where Form says it all or it is no text
	Length  int64     `json:"length"`         // bytes of the body as declared, -1 where it was not
	Time    time.Time `json:"time"`
}

// A Field is a header or form field.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Worker is the process that had the request, and how it ended if it did.
type Worker struct {
	PID      int           `json:"pid,omitempty"`
	Slot     int           `json:"slot"`
	Age      time.Duration `json:"age_ns,omitempty"`
	Requests uint64        `json:"requests,omitempty"` // served before, 0 where not known
	Exit     string        `json:"exit,omitempty"`     // in words; "" while it lives
	Signal   string        `json:"signal,omitempty"`   // "SIGSEGV"
	Status   int           `json:"status,omitempty"`   // exit status
	OOM      bool          `json:"oom,omitempty"`      // killed for want of memory
}

// A Traceback is an exception, or a panic, and the calls that led to it.
type Traceback struct {
	Language string  `json:"language"` // "python", "php", "go", "perl", "ruby"
	Type     string  `json:"type"`
	Message  string  `json:"message"`
	Notes    string  `json:"notes,omitempty"` // Python's add_note, what a Go panic says besides
	Frames   []Frame `json:"frames"`          // outermost call first, the failing line last
	// Cause is the exception that this one came of, nil if there is none; at
	// most maxCauses follow each other. Relation says how: "from", "during", "previous".
	Cause    *Traceback `json:"cause,omitempty"`
	Relation string     `json:"relation,omitempty"`
}

// A Frame is one call.
type Frame struct {
	File     string            `json:"file,omitempty"`
	Line     int               `json:"line,omitempty"`
	Function string            `json:"function,omitempty"`
	Code     string            `json:"code,omitempty"`   // the line of source
	Source   []SourceLine      `json:"source,omitempty"` // the lines around it, read when it happened
	Locals   map[string]string `json:"locals,omitempty"` // in development only
}

// A SourceLine is one line of a frame's file.
type SourceLine struct {
	Number int    `json:"n"`
	Text   string `json:"text"`
}

// Title is the incident in one line: the type and the message, or what
// happened to the worker.
func (i *Incident) Title() string {
	if t := i.Traceback; t != nil {
		if t.Message == "" {
			return t.Type
		}
		return t.Type + ": " + firstLine(t.Message)
	}
	switch {
	case i.Kind == Crash && i.Worker != nil:
		if strings.HasPrefix(i.Worker.Exit, "exit status") {
			return "worker ended with " + i.Worker.Exit
		}
		return "worker " + i.Worker.Exit // killed by …
	case i.Kind == Timeout && i.Request != nil:
		return fmt.Sprintf("%s %s took too long", i.Request.Method, i.Request.URL)
	case i.Detail != "":
		return firstLine(i.Detail)
	case i.Status != 0:
		return fmt.Sprintf("answered %d", i.Status)
	}
	return string(i.Kind)
}
