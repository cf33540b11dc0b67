package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/frontd/frontd/incident"
	"github.com/frontd/frontd/internal/counterpart"
)

// A mishap is a request that fails, and what becomes of it.
type mishap struct {
	name, method, path string
	status             int
	ownPage            bool // of the application: its error_page
	page               bool // ours, plain, with the incident's ID in it
	idInHead           bool // the answer is the application's own, with the incident's ID in its head

	kind     incident.Kind
	language string // of the traceback
	title    string // a part of it
	inmost   string // "function: line of source" of the innermost frame, a part of it
	cause    string // type of the exception that it came of
	signal   string
	stacks   string // a part of what the worker was doing
}

var mishaps = []mishap{
	{name: "Flask raises", method: http.MethodPost, path: "/raise", status: 500, idInHead: true, kind: incident.Exception,
		language: "python", title: "SoldOut: no more of tea", inmost: `take: raise SoldOut("no more of " + item)`, cause: "KeyError"},
	{name: "PHP fatal", path: "/php/fatal.php", status: 500, page: true, idInHead: true, kind: incident.Exception,
		language: "php", title: "Call to undefined function vat()", inmost: `total: return vat($cart);`},
	{name: "Perl dies", path: "/perl/die", status: 502, ownPage: true, kind: incident.BadAnswer,
		language: "perl", title: "no funds", inmost: `: die "no funds";`},
	{name: "Go panics", path: "/go/panic", status: 500, page: true, idInHead: true, kind: incident.Exception,
		language: "go", title: "runtime error: invalid memory address or nil pointer dereference", inmost: "cmd/frontd.priceOf: "},
	{name: "segfault", path: "/segfault", status: 502, ownPage: true, kind: incident.Crash,
		language: "python", title: "Segmentation fault", inmost: "string_at: return _string_at(ptr, size)", signal: "SIGSEGV"},
	{name: "out of memory", path: "/memory", status: 500, idInHead: true, kind: incident.Exception,
		language: "python", title: "MemoryError", inmost: "memory: return str(len(bytearray(size)))"},
	{name: "timeout", path: "/slow", status: 504, ownPage: true, kind: incident.Timeout,
		title: "GET http://", stacks: "wait_for_the_bank"},
}

// fail makes the request, as a browser with secrets in its hands.
func (r *running) fail(f mishap) (fetched, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if f.method != "" {
		method, body = f.method, strings.NewReader(url.Values{"item": {"tea"}, "password": {"hunter2"}}.Encode())
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+f.path+"?token=hunter2", body)
	if err != nil {
		return fetched{}, err
	}
	if f.method != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Cookie", "id=hunter2")
	req.Header.Set("Authorization", "Bearer hunter2")
	resp, err := r.client.Do(req)
	if err != nil {
		return fetched{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return fetched{resp.StatusCode, resp.Header, string(b)}, err
}

// incidents are those that the daemon has kept.
func (r *running) incidents() (list []incident.Summary) {
	r.t.Helper()
	f := controlFlag{path: r.control}
	if err := f.call(r.t.Context(), http.MethodGet, "/incidents", &list); err != nil {
		r.t.Fatal(err)
	}
	return list
}

// awaitIncident waits for the one that a request is in, and until enough of it
// has come together.
func (r *running) awaitIncident(what, request string, whole func(*incident.Incident) bool) (found *incident.Incident) {
	r.t.Helper()
	counterpart.Await(r.t, "the incident of "+what, patience, func() error {
		f := controlFlag{path: r.control}
		found = new(incident.Incident)
		err := f.call(r.t.Context(), http.MethodGet, "/incidents/"+url.PathEscape(request), found)
		if err == nil && !whole(found) {
			err = fmt.Errorf("not yet all of it: %+v", found)
		}
		return err
	})
	return found
}

// Each way to fail, in four languages: what the client gets, the incident, the mail
// and the call that tell of it, and what the terminal shows; and no secret in
// any of them.
func TestIncidents(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	apps := layFailing(t, dir)
	told := newReceiver(t, dir)
	r := serve(t, dir, configure(t, dir, apps+told.settings(dir))...)
	for _, f := range mishaps {
		t.Run(f.name, func(t *testing.T) {
			r, told := *r, told.of(t)
			r.t = t
			a, err := r.fail(f)
			if err != nil {
				t.Fatal(err)
			}
			if f.stacks != "" && !r.saidStacks() {
				t.Log("the worker did not tell its stacks in time")
				f.stacks = ""
			}
			i := r.awaitIncident(f.name, a.header.Get("X-Request-Id"), f.whole)
			f.checkAnswer(t, a, i.ID)
			f.check(t, i)
			post := told.awaitPost(i.ID)
			// Of a crash it is told before it is sure what has become of the request.
			if post.event != "new" || post.Kind != f.kind || post.Request == nil && len(post.InFlight) == 0 {
				t.Errorf("the hook got %q: %+v", post.event, post.Incident)
			}
			m, raw := told.awaitMail(i.ID)
			if m.Header.Get("To") != "<ops@example.com>" || m.Header.Get("X-Frontd-Incident") == "" {
				t.Errorf("the mail is %s", raw)
			}
			out, err := r.command("incidents", "show", i.ID)
			if err != nil || !strings.Contains(out, f.title) {
				t.Errorf("%v\n%s", err, out)
			}
			js, err := json.Marshal([]any{i, post.Incident, raw, out})
			if err != nil || strings.Contains(string(js), "hunter2") {
				t.Errorf("a secret was told: %s", js)
			}
		})
	}
	// Who failed is well again, and the same once more is the same.
	for path, want := range map[string]string{"/": "flask", "/perl/": "perl", "/go/": "go"} {
		if a := r.get(path); a.body != want+" is well\n" {
			t.Errorf("%s: %d %q", path, a.status, a.body)
		}
	}
	// Perl's library ends the request before its process ends. That is one mishap,
	// unless the process was seen to end first.
	atMostOneMore := func(list []incident.Summary) bool {
		return len(list) == len(mishaps) || len(list) == len(mishaps)+1
	}
	if list := r.incidents(); !atMostOneMore(list) {
		t.Errorf("%d incidents, want %d: %+v", len(list), len(mishaps), list)
	}
	if _, err := r.fail(mishaps[0]); err != nil {
		t.Fatal(err)
	}
	counterpart.Await(t, "the first once more", patience, func() error {
		list := r.incidents()
		if !atMostOneMore(list) || list[0].Count != 2 {
			return fmt.Errorf("%+v", list)
		}
		return nil
	})
}

// saidStacks says whether the worker of a request that took too long has told
// what it was doing: on a busy machine it may be too late.
func (r *running) saidStacks() bool {
	r.t.Helper()
	return r.AwaitLine(`request took too long.* stack_lines=(\d+)`, patience)[1] != "0"
}

// whole says whether all parts of it are there: some come after the answer.
func (f *mishap) whole(i *incident.Incident) bool {
	return i.Request != nil && (f.stacks == "" || len(i.Stacks) > 0)
}

func (f *mishap) checkAnswer(t *testing.T, a fetched, id string) {
	t.Helper()
	if a.status != f.status {
		t.Errorf("status %d, want %d: %s", a.status, f.status, a.body)
	}
	if got := a.header.Get("X-Incident-Id"); f.idInHead && got != id {
		t.Errorf("the head names incident %q, want %q", got, id)
	}
	if f.page && !strings.Contains(a.body, "tell this: <code>"+id+"</code>") {
		t.Errorf("the page does not name incident %s: %q", id, a.body)
	}
	want := fmt.Sprintf("The shop is shut (%d). Tell us %s of ", f.status, id)
	if f.ownPage && !strings.Contains(a.body, want) {
		t.Errorf("the page is %q, want %q in it", a.body, want)
	}
	if strings.Contains(a.body, "SoldOut") || strings.Contains(a.body, "no funds") || strings.Contains(a.body, ".py") {
		t.Errorf("a stranger is told more than that: %s", a.body)
	}
}

func (f *mishap) check(t *testing.T, i *incident.Incident) {
	t.Helper()
	if i.Kind != f.kind || !strings.Contains(i.Title(), f.title) {
		t.Errorf("%s %q, want %s %q", i.Kind, i.Title(), f.kind, f.title)
	}
	if i.Worker == nil || i.Worker.PID == 0 || i.Worker.Signal != f.signal {
		t.Errorf("its worker: %+v", i.Worker)
	}
	if f.stacks != "" && !strings.Contains(strings.Join(i.Stacks, "\n"), f.stacks) {
		t.Errorf("it was doing %q", i.Stacks)
	}
	if f.language == "" {
		return
	}
	trace := i.Traceback
	if trace == nil || trace.Language != f.language || len(trace.Frames) == 0 {
		t.Fatalf("traceback %+v; raw %q, stderr %q, last lines %q", trace, i.Raw, i.Stderr, i.LastLines)
	}
	last := trace.Frames[len(trace.Frames)-1]
	if got := last.Function + ": " + strings.TrimSpace(last.Code); !strings.Contains(got, f.inmost) || last.Line == 0 {
		t.Errorf("the innermost call is %q of %s:%d, want %q", got, last.File, last.Line, f.inmost)
	}
	if f.language != "go" && len(last.Source) < 3 {
		t.Errorf("no source around it: %+v", last.Source)
	}
	if f.cause != "" && (trace.Cause == nil || trace.Cause.Type != f.cause) {
		t.Errorf("it came of %+v, want %s", trace.Cause, f.cause)
	}
}

// Over an upgrade, with a request that the old daemon still has in hand: the
// incidents of both are one list when it has gone, each is told once, and a
// restart finds all of it.
func TestIncidentsOverUpgrade(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	pipe := filepath.Join(dir, "go")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "fail"), `#!/bin/sh
case $QUERY_STRING in held) echo held >&2; read go <'`+pipe+`';; esac
echo "out of $QUERY_STRING" >&2
printf 'Status: 500\n\nfailed'
`)
	told := newReceiver(t, dir)
	r, _ := upgradable(t, configure(t, dir, `
[server]
listen = ["127.0.0.1:0"]
[incidents]
directory = "`+filepath.Join(dir, "kept")+`"
[app.cgi]
kind = "cgi"
target = "`+filepath.Join(dir, "fail")+`"
workers = 2
`+told.settings(dir))...)
	r.url = r.AwaitLine(`msg=listening address=(http://\S+)`, patience)[1]
	fail := func(why string) {
		t.Helper()
		if a := r.get("/?" + why); a.status != http.StatusInternalServerError {
			t.Fatalf("%s: status %d", why, a.status)
		}
	}
	fail("tea")
	fail("tea")
	held := make(chan int, 1)
	go func() { // received below
		a, _ := ask(t.Context(), r.client, http.MethodGet, r.url+"/?held", "", nil)
		held <- a.status
	}()
	r.AwaitLine("held .*app=cgi", patience)
	elder := r.PID()
	r.upgrade()
	fail("tea")
	fail("milk")
	if err := os.WriteFile(pipe, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	if status := <-held; status != http.StatusInternalServerError {
		t.Errorf("the request in hand: status %d", status)
	}
	awaitGone(t, elder)
	want := map[string]uint64{"tea": 3, "milk": 1, "held": 1}
	counts := func() error {
		got := make(map[string]uint64)
		for _, s := range r.incidents() {
			i := r.awaitIncident(s.Title, s.ID, func(*incident.Incident) bool { return true })
			_, query, _ := strings.Cut(i.Request.URL, "?")
			got[query] = s.Count
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("got %v, want %v", got, want)
		}
		return nil
	}
	counterpart.Await(t, "the incidents of both", patience, counts)
	for _, s := range r.incidents() {
		told.awaitPost(s.ID)
	}
	told.mu.Lock()
	for n, p := range told.posts {
		for _, q := range told.posts[:n] {
			if p.ID == q.ID && q.event == p.event {
				t.Errorf("%s was told twice as %s", p.ID, p.event)
			}
		}
	}
	told.mu.Unlock()
}
