package notice

import (
	"bytes"
	_ "embed"
	"fmt"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
	"unicode"

	"github.com/frontd/frontd/incident"
)

//go:embed letter.txt
var letterText string

//go:embed letter.html
var letterHTML string

var letterFuncs = map[string]any{"stamp": stamp, "clean": clean, "line": func(s string) string { return oneLine(s, 500) }, "times": times, "indent": indent}

var (
	textLetter = texttemplate.Must(texttemplate.New("letter.txt").Funcs(letterFuncs).Parse(letterText))
	htmlLetter = htmltemplate.Must(htmltemplate.New("letter.html").Funcs(letterFuncs).Parse(letterHTML))
)

// A letter is the text of a mail.
type letter struct {
	Host  string
	Held  bool
	Rest  int
	Whole []part // with their traceback
	Brief []part
}

// A part is one incident in it.
type part struct {
	*incident.Incident
	New   bool
	Times uint64
	Trace string
}

func (m *Mail) letter(b Batch) letter {
	l := letter{Host: m.Host, Held: b.Held, Rest: b.Rest}
	for _, n := range b.News {
		p := part{Incident: n.Incident, New: n.New, Times: n.Times}
		if n.New && len(l.Whole) < wholeInMail {
			p.Trace = trace(n.Incident)
			l.Whole = append(l.Whole, p)
		} else {
			l.Brief = append(l.Brief, p)
		}
	}
	return l
}

// HeldBack is how many incidents waited because there had been too many mails.
func (l letter) HeldBack() int {
	if !l.Held {
		return 0
	}
	return len(l.Whole) + len(l.Brief) + l.Rest
}

func (l letter) render() (text, html string, err error) {
	var t, h bytes.Buffer
	if err := textLetter.Execute(&t, l); err != nil {
		return "", "", err
	}
	if err := htmlLetter.Execute(&h, l); err != nil {
		return "", "", err
	}
	return t.String(), h.String(), nil
}

const (
	maxFrames = 30      // of a traceback in a mail, the innermost
	maxTail   = 4 << 10 // bytes of output in a mail, the last
)

// trace is what is known of the place: the traceback, or what was printed.
func trace(i *incident.Incident) string {
	var b strings.Builder
	for t, n := i.Traceback, 0; t != nil && n < 5; t, n = t.Cause, n+1 {
		if n > 0 {
			fmt.Fprintf(&b, "\ncaused by:\n")
		}
		if over := len(t.Frames) - maxFrames; over > 0 {
			fmt.Fprintf(&b, "  … %d outer calls\n", over)
		}
		for _, f := range t.Frames[max(0, len(t.Frames)-maxFrames):] {
			fmt.Fprintf(&b, "  %s:%d %s\n", f.File, f.Line, f.Function)
			if f.Code != "" {
				fmt.Fprintf(&b, "      %s\n", strings.TrimSpace(f.Code))
			}
		}
		fmt.Fprintf(&b, "%s: %s\n", t.Type, t.Message)
	}
	if b.Len() == 0 {
		for _, s := range []string{i.Raw, i.Stderr, strings.Join(i.LastLines, "\n"), strings.Join(i.Stacks, "\n")} {
			if s != "" {
				b.WriteString(tail(s))
				break
			}
		}
	}
	return clean(b.String())
}

func tail(s string) string {
	if len(s) <= maxTail {
		return s
	}
	s = s[len(s)-maxTail:]
	if _, after, ok := strings.Cut(s, "\n"); ok {
		s = after
	}
	return "…\n" + s
}

// clean keeps lines and takes what could steer a terminal or hide text.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return harmless(r)
	}, s)
}

// harmless is r, or a blank in the place of a character that is not to be seen
// but does something: controls, separators of lines, marks of direction.
func harmless(r rune) rune {
	if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
		return ' '
	}
	return r
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    ")
}
