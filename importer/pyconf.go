package importer

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A pyValue is a literal of Python: text, number, bool, list, or none; source
// has what is not one.
type pyValue struct {
	kind   pyKind
	text   string // of a string; of a number and of what is no literal, as it stands
	list   []pyValue
	pairs  [][2]pyValue
	source string
}

type pyKind uint8

const (
	pyOther  pyKind = iota // an expression: nothing is executed
	pyString               // one string, or several side by side
	pyNumber
	pyBool // text is "True" or "False"
	pyNone
	pyList
	pyDict
)

// A pyLine is one assignment, or a statement that is none.
type pyLine struct {
	name  string // "": a statement
	value pyValue
	line  int
}

// readPython reads the assignments of literals at the top level of a Python
// file. It executes nothing: what is more than a literal is told as it stands.
func readPython(src []byte) ([]pyLine, error) {
	if len(src) > MaxSource {
		return nil, &SyntaxError{Text: "larger than any configuration: 4 MiB are read"}
	}
	if !utf8.Valid(src) {
		return nil, &SyntaxError{Text: "not UTF-8"}
	}
	var list []pyLine
	for _, s := range pyStatements(string(src)) {
		first := strings.TrimSpace(s.text)
		if first == "" || first[0] == '#' || first[0] == '"' || first[0] == '\'' || first[0] == '@' {
			continue
		}
		name, rest, ok := strings.Cut(s.text, "=")
		name = strings.TrimSpace(name)
		if !ok || !variable(name) || strings.HasPrefix(rest, "=") {
			list = append(list, pyLine{value: pyValue{source: firstLine(first)}, line: s.line})
			continue
		}
		list = append(list, pyLine{name: name, value: pyLiteral(rest), line: s.line})
	}
	return list, nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

type pyStatement struct {
	text string
	line int
}

// pyStatements splits at line ends outside of strings and brackets; what is
// indented belongs to the statement before.
func pyStatements(src string) []pyStatement {
	var list []pyStatement
	var b strings.Builder
	line, start := 1, 1
	flush := func() {
		if s := b.String(); strings.TrimSpace(s) != "" {
			if (s[0] == ' ' || s[0] == '\t') && len(list) > 0 {
				list[len(list)-1].text += "\n" + s
			} else {
				list = append(list, pyStatement{text: s, line: start})
			}
		}
		b.Reset()
	}
	depth := 0
	for i := 0; i < len(src); {
		n := pyToken(src[i:])
		tok := src[i : i+n]
		switch {
		case tok == "\n":
			if depth == 0 {
				flush()
				start = line + 1
			} else {
				b.WriteByte(' ')
			}
		case tok == "\\\n", tok[0] == '#':
			b.WriteByte(' ')
		default:
			switch tok[0] {
			case '(', '[', '{':
				depth++
			case ')', ']', '}':
				depth = max(0, depth-1)
			}
			b.WriteString(tok)
		}
		line += strings.Count(tok, "\n")
		i += n
	}
	flush()
	return list
}

// pyToken is the length of the next piece: a string, a comment, a joined line's
// end, or one character.
func pyToken(s string) int {
	switch {
	case s[0] == '#':
		if end := strings.IndexByte(s, '\n'); end >= 0 {
			return end
		}
		return len(s)
	case strings.HasPrefix(s, "\\\n"):
		return 2
	case s[0] == '"' || s[0] == '\'':
		return pyStringLen(s)
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// pyStringLen is the length of the string that s begins with, its quotes included.
func pyStringLen(s string) int {
	quote := s[:1]
	if strings.HasPrefix(s, strings.Repeat(quote, 3)) {
		quote = s[:3]
	}
	for i := len(quote); i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case strings.HasPrefix(s[i:], quote):
			return i + len(quote)
		case s[i] == '\n' && len(quote) == 1:
			return i // never closed
		}
	}
	return len(s)
}

// pyLiteral reads a value; what is left over makes it an expression.
func pyLiteral(src string) pyValue {
	p := &pyParser{s: src}
	v := p.value(0)
	p.space()
	if p.s != "" || v.kind == pyOther {
		return pyValue{source: strings.Join(strings.Fields(src), " ")}
	}
	v.source = strings.Join(strings.Fields(src), " ")
	return v
}

type pyParser struct{ s string }

func (p *pyParser) space() { p.s = strings.TrimLeftFunc(p.s, unicode.IsSpace) }

func (p *pyParser) eat(prefix string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.s, prefix)
	if ok {
		p.s = rest
	}
	return ok
}

// maxNesting bounds the depth of lists: a configuration has two.
const maxNesting = 16

func (p *pyParser) value(depth int) pyValue {
	p.space()
	switch {
	case depth > maxNesting || p.s == "":
		return pyValue{}
	case p.s[0] == '[' || p.s[0] == '(':
		return p.list(depth)
	case p.s[0] == '{':
		return p.dict(depth)
	case p.s[0] == '"' || p.s[0] == '\'' || pyPrefixed(p.s):
		return p.str()
	}
	word := p.s
	if i := strings.IndexFunc(word, func(r rune) bool {
		return r != '_' && r != '.' && r != '-' && r != '+' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}); i >= 0 {
		word = word[:i]
	}
	p.s = p.s[len(word):]
	switch word {
	case "True", "False":
		return pyValue{kind: pyBool, text: word}
	case "None":
		return pyValue{kind: pyNone, text: word}
	}
	digits := strings.ReplaceAll(word, "_", "")
	if strings.HasPrefix(digits, "0o") {
		if n, err := strconv.ParseInt(digits[2:], 8, 64); err == nil {
			return pyValue{kind: pyNumber, text: itoa(n)}
		}
	}
	if _, err := strconv.ParseFloat(digits, 64); err == nil && !strings.ContainsAny(digits, "xXpPnN") {
		return pyValue{kind: pyNumber, text: digits}
	}
	return pyValue{}
}

// pyPrefixed says whether a raw or unicode string follows; f-strings are expressions.
func pyPrefixed(s string) bool {
	return len(s) > 1 && strings.ContainsRune("rRuU", rune(s[0])) && (s[1] == '"' || s[1] == '\'')
}

// str reads strings side by side, which Python joins.
func (p *pyParser) str() pyValue {
	v := pyValue{kind: pyString}
	for p.space(); p.s != "" && (p.s[0] == '"' || p.s[0] == '\'' || pyPrefixed(p.s)); p.space() {
		raw := false
		if p.s[0] != '"' && p.s[0] != '\'' {
			raw = p.s[0] == 'r' || p.s[0] == 'R'
			p.s = p.s[1:]
		}
		n := pyStringLen(p.s)
		quoted := p.s[:n]
		p.s = p.s[n:]
		marks := 1
		if len(quoted) >= 6 && quoted[1] == quoted[0] && quoted[2] == quoted[0] {
			marks = 3
		}
		if len(quoted) < 2*marks || quoted[len(quoted)-1] != quoted[0] {
			return pyValue{} // never closed
		}
		body := quoted[marks : len(quoted)-marks]
		if !raw {
			body = pyUnescape(body)
		}
		v.text += body
	}
	return v
}

func pyUnescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case '\\', '\'', '"':
			b.WriteByte(s[i])
		case '\n':
		default:
			b.WriteByte('\\')
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func (p *pyParser) list(depth int) pyValue {
	end := "]"
	if p.s[0] == '(' {
		end = ")"
	}
	p.s = p.s[1:]
	v := pyValue{kind: pyList}
	for !p.eat(end) {
		item := p.value(depth + 1)
		if item.kind == pyOther {
			return pyValue{}
		}
		v.list = append(v.list, item)
		if !p.eat(",") && !strings.HasPrefix(p.s, end) {
			return pyValue{}
		}
	}
	if end == ")" && len(v.list) == 1 {
		return v.list[0] // brackets around a value; a tuple of one reads the same
	}
	return v
}

func (p *pyParser) dict(depth int) pyValue {
	p.s = p.s[1:]
	v := pyValue{kind: pyDict}
	for !p.eat("}") {
		key := p.value(depth + 1)
		if key.kind != pyString || !p.eat(":") {
			return pyValue{}
		}
		value := p.value(depth + 1)
		if value.kind == pyOther {
			return pyValue{}
		}
		v.pairs = append(v.pairs, [2]pyValue{key, value})
		if !p.eat(",") && !strings.HasPrefix(p.s, "}") {
			return pyValue{}
		}
	}
	return v
}
