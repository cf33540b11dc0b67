package front

import (
	"errors"
	"fmt"
	"html"
	"io"
	"mime"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrorPages are an application's own pages for what the front answers in its
// place: 502, 503, 504 and the like. What an application answers itself, it
// has pages of its own for.
type ErrorPages struct {
	byStatus map[int]errorPage // 0: every 5xx without one of its own
}

type errorPage struct {
	form form
	kind string // Content-Type
	text string
}

// maxErrorPage bounds a page, in bytes: it is kept in memory.
const maxErrorPage = 1 << 20

// NewErrorPages reads the files of pages, by status (400 to 599, or 0 for every
// 5xx). Their names end in .html, .htm, .txt or .json, which is also to whom
// they go: a client that asks for another form gets the front's own answer in
// that. In a page, {status}, {incident} and {request} stand for the status
// and the two IDs; the second is empty where there is none.
func NewErrorPages(files map[int]string) (*ErrorPages, error) {
	p := &ErrorPages{byStatus: make(map[int]errorPage, len(files))}
	var errs []error
	for status, name := range files {
		page, err := readErrorPage(name)
		if err == nil && status != 0 && (status < 400 || status > 599) {
			err = fmt.Errorf("%d is no status of an error", status)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("error page: %w", err))
		}
		p.byStatus[status] = page
	}
	return p, errors.Join(errs...)
}

func readErrorPage(name string) (errorPage, error) {
	var p errorPage
	switch strings.ToLower(filepath.Ext(name)) {
	case ".html", ".htm":
		p.form, p.kind = formHTML, mime.FormatMediaType("text/html", map[string]string{"charset": "utf-8"})
	case ".txt":
		p.form, p.kind = formPlain, mime.FormatMediaType("text/plain", map[string]string{"charset": "utf-8"})
	case ".json":
		p.form, p.kind = formJSON, "application/json"
	default:
		return p, fmt.Errorf("%s: want a name that ends in .html, .htm, .txt or .json", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return p, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return p, errors.Join(err, fmt.Errorf("%s: no regular file", name))
	}
	b, err := io.ReadAll(io.LimitReader(f, maxErrorPage+1))
	if err == nil && len(b) > maxErrorPage {
		err = fmt.Errorf("%s: larger than %d bytes", name, maxErrorPage)
	}
	p.text = string(b)
	return p, err
}

// find returns the page for an answer, "" if there is none in that form.
func (e *ErrorPages) find(p *page, f form) (kind, text string) {
	if e == nil {
		return "", ""
	}
	own, ok := e.byStatus[p.Status]
	if !ok && p.Status >= 500 {
		own, ok = e.byStatus[0]
	}
	if !ok || own.form != f {
		return "", ""
	}
	id := ""
	if p.Incident != nil {
		id = p.Incident.ID
	}
	return own.kind, strings.NewReplacer("{status}", strconv.Itoa(p.Status), "{incident}", html.EscapeString(id), "{request}", html.EscapeString(p.ID)).Replace(own.text)
}
