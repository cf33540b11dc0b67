// Package importer turns the configuration of uWSGI, NGINX Unit, php-fpm and
// gunicorn into one of frontd's.
//
// Nothing is dropped in silence: a setting that has a counterpart is written as
// that; one that needs none, because frontd always does so, and one that has
// none stand as comments, with their value and the reason. Nothing of the source
// is executed: not gunicorn's Python, not uWSGI's exec hooks.
package importer

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// MaxSource bounds what is read, in bytes: a configuration file is small.
const MaxSource = 4 << 20

// A SyntaxError is a source that is not what it is said to be.
type SyntaxError struct {
	Line int // 0: unknown
	Text string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return e.Text
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Text)
}

// A draft is the file in the making, its sections in the order they were made.
type draft struct {
	from     string // the system, for the head
	sections []*section
	remarks  []string // what belongs to no section
}

// A section is one table of the file.
type section struct {
	name    string // "server", "app.blog", or "route" for an element of [[route]]
	entries []entry
}

// An entry is a setting with its remark, or a remark alone.
type entry struct {
	key, value string // key "": a remark alone
	remark     string
}

func newDraft(from string) *draft { return &draft{from: from} }

// section returns the table of that name, which is made at its first use.
func (d *draft) section(name string) *section {
	for _, s := range d.sections {
		if s.name == name {
			return s
		}
	}
	return d.add(name)
}

func (d *draft) add(name string) *section {
	s := &section{name: name}
	d.sections = append(d.sections, s)
	return s
}

// route adds an element of [[route]].
func (d *draft) route() *section { return d.add("route") }

// remark notes what belongs to no section.
func (d *draft) remark(format string, args ...any) {
	d.remarks = append(d.remarks, fmt.Sprintf(format, args...))
}

// set writes a setting; the last one of a key holds, as in the systems read.
func (s *section) set(key, value string, remarks ...string) {
	e := entry{key: key, value: value, remark: strings.Join(remarks, "; ")}
	for i := range s.entries {
		if s.entries[i].key == key {
			s.entries[i] = e
			return
		}
	}
	s.entries = append(s.entries, e)
}

func (s *section) get(key string) string {
	for _, e := range s.entries {
		if e.key == key {
			return e.value
		}
	}
	return ""
}

func (s *section) drop(key string) {
	s.entries = slices.DeleteFunc(s.entries, func(e entry) bool { return e.key == key })
}

func (s *section) has(key string) bool { return s.get(key) != "" }

func (s *section) remark(format string, args ...any) {
	s.entries = append(s.entries, entry{remark: fmt.Sprintf(format, args...)})
}

// none says that a setting has no counterpart, and why or what to do instead.
func (s *section) none(name, value, why string) {
	s.remark("%s = %s: %s", name, shorten(value), why)
}

// shorten keeps a remark on a line that can be read.
func shorten(value string) string {
	const most = 120
	if len(value) > most {
		value = strings.ToValidUTF8(value[:most], "") + "…"
	}
	return value
}

// String returns the file.
func (d *draft) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Made from a configuration of %s by frontd import. Read the comments: they name\n"+
		"# each setting that frontd does otherwise, or not at all. Then: frontd check -c FILE\n", d.from)
	for _, r := range d.remarks {
		writeRemark(&b, r)
	}
	for _, s := range d.ordered() {
		if len(s.entries) == 0 && s.name != "route" {
			continue
		}
		if s.name == "route" {
			b.WriteString("\n[[route]]\n")
		} else {
			fmt.Fprintf(&b, "\n[%s]\n", s.name)
		}
		s.write(&b)
	}
	return b.String()
}

// ordered is server, log, metrics, then the apps and the routes as they came.
func (d *draft) ordered() []*section {
	var list []*section
	rank := func(name string) int {
		switch {
		case name == "server":
			return 0
		case strings.HasPrefix(name, "server."):
			return 1
		case name == "route":
			return 4
		case strings.HasPrefix(name, "app."):
			return 3
		}
		return 2
	}
	for r := range 5 {
		for _, s := range d.sections {
			if rank(s.name) == r {
				list = append(list, s)
			}
		}
	}
	return list
}

func (s *section) write(b *strings.Builder) {
	for _, e := range s.entries {
		if e.key == "" {
			writeRemark(b, e.remark)
			continue
		}
		fmt.Fprintf(b, "%s = %s", e.key, e.value)
		if e.remark != "" {
			fmt.Fprintf(b, "  # %s", oneLine(e.remark))
		}
		b.WriteByte('\n')
	}
}

func writeRemark(b *strings.Builder, text string) {
	fmt.Fprintf(b, "# %s\n", oneLine(text))
}

// oneLine keeps what comes from the source inside its comment: TOML allows no
// control character there but the tab, and a line's end would end it.
func oneLine(s string) string {
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r != '\t' && unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s), "?")
}

// quote is a TOML basic string. A "$" of the source is a "$", not a variable.
func quote(s string) string { return quoteRaw(strings.ReplaceAll(s, "$", "$$")) }

// quoteRaw is a TOML basic string in which "${NAME}" stays a variable.
func quoteRaw(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// quoteList is a TOML array of strings in which a "$" is a "$".
func quoteList(list []string) string {
	var quoted []string
	for _, s := range list {
		quoted = append(quoted, quote(s))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// seconds is a duration of so many seconds, which may have a fraction.
func seconds(text string) (string, bool) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f < 0 || f > 1e9 {
		return "", false
	}
	return quote(time.Duration(f * float64(time.Second)).Round(time.Millisecond).String()), true
}

// size is a number of bytes in the largest unit that divides it.
func size(n int64) string {
	switch {
	case n > 0 && n%(1<<30) == 0:
		return quote(strconv.FormatInt(n>>30, 10) + "GiB")
	case n > 0 && n%(1<<20) == 0:
		return quote(strconv.FormatInt(n>>20, 10) + "MiB")
	case n > 0 && n%(1<<10) == 0:
		return quote(strconv.FormatInt(n>>10, 10) + "KiB")
	}
	return strconv.FormatInt(n, 10)
}

// number is a count within bounds.
func number(text string, from, to int64) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n, err == nil && n >= from && n <= to
}

// name makes an application's name of what the source calls it.
func name(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, s)
	s = strings.Trim(s, "-_")
	if s == "" {
		return "app"
	}
	return s[:min(len(s), 48)]
}

// psgiCommand serves a PSGI application on the socket of descriptor 0, which
// "plackup -s FCGI" does not: it opens one of its own, with FCGI::ProcManager.
func psgiCommand(quote func(string) string, script string) string {
	return quote(`perl -MPlack::Handler::FCGI -MPlack::Util -e "Plack::Handler::FCGI->new->run(Plack::Util::load_psgi(shift))" ` +
		word(script))
}

// word is one word of a command, whatever is in it.
func word(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// words is a command of these words.
func words(list []string) string {
	list = slices.Clone(list)
	for i, w := range list {
		if w == "" || strings.ContainsAny(w, " \t\r\n|&;<>()'\"\\") {
			list[i] = word(w)
		}
	}
	return strings.Join(list, " ")
}

// wholePath is the path of a socket as frontd wants it: whole. dir is where the
// system of before was started, as far as that is known. An abstract name stays.
func wholePath(dir, path string) string {
	if strings.HasPrefix(path, "@") || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

const psgiNeeds = "needs the modules Plack and FCGI"

// environment is an inline table of variables.
type environment struct{ names, values []string }

func (e *environment) set(name, value string) {
	for i, n := range e.names {
		if n == name {
			e.values[i] = value
			return
		}
	}
	e.names = append(e.names, name)
	e.values = append(e.values, value)
}

// quoted are TOML strings.
func (e *environment) write(s *section) {
	if len(e.names) == 0 {
		return
	}
	var pairs []string
	for i, n := range e.names {
		pairs = append(pairs, n+" = "+e.values[i])
	}
	s.set("env", "{ "+strings.Join(pairs, ", ")+" }")
}

// variable says whether a name can be an environment variable's.
func variable(name string) bool {
	for i, r := range name {
		if !(r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || i > 0 && r >= '0' && r <= '9') {
			return false
		}
	}
	return name != ""
}
