package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/internal/counterpart"
)

// The application says who imported it, and what its hooks did.
const preloadedApp = `
import os
loader, hooks = os.getpid(), []
with open("imports", "a") as f: print(loader, file=f)
os.register_at_fork(after_in_child=lambda: hooks.append("first"))
os.register_at_fork(after_in_child=lambda: 1 / 0)
os.register_at_fork(after_in_child=lambda: hooks.append(str(os.getpid())))
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/who":
        text = "%d %d %d %s" % (os.getpid(), os.getppid(), loader, ",".join(hooks))
        return [text.encode()]
    return [b"version 1"]
`

// imports is how often the application was imported.
func (r *running) imports() int {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, "imports"))
	if err != nil {
		r.t.Fatal(err)
	}
	return bytes.Count(b, []byte("\n"))
}

// template is the process that the workers are forked from.
func (r *running) template() int {
	r.t.Helper()
	for _, a := range r.status().Apps {
		if a.Name == "site" && a.Template != nil {
			return a.Template.PID
		}
	}
	r.t.Fatalf("status has no template: %+v", r.status().Apps)
	return 0
}

// who checks that a worker is what a fresh one would be: a child of frontd's in
// a group of its own, with each hook run once.
func (r *running) who(template int) {
	r.t.Helper()
	a := r.get("/who")
	var pid, parent, loader int
	var hooks string
	if _, err := fmt.Sscanf(a.body, "%d %d %d %s", &pid, &parent, &loader, &hooks); err != nil {
		r.t.Fatalf("who: %d %q: %v", a.status, a.body, err)
	}
	group, err := syscall.Getpgid(pid)
	if parent != r.PID() || loader != template || group != pid || err != nil {
		r.t.Errorf("worker %d of %d in group %d was loaded by %d; want of frontd, %d, in its own group, by %d",
			pid, parent, group, loader, r.PID(), template)
	}
	if want := fmt.Sprintf("first,%d", pid); hooks != want {
		r.t.Errorf("its hooks left %q, want %q", hooks, want)
	}
}

// TestPreload is the life of an application whose workers are forked: they
// crash, the template dies, the code changes, and is broken.
func TestPreload(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "python3")
	r := serveSite(t, preloadedApp, "preload = true\nworkers = 3\n")
	workers := r.awaitServing("site", 3)
	template := r.template()
	r.who(template)
	r.AwaitLine(`ZeroDivisionError`, patience) // a hook's failure is told, and no more

	kill := func(pid int) {
		t.Helper()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		counterpart.Await(t, "the end of a killed process", patience, func() error { return alivePIDs([]int{pid}) })
	}
	kill(workers[0])
	r.AwaitLine(`"msg":"worker gone".*"exit":"killed by signal 9`, patience)
	r.awaitServing("site", 3)
	if out, err := r.command("scale", "site", "5"); err != nil {
		t.Errorf("scale: %v\n%s", err, out)
	}
	workers = r.awaitServing("site", 5)
	r.who(template)
	if n := r.imports(); n != 1 {
		t.Errorf("imported %d times, want once", n)
	}

	kill(template)
	r.AwaitLine(`"msg":"template gone, workers stay".*"exit":"killed by signal 9`, patience)
	if now := r.awaitServing("site", 5); !slices.Equal(now, workers) {
		t.Errorf("when the template was killed, %v serve instead of %v", now, workers)
	}
	for _, pid := range workers {
		kill(pid)
	}
	r.replaced("site", workers, 5)
	if again := r.template(); again == template || r.imports() != 2 {
		t.Errorf("template %d after %d, %d imports; want another one and 2", again, template, r.imports())
	}
	r.who(r.template())
}

// TestPreloadReload takes new code over under load, and leaves the old at work
// where the new does not load.
func TestPreloadReload(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "python3")
	r := serveSite(t, preloadedApp, "preload = true\nworkers = 2\n")
	before, template := r.awaitServing("site", 2), r.template()
	l := startLoad(t, r.client, 3, http.MethodGet, r.url+"/", "", "")
	l.awaitMore(t, 20)
	if out, err := r.command("restart", "site"); err != nil {
		t.Errorf("restart: %v\n%s", err, out)
	}
	before = r.replaced("site", before, 2)
	counterpart.Await(t, "the end of the first template", patience, func() error { return alivePIDs([]int{template}) })

	py := filepath.Join(r.dir, "site_app.py")
	write(t, py, preloadedApp+"raise RuntimeError('it does not start')\n")
	out, err := r.command("reload")
	if err == nil || !strings.Contains(out, "site_app.py") || !strings.Contains(out, "RuntimeError: it does not start") {
		t.Errorf("reload to what does not load: %v\n%s", err, out)
	}
	if now := r.awaitServing("site", 2); !slices.Equal(now, before) {
		t.Errorf("after it %v serve instead of %v", now, before)
	}

	write(t, py, strings.Replace(preloadedApp, "version 1", "the second version", 1)) // of another size: Python compares that
	if out, err := r.command("reload"); err != nil {
		t.Errorf("reload: %v\n%s", err, out)
	}
	if a := r.get("/"); a.body != "the second version" {
		t.Errorf("after a reload: %d %q", a.status, a.body)
	}
	l.awaitMore(t, 20)
	l.clean(t, "GET over restart and reloads")
	r.who(r.template())
}

// Threads do not survive a fork: who has started some at import is told.
func TestPreloadThreads(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "python3")
	r := serveSite(t, `
import threading
threading.Thread(target=threading.Event().wait, daemon=True, name="metrics-sender").start()
`+preloadedApp, "preload = true\nworkers = 1\n")
	r.AwaitLine(`"level":"WARN","msg":"threads that were started .*metrics-sender; `, patience)
	r.awaitServing("site", 1)
	r.who(r.template())
}

// When frontd is killed, neither template nor workers are left.
func TestPreloadKillDaemon(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "python3")
	r := serveSite(t, preloadedApp, "preload = true\nworkers = 3\n")
	all := append(r.awaitServing("site", 3), r.template())
	all = append(all, descendants(t, r.PID())...)
	r.Signal(syscall.SIGKILL)
	counterpart.Await(t, "the end of all processes", patience, func() error { return alivePIDs(all) })
}

// In development nothing is forked.
func TestPreloadInDevelopment(t *testing.T) {
	c := &config.App{Preload: true}
	if (&application{dev: true}).preloads(c) || !(&application{}).preloads(c) {
		t.Error("want preload without --dev, and not with it")
	}
}

const preloadedDjango = `
from django.conf import settings
settings.configure(SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], INSTALLED_APPS=[
    "django.contrib." + name for name in ("admin", "auth", "contenttypes", "sessions", "messages")])
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("<str:name>/", lambda request, name: HttpResponse("hello"))]
`

// TestPreloadMemory compares what eight workers of a Django site take, forked
// and each by itself.
func TestPreloadMemory(t *testing.T) {
	counterpart.NeedRun(t, "python3's django", "python3", "-c", "import django")
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "site_app.py"), preloadedDjango)
	text := jsonLog
	for _, name := range []string{"fresh", "forked"} {
		text += fmt.Sprintf("[app.%s]\nkind = \"wsgi\"\ntarget = \"site_app\"\nworkers = 8\npreload = %v\ntimeout = { start = \"5m\" }\n"+
			"[[route]]\npath = \"/%s/\"\napp = \"%s\"\n", name, name == "forked", name, name)
	}
	r := serve(t, dir, configure(t, dir, text)...)
	sum := map[string]int{}
	for _, name := range []string{"fresh", "forked"} {
		var pids []int
		counterpart.Await(t, "8 workers of "+name, 10*patience, func() error { // a busy machine imports Django slowly
			var err error
			if pids, err = servingPIDs(r.status(), name); err == nil && len(pids) != 8 {
				err = fmt.Errorf("%d serve", len(pids))
			}
			return err
		})
		for range 80 { // ten for each: the longest idle one is asked
			if a := r.get("/" + name + "/"); a.body != "hello" {
				t.Fatalf("%s: %d %q", name, a.status, a.body)
			}
		}
		for _, a := range r.status().Apps {
			if a.Name == name && a.Template != nil {
				pids = append(pids, a.Template.PID) // without it there would be none
			}
		}
		for _, pid := range pids {
			sum[name] += proportionalKiB(t, pid)
		}
	}
	ratio := float64(sum["forked"]) / float64(sum["fresh"])
	t.Logf("8 fresh workers: %d KiB; 8 forked ones and their template: %d KiB; %.2f of that", sum["fresh"], sum["forked"], ratio)
	if ratio > 0.75 {
		t.Errorf("forked workers take %.2f of the memory of fresh ones, want at most 0.75", ratio)
	}
}

// proportionalKiB is a process's memory, with its share of what it shares.
func proportionalKiB(t testing.TB, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		counterpart.Unable(t, err.Error()) // a kernel without CONFIG_PROC_PAGE_MONITOR
	}
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		if f := strings.Fields(sc.Text()); len(f) == 3 && f[0] == "Pss:" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no Pss of process %d in %q", pid, b)
	return 0
}
