package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// replaced waits until none of the workers before serves, and n others do.
func (r *running) replaced(app string, before []int, n int) []int {
	r.t.Helper()
	var now []int
	counterpart.Await(r.t, "new workers", patience, func() error {
		s, err := r.tryStatus()
		if err != nil {
			return err
		}
		now, err = servingPIDs(s, app)
		if err == nil && (len(now) != n || slices.ContainsFunc(now, func(p int) bool { return slices.Contains(before, p) })) {
			err = fmt.Errorf("serving are %v, before %v", now, before)
		}
		return err
	})
	return now
}

// restart, scale and HUP while clients ask without a pause: none fails.
func TestReplaceUnderLoad(t *testing.T) {
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, jsonLog+demoApp(3))...)
	before := r.awaitServing("demo", 3)
	get := startLoad(t, r.client, 4, http.MethodGet, r.url+"/hello", "", "hello\n")
	post := startLoad(t, r.client, 4, http.MethodPost, r.url+"/sleep?ms=20", "body", "slept 20 ms\n")
	step := func(what string, args ...string) string {
		t.Helper()
		get.awaitMore(t, 20)
		cmd := command(t, dir, append(args, "--control", r.control)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", what, err, out)
		}
		get.awaitMore(t, 20)
		return string(out)
	}
	step("restart", "restart", "demo")
	before = r.replaced("demo", before, 3)
	step("scale up", "scale", "demo", "5")
	r.awaitServing("demo", 5)
	step("scale down", "scale", "demo", "2")
	r.awaitServing("demo", 2)
	step("restart", "restart", "demo")
	before = r.replaced("demo", before, 2)
	const says = "demo has 3 workers as the configuration says, and no more 2 workers as scale said"
	if out := step("reload", "reload"); !strings.Contains(out, says) {
		t.Errorf("reload says %q, want %q", out, says)
	}
	before = r.replaced("demo", before, 3) // as the file says
	if out := step("reload", "reload"); out != "" {
		t.Errorf("nothing is scaled any more, and reload says %q", out)
	}
	before = r.replaced("demo", before, 3)
	r.Signal(syscall.SIGHUP)
	r.AwaitLine(`"msg":"reloaded"`, patience)
	r.replaced("demo", before, 3)
	get.awaitMore(t, 20)
	get.clean(t, "GET")
	post.clean(t, "POST")
}

// HUP takes a changed configuration over, and keeps the old one when the new
// one is wrong or its application does not start.
func TestReload(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "python3")
	dir := counterpart.Dir(t)
	py := filepath.Join(dir, "app.py")
	write(t, py, goodPython)
	r := serve(t, dir, configure(t, dir, jsonLog+wsgiApp(1))...)
	pids := r.awaitServing("app", 1)
	l := startLoad(t, r.client, 2, http.MethodGet, r.url+"/", "", "")
	hup := func(want string) {
		t.Helper()
		mark := r.Mark()
		r.Signal(syscall.SIGHUP)
		r.AwaitLineAfter(mark, want, patience)
	}
	is := func(path, want string) {
		t.Helper()
		if a := r.get(path); a.status != http.StatusOK || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %q, want %q", path, a.status, a.body, want)
		}
	}
	const failed, done = `"msg":"reload failed`, `"msg":"reloaded"`

	configure(t, dir, jsonLog+wsgiApp(1)+"nonsense = 1\n")
	hup(failed + `.*nonsense`)
	is("/", "version 1")
	configure(t, dir, jsonLog+strings.Replace(wsgiApp(1), "app:app", "missing:app", 1))
	hup(failed)
	is("/", "version 1")
	if now := r.awaitServing("app", 1); !slices.Equal(now, pids) {
		t.Errorf("the worker was replaced by a failed reload: %v, before %v", now, pids)
	}

	// The program has changed, and the file has two workers, another
	// application and another route.
	write(t, py, strings.Replace(goodPython, "version 1", "the second version", 1)) // of another size: Python compares that
	configure(t, dir, jsonLog+strings.Replace(wsgiApp(2), "[[route]]", "[app.demo]\nkind = \"demo\"\nworkers = 1\n[[route]]\npath = \"= /hello\"\napp = \"demo\"\n[[route]]", 1))
	hup(done)
	is("/", "second")
	is("/hello", "hello")
	r.replaced("app", pids, 2)

	// And back: the application that is no longer there is stopped.
	demo := r.awaitServing("demo", 1)
	configure(t, dir, jsonLog+wsgiApp(1))
	hup(done)
	is("/hello", "second")
	counterpart.Await(t, "the end of the demo's worker", patience, func() error { return alivePIDs(demo) })
	l.clean(t, "GET")
}

// A worker that ends when it was ready, while another application's is not yet, has
// the reload refused, and whole: nothing of the new configuration is in force.
func TestReloadLosesAWorkerBeforeItServes(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "python3")
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "app.py"), `
import os
def app(environ, start_response):
    with open("asked.new", "w") as f:
        f.write(str(os.getpid()))
    os.rename("asked.new", "asked")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"version 1"]
`)
	write(t, filepath.Join(dir, "other.py"), "import os, time\nwhile os.path.exists('hold'): time.sleep(0.01)\n"+goodPython)
	text := jsonLog + strings.Replace(wsgiApp(1), "workers", "ready = \"/\"\nworkers", 1) +
		"[app.other]\nkind = \"wsgi\"\ntarget = \"other:app\"\nworkers = 1\n[[route]]\npath = \"/other\"\napp = \"other\"\n"
	text = strings.Replace(text, "path = \"/\"\n", "path = \"= /\"\n", 1)
	r := serve(t, dir, configure(t, dir, text)...)
	first, other := r.awaitServing("app", 1), r.awaitServing("other", 1)

	write(t, filepath.Join(dir, "hold"), "")
	os.Remove(filepath.Join(dir, "asked"))
	configure(t, dir, text+"[[route]]\npath = \"= /new\"\napp = \"app\"\n")
	mark := r.Mark()
	r.Signal(syscall.SIGHUP)
	counterpart.Await(t, "the new worker's first request", patience, func() error {
		said, err := os.ReadFile(filepath.Join(dir, "asked"))
		if err != nil {
			return err
		}
		pid, err := strconv.Atoi(string(said))
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGKILL)
		}
		return err
	})
	r.AwaitLineAfter(mark, `"msg":"worker gone".*killed by signal 9|"msg":"worker did not start".*killed by signal 9`, patience)
	if err := os.Remove(filepath.Join(dir, "hold")); err != nil {
		t.Fatal(err)
	}
	r.AwaitLineAfter(mark, `"msg":"reload failed.*the old workers stay`, patience)
	if a := r.get("/new"); a.status != http.StatusNotFound {
		t.Errorf("a route of the refused configuration: %d", a.status)
	}
	for app, before := range map[string][]int{"app": first, "other": other} {
		if now := r.awaitServing(app, 1); !slices.Equal(now, before) {
			t.Errorf("%s has %v, before %v", app, now, before)
		}
	}
	mark = r.Mark()
	r.Signal(syscall.SIGHUP)
	r.AwaitLineAfter(mark, `"msg":"reloaded"`, patience)
	if a := r.get("/new"); a.status != http.StatusOK {
		t.Errorf("after the next reload: %d", a.status)
	}
}

// A reload leaves connections alone: one that is kept brings its next request,
// and a request of which half was sent is answered when the rest comes.
func TestReloadKeepsConnections(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, strings.Replace(jsonLog, "[log]", "header_timeout = \"10m\"\nidle_timeout = \"10m\"\n[log]", 1)+demoApp(1))...)
	before := r.awaitServing("demo", 1)
	kept, half := r.dial(), r.dial()
	ask := func(conn net.Conn, request string) {
		t.Helper()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
	}
	answered := func(conn net.Conn, what string) {
		t.Helper()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "hello\n" || resp.Close {
			t.Errorf("%s: %q, %v, closes: %v", what, b, err, resp.Close)
		}
	}
	const request = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
	ask(kept, request)
	answered(kept, "before")
	ask(half, request[:20])
	if out, err := r.command("reload"); err != nil {
		t.Fatalf("reload: %v\n%s", err, out)
	}
	r.replaced("demo", before, 1)
	ask(half, request[20:])
	answered(half, "half of it before the reload")
	ask(kept, request)
	answered(kept, "on a kept connection")
}

// Whoever asks for a reload and does not wait for the last request of the old
// workers is not told that it failed: the new ones serve.
func TestReloadWithoutPatience(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, jsonLog+demoApp(1))...)
	before := r.awaitServing("demo", 1)
	slow := r.dial()
	if _, err := io.WriteString(slow, "GET /stream?n=10000&interval=20 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(slow).ReadString('\n'); err != nil || line != "HTTP/1.1 200 OK\r\n" {
		t.Fatalf("the slow request is answered %q, %v", line, err)
	}
	asked, err := net.Dial("unix", r.control)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(asked, "POST /reload HTTP/1.1\r\nHost: frontd\r\nContent-Length: 0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	counterpart.Await(t, "the new worker", patience, func() error {
		s := r.status()
		for _, w := range s.Apps[0].Workers {
			if w.State == "serving" && w.PID != before[0] {
				return nil
			}
		}
		return fmt.Errorf("%+v", s.Apps[0].Workers)
	})
	asked.Close()
	r.AwaitLine(`"level":"WARN","msg":"reloaded","note":".*old workers are still stopping`, patience)
	if n := r.Count(`"msg":"reload failed`); n > 0 {
		t.Errorf("told %d times that it failed", n)
	}
	slow.Close()
}
