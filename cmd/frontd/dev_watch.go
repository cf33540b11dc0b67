package main

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

const (
	// maxWatched bounds the folders that are watched, for one application: each
	// costs the kernel about 1 KiB, and a user has 8192 or more of them for all
	// programs.
	maxWatched = 4096
	// maxCompared is how much of a file is compared with what it was, in bytes.
	// Of a larger one, size and time are.
	maxCompared = 4 << 20
	// maxSums bounds the files whose content is remembered.
	maxSums = 16384
)

// codeEndings are what the names of programs end in, as tracebacks name them.
var codeEndings = []string{
	".py", ".pyx", ".php", ".phtml", ".inc", ".pl", ".pm", ".psgi", ".rb", ".ru", ".cgi", ".fcgi", ".sh", ".lua",
	".html", ".htm", ".jinja", ".jinja2", ".j2", ".mako", ".tmpl", ".tpl", ".twig", ".erb",
}

// sourceEndings are what the names of files end in that a running application
// may have read. What applications write themselves while they serve, such as
// databases, logs, JSON and uploads, is not among them: each request would
// restart the one that serves it.
var sourceEndings = slices.Concat(codeEndings, []string{".so", ".mo", ".toml", ".yaml", ".yml", ".ini", ".cfg", ".conf", ".env"})

// foreignFolders hold what others have written, or what programs keep.
// Folders whose names begin with a dot are left out in any case.
var foreignFolders = []string{"__pycache__", "node_modules", "venv", "site-packages", "bower_components", "vendor"}

// A watch tells of changed sources below a folder. It has one user at a time.
type watch struct {
	// Immutable.
	root    string
	program string // a file that counts whatever it is called; may be elsewhere, "" for none
	most    int    // folders that are watched
	warn    func(msg string, args ...any)
	events  *fsnotify.Watcher

	folders  map[string]bool
	touched  map[string]bool // since the last call of changes
	overflow bool            // since then: files were missed
	sums     map[string][sha256.Size]byte
	told     map[string]bool // what is said once
}

// newWatch watches a folder and those below, at most so many. What cannot be watched is told
// to warn: the application runs without.
func newWatch(root, program string, most int, warn func(msg string, args ...any)) (*watch, error) {
	events, err := fsnotify.NewBufferedWatcher(1024)
	if err != nil {
		return nil, err
	}
	w := &watch{root: root, program: program, most: most, warn: warn, events: events,
		folders: map[string]bool{}, touched: map[string]bool{},
		sums: map[string][sha256.Size]byte{}, told: map[string]bool{}}
	w.add(root)
	if program != "" && !w.folders[filepath.Dir(program)] {
		w.watchFolder(filepath.Dir(program))
	}
	if len(w.folders) == 0 {
		return nil, errors.Join(errors.New("no folder can be watched"), events.Close())
	}
	clear(w.touched) // what is there has not changed
	return w, nil
}

func (w *watch) close() { w.events.Close() }

// add watches a folder and those below, and takes the sources in them as
// touched: they may have come before the watch did.
func (w *watch) add(dir string) {
	filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // gone again, or not ours to read
		case !e.IsDir():
			w.touch(path)
			return nil
		case path != w.root && isForeign(path):
			return fs.SkipDir
		case !w.watchFolder(path):
			return fs.SkipAll
		}
		return nil
	})
}

// isForeign says whether a folder's files are not the application's own.
func isForeign(dir string) bool {
	name := filepath.Base(dir)
	if strings.HasPrefix(name, ".") || slices.Contains(foreignFolders, name) {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "pyvenv.cfg")) // a virtual environment, whatever it is called
	return err == nil
}

// watchFolder reports whether more can be watched.
func (w *watch) watchFolder(dir string) bool {
	if len(w.folders) >= w.most {
		w.once("only a part of the folders is watched: there are too many", "folder", w.root, "watched", w.most)
		return false
	}
	err := w.events.Add(dir)
	switch {
	case err == nil:
		w.folders[dir] = true
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		w.once("only a part of the folders is watched: the system allows no more (on Linux see the sysctl fs.inotify.max_user_watches)",
			"folder", w.root, "watched", len(w.folders), "error", err)
		return false
	case !errors.Is(err, fs.ErrNotExist):
		w.once("a folder is not watched", "folder", dir, "error", err)
	}
	return true
}

func (w *watch) once(msg string, args ...any) {
	if !w.told[msg] {
		w.told[msg] = true
		w.warn(msg, args...)
	}
}

// take reports whether an event may be a change of the application.
func (w *watch) take(e fsnotify.Event) bool {
	before := len(w.touched)
	switch {
	case e.Op == fsnotify.Chmod:
		return false // of times and rights: the content is the same
	case w.folders[e.Name] && e.Op.Has(fsnotify.Remove|fsnotify.Rename):
		delete(w.folders, e.Name) // its own watch went with it
		w.touched[e.Name] = true
		return true
	case e.Op.Has(fsnotify.Create) && w.isNewFolder(e.Name):
		w.add(e.Name)
	default:
		return w.touch(e.Name)
	}
	return len(w.touched) > before
}

func (w *watch) isNewFolder(path string) bool {
	fi, err := os.Lstat(path)
	return err == nil && fi.IsDir() && !isForeign(path) && w.within(path)
}

func (w *watch) within(path string) bool {
	rel, err := filepath.Rel(w.root, path)
	return err == nil && filepath.IsLocal(rel)
}

// touch notes a file if it is a source. Those that editors write beside it
// have names of their own: .#a.py, a.py~, .a.py.swp, 4913.
func (w *watch) touch(path string) bool {
	name := filepath.Base(path)
	hidden := strings.HasPrefix(name, ".") && name != ".env"
	source := !hidden && w.within(path) && slices.Contains(sourceEndings, strings.ToLower(filepath.Ext(name)))
	if !source && path != w.program {
		return false
	}
	w.touched[path] = true
	return true
}

// failed takes an error of the watcher, and reports whether changes may have been
// missed.
func (w *watch) failed(err error) bool {
	if !errors.Is(err, fsnotify.ErrEventOverflow) {
		w.once("files are watched no more", "folder", w.root, "error", err)
		return false
	}
	w.once("more files changed at once than the system tells of: everything counts as changed", "folder", w.root)
	w.overflow = true
	return true
}

// changes returns the files that are other than they were at the last call, of
// those that were touched since. One that was written again with what was
// in it is none: workers that write sources as they start would start for ever.
func (w *watch) changes() []string {
	if w.overflow {
		w.overflow = false
		w.add(w.root) // folders that nobody told of
		clear(w.sums)
	}
	if len(w.sums) > maxSums {
		clear(w.sums)
	}
	var list []string
	for path := range w.touched {
		sum := contentOf(path)
		if old, known := w.sums[path]; !known || old != sum {
			w.sums[path] = sum
			list = append(list, path)
		}
	}
	clear(w.touched)
	slices.Sort(list)
	return list
}

// contentOf is a file's content in short; zeros where there is no file.
func contentOf(path string) (sum [sha256.Size]byte) {
	fi, err := os.Stat(path) // a link's target may change without it
	if err != nil || !fi.Mode().IsRegular() {
		return sum
	}
	h := sha256.New()
	if fi.Size() > maxCompared {
		binary.Write(h, binary.LittleEndian, [2]int64{fi.Size(), fi.ModTime().UnixNano()})
	} else if f, err := os.Open(path); err == nil {
		io.Copy(h, io.LimitReader(f, maxCompared+1)) // one that is being written is told of again
		f.Close()
	}
	h.Sum(sum[:0])
	return sum
}
