package incident

import (
	"regexp"
	"slices"
	"strings"
)

const (
	pythonHeader = "Traceback (most recent call last):"
	pythonFrom   = "The above exception was the direct cause of the following exception:"
	pythonDuring = "During handling of the above exception, another exception occurred:"
	pythonGroup  = "Exception Group Traceback"
)

var (
	pythonFrame = regexp.MustCompile(`^ {2,4}File "(.*)", line (\d+)(?:, in (.*))?$`)
	pythonType  = regexp.MustCompile(`^([\p{L}_][\p{L}\p{N}_.<>]*)(?:: (.*))?$`)
)

// parsePython reads the last traceback as the traceback module prints it, and
// those that it came of. Of a group it reads nothing: it stays as it is.
func parsePython(text string) *Traceback {
	end := strings.LastIndex(text, pythonHeader)
	if end < 0 || strings.Contains(text[max(0, end-200):end], pythonGroup) || strings.HasSuffix(text[:end], "Exception Group ") {
		return nil
	}
	ls := lines(text)
	var chain *Traceback
	relation := ""
	for i := 0; i < len(ls); {
		if !strings.HasSuffix(ls[i], pythonHeader) {
			if strings.HasPrefix(ls[i], pythonFrom) && chain != nil {
				relation = "from"
			} else if strings.HasPrefix(ls[i], pythonDuring) && chain != nil {
				relation = "during"
			}
			i++
			continue
		}
		t, next := pythonBlock(ls, i+1)
		if t == nil {
			i = max(next, i+1)
			continue
		}
		if relation != "" {
			t.Cause, t.Relation = chain, relation
		}
		chain, relation, i = t, "", next
	}
	return chain
}

// pythonBlock reads what follows a header, up to the notes.
func pythonBlock(ls []string, i int) (*Traceback, int) {
	t := &Traceback{Language: "python"}
	for ; i < len(ls); i++ {
		line := ls[i]
		if m := pythonFrame.FindStringSubmatch(line); m != nil {
			t.Frames = append(t.Frames, Frame{File: m[1], Line: number(m[2]), Function: m[3]})
			continue
		}
		if strings.HasPrefix(line, " ") {
			if n := len(t.Frames); n > 0 && t.Frames[n-1].Code == "" && strings.HasPrefix(line, "    ") && !onlyMarks(line) {
				t.Frames[n-1].Code = strings.TrimSpace(line)
			}
			continue
		}
		break
	}
	if i == len(ls) {
		return nil, i
	}
	m := pythonType.FindStringSubmatch(ls[i])
	if m == nil || len(t.Frames) == 0 && m[2] == "" && !strings.HasSuffix(m[1], "Error") {
		return nil, i
	}
	t.Type, t.Message = m[1], m[2]
	t.Notes, i = pythonNotes(ls, i+1)
	return t, i
}

// pythonNotes are the lines below the message: more of it, or notes.
func pythonNotes(ls []string, i int) (string, int) {
	var notes []string
	for ; i < len(ls) && len(notes) < maxNoteLine; i++ {
		if ls[i] == "" || strings.HasSuffix(ls[i], pythonHeader) || strings.HasPrefix(ls[i], hostPrefix) {
			break
		}
		notes = append(notes, ls[i])
	}
	return strings.Join(notes, "\n"), i
}

// onlyMarks says whether a line only points at a part of the one above.
func onlyMarks(line string) bool {
	return strings.Trim(line, " ^~") == ""
}

var (
	fatalPython = regexp.MustCompile(`(?m)^Fatal Python error: (.*)$`)
	fatalThread = regexp.MustCompile(`^(?:Current thread|Thread) 0x[0-9a-f]+.*\(most recent call first\):$`)
	fatalFrame  = regexp.MustCompile(`^  File "(.*)", line (\d+) in (.*)$`)
)

// parsePythonFatal reads what the faulthandler module writes when the
// interpreter itself dies: the stack of the thread that did.
func parsePythonFatal(text string) *Traceback {
	at := fatalPython.FindStringSubmatchIndex(text)
	if at == nil {
		return nil
	}
	t := &Traceback{Language: "python", Type: "Fatal Python error", Message: strings.TrimSpace(text[at[2]:at[3]])}
	ls := lines(text[at[1]:])
	i := slices.IndexFunc(ls, func(s string) bool { return strings.HasPrefix(s, "Current thread ") && fatalThread.MatchString(s) })
	if i < 0 {
		i = slices.IndexFunc(ls, fatalThread.MatchString)
	}
	for _, line := range ls[i+1:] {
		m := fatalFrame.FindStringSubmatch(line)
		if m == nil && i >= 0 && len(t.Frames) > 0 {
			break
		}
		if m != nil {
			t.Frames = append(t.Frames, Frame{File: m[1], Line: number(m[2]), Function: m[3]})
		}
	}
	slices.Reverse(t.Frames)
	// The interpreter's start and our host are around every application's frames.
	for len(t.Frames) > 1 && (strings.HasPrefix(t.Frames[0].File, "<frozen ") || strings.Contains(t.Frames[0].File, "/frontd_wsgi/")) {
		t.Frames = t.Frames[1:]
	}
	return t
}
