package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/incident"
	"github.com/frontd/frontd/supervisor"
)

// The page of an application in development that does not come up: one
// document without anything from elsewhere. It loads itself again when there
// is news of the application, by its script, or else by <noscript>.
var (
	//go:embed dev_page.html
	devHTML string
	//go:embed dev_page.css
	devCSS string
)

var devTemplate = template.Must(template.New("").Funcs(template.FuncMap{
	"style":  func() template.CSS { return template.CSS(devCSS) },
	"script": front.NewsScript,
}).Parse(devHTML))

// devPolicy lets the page run its own script, and reach itself.
var devPolicy = "default-src 'none'; style-src 'unsafe-inline'; " + front.NewsPolicy()

// devNewsPath begins the paths that are frontd's own in development: what
// follows is the name of an application.
const devNewsPath = "/.frontd/dev/"

// newsPath is where a page hears that it is out of date: one of the application's
// in an epoch ("seen"), or one of a request's that failed ("tried").
func (f *draft) newsPath(what string, epoch int64) string {
	return devNewsPath + url.PathEscape(f.app.name) + "?" + what + "=" + strconv.FormatInt(epoch, 10)
}

// ofRequest is newsPath for what a request's failure is answered with.
func (f *draft) ofRequest() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.newsPath("tried", f.tried)
}

type devPage struct {
	App, Title, Message string
	Frames              []devFrame // the innermost first
	Printed             string
	Serving             bool
	News                string
}

type devFrame struct {
	incident.Frame
	Own    bool // of the application, and not of a library
	Source []devLine
}

type devLine struct {
	Number  int
	Text    string
	Failing bool
}

// showTrouble answers with why the workers of the newest files did not come up.
func (f *draft) showTrouble(w http.ResponseWriter, r *http.Request, why error, printed string, epoch int64) {
	x := front.ExchangeOf(r)
	x.App, x.Cause, x.Detail = f.app.name, front.StartFailed, brief(why)
	p := f.newPage(why, printed)
	p.News = f.newsPath("seen", epoch)
	var body bytes.Buffer
	if err := devTemplate.Execute(&body, p); err != nil { // the template is tested
		front.Fail(w, r, front.StartFailed, brief(why))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", devPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(front.StartFailed.Status())
	w.Write(body.Bytes()) // a browser that left meanwhile is no news
}

func (f *draft) newPage(why error, printed string) *devPage {
	p := &devPage{App: f.app.name, Title: brief(why), Printed: strings.TrimSpace(printed), Serving: f.app.serving() > 0}
	t := tracebackIn(printed)
	if t == nil {
		if lines := strings.Split(p.Printed, "\n"); p.Printed != "" {
			p.Title = lines[len(lines)-1]
		}
		if start, ok := errors.AsType[*supervisor.StartError](why); ok && start.Exit != nil && p.Title != brief(why) {
			p.Message = start.Exit.String()
		}
		return p
	}
	title, rest, _ := strings.Cut(t.Message, "\n")
	p.Title, p.Message = strings.TrimSuffix(t.Type+": "+title, ": "), rest
	f.mu.Lock()
	root := f.root
	f.mu.Unlock()
	for _, frame := range slices.Backward(t.Frames) {
		d := devFrame{Frame: frame, Source: sourceAround(root, frame.File, frame.Line)}
		name := frame.File
		if !filepath.IsAbs(name) {
			name = filepath.Join(root, name)
		}
		if rel, err := filepath.Rel(root, name); err == nil && filepath.IsLocal(rel) {
			d.Own = !slices.ContainsFunc(strings.Split(filepath.Dir(rel), "/"), func(dir string) bool {
				return slices.Contains(foreignFolders, dir) || len(dir) > 1 && dir[0] == '.'
			})
			d.File = rel
		}
		p.Frames = append(p.Frames, d)
	}
	return p
}

// tracebackIn finds the traceback in what a worker printed. Python's of a module
// that does not compile has no calls that matter, and then no first line either.
func tracebackIn(printed string) *incident.Traceback {
	t := incident.Parse(printed)
	if at := strings.LastIndex("\n"+printed, "\n  File \""); t == nil && at >= 0 {
		t = incident.Parse("Traceback (most recent call last):\n" + printed[at:])
	}
	return t
}

const (
	devAround = 5       // lines of source before and after the failing one
	devSource = 2 << 20 // bytes of a file that is shown from
)

// sourceAround reads the lines around one, nil where they cannot be read. A
// traceback is what an application says: only programs are shown.
func sourceAround(root, name string, line int) []devLine {
	if line <= 0 || !slices.Contains(codeEndings, strings.ToLower(filepath.Ext(name))) {
		return nil
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(root, name)
	}
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not hold it up
	if err != nil {
		return nil
	}
	defer file.Close()
	if fi, err := file.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(file, devSource))
	if err != nil {
		return nil
	}
	var list []devLine
	n := 0
	for text := range strings.Lines(string(text)) {
		if n++; n > line+devAround {
			break
		}
		if n >= line-devAround {
			list = append(list, devLine{n, strings.TrimRight(text, "\r\n"), n == line})
		}
	}
	return list
}

// devNews answers a page that waits for news of an application with an event
// when there is some, and reports whether the request was one of these. Such
// requests are no requests for an application: nothing counts or logs them.
func (d *daemon) devNews(w http.ResponseWriter, r *http.Request) bool {
	name, ok := strings.CutPrefix(r.URL.Path, devNewsPath)
	if !ok {
		return false
	}
	a := d.apps.get(name)
	if a == nil || a.draft == nil || r.Method != http.MethodGet {
		http.NotFound(w, r)
		return true
	}
	q := r.URL.Query()
	counter, text := &a.draft.epoch, q.Get("seen")
	if q.Has("tried") {
		counter, text = &a.draft.tried, q.Get("tried")
	}
	seen, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		http.Error(w, "seen or tried: not a number", http.StatusBadRequest)
		return true
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	ctl := http.NewResponseController(w)
	// A frontd that starts again is back within moments, and its epochs are others.
	io.WriteString(w, "retry: 200\n\n")
	if ctl.Flush() != nil {
		return true
	}
	if a.draft.awaitNews(r.Context(), counter, seen) {
		io.WriteString(w, "data: news\n\n")
		ctl.Flush() // a page that was closed meanwhile needs none
	}
	return true
}

// devKeep is how long a page waits before it asks again: a server between it
// and us may take longer for dead.
const devKeep = 50 * time.Second

// awaitNews reports whether a counter, epoch or tried, is another than the one
// seen, as soon as it is.
func (f *draft) awaitNews(ctx context.Context, counter *int64, seen int64) bool {
	limit := time.NewTimer(devKeep)
	defer limit.Stop()
	for {
		f.mu.Lock()
		now, news := *counter, f.news
		f.mu.Unlock()
		if now != seen {
			return true
		}
		select {
		case <-news:
		case <-limit.C:
			return false
		case <-ctx.Done():
			return false
		case <-f.life.Done():
			return false
		}
	}
}
