package demo

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"os"
	"strconv"
)

//go:embed page.html
var pageText string

//go:embed page.css
var styleText string

var pages = template.Must(template.New("page").Parse(pageText))

// contentPolicy allows the one style sheet in the page, by its hash, and no
// script at all.
var contentPolicy = func() string {
	sum := sha256.Sum256([]byte(styleText))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}()

// A page is what every template gets.
type page struct {
	Mount  string // what links begin with
	Style  template.CSS
	Worker string
	PID    int
	Name   string // which template makes the content
	Data   any
}

// show answers with the page called name. It is made in memory first (a page
// is some kilobytes), so that a template's error is a 500 and not half a page.
func (s *site) show(w http.ResponseWriter, r *http.Request, code int, name string, data any) {
	var b bytes.Buffer
	// The style is this package's own text.
	p := page{Mount: s.mount(r), Style: template.CSS(styleText), Worker: s.Worker, PID: os.Getpid(), Name: name, Data: data}
	if err := pages.ExecuteTemplate(&b, "page", p); err != nil {
		panic(err) // a bug: the templates are built in
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(b.Bytes()) // the client's leaving ends it
}
