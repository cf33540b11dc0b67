package incident

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
)

// A printer writes a post-mortem for a terminal: nothing in it that an
// application or a client has said reaches the terminal as a control sequence.
type printer struct {
	w     *bufio.Writer
	color bool
}

// WriteText writes all that is known, for people to read.
func (i *Incident) WriteText(w io.Writer, color bool) error {
	p := &printer{bufio.NewWriter(w), color}
	p.line(p.style("1;31", Printable(i.Title(), 500)))
	p.line("")
	p.pair("incident", i.ID)
	kind := string(i.Kind)
	if i.Cause != "" && i.Cause != kind {
		kind += ", " + i.Cause
	}
	p.pair("kind", kind)
	p.pair("app", i.App)
	if i.Count > 1 {
		p.pair("came", fmt.Sprintf("%d times, first %s, last %s", i.Count, moment(i.First), moment(i.Last)))
	} else {
		p.pair("came", moment(i.First))
	}
	if i.Detail != "" && i.Traceback == nil {
		p.pair("reason", i.Detail)
	}
	i.Request.print(p, i)
	i.Worker.print(p)
	i.Traceback.print(p)
	p.text("traceback, as it was written", i.Raw)
	p.text("stderr of the request", i.Stderr)
	p.lines("what the worker was doing", i.Stacks)
	p.lines("requests in its hands", i.InFlight)
	p.lines("last lines of the worker, of any request", i.LastLines)
	if curl := i.Curl(); curl != "" {
		p.head("to repeat it")
		p.line("  " + curl)
	}
	return p.w.Flush()
}

func moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

func (q *Request) print(p *printer, i *Incident) {
	if q == nil {
		return
	}
	p.head("request")
	p.pair("", q.Method+" "+q.URL)
	p.pair("id", q.ID)
	p.pair("client", q.Client)
	if i.Status != 0 {
		p.pair("answered", fmt.Sprint(i.Status))
	}
	for _, h := range q.Headers {
		p.line("  " + p.style("2", Printable(h.Name, 100)+":") + " " + Printable(h.Value, 500))
	}
	if len(q.Form) > 0 {
		p.head("form")
		for _, f := range q.Form {
			p.line("  " + p.style("2", Printable(f.Name, 100)+"=") + Printable(f.Value, 500))
		}
	}
	p.text("beginning of the body", q.Body)
}

func (w *Worker) print(p *printer) {
	if w == nil {
		return
	}
	p.head("worker")
	p.pair("pid", fmt.Sprintf("%d, slot %d", w.PID, w.Slot))
	if w.Age > 0 {
		p.pair("age", fmt.Sprintf("%v, %d requests before", w.Age.Round(time.Millisecond), w.Requests))
	}
	if w.Exit != "" {
		end := w.Exit
		if w.Signal != "" {
			end = w.Signal + ": " + end
		}
		p.pair("end", end)
	}
}

func (t *Traceback) print(p *printer) {
	if t == nil {
		return
	}
	if t.Cause != nil {
		t.Cause.print(p)
		p.line("")
		p.line(p.style("2", "  and then, "+relationText(t.Relation)+":"))
	}
	p.head("traceback (" + Printable(t.Language, 20) + "), the failing call last")
	for n := range t.Frames {
		t.Frames[n].print(p)
	}
	p.line("  " + p.style("1;31", Printable(t.Type, 200)+": "+Printable(t.Message, 1000)))
	if t.Notes != "" {
		for line := range strings.SplitSeq(t.Notes, "\n") {
			p.line("  " + Printable(line, 300))
		}
	}
}

func relationText(relation string) string {
	switch relation {
	case "from":
		return "raised from it"
	case "during":
		return "while it was handled"
	}
	return "because of it"
}

func (f *Frame) print(p *printer) {
	place := Printable(f.File, 300)
	if f.Line > 0 {
		place += fmt.Sprintf(":%d", f.Line)
	}
	p.line("  " + p.style("36", place) + " " + Printable(f.Function, 200))
	for _, s := range f.Source {
		mark, text := "   ", Printable(s.Text, sourceWidth)
		if s.Number == f.Line {
			mark, text = " > ", p.style("1", text)
		}
		p.line(fmt.Sprintf("  %s%5d  %s", mark, s.Number, text))
	}
	if len(f.Source) == 0 && f.Code != "" {
		p.line("      " + p.style("1", Printable(f.Code, maxCode)))
	}
	for _, name := range slices.Sorted(maps.Keys(f.Locals)) {
		p.line("      " + p.style("2", Printable(name, 100)+" = "+Printable(f.Locals[name], 200)))
	}
}

// Curl is a command line that repeats the request, as far as it is known:
// where a secret was, Removed stands to be replaced. "" if there was none.
func (i *Incident) Curl() string {
	q := i.Request
	if q == nil || q.Method == "" {
		return ""
	}
	words := []string{"curl", "-i"}
	switch {
	case q.Method == "HEAD":
		words = append(words, "-I")
	case q.Method != "GET" || q.Body != "" || len(q.Form) > 0:
		words = append(words, "-X", quote(q.Method))
	}
	kind := strings.ToLower(q.header("Content-Type"))
	multipart := strings.HasPrefix(kind, "multipart/")
	for _, h := range q.Headers {
		switch plain(h.Name) {
		case "connection", "contentlength", "transferencoding", "host", "expect", "te", "upgrade", "acceptencoding":
			continue
		case "contenttype":
			if multipart {
				continue // with a boundary of its own
			}
		}
		words = append(words, "-H", quote(h.Name+": "+h.Value))
	}
	for _, f := range q.Form {
		if multipart {
			words = append(words, "--form-string", quote(f.Name+"="+f.Value))
		} else {
			words = append(words, "--data-urlencode", quote(f.Name+"="+f.Value))
		}
	}
	if q.Body != "" && len(q.Form) == 0 && !strings.HasSuffix(q.Body, "not kept]") {
		words = append(words, "--data-binary", quote(q.Body))
	}
	return strings.Join(append(words, quote(q.URL)), " ")
}

// quote makes one word of s for a POSIX shell. Control characters, which a
// terminal would take for its own when the line is pasted, stand as $'\xHH'.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@%+") == "" {
		return s
	}
	if !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) && c != ' ' }) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for _, c := range s {
		switch {
		case c == '\'' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case unicode.IsPrint(c):
			b.WriteRune(c)
		default:
			for _, o := range []byte(string(c)) {
				fmt.Fprintf(&b, `\x%02x`, o)
			}
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// Printable is s on one line of at most n bytes, fit for a terminal: what is
// no printable character is shown as its escape sequence in Go.
func Printable(s string, n int) string {
	s = clip(s, n)
	var b strings.Builder
	for _, c := range s {
		switch {
		case c == '\t':
			b.WriteString("    ")
		case unicode.IsPrint(c):
			b.WriteRune(c)
		default:
			q := fmt.Sprintf("%+q", c)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

func (p *printer) style(code, s string) string {
	if !p.color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p *printer) line(s string) { p.w.WriteString(s + "\n") } // its error is Flush's

func (p *printer) head(s string) {
	p.line("")
	p.line(p.style("1", s))
}

func (p *printer) pair(name, value string) {
	if value == "" {
		return
	}
	if name != "" {
		name = p.style("2", name+":") + " "
	}
	p.line("  " + name + Printable(value, 1000))
}

func (p *printer) text(head, s string) {
	if s != "" {
		p.lines(head, strings.Split(strings.TrimSuffix(s, "\n"), "\n"))
	}
}

func (p *printer) lines(head string, list []string) {
	if len(list) == 0 {
		return
	}
	p.head(head)
	for _, s := range list {
		p.line("  " + Printable(s, maxLineKept))
	}
}
