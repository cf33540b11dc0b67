package front

import (
	"bytes"
	"html/template"
	"net/http"
	"strconv"
	"strings"
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

// pageTemplate is one file: no styles, scripts or pictures to fetch, for the
// server that would serve them may be what failed.
var pageTemplate = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>{{.Status}} {{.Title}}</title>
<style>:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:42rem;margin:12vh auto;padding:0 1rem}
h1{font-size:1.5rem}pre{white-space:pre-wrap;overflow-wrap:anywhere;padding:1rem;border:1px solid;border-radius:.4rem}
small{opacity:.7}</style></head>
<body><h1>{{.Status}} {{.Title}}</h1><p>{{.Sentence}}</p>
{{with .Detail}}<pre>{{.}}</pre>
{{end}}<p><small>{{.Cause}}{{with .ID}} &middot; request {{.}}{{end}}</small></p></body></html>
`))

type page struct {
	Status                      int
	Title, Sentence, Detail, ID string
	Cause                       Cause
}

// writePage answers with a small page, as HTML where the client prefers that.
func writePage(w http.ResponseWriter, r *http.Request, x *Exchange, cause Cause, detail string) {
	p := page{Status: cause.Status(), Cause: cause, ID: x.ID}
	p.Title, p.Sentence = http.StatusText(p.Status), sentences[p.Status]
	if x.Settings.ShowErrors {
		p.Detail = detail
	}
	var body bytes.Buffer
	h := w.Header()
	if prefersHTML(r.Header.Get("Accept")) {
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		if err := pageTemplate.Execute(&body, p); err != nil {
			body.Reset() // the template is tested: plain text in any case
		}
	}
	if body.Len() == 0 {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		p.writeText(&body)
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		w.Write(body.Bytes()) // a client that left meanwhile is no news here
	}
}

func (p *page) writeText(b *bytes.Buffer) {
	b.WriteString(strconv.Itoa(p.Status) + " " + p.Title + "\n")
	if p.Sentence != "" {
		b.WriteString(p.Sentence + "\n")
	}
	if p.Detail != "" {
		b.WriteString("\n" + strings.TrimRight(p.Detail, "\n") + "\n\n")
	}
	b.WriteString(string(p.Cause))
	if p.ID != "" {
		b.WriteString(", request " + p.ID)
	}
	b.WriteString("\n")
}

// prefersHTML says whether an Accept header (RFC 9110 §12.5.1) names
// text/html with a weight no lower than text/plain's. "*/*", which programs
// send, does not name it.
func prefersHTML(accept string) bool {
	html, plain := 0.0, 0.0
	for item := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(item, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "text/html", "application/xhtml+xml":
			html = max(html, weight(params))
		case "text/plain":
			plain = weight(params)
		}
	}
	return html > 0 && html >= plain
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
