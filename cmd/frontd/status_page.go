package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/frontd/frontd/front"
)

// The status page: one document without anything from elsewhere. Its live
// part is made here, and sent again as a server-sent event, so that the page
// without scripts and the one with them are the same.
var (
	//go:embed status.html
	statusHTML string
	//go:embed status.css
	statusCSS string
	//go:embed status.js
	statusJS string
)

var statusTemplate = template.Must(template.New("").Funcs(template.FuncMap{
	"style":  func() template.CSS { return template.CSS(statusCSS) },
	"script": func() template.JS { return template.JS(statusJS) },
	"uptime": uptime, "memory": memory, "latency": latency, "rate": perSecond, "cpu": cpuText,
	"shown": func(w workerReport) []front.Flight { return w.InFlight[:min(len(w.InFlight), maxShown)] },
	"more":  func(w workerReport) int { return max(0, len(w.InFlight)-maxShown) },
	"state": func(w workerReport) string {
		if w.State == "serving" {
			if w.Busy > 0 {
				return "busy"
			}
			return "idle"
		}
		return w.State
	},
}).Parse(statusHTML))

const (
	maxShown    = 3           // requests in flight of a worker that the page names
	pageEvery   = time.Second // between two events
	maxWatchers = 16          // who have the page open: each costs an event a second
	eventWait   = 10 * time.Second
)

// pagePolicy lets the page run its own style and script, and reach itself.
var pagePolicy = fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	sourceHash(statusCSS), sourceHash(statusJS))

func sourceHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// A statusPage shows a person what status tells.
type statusPage struct {
	status   func() statusReport
	json     string        // where the same is for machines
	watchers chan struct{} // holds one token a stream of events
}

func newStatusPage(json string, status func() statusReport) *statusPage {
	return &statusPage{status: status, json: json, watchers: make(chan struct{}, maxWatchers)}
}

// serve makes the page known to a mux, at / and /events.
func (p *statusPage) serve(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", p.page)
	mux.HandleFunc("GET /events", p.events)
}

// A pageView is what the template shows.
type pageView struct {
	Status  statusReport
	JSON    string
	Trouble string // "" if all is well
}

func (p *statusPage) render(part string) []byte {
	v := pageView{Status: p.status(), JSON: p.json}
	v.Trouble = v.Status.trouble()
	var b bytes.Buffer
	if err := statusTemplate.ExecuteTemplate(&b, part, v); err != nil {
		panic("frontd: status page: " + err.Error()) // a test renders every branch
	}
	return b.Bytes()
}

func (p *statusPage) page(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	w.Write(p.render("page")) // a client that left needs no answer
}

// events sends the live part every second until the client leaves or the
// listener ends.
func (p *statusPage) events(w http.ResponseWriter, r *http.Request) {
	select {
	case p.watchers <- struct{}{}:
		defer func() { <-p.watchers }()
	default:
		w.Header().Set("Retry-After", "5")
		http.Error(w, fmt.Sprintf("%d watch already", maxWatchers), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	tick := time.NewTicker(pageEvery)
	defer tick.Stop()
	for {
		// A client that takes nothing must not hold the stream for ever.
		out.SetWriteDeadline(time.Now().Add(eventWait))
		if _, err := w.Write(event(p.render("live"))); err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// event frames text as one server-sent event: each line has its own "data:".
func event(text []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(text) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// trouble says in a few words what needs a person, "" for nothing.
func (s *statusReport) trouble() string {
	var list []string
	if s.Stopping {
		list = append(list, "stopping")
	}
	for _, a := range s.Apps {
		switch {
		case a.Failing != "":
			list = append(list, a.Name+" does not start")
		case a.Queue > 0:
			list = append(list, fmt.Sprintf("%d requests wait for %s", a.Queue, a.Name))
		}
	}
	return strings.Join(list, ", ")
}
