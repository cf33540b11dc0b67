package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	nfcgi "net/http/fcgi"
	"path/filepath"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// A request that outlives several reloads, which wait for no server that is not
// ours, still finds the folders of the configuration that it came in with.
func TestFilesOutliveReloads(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "files", "report.txt"), "the report\n")
	address, inHand, release := foreign(t, func(w http.ResponseWriter) {
		w.Header().Set("X-Sendfile", filepath.Join(dir, "files", "report.txt"))
	})
	r := serve(t, dir, configure(t, dir, jsonLog+fmt.Sprintf(`
[app.other]
kind = "fcgi"
target = %q
[[route]]
path = "/"
app = "other"
sendfile = [%q]
`, address, filepath.Join(dir, "files")))...)
	answer := r.ask("/")
	<-inHand
	for range 3 {
		if out, err := r.command("reload"); err != nil {
			t.Fatalf("reload: %v\n%s", err, out)
		}
	}
	close(release)
	if got := <-answer; got.status != http.StatusOK || got.body != "the report\n" {
		t.Errorf("%d %q", got.status, got.body)
	}
}

// foreign is a FastCGI server that is not ours. It says on inHand that it has a
// request, and answers it when release is closed.
func foreign(t *testing.T, answer func(http.ResponseWriter)) (address net.Addr, inHand, release chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inHand, release = make(chan struct{}), make(chan struct{})
	served := make(chan error, 1)
	go func() { // received by the cleanup
		served <- nfcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			inHand <- struct{}{}
			<-release
			answer(w)
		}))
	}()
	t.Cleanup(func() {
		l.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return l.Addr(), inHand, release
}

// A request that outlives several reloads still stores its session, although the
// configuration has had no sessions since.
func TestSessionsOutliveReloads(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	address, inHand, release := foreign(t, func(w http.ResponseWriter) {
		w.Header().Set("Frontd-Session-Set", `name="Ann"`)
	})
	text := jsonLog + fmt.Sprintf("[app.other]\nkind = \"fcgi\"\ntarget = %q\n[[route]]\npath = \"/\"\napp = \"other\"\n", address)
	r := serve(t, dir, configure(t, dir, text+fmt.Sprintf("session = { enabled = true, file = %q }\n", filepath.Join(dir, "s.db")))...)
	answer := r.ask("/")
	<-inHand
	configure(t, dir, text)
	for range 3 {
		if out, err := r.command("reload"); err != nil {
			t.Fatalf("reload: %v\n%s", err, out)
		}
	}
	close(release)
	if got := <-answer; got.status != http.StatusOK || got.header.Get("Set-Cookie") == "" {
		t.Errorf("%d, Set-Cookie %q", got.status, got.header.Get("Set-Cookie"))
	}
}
