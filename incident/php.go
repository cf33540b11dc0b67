package incident

import (
	"regexp"
	"slices"
	"strings"
)

var (
	phpError    = regexp.MustCompile(`(?:^|\W)PHP (Fatal error|Parse error|Recoverable fatal error|Compile error|Core error|Warning|User Error|User Warning|Deprecated|Notice):\s+(.*)$`)
	phpPlace    = regexp.MustCompile(`^(.*) in (.+?)(?: on line |:)(\d+)$`)
	phpUncaught = regexp.MustCompile(`^(?:PHP .*?:\s+)?(?:Uncaught|Next) ([\w\\]+)(?:: (.*))?$`)
	phpFrame    = regexp.MustCompile(`^#\d+ (?:(.+?)\((\d+)\)|\[internal function\]|\{main\})(?:: (.*))?$`)
	phpThrown   = regexp.MustCompile(`^\s+thrown in (.+) on line (\d+)$`)
)

// parsePHP reads the last error that ended a script, as PHP logs it; where
// there was none, the last of any other kind.
func parsePHP(text string) *Traceback {
	ls := lines(text)
	at := -1
	for i, line := range ls {
		m := phpError.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		before := ""
		if at >= 0 {
			before = phpError.FindStringSubmatch(ls[at])[1]
		}
		if !phpFatal(before) || phpFatal(m[1]) {
			at = i
		}
	}
	if at < 0 {
		return nil
	}
	m := phpError.FindStringSubmatch(ls[at])
	if strings.HasPrefix(m[2], "Uncaught ") {
		return phpChain(m[2], ls[at+1:])
	}
	t := &Traceback{Language: "php", Type: "PHP " + m[1], Message: m[2]}
	if p := phpPlace.FindStringSubmatch(m[2]); p != nil {
		t.Message, t.Frames = p[1], []Frame{{File: p[2], Line: number(p[3])}}
	}
	return t
}

func phpFatal(kind string) bool { return strings.Contains(strings.ToLower(kind), "error") }

// phpChain reads an uncaught exception, from the one it came of to itself.
func phpChain(first string, ls []string) *Traceback {
	var chain *Traceback
	block := []string{first}
	flush := func() {
		if t := phpBlock(block); t != nil {
			if chain != nil {
				t.Cause, t.Relation = chain, "previous"
			}
			chain = t
		}
	}
	for _, line := range ls {
		if phpError.MatchString(line) || strings.HasPrefix(line, hostPrefix) || len(block) > 10*maxFrames {
			break
		}
		if strings.HasPrefix(line, "Next ") {
			flush()
			block = block[:0:0]
		}
		block = append(block, line)
		if phpThrown.MatchString(line) {
			break
		}
	}
	flush()
	return chain
}

// phpBlock reads one exception: its message, which may have lines, its place,
// its frames.
func phpBlock(ls []string) *Traceback {
	i := slices.Index(ls, "Stack trace:")
	head := strings.Join(ls, "\n")
	var trace []string
	if i >= 0 {
		head, trace = strings.Join(ls[:i], "\n"), ls[i+1:]
	}
	place := regexpPlace(head)
	m := phpUncaught.FindStringSubmatch(firstLine(place.text))
	if m == nil {
		return nil
	}
	t := &Traceback{Language: "php", Type: m[1], Message: m[2]}
	if _, more, ok := strings.Cut(place.text, "\n"); ok {
		t.Notes = more
	}
	inner := Frame{File: place.file, Line: place.line} // where it was thrown, in the function of the frame below
	for _, line := range trace {
		m := phpFrame.FindStringSubmatch(line)
		if m == nil {
			break
		}
		inner.Function = phpFunction(m[3])
		if inner.File != "" || inner.Function != "" {
			t.Frames = append(t.Frames, inner)
		}
		inner = Frame{File: m[1], Line: number(m[2])}
	}
	if len(t.Frames) == 0 || inner.File != "" {
		t.Frames = append(t.Frames, inner)
	}
	slices.Reverse(t.Frames)
	return t
}

// phpFunction is a call without its arguments, which may be anything.
func phpFunction(call string) string {
	name, _, _ := strings.Cut(call, "(")
	return name
}

type phpAt struct {
	text, file string
	line       int
}

// regexpPlace parts "MESSAGE in FILE:LINE", whose message may have lines.
func regexpPlace(s string) phpAt {
	begin := strings.LastIndexByte(s, '\n') + 1
	m := phpPlace.FindStringSubmatch(s[begin:])
	if m == nil {
		return phpAt{text: s}
	}
	return phpAt{s[:begin] + m[1], m[2], number(m[3])}
}
