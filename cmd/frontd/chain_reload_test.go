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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inHand, release := make(chan struct{}), make(chan struct{})
	served := make(chan error, 1)
	go func() { // received by the cleanup
		served <- nfcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			inHand <- struct{}{}
			<-release
			w.Header().Set("X-Sendfile", filepath.Join(dir, "files", "report.txt"))
		}))
	}()
	t.Cleanup(func() {
		l.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	r := serve(t, dir, configure(t, dir, jsonLog+fmt.Sprintf(`
[app.other]
kind = "fcgi"
target = %q
[[route]]
path = "/"
app = "other"
sendfile = [%q]
`, l.Addr(), filepath.Join(dir, "files")))...)
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
