package incident

import (
	"regexp"
	"slices"
	"strings"
)

var (
	perlPlace  = regexp.MustCompile(`^(.*?) at (\S+|\(eval \d+\)(?:\[\S+\])?) line (\d+)(?:, <\S*> (?:line|chunk) \d+)?\.?$`)
	perlCalled = regexp.MustCompile(`^\t(.+?)(?:\(.*\))? called at (\S+|\(eval \d+\)) line (\d+)\.?$`)
)

// parsePerl reads the last die, with the calls that Carp tells.
func parsePerl(text string) *Traceback {
	ls := lines(text)
	at := lastIndex(ls, func(s string) bool { return !strings.HasPrefix(s, "\t") && perlPlace.MatchString(s) })
	if at < 0 {
		return nil
	}
	m := perlPlace.FindStringSubmatch(ls[at])
	t := &Traceback{Language: "perl", Type: "die", Message: strings.TrimSpace(m[1])}
	inner := Frame{File: m[2], Line: number(m[3])}
	for _, line := range ls[at+1:] {
		m := perlCalled.FindStringSubmatch(line)
		if m == nil {
			break
		}
		inner.Function = m[1]
		t.Frames = append(t.Frames, inner)
		inner = Frame{File: m[2], Line: number(m[3])}
	}
	t.Frames = append(t.Frames, inner)
	slices.Reverse(t.Frames)
	return t
}

var (
	rubyHead = regexp.MustCompile("^(\\S+?):(\\d+):(?:in [`'](.*?)': )?(.*) \\(([A-Z][\\w:]*)\\)$")
	rubyFrom = regexp.MustCompile("^\t(?: *\\d+: )?from (\\S+?):(\\d+)(?::in [`'](.*)')?$")
)

// parseRuby reads the last uncaught exception as the interpreter prints it.
func parseRuby(text string) *Traceback {
	ls := lines(text)
	at := lastIndex(ls, rubyHead.MatchString)
	if at < 0 {
		return nil
	}
	m := rubyHead.FindStringSubmatch(ls[at])
	t := &Traceback{Language: "ruby", Type: m[5], Message: m[4], Frames: []Frame{{File: m[1], Line: number(m[2]), Function: m[3]}}}
	for _, line := range ls[at+1:] {
		m := rubyFrom.FindStringSubmatch(line)
		if m == nil {
			break
		}
		t.Frames = append(t.Frames, Frame{File: m[1], Line: number(m[2]), Function: m[3]})
	}
	slices.Reverse(t.Frames)
	return t
}
