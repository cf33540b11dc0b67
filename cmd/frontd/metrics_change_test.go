package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// A reload moves the listener of the numbers, opens and closes it, and takes over
// who may call it by which name; one that cannot be had refuses it, and leaves what
// there was. How much of incidents is kept changes too, and where waits for a restart.
func TestReloadChangesNumbers(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	first, second := filepath.Join(dir, "first.sock"), filepath.Join(dir, "second.sock")
	configured := func(more string) []string { return configure(t, dir, jsonLog+demoApp(1)+more) }
	r := serve(t, dir, configured("")...)
	r.awaitServing("demo", 1)
	reload := func(more, says string) {
		t.Helper()
		configured(more)
		out, err := r.command("reload")
		if err != nil || (says == "") != (out == "") || !strings.Contains(out, says) {
			t.Fatalf("reload with %s: %v\n%q, want %q", more, err, out, says)
		}
	}
	asked := func(path, host string, status int, want string) {
		t.Helper()
		a, err := ask(t.Context(), unixClient(t, path), http.MethodGet, "http://"+host+"/metrics", "", nil)
		if err != nil || a.status != status || !strings.Contains(a.body, want) {
			t.Errorf("at %s as %s: %d %.200q, %v; want %d with %s", path, host, a.status, a.body, err, status, want)
		}
	}
	gone := func(path string) {
		t.Helper()
		r.AwaitLine(`"msg":"numbers do not listen any more","address":"unix:`+path+`"`, patience)
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left behind", path)
		}
	}
	reload("[metrics]\nlisten = \"unix:"+first+"\"\n", "")
	r.get("/hello")
	asked(first, "localhost", 200, `frontd_workers{app="demo"`)
	asked(first, "web1.internal", 421, "hosts in [metrics]")
	reload("[metrics]\nlisten = \"unix:"+first+"\"\nhosts = [\"web1.internal\"]\n", "")
	asked(first, "web1.internal", 200, `frontd_workers{app="demo"`)
	reload("[metrics]\nlisten = \"unix:"+second+"\"\nhosts = [\"web1.internal\"]\n", "")
	asked(second, "web1.internal", 200, `frontd_workers{app="demo"`)
	gone(first)

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	configured("[metrics]\nlisten = \"" + taken.Addr().String() + "\"\n")
	if out, err := r.command("reload"); err == nil || !strings.Contains(out, ": metrics.listen: ") || !strings.Contains(out, "address already in use") {
		t.Errorf("an address in use: %v, %q", err, out)
	}
	// What was opened for a reload that comes to nothing is closed.
	configured("[metrics]\nlisten = \"unix:" + first + "\"\n[app.broken]\nkind = \"exec\"\ntarget = \"false\"\nworkers = 1\n")
	if out, err := r.command("reload"); err == nil || !strings.Contains(out, "app broken: not started") {
		t.Errorf("an application that does not start: %v, %s", err, out)
	}
	if _, err := os.Lstat(first); err == nil {
		t.Error("a reload that was refused has left a socket")
	}
	asked(second, "web1.internal", 200, `frontd_workers{app="demo"`)

	reload("[incidents]\nkeep = 7\nsize = \"1MiB\"\n", "")
	gone(second)
	reload("[incidents]\ndirectory = \""+filepath.Join(dir, "elsewhere")+"\"\n", "incidents.directory")
	reload("", "")
	reload("[metrics]\nlisten = \"unix:"+first+"\"\n", "")
	r.Signal(syscall.SIGINT)
	r.AwaitExit(patience)
	if _, err := os.Lstat(first); err == nil {
		t.Error("the socket is left behind")
	}
}
