package front

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/incident"
)

const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>'{{.}}</pre></details>`

// hostileIncident has markup everywhere an application or a client can put it.
func hostileIncident() *incident.Incident {
	frame := func(n int) incident.Frame {
		f := incident.Frame{File: "/srv/" + evil, Line: 40 + n, Function: "view " + evil, Code: "raise " + evil, Locals: map[string]string{"a" + evil: evil, "long": strings.Repeat("x", 5000)}}
		for i := range 7 {
			f.Source = append(f.Source, incident.SourceLine{Number: 37 + n + i, Text: "    line " + evil + strings.Repeat(" wide", 60)})
		}
		return f
	}
	fields := []incident.Field{{Name: "X-" + evil, Value: evil}, {Name: "Cookie", Value: incident.Removed}}
	return &incident.Incident{
		ID: "k7f3", Kind: incident.Exception, App: "blog" + evil, Count: 3, First: time.Unix(1700000000, 0),
		Request: &incident.Request{ID: "r1", Method: "POST", URL: "http://example.com/?" + evil, Headers: fields, Form: fields, Body: evil},
		Stderr:  evil, Raw: evil, LastLines: []string{evil}, Stacks: []string{evil}, Worker: &incident.Worker{PID: 4242, Age: 1234567891, Exit: evil},
		Traceback: &incident.Traceback{Language: "python", Type: "ValueError", Message: evil, Notes: evil, Relation: "during",
			Frames: []incident.Frame{frame(0), frame(1), frame(2)},
			Cause:  &incident.Traceback{Type: "KeyError", Message: evil, Frames: []incident.Frame{frame(9)}}},
	}
}

// wellFormed reads a page with a parser that forgives nothing, and returns
// how many elements it has, by name.
func wellFormed(t *testing.T, page string) map[string]int {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Entity = xml.HTMLEntity
	d.Strict = true
	names := map[string]int{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, page)
		}
		if e, ok := token.(xml.StartElement); ok {
			names[e.Name.Local]++
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "src" || a.Name.Local == "href" {
					t.Errorf("<%s %s=%q>", e.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
	}
}

func renderPage(t *testing.T, i *incident.Incident, whole bool, f form) string {
	t.Helper()
	x := &Exchange{ID: "01req", Settings: &defaultSettings, Incident: i}
	p := newPage(x, 500, "")
	p.whole, p.Answer = whole, evil
	_, body := p.render(f)
	return string(body)
}

func TestPostmortemPage(t *testing.T) {
	page := renderPage(t, hostileIncident(), true, formHTML)
	names := wellFormed(t, page)
	if names["script"] != 0 || names["img"] != 0 || names["details"] < 10 {
		t.Errorf("elements %v", names)
	}
	for _, want := range []string{"k7f3", "While handling <b>KeyError</b>", "Local variables", `class="at"`, "4242", "1.235s", "curl", "with the secrets that were taken out", "What the application answered"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if strings.Count(page, `<details class="frame" open="">`) != 1 || strings.Index(page, ":42</span>") > strings.Index(page, ":40</span>") {
		t.Error("the innermost frame stands first, and is the one unfolded")
	}
}

// In production nothing of the incident but its ID is told, in any form.
func TestProductionTellsNothingButTheID(t *testing.T) {
	for _, f := range []form{formHTML, formPlain, formJSON} {
		page := renderPage(t, hostileIncident(), false, f)
		if !strings.Contains(page, "k7f3") || !strings.Contains(page, "01req") {
			t.Errorf("no ID in\n%s", page)
		}
		for _, secret := range []string{"script>", "ValueError", "/srv", "4242", "example.com", "blog"} {
			if strings.Contains(page, secret) {
				t.Errorf("%q in\n%s", secret, page)
			}
		}
		if f == formHTML {
			wellFormed(t, page)
		}
	}
}

func TestProblemDocument(t *testing.T) { // RFC 9457 §3
	for _, whole := range []bool{false, true} {
		var got struct {
			Type, Title, Detail, Incident, Request string
			Status                                 int
			Postmortem                             *incident.Incident
		}
		if err := json.Unmarshal([]byte(renderPage(t, hostileIncident(), whole, formJSON)), &got); err != nil {
			t.Fatal(err)
		}
		if got.Type != "about:blank" || got.Status != 500 || got.Title != "Internal Server Error" || got.Detail == "" || got.Incident != "k7f3" || got.Request != "01req" || (got.Postmortem != nil) != whole {
			t.Errorf("whole %v: %+v", whole, got)
		}
	}
	if text := renderPage(t, hostileIncident(), true, formPlain); !strings.Contains(text, "ValueError: ") || !strings.Contains(text, ":42 view") {
		t.Errorf("plain text:\n%s", text)
	}
}

func TestPreferredForm(t *testing.T) {
	for accept, want := range map[string]form{
		"": formPlain, "*/*": formPlain, "application/json": formJSON, "application/problem+json": formJSON, "application/vnd.api+json;q=0.5, text/plain;q=0.1": formJSON,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": formHTML, "application/json, text/html;q=0.9": formJSON, "application/json, text/plain, */*": formJSON,
		"text/html, application/json": formHTML, "application/json;q=0": formPlain, "image/webp": formPlain,
	} {
		if got := preferred([]string{accept}); got != want {
			t.Errorf("%q: %d, want %d", accept, got, want)
		}
	}
}

func FuzzPreferred(f *testing.F) {
	f.Add("text/html;q=0.5,*/*")
	f.Fuzz(func(t *testing.T, accept string) {
		if got := preferred([]string{accept}); got > formJSON {
			t.Error(got)
		}
	})
}

func TestErrorPagesOfAnApplication(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	pages, err := NewErrorPages(map[int]string{0: file("any.html", "<h1>{status}</h1>{incident} {request}"), 502: file("bad.JSON", `{"down":true}`)})
	if err != nil {
		t.Fatal(err)
	}
	settings := defaultSettings
	settings.ErrorPages = pages
	ask := func(cause Cause, accept string) (*httptest.ResponseRecorder, string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", accept)
		f := newFlight(httptest.NewRecorder(), r, &settings)
		f.ID, f.hook = "req9", func(Failure) *incident.Incident { return &incident.Incident{ID: "k7f3"} }
		w := httptest.NewRecorder()
		Fail(w, r.WithContext(f), cause, "a secret reason")
		return w, w.Body.String()
	}
	for _, c := range []struct {
		why, accept string
		cause       Cause
		want, not   string
		status      int
	}{
		{"every 5xx", "text/html", RequestTimeout, "<h1>504</h1>k7f3 req9", "secret", 504},
		{"one of its own, in its form", "application/json", WorkerDied, `{"down":true}`, "secret", 502},
		{"not in its form", "text/html", WorkerDied, "did not answer properly", "down", 502},
		{"not 5xx", "text/html", NotFound, "There is nothing here", "h1>404</h1>k7f3", 404},
		{"another form", "*/*", RequestTimeout, "incident k7f3", "<h1>", 504},
	} {
		w, body := ask(c.cause, c.accept)
		if w.Code != c.status || !strings.Contains(body, c.want) || strings.Contains(body, c.not) || c.status >= 500 && w.Header().Get("X-Incident-Id") != "k7f3" {
			t.Errorf("%s: %d %v %s", c.why, w.Code, w.Header(), body)
		}
	}
	settings.ShowErrors = true
	if _, body := ask(RequestTimeout, "text/html"); !strings.Contains(body, "a secret reason") {
		t.Errorf("in development: %s", body)
	}
	for name, bad := range map[string]map[int]string{"missing": {0: filepath.Join(dir, "none.html")}, "type": {0: file("x.php", "")},
		"status": {200: file("ok.html", "")}, "size": {0: file("big.html", strings.Repeat("x", maxErrorPage+1))}, "folder": {0: dir + "/../" + filepath.Base(dir) + "/d.html"}} {
		os.Mkdir(filepath.Join(dir, "d.html"), 0o700)
		if _, err := NewErrorPages(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// An application's own 500 passes in production as it is, with the ID; in
// development a browser sees the post-mortem instead, anything else does not.
func TestAnApplicationsOwnErrorAnswer(t *testing.T) {
	long := strings.Repeat("own page ", maxFailedAnswer/8)
	w := startWorker(t, 8, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/silent" {
			io.WriteString(fcgi.Stderr(r.Context()), "Traceback: boom\n")
		}
		w.Header().Set("Set-Cookie", "own=1")
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		w.WriteHeader(http.StatusInternalServerError)
		text := "own page"
		if r.URL.Path == "/long" {
			text = long
		}
		io.WriteString(w, text)
	}))
	for _, dev := range []bool{false, true} {
		settings := settingsFor()
		settings.ShowErrors = dev
		h, err := New(Config{Log: quiet, Keep: Keep{Stderr: 4096}, Routes: []Route{{Path: "/", App: "app", Settings: settings, Handler: gateway(w.upstream)}},
			Incident: func(f Failure) *incident.Incident {
				if len(f.Exchange.Stderr) == 0 {
					return nil
				}
				return &incident.Incident{ID: "k7f3", Raw: string(f.Exchange.Stderr), Kind: incident.Exception}
			}})
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(h)
		for _, c := range []struct {
			path, accept string
			page         bool // in development
		}{{"/?type=text/html", "text/html", true}, {"/?type=text/html", "*/*", false}, {"/?type=application/json", "text/html", false},
			{"/silent?type=text/html", "text/html", false}, {"/long?type=text/html", "text/html", false}} {
			r := newReq(t, "GET", srv.URL+c.path, nil)
			r.Header.Set("Accept", c.accept)
			resp, body := fetch(t, r)
			page := strings.HasPrefix(body, "<!DOCTYPE html>") && strings.Contains(body, "Traceback: boom") && strings.Contains(body, "own page")
			if resp.StatusCode != 500 || page != (dev && c.page) || !page && !strings.HasPrefix(body, "own page") || resp.Header.Get("Set-Cookie") != "own=1" {
				t.Errorf("dev %v %s %s: %d %v page %v: %.300s", dev, c.path, c.accept, resp.StatusCode, resp.Header, page, body)
			}
			if c.path[:5] == "/long" && len(body) != len(long) {
				t.Errorf("dev %v: %d bytes of %d", dev, len(body), len(long))
			}
			if page && (resp.Header.Get("X-Incident-Id") != "k7f3" || resp.Header.Get("Content-Security-Policy") != pagePolicy) {
				t.Errorf("header %v", resp.Header)
			}
		}
		srv.Close()
	}
}

// Of an answer without a body the visitor would see nothing, of the host's own no
// more than that: the page stands in its place where something is known of it.
func TestAnApplicationsMuteErrorAnswer(t *testing.T) {
	w := startWorker(t, 8, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/silent" {
			io.WriteString(fcgi.Stderr(r.Context()), "Traceback: boom\n")
		}
		w.Header().Set("Set-Cookie", "own=1")
		w.Header().Set("Content-Type", "image/png")
		if r.URL.Path == "/like" {
			w.Header().Set("Content-Length", "22")
		}
		if r.URL.Path != "/host" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		if r.URL.Path == "/late" {
			w.(http.Flusher).Flush()
			io.WriteString(w, "own page")
		}
		switch r.URL.Path {
		case "/host":
			panic("boom")
		case "/like":
			io.WriteString(w, "Internal Server")
			w.(http.Flusher).Flush()
			io.WriteString(w, " Failed")
		}
	}))
	h, err := New(Config{Log: quiet, Keep: Keep{Stderr: 4096}, Routes: []Route{{Path: "/", App: "app", Settings: settingsFor(), Handler: gateway(w.upstream)}},
		Incident: func(f Failure) *incident.Incident {
			if len(f.Exchange.Stderr) == 0 {
				return nil
			}
			return &incident.Incident{ID: "k7f3", Raw: string(f.Exchange.Stderr), Kind: incident.Exception}
		}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	defer srv.Close()
	for _, c := range []struct{ method, path, accept, kind, want string }{
		{"GET", "/", "text/html", "text/html; charset=utf-8", "tell this: <code>k7f3</code>"},
		{"GET", "/", "*/*", "text/plain; charset=utf-8", "500 Internal Server Error\nSomething went wrong here.\nrequest "},
		{"POST", "/", "application/json", "application/problem+json", `"incident":"k7f3"`},
		{"GET", "/late", "text/html", "image/png", "own page"},
		{"GET", "/silent", "text/html", "image/png", ""},
		{"GET", "/host", "text/html", "text/html; charset=utf-8", "tell this: <code>k7f3</code>"},
		{"GET", "/like", "text/html", "image/png", "Internal Server Failed"},
		{"HEAD", "/", "text/html", "image/png", ""},
	} {
		r := newReq(t, c.method, srv.URL+c.path, nil)
		r.Header.Set("Accept", c.accept)
		resp, body := fetch(t, r)
		id := resp.Header.Get("X-Incident-Id")
		if resp.StatusCode != 500 || resp.Header.Get("Content-Type") != c.kind || (resp.Header.Get("Set-Cookie") == "own=1") != (c.path != "/host") || (id == "k7f3") != (c.path != "/silent") {
			t.Errorf("%s %s %s: %d %v", c.method, c.path, c.accept, resp.StatusCode, resp.Header)
		}
		if !strings.Contains(body, c.want) || c.want == "" && body != "" || strings.Contains(body, "boom") {
			t.Errorf("%s %s %s: %q, want %q", c.method, c.path, c.accept, body, c.want)
		}
	}
}

// A page that may be out of date hears of it, where a GET brought it; its
// policy lets the one script run, and no other.
func TestPageHearsNews(t *testing.T) {
	for _, c := range []struct {
		method, news string
		hears        bool
	}{{"GET", "/.frontd/dev/a?tried=1", true}, {"POST", "/.frontd/dev/a?tried=1", false}, {"GET", "", false}} {
		h := chainFor(t, Route{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ExchangeOf(r).News = c.news
			Fail(w, r, WorkerDied, "gone")
		})})
		w := ask(h, c.method, "/", "Accept: text/html")
		page, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
		heard := strings.Contains(page, `<body data-news="/.frontd/dev/a?tried=1">`) && strings.Contains(page, "<script>"+newsScript+"</script>") && policy == newsPolicy
		if heard != c.hears || !c.hears && (policy != pagePolicy || strings.Contains(page, "<script")) {
			t.Errorf("%s with %q: policy %q, page\n%s", c.method, c.news, policy, page)
		}
	}
}
