package main

import (
	"bytes"
	"strings"
	"sync"

	"github.com/frontd/frontd/supervisor"
)

// Bounds of what is remembered of a worker's output.
const (
	tailBytes = 32 << 10
	dumpStart = 64 << 10 // bytes from where it begins to tell why it ends
	maxTails  = 4096     // workers
)

// tails are the last lines of stderr of each worker that lives, and all it
// said from the line on that begins a fatal error: of that the beginning counts.
type tails struct {
	mu sync.Mutex // guards the fields below
	of map[int]*lastWords

	templates map[string]int // that ended last, by application
}

type lastWords struct {
	lines []byte // at most twice tailBytes
	fatal []byte // from the last line that begins a fatal error on
}

// wrote takes a line that a worker printed. It does not keep line.
func (t *tails) wrote(w supervisor.Worker, stream string, line []byte) {
	if stream != "stderr" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.of[w.PID]
	if l == nil {
		if t.of == nil {
			t.of = make(map[int]*lastWords)
		}
		if len(t.of) >= maxTails {
			return
		}
		l = new(lastWords)
		t.of[w.PID] = l
	}
	l.add(line)
}

func (l *lastWords) add(line []byte) {
	line = line[max(0, len(line)-tailBytes):]
	l.lines = append(append(l.lines, line...), '\n')
	if len(l.lines) > 2*tailBytes {
		keep := l.lines[len(l.lines)-tailBytes:]
		if i := bytes.IndexByte(keep, '\n'); i >= 0 {
			keep = keep[i+1:]
		}
		l.lines = append(l.lines[:0], keep...)
	}
	if beginsFatal(line) {
		l.fatal = l.fatal[:0]
	} else if len(l.fatal) == 0 {
		return
	}
	if len(l.fatal)+len(line) < dumpStart {
		l.fatal = append(append(l.fatal, line...), '\n')
	}
}

// beginsFatal says whether a runtime begins to tell why it ends: Go's, the
// Python interpreter.
func beginsFatal(line []byte) bool {
	for _, prefix := range []string{"panic: ", "fatal error: ", "SIG", "Fatal Python error: ", "runtime: "} {
		if len(line) >= len(prefix) && string(line[:len(prefix)]) == prefix {
			return prefix != "runtime: "
		}
	}
	return false
}

// last returns the last lines of a process.
func (t *tails) last(pid, n int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.of[pid]
	if l == nil || len(l.lines) == 0 {
		return nil
	}
	list := strings.Split(strings.TrimSuffix(string(l.lines), "\n"), "\n")
	return list[max(0, len(list)-n):]
}

// end returns what a process said of its end, else its last lines.
func (t *tails) end(pid int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.of[pid]
	switch {
	case l == nil:
		return ""
	case len(l.fatal) > 0:
		return string(l.fatal)
	}
	return string(l.lines)
}

// templateGone keeps what a template has said until the application's next one
// ends: the workers that waited for it are told of later.
func (t *tails) templateGone(app string, pid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if before, ok := t.templates[app]; ok {
		delete(t.of, before)
	}
	if t.templates == nil {
		t.templates = make(map[string]int)
	}
	t.templates[app] = pid
}

func (t *tails) forget(pid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.of, pid)
}
