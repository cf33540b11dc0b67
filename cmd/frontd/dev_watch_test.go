package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fsnotify/fsnotify"

	"github.com/frontd/frontd/internal/counterpart"
)

// A test's watch, and what it warned of.
func watchFolder(t *testing.T, root, program string, most int) (*watch, *[]string) {
	t.Helper()
	var warned []string
	w, err := newWatch(root, program, most, func(msg string, _ ...any) { warned = append(warned, msg) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w, &warned
}

// takeUntil takes events until one is of the file, which is written last.
func takeUntil(t *testing.T, w *watch, last string) {
	t.Helper()
	for {
		select {
		case e := <-w.events.Events:
			w.take(e)
			if e.Name == last {
				return
			}
		case err := <-w.events.Errors:
			t.Fatal(err)
		case <-t.Context().Done():
			t.Fatal("no event of ", last)
		}
	}
}

// What counts as a change, and what editors, Python and the application itself
// write beside it.
func TestDevWatch(t *testing.T) {
	root := counterpart.Dir(t)
	for _, dir := range []string{"pkg", "node_modules/x", ".git", "pkg/__pycache__", "mine", "templates"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(root, filepath.FromSlash(name)) }
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("mine/pyvenv.cfg", "home = /usr/bin\n") // a virtual environment by another name
	put("app.py", "1")
	w, warned := watchFolder(t, root, at("server"), maxWatched)
	marks := 0
	seen := func(want ...string) {
		t.Helper()
		marks++
		mark := fmt.Sprintf("mark%d.py", marks)
		put(mark, "")
		takeUntil(t, w, at(mark))
		var got []string
		for _, path := range w.changes() {
			if rel, _ := filepath.Rel(root, path); rel != mark {
				got = append(got, filepath.ToSlash(rel))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("changed: %q, want %q", got, want)
		}
	}
	for _, name := range []string{"app.py~", ".#app.py", "#app.py#", ".app.py.swp", "4913", "db.sqlite3", "db.sqlite3-wal",
		"request.log", "upload.json", "node_modules/x/index.html", ".git/config.ini", "pkg/__pycache__/a.cpython-311.pyc",
		"mine/site.py"} {
		put(name, "x")
	}
	seen()
	put("app.py", "2")
	put("templates/page.html", "x")
	put(".env", "A=1")
	put("server", "a program")
	seen(".env", "app.py", "server", "templates/page.html")
	put("app.py", "2")
	seen() // it was written with what was in it
	if err := os.Chmod(at("app.py"), 0o600); err != nil {
		t.Fatal(err)
	}
	seen()
	if err := os.Rename(at("app.py"), at("pkg/moved.py")); err != nil {
		t.Fatal(err)
	}
	seen("app.py", "pkg/moved.py")
	// A folder that is new, with what came into it before it was watched.
	if err := os.MkdirAll(at("new/deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	put("new/deep/early.py", "x")
	seen("new/deep/early.py")
	put("new/deep/late.py", "x")
	seen("new/deep/late.py")
	if len(*warned) > 0 {
		t.Errorf("warned of %q", *warned)
	}
}

// Folders beyond the bound are told of, once, and the others are watched.
func TestDevWatchIsBounded(t *testing.T) {
	root := counterpart.Dir(t)
	const most = 8
	for i := range 2 * most {
		if err := os.MkdirAll(filepath.Join(root, fmt.Sprintf("d%d", i), "deep"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w, warned := watchFolder(t, root, "", most)
	if len(w.folders) != most || len(*warned) != 1 {
		t.Errorf("%d folders are watched, warned of %q", len(w.folders), *warned)
	}
	if err := os.WriteFile(filepath.Join(root, "app.py"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	takeUntil(t, w, filepath.Join(root, "app.py"))
	if err := os.Mkdir(filepath.Join(root, "more"), 0o755); err != nil {
		t.Fatal(err)
	}
	takeUntil(t, w, filepath.Join(root, "more"))
	if got := w.changes(); len(got) != 1 || len(*warned) != 1 {
		t.Errorf("changed %q, warned of %q", got, *warned)
	}
}

// When the system loses count, everything below the folder counts as changed,
// and folders that nobody told of are found; it is told once.
func TestDevWatchOverflow(t *testing.T) {
	root := counterpart.Dir(t)
	if err := os.WriteFile(filepath.Join(root, "app.py"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	w, warned := watchFolder(t, root, "", maxWatched)
	if err := os.MkdirAll(filepath.Join(root, "missed"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if !w.failed(fsnotify.ErrEventOverflow) {
			t.Error("an overflow is no change")
		}
		if got := w.changes(); len(got) != 1 || !w.folders[filepath.Join(root, "missed")] {
			t.Errorf("changed %q, watched %v", got, w.folders)
		}
	}
	if w.failed(errors.New("something else")) || len(*warned) != 2 {
		t.Errorf("warned of %q", *warned)
	}
}
