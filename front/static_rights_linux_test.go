package front

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// withoutRights runs f as who may read what others may, also where the tests are
// root's, who may read all.
func withoutRights(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := syscall.Setfsuid(65534); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	// done is received below.
	<-done
}

// A folder that may not be looked into is 403 with the reason: as 404, "file does not
// exist", it has cost many an hour.
func TestFolderWithoutRights(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, map[string]string{"shut/index.html": "index", "shut/a.txt": "a", "open/b.txt": "b"})
	shut := filepath.Join(dir, "shut")
	if err := os.Chmod(shut, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(shut, 0o700) })
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("next")) })
	php := mustMake[*Folder](t)(NewPHP(dir, "", next))
	t.Cleanup(func() { php.Close() })
	for name, h := range map[string]http.Handler{
		"files":            staticFor(t, dir, func(*Static) {}),
		"files, with list": staticFor(t, dir, func(s *Static) { s.Listing = true }),
		"files, fallback":  staticFor(t, dir, func(s *Static) { s.Fallback = "open/b.txt" }),
		"programs":         php,
	} {
		withoutRights(t, func() {
			for _, target := range []string{"/shut/", "/shut/a.txt"} {
				if w := at(h, "GET", target, nil); w.Code != http.StatusForbidden {
					t.Errorf("%s: %s: %d %q", name, target, w.Code, w.Body)
				}
			}
			if w := at(h, "GET", "/open/b.txt", nil); w.Code != http.StatusOK {
				t.Errorf("%s: an open folder: %d %q", name, w.Code, w.Body)
			}
		})
	}
}
