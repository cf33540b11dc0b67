package front

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A link that is not followed is 404, and the log says why: "file does not exist" is
// what nobody believes who sees it there.
func TestReasonOfLinks(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, map[string]string{"www/a.txt": "a", "secret": "secret"})
	for name, to := range map[string]string{"out": "../secret", "abs": filepath.Join(dir, "www", "a.txt"), "loop": "loop", "nowhere": "none", "in": "a.txt"} {
		if err := os.Symlink(to, filepath.Join(dir, "www", name)); err != nil {
			t.Fatal(err)
		}
	}
	files := staticFor(t, filepath.Join(dir, "www"), func(*Static) {})
	folder := mustMake[*Folder](t)(NewFolder(FolderConfig{Root: filepath.Join(dir, "www"), Controller: "a.txt"}))
	t.Cleanup(func() { folder.Close() })
	for name, why := range map[string]bool{"out": true, "abs": true, "loop": false, "nowhere": false, "in": false, "in/x": false, "a.txt": false} {
		if _, err := files.root.Stat(name); leadsOut(err) != why {
			t.Errorf("%s: %v: a link out: %v", name, err, !why)
		}
		if res, err := folder.Find("/" + name); leadsOut(err) != why || why == (res.File != "") {
			t.Errorf("%s, before a controller: %+v, %v", name, res, err)
		}
	}
	if leadsOut(nil) || leadsOut(errors.New("x")) || leadsOut(os.ErrClosed) {
		t.Error("taken for the error of a link")
	}
	var log bytes.Buffer
	chain, err := New(Config{AccessLog: NewAccessLog(&log, LogText), Log: quiet, Routes: []Route{{Handler: files, Settings: DefaultSettings()}}})
	if err != nil {
		t.Fatal(err)
	}
	if w := ask(chain, "GET", "/abs"); w.Code != 404 || strings.Contains(w.Body.String(), "link") {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "leads out of the folder, or is absolute") {
		t.Errorf("the log has %s", &log)
	}
}
