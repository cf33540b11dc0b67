package incident

import (
	"encoding/json"
	"slices"
	"strings"
)

// Bounds of a traceback.
const (
	maxFrames   = 60
	maxCauses   = 5
	maxMessage  = 2 << 10 // bytes
	maxNotes    = 4 << 10
	maxName     = 512 // bytes of a file's or function's name
	maxCode     = 400 // bytes of a line of source
	maxLocals   = 40  // of a frame
	maxLocal    = 400 // bytes of one
	maxNoteLine = 20
)

// hostPrefix begins the line in which a worker of ours tells of an exception
// in a form for programs: a JSON object like Traceback.
const hostPrefix = "frontd-traceback: "

// HostLine says whether a line of a request's stderr is for programs, and not
// for a log.
func HostLine(line []byte) bool {
	return len(line) >= len(hostPrefix) && string(line[:len(hostPrefix)]) == hostPrefix
}

// Parse finds the traceback in what a request, or a worker before its end,
// wrote to stderr: of several the last, which is the one that nobody caught.
// nil: there is none that it knows. Whoever wrote the text may have made it up.
func Parse(text string) *Traceback {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	parsers := []func(string) *Traceback{
		parseHost, parsePython, parsePythonFatal, parsePHP, parseGo, parseRuby, parsePerl,
	}
	for _, parse := range parsers {
		if t := parse(text); t != nil {
			return t.bounded(maxCauses)
		}
	}
	return nil
}

// withoutHostLines is text as people read it.
func withoutHostLines(text string) string {
	if !strings.Contains(text, hostPrefix) {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, hostPrefix) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// parseHost reads the line of a host of ours.
func parseHost(text string) *Traceback {
	i := strings.LastIndex(text, hostPrefix)
	if i < 0 || i > 0 && text[i-1] != '\n' {
		return nil
	}
	line, _, whole := strings.Cut(text[i+len(hostPrefix):], "\n")
	if !whole {
		return nil // cut: the text for people is before it
	}
	var t Traceback
	if json.Unmarshal([]byte(line), &t) != nil || t.Type == "" {
		return nil
	}
	t.named("python")
	return &t
}

func (t *Traceback) named(language string) {
	for ; t != nil; t = t.Cause {
		if t.Language == "" {
			t.Language = language
		}
	}
}

// bounded cuts everything to its bounds.
func (t *Traceback) bounded(causes int) *Traceback {
	if t == nil || causes < 0 {
		return nil
	}
	t.Type, t.Message, t.Notes = clip(t.Type, maxName), clip(t.Message, maxMessage), clip(t.Notes, maxNotes)
	t.Language, t.Relation = clip(t.Language, 20), clip(t.Relation, 20)
	if len(t.Frames) > maxFrames {
		t.Frames = slices.Delete(t.Frames, maxFrames/2, len(t.Frames)-maxFrames/2)
	}
	for i := range t.Frames {
		f := &t.Frames[i]
		f.File, f.Function, f.Code = clip(f.File, maxName), clip(f.Function, maxName), clip(f.Code, maxCode)
		f.Source = nil // read by us only
		n := 0
		for name, value := range f.Locals {
			if n++; n > maxLocals || len(name) > maxName {
				delete(f.Locals, name)
				continue
			}
			f.Locals[name] = clip(value, maxLocal)
		}
	}
	t.Cause = t.Cause.bounded(causes - 1)
	return t
}

// lines are those of a text, without their ends.
func lines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

// number reads digits; what is no number of a line is 0.
func number(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || n > 1e8 {
			return 0
		}
		n = n*10 + int(s[i]-'0')
	}
	return n
}
