package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// A reload may make another application of one, under full load: of another
// kind, with a server that is not ours, with a queue of another size. What
// cannot take its place leaves all as it is.
func TestReloadChangesKind(t *testing.T) {
	counterpart.Find(t, "python3")
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "app.py"), stormPython)
	var remote [2]string
	for i := range remote {
		remote[i] = fmt.Sprintf("unix:%s/remote-%d.sock", dir, i)
		p := counterpart.Start(t, command(t, dir, "pool", "demo", "-l", remote[i], "-w", "1"))
		p.AwaitLine("worker ready", patience)
	}
	configured := func(app string) []string {
		return configure(t, dir, jsonLog+"[app.site]\n"+app+"\n[[route]]\npath = \"/\"\napp = \"site\"\n")
	}
	r := serve(t, dir, configured("kind = \"demo\"\nworkers = 2")...)
	first := r.awaitServing("site", 2)
	get := startLoad(t, r.client, 4, http.MethodGet, r.url+"/hello", "", "hello\n")
	post := startLoad(t, r.client, 2, http.MethodPost, r.url+"/hello", "body", "hello\n")
	streams := startLoad(t, r.client, 4, http.MethodGet, r.url+"/stream?n=20&interval=50", "", "")
	before := first
	for _, c := range []struct {
		app     string
		kind    string
		workers int
		refused string // by this
	}{
		{"kind = \"wsgi\"\ntarget = \"app:app\"\nworkers = 2\nthreads = 4", "wsgi", 2, ""},
		{"kind = \"exec\"\ntarget = \"false\"\nworkers = 1", "wsgi", 2, "app site: not started"},
		{"kind = \"fcgi\"\ntarget = \"" + remote[0] + "\"", "fcgi", 0, ""},
		{"kind = \"fcgi\"\ntarget = \"" + remote[1] + "\"\nworkers = 16", "fcgi", 0, ""},
		{"kind = \"demo\"\nworkers = 2", "demo", 2, ""},
		{"kind = \"demo\"\nworkers = 1\nqueue = { size = 7 }", "demo", 1, ""},
	} {
		get.awaitMore(t, 20)
		configured(c.app)
		out, err := r.command("reload")
		if refused := c.refused != ""; refused != (err != nil) || !strings.Contains(out, c.refused) {
			t.Fatalf("reload to %q: %v\n%s", c.app, err, out)
		}
		s := r.status()
		if a := s.Apps[0]; len(s.Apps) != 1 || a.Name != "site" || a.Kind != c.kind {
			t.Errorf("after %q there is %+v", c.app, s.Apps)
		}
		if c.workers > 0 {
			now := r.awaitServing("site", c.workers)
			if stayed := slices.Equal(now, before); stayed != (c.refused != "") {
				t.Errorf("after %q workers %v serve, before %v", c.app, now, before)
			}
			if c.refused != "" {
				continue
			}
			before = now
		}
	}
	get.awaitMore(t, 20)
	get.clean(t, "GET")
	post.clean(t, "POST")
	streams.clean(t, "streams")
	if left := descendants(t, r.PID()); len(left) != 2 { // a worker and the guard
		t.Errorf("descendants %v", left)
	}
	if err := alivePIDs(first); err != nil {
		t.Error(err)
	}
	left := slices.DeleteFunc(sockets(t, filepath.Join(dir, "frontd")), func(p string) bool { return !strings.Contains(p, ".d/site") })
	if len(left) != 1 {
		t.Errorf("sockets of workers: %q", left)
	}
}
