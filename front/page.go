package front

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/frontd/frontd/incident"
)

// sentences tell a visitor in plain words what happened; the cause's word and
// the request id are for whom the visitor asks.
var sentences = map[int]string{
	http.StatusBadRequest:                  "The request is malformed.",
	http.StatusUnauthorized:                "A name and a password are needed here.",
	http.StatusTooManyRequests:             "Too many requests. Please try again in a moment.",
	http.StatusForbidden:                   "This is not to be served.",
	http.StatusNotFound:                    "There is nothing here.",
	http.StatusMethodNotAllowed:            "This method is not allowed here.",
	http.StatusRequestTimeout:              "The request arrived too slowly.",
	http.StatusRequestEntityTooLarge:       "The request's body is larger than allowed here.",
	http.StatusRequestURITooLong:           "The address is too long.",
	http.StatusRequestHeaderFieldsTooLarge: "The request's head is larger than allowed.",
	http.StatusInternalServerError:         "Something went wrong here.",
	http.StatusBadGateway:                  "The application did not answer properly.",
	http.StatusServiceUnavailable:          "The application is busy or starting. Please try again in a moment.",
	http.StatusGatewayTimeout:              "The application took too long to answer.",
	http.StatusInsufficientStorage:         "There is no room to take the request's body.",
}

//go:embed errorpage.html
var errorPageHTML string

// pageTemplate is one file: no styles, scripts or pictures to fetch, for the
// server that would serve them may be what failed.
var pageTemplate = template.Must(template.New("page").Funcs(newsFuncs).Parse(errorPageHTML))

// A page tells a client of a failure: in production plainly, with the ID to
// ask by; with Settings.ShowErrors all that is known.
type page struct {
	Status                      int
	Title, Sentence, Detail, ID string
	Cause                       Cause
	Incident                    *incident.Incident // nil: none
	Answer                      string             // the application's own, where this one stands in its place
	News                        string             // where to hear that it is out of date, "" for nowhere
	whole                       bool               // the incident is to be shown
}

// writePage answers in the form that the client prefers.
func writePage(w http.ResponseWriter, r *http.Request, x *Exchange, cause Cause, detail string) {
	p := newPage(x, cause.Status(), cause)
	if p.whole = x.Settings.ShowErrors; p.whole {
		p.Detail = detail
	}
	p.write(w, r, x)
}

func newPage(x *Exchange, status int, cause Cause) *page {
	return &page{Status: status, Cause: cause, ID: x.ID, Title: http.StatusText(status), Sentence: sentences[status], Incident: x.Incident}
}

// pagePolicy lets a page show itself and nothing else.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (p *page) write(w http.ResponseWriter, r *http.Request, x *Exchange) {
	h := w.Header()
	kind, body := p.own(x.Settings.ErrorPages, preferred(r.Header["Accept"]))
	if kind == "" {
		policy := pagePolicy
		if r.Method == http.MethodGet && x.News != "" { // nothing else may be sent once more unasked
			p.News, policy = x.News, newsPolicy
		}
		kind, body = p.render(preferred(r.Header["Accept"]))
		h.Set("Content-Security-Policy", policy)
	}
	h.Set("Content-Type", kind)
	h.Add("Vary", "Accept")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		w.Write(body) // a client that left meanwhile is no news here
	}
}

// own returns the application's own page, kind "" if there is none.
func (p *page) own(pages *ErrorPages, f form) (kind string, body []byte) {
	if p.whole {
		return "", nil
	}
	kind, text := pages.find(p, f)
	return kind, []byte(text)
}

// render returns the page's type and text.
func (p *page) render(f form) (kind string, body []byte) {
	var b bytes.Buffer
	switch f {
	case formHTML:
		t, data := pageTemplate, any(p)
		if p.whole && tells(p.Incident) {
			t, data = postmortemTemplate, p.postmortem()
		}
		if t.Execute(&b, data) == nil {
			return "text/html; charset=utf-8", b.Bytes()
		}
		b.Reset() // the templates are tested: plain text in any case
	case formJSON:
		return "application/problem+json", p.problem()
	}
	p.writeText(&b)
	return "text/plain; charset=utf-8", b.Bytes()
}

// A problem is what a program gets (RFC 9457 §3), with members of our own.
type problem struct {
	Type     string             `json:"type"` // §4.2.1: no more than the status says
	Title    string             `json:"title"`
	Status   int                `json:"status"`
	Detail   string             `json:"detail,omitempty"`
	Cause    Cause              `json:"cause,omitempty"`
	Request  string             `json:"request,omitempty"`
	Incident string             `json:"incident,omitempty"`
	Whole    *incident.Incident `json:"postmortem,omitempty"` // with ShowErrors
}

func (p *page) problem() []byte {
	out := problem{Type: "about:blank", Title: p.Title, Status: p.Status, Detail: p.Sentence, Cause: p.Cause, Request: p.ID}
	if p.Detail != "" {
		out.Detail = p.Detail
	}
	if p.Incident != nil {
		out.Incident = p.Incident.ID
	}
	if p.whole && tells(p.Incident) {
		out.Whole = p.Incident
	}
	b, err := json.Marshal(out)
	if err != nil {
		out.Whole = nil // nothing else in it can fail
		b, _ = json.Marshal(out)
	}
	return append(b, '\n')
}

func (p *page) writeText(b *bytes.Buffer) {
	b.WriteString(strconv.Itoa(p.Status) + " " + p.Title + "\n")
	if p.Sentence != "" {
		b.WriteString(p.Sentence + "\n")
	}
	if p.Detail != "" {
		b.WriteString("\n" + strings.TrimRight(p.Detail, "\n") + "\n\n")
	}
	if p.whole && tells(p.Incident) {
		p.writeTrace(b)
	}
	var last []string
	if p.Cause != "" {
		last = append(last, string(p.Cause))
	}
	if p.ID != "" {
		last = append(last, "request "+p.ID)
	}
	if p.Incident != nil && p.Incident.ID != "" {
		last = append(last, "incident "+p.Incident.ID)
	}
	b.WriteString(strings.Join(last, ", ") + "\n")
}

// writeTrace writes the traceback for a terminal: what an application says
// must not steer it.
func (p *page) writeTrace(b *bytes.Buffer) {
	const maxLine = 1000 // bytes
	line := func(s string) { b.WriteString(incident.Printable(s, maxLine) + "\n") }
	for t := p.Incident.Traceback; t != nil; t = t.Cause {
		b.WriteString("\n")
		for _, f := range t.Frames {
			line(fmt.Sprintf("  %s:%d %s", f.File, f.Line, f.Function))
			if f.Code != "" {
				line("      " + strings.TrimSpace(f.Code))
			}
		}
		for s := range strings.SplitSeq(t.Type+": "+t.Message, "\n") {
			line(s)
		}
	}
	for s := range strings.Lines(p.Incident.Raw) {
		line(strings.TrimRight(s, "\n"))
	}
	b.WriteString("\n")
}

// A form is how a page is written.
type form uint8

const (
	formPlain form = iota
	formHTML
	formJSON
)

// preferred returns the form that an Accept header (RFC 9110 §12.5.1) gives
// the most weight; of equal ones HTML, then JSON. "*/*", which programs send that
// a person looks at, names none and gets plain text.
func preferred(accept []string) form {
	var weights [3]float64
	for item := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		name, params, _ := strings.Cut(item, ";")
		f := formPlain
		switch name = strings.ToLower(strings.TrimSpace(name)); {
		case name == "text/html", name == "application/xhtml+xml":
			f = formHTML
		case name == "application/json", strings.HasPrefix(name, "application/") && strings.HasSuffix(name, "+json"):
			f = formJSON
		case name != "text/plain":
			continue
		}
		weights[f] = max(weights[f], weight(params))
	}
	best := formPlain
	for _, f := range []form{formJSON, formHTML} {
		if weights[f] > 0 && weights[f] >= weights[best] {
			best = f
		}
	}
	return best
}

// weight returns the q of a media range's parameters, 1 if it has none.
func weight(params string) float64 {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || q < 0 || q > 1 {
				return 0
			}
			return q
		}
	}
	return 1
}
