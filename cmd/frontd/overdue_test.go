package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

const stuckPython = `
import os, time

def hang_here(until):
    while not os.path.exists(until):
        time.sleep(0.01)

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path in ("/slow", "/stuck"):
        hang_here(environ["QUERY_STRING"])
    if path == "/health" and os.path.exists("ill"):
        start_response("500 Internal Server Error", [])
        return [b"ill"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello\n"]
`

// A heldLine is the log's record of a request that took too long.
type heldLine struct {
	Msg, App, Method, URI, ID string
	PID                       int
	StackLines                int `json:"stack_lines"`
}

// awaitHeld waits for such a record.
func (r *running) awaitHeld(msg, uri string) (found heldLine) {
	r.t.Helper()
	counterpart.Await(r.t, msg+": "+uri, patience, func() error {
		for line := range strings.Lines(r.Log()) {
			var h heldLine
			if json.Unmarshal([]byte(line), &h) == nil && strings.HasPrefix(h.Msg, msg) && h.URI == uri {
				found = h
				return nil
			}
		}
		return fmt.Errorf("no such record")
	})
	return found
}

// toldStacks asks for what takes too long, with another number behind it each
// time, until the worker has told what it was doing: on a busy machine it may be
// too late (dumpTime).
func (r *running) toldStacks(path string, least int) heldLine {
	r.t.Helper()
	for n := range 20 {
		uri := fmt.Sprintf("%s&try=%d", path, n)
		if a := r.get(uri); a.status != http.StatusGatewayTimeout {
			r.t.Fatalf("%s: status %d, want 504", uri, a.status)
		}
		if h := r.awaitHeld("request took too long", uri); h.StackLines >= least {
			return h
		}
	}
	r.t.Fatalf("%s: no worker told its stacks", path)
	return heldLine{}
}

// A worker that serves many requests at once tells what the one is doing that
// took too long, gets no other, and ends those that it has in hand before it
// goes; its successor does not wait for that.
func TestOverdueInSharedWorker(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, jsonLog+`
[app.demo]
kind = "demo"
workers = 1
queue = { timeout = "1m" }
timeout = { stop = "5m" }
[[route]]
path = "/sleep"
app = "demo"
timeout = { request = "300ms" }
[[route]]
path = "/"
app = "demo"
`)...)
	before := r.awaitServing("demo", 1)
	release := r.hold()
	if a := r.get("/sleep?ms=60000"); a.status != http.StatusGatewayTimeout {
		t.Errorf("status %d, want 504", a.status)
	}
	if a := r.get("/hello"); a.status != http.StatusOK {
		t.Errorf("the next request: status %d", a.status)
	}
	if l := r.awaitRequestLine("/hello"); l.Worker == before[0] {
		t.Error("the next request went to the worker that hangs")
	}
	if err := alivePIDs(before); err == nil {
		t.Error("the worker ended before the other request in its hands")
	}
	release() // which expects a 200
	counterpart.Await(t, "the worker's end", patience, func() error { return alivePIDs(before) })
	h := r.awaitHeld("request took too long", "/sleep?ms=60000")
	if h.PID != before[0] || h.Method != http.MethodGet || h.ID == "" {
		t.Errorf("the log has %+v", h)
	}
	r.toldStacks("/sleep?ms=60000", 10)
	r.AwaitLine(`app/demo\.sleep\(`, patience) // the function that slept
}

// Python tells its stacks too, of a request that is slow as of one that took
// too long; the slow one goes on.
func TestStacksOfPython(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "python3")
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "app.py"), stuckPython)
	r := serve(t, dir, configure(t, dir, jsonLog+strings.Replace(wsgiApp(1), "[[route]]",
		"queue = { timeout = \"1m\" }\ntimeout = { request = \"10m\", slow = \"200ms\" }\n[[route]]\npath = \"= /stuck\"\napp = \"app\"\ntimeout = { request = \"2s\" }\n[[route]]", 1))...)
	before := r.awaitServing("app", 1)
	told, tries := false, 0
	for ; !told && tries < 20; tries++ { // on a busy machine the worker may be too late
		uri := fmt.Sprintf("/slow?go%d", tries)
		slow := r.ask(uri)
		h := r.awaitHeld("slow request", uri)
		if h.PID != before[0] {
			t.Errorf("the log has %+v", h)
		}
		write(t, filepath.Join(dir, fmt.Sprintf("go%d", tries)), "")
		if a := <-slow; a.status != http.StatusOK {
			t.Errorf("a slow request: status %d %q", a.status, a.body)
		}
		told = h.StackLines >= 3
	}
	if !told {
		t.Error("the log has no stacks of a slow request")
	}
	r.AwaitLine(`in hang_here`, patience)
	if n := r.Count(`in hang_here`); n > tries {
		t.Errorf("the stack was told %d times, want once", n)
	}
	if now := r.awaitServing("app", 1); now[0] != before[0] {
		t.Error("the worker of a slow request was replaced")
	}
	r.toldStacks("/stuck?never", 3)
	r.replaced("app", before, 1)
	if l := r.awaitRequestLine("/slow?go0"); l.Cause != "" {
		t.Errorf("the slow request's line: %+v", l)
	}
}

// The stacks of a worker for CGI say nothing of the program that it waits for.
func TestOverdueCGI(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "bin", "hang"), "#!/bin/sh\nexec sleep 60\n")
	r := serve(t, dir, configure(t, dir, jsonLog+`
[app.cgi]
kind = "cgi"
target = "bin"
workers = 1
timeout = { request = "300ms" }
[[route]]
app = "cgi"
`)...)
	before := r.awaitServing("cgi", 1)
	if a := r.get("/hang"); a.status != http.StatusGatewayTimeout {
		t.Errorf("status %d, want 504", a.status)
	}
	if h := r.awaitHeld("request took too long", "/hang"); h.StackLines != 0 {
		t.Errorf("the log has %+v", h)
	}
	r.replaced("cgi", before, 1)
	counterpart.Await(t, "the end of the worker that hung", patience, func() error { return alivePIDs(before) })
	if r.Count(`goroutine `) > 0 {
		t.Error("it told its own stacks")
	}
}

// php-cgi would die of the question: it is not asked, and is replaced.
func TestOverduePHP(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "php-cgi")
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "php", "index.php"), `<?php if (isset($_GET["hang"])) { sleep(60); } echo "hello\n";`)
	r := serve(t, dir, configure(t, dir, jsonLog+`
[app.php]
kind = "php"
target = "php"
workers = 1
timeout = { request = "300ms" }
[[route]]
app = "php"
`)...)
	before := r.awaitServing("php", 1)
	if a := r.get("/index.php?hang"); a.status != http.StatusGatewayTimeout {
		t.Errorf("status %d, want 504", a.status)
	}
	if h := r.awaitHeld("request took too long", "/index.php?hang"); h.StackLines != 0 {
		t.Errorf("the log has %+v", h)
	}
	r.replaced("php", before, 1)
	counterpart.Await(t, "the end of the worker that hung", patience, func() error { return alivePIDs(before) })
	if n := r.Count(`signal 3`); n > 0 {
		t.Error("it died of SIGQUIT")
	}
}

// A worker has to answer the path of ready before it serves, at the start as
// at a restart.
func TestReadyRequest(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "python3")
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "app.py"), stuckPython)
	write(t, filepath.Join(dir, "ill"), "")
	app := strings.Replace(wsgiApp(1), "[[route]]", "ready = \"/health\"\ntimeout = { start = \"3s\" }\n[[route]]", 1)
	r := serve(t, dir, configure(t, dir, jsonLog+app)...)
	r.AwaitLine(`"msg":"worker did not start".*ready = .*/health.*status 500`, patience)
	remove(t, filepath.Join(dir, "ill"))
	before := r.awaitServing("app", 1)
	write(t, filepath.Join(dir, "ill"), "")
	for try := 1; ; try++ {
		out, err := r.command("restart", "app")
		if err == nil || !strings.Contains(out, "the old workers stay") {
			t.Fatalf("restart of an application that is ill: %v\n%s", err, out)
		}
		if strings.Contains(out, "status 500") {
			break
		}
		if try == 5 { // on a busy machine it may not come to the question in time
			t.Fatalf("restart of an application that is ill does not say how:\n%s", out)
		}
	}
	if now := r.awaitServing("app", 1); now[0] != before[0] {
		t.Error("the old worker was replaced")
	}
	if a := r.get("/"); a.status != http.StatusOK {
		t.Errorf("status %d", a.status)
	}
}

// A reload is all or nothing: where one application does not come up, no
// other is touched, nor is the chain, and the command tells the worker's words.
func TestReloadIsAllOrNothing(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "python3")
	dir := counterpart.Dir(t)
	py := filepath.Join(dir, "app.py")
	write(t, py, goodPython)
	two := "[app.demo]\nkind = \"demo\"\nworkers = 2\n" + strings.Replace(wsgiApp(1), "[[route]]", "[[route]]\npath = \"= /hello\"\napp = \"demo\"\n[[route]]", 1)
	r := serve(t, dir, configure(t, dir, jsonLog+two)...)
	python, demo := r.awaitServing("app", 1), r.awaitServing("demo", 2)
	l := startLoad(t, r.client, 2, http.MethodGet, r.url+"/", "", "version 1")

	write(t, py, brokenPython)
	configure(t, dir, jsonLog+strings.Replace(two, "= /hello", "= /sleep", 1))
	out, err := r.command("reload")
	if err == nil || !strings.Contains(out, `"app"`) || !strings.Contains(out, "RuntimeError: it does not start") {
		t.Errorf("reload to a broken application: %v\n%s", err, out)
	}
	// An application that is new counts as the others do.
	write(t, py, goodPython)
	write(t, filepath.Join(dir, "late.py"), brokenPython)
	configure(t, dir, jsonLog+strings.Replace(two, "[app.demo]", "[app.late]\nkind = \"wsgi\"\ntarget = \"late:app\"\nworkers = 1\n[[route]]\npath = \"= /late\"\napp = \"late\"\n[app.demo]", 1))
	out, err = r.command("reload")
	if err == nil || !strings.Contains(out, "late") || !strings.Contains(out, "RuntimeError: it does not start") {
		t.Errorf("reload with a new, broken application: %v\n%s", err, out)
	}
	if now := append(r.awaitServing("app", 1), r.awaitServing("demo", 2)...); fmt.Sprint(now) != fmt.Sprint(append(python, demo...)) {
		t.Errorf("workers were replaced: %v, before %v %v", now, python, demo)
	}
	if a := r.get("/hello"); a.body != "hello\n" {
		t.Errorf("the chain has changed: %q", a.body)
	}
	if s := r.status(); len(s.Apps) != 2 {
		t.Errorf("%d applications, want 2", len(s.Apps))
	}
	l.clean(t, "GET")
	configure(t, dir, jsonLog+two)
	if out, err = r.command("reload"); err != nil {
		t.Errorf("the next reload: %v\n%s", err, out)
	}
}

// A site behind a symbolic link is another one after the link was changed and
// the application restarted, in its files as in its workers.
func TestRestartFollowsLinks(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "php-cgi")
	dir := counterpart.Dir(t)
	for _, v := range []string{"one", "two"} {
		write(t, filepath.Join(dir, v, "index.php"), "<?php echo '"+v+" ' . getcwd();")
		write(t, filepath.Join(dir, v, "file.txt"), v)
	}
	link(t, "one", filepath.Join(dir, "current"))
	r := serve(t, dir, configure(t, dir, jsonLog+`
[app.php]
kind = "php"
target = "current"
workers = 1
[[route]]
app = "php"
`)...)
	r.awaitServing("php", 1)
	is := func(want string) {
		t.Helper()
		if a := r.get("/index.php"); !strings.HasPrefix(a.body, want+" ") {
			t.Errorf("the script says %q, want %q", a.body, want)
		}
		if a := r.get("/file.txt"); a.body != want {
			t.Errorf("the file has %q, want %q", a.body, want)
		}
	}
	is("one")
	link(t, "two", filepath.Join(dir, "current"))
	if out, err := r.command("restart", "php"); err != nil {
		t.Fatalf("restart: %v\n%s", err, out)
	}
	is("two")
	link(t, "one", filepath.Join(dir, "current"))
	r.Signal(syscall.SIGHUP)
	r.AwaitLine(`"msg":"reloaded"`, patience)
	is("one")
}
