package incident

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Bounds of reading the source around a frame.
const (
	sourceAround = 4       // lines before and after
	sourceSize   = 2 << 20 // bytes of a file
	sourceWidth  = 240     // bytes of a line
	sourceFiles  = 40      // frames that it is read for
)

// sourceNames are what the names of source files end in. A traceback is what
// an application says: it must not make frontd, which may be root, show files
// of another kind, be they keys or settings.
var sourceNames = []string{
	".py", ".pyx", ".php", ".phtml", ".inc", ".go", ".pl", ".pm", ".psgi", ".t", ".cgi", ".fcgi", ".rb", ".ru", ".html", ".j2", ".jinja2", ".twig", ".erb",
}

// systemSources are the folders whose sources anybody may read.
var systemSources = []string{"/usr/lib", "/usr/share", "/usr/local"}

// A library reads source files in an application's folders and the system's.
// Where frontd has no more rights than its workers, it reads any.
type library struct {
	folders []string
	any     bool
}

func newLibrary(folders []string) *library {
	l := &library{any: os.Geteuid() != 0}
	for _, dir := range slices.Concat(folders, systemSources) {
		if dir != "" && dir != "/" {
			l.folders = append(l.folders, filepath.Clean(dir))
			if real, err := filepath.EvalSymlinks(dir); err == nil && real != filepath.Clean(dir) && real != "/" {
				l.folders = append(l.folders, real)
			}
		}
	}
	return l
}

// fill reads the lines around each frame of a traceback, innermost first.
func (l *library) fill(t *Traceback, r *Redactor) {
	left := sourceFiles
	for ; t != nil; t = t.Cause {
		for i := range slices.Backward(t.Frames) {
			if left--; left < 0 {
				return
			}
			f := &t.Frames[i]
			f.Source = l.around(f.File, f.Line, r)
			if f.Code == "" {
				for _, s := range f.Source {
					if s.Number == f.Line {
						f.Code = clip(strings.TrimSpace(s.Text), maxCode)
					}
				}
			}
		}
	}
}

// around returns the lines around one, nil where they cannot or must not be read.
func (l *library) around(name string, line int, r *Redactor) []SourceLine {
	if line <= 0 || !slices.Contains(sourceNames, strings.ToLower(filepath.Ext(name))) {
		return nil
	}
	f := l.open(name)
	if f == nil {
		return nil
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() || fi.Size() > sourceSize {
		return nil
	}
	return excerpt(f, line, r)
}

func excerpt(f io.Reader, line int, r *Redactor) []SourceLine {
	var list []SourceLine
	in := bufio.NewReaderSize(io.LimitReader(f, sourceSize), 16<<10)
	for n := 1; n <= line+sourceAround; n++ {
		text, long, err := in.ReadLine()
		if err != nil {
			break
		}
		if n >= line-sourceAround {
			list = append(list, SourceLine{n, clip(strings.TrimRight(r.Code(clip(string(text), sourceWidth)), " \t\r"), sourceWidth)})
		}
		for long && err == nil {
			_, long, err = in.ReadLine()
		}
	}
	if len(list) == 0 || list[len(list)-1].Number < line {
		return nil // the file is not the one that ran
	}
	return list
}

// open opens a file below one of the folders. Symbolic links that lead out of
// it are not followed, at whatever moment they are put there; nor does a pipe
// in the place of a file hold it up.
func (l *library) open(name string) *os.File {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK
	if l.any && filepath.IsAbs(name) {
		f, err := os.OpenFile(name, flags, 0)
		if err != nil {
			return nil
		}
		return f
	}
	for _, dir := range l.folders {
		rel := name
		if filepath.IsAbs(name) {
			var err error
			if rel, err = filepath.Rel(dir, name); err != nil {
				continue
			}
		}
		if !filepath.IsLocal(rel) {
			continue
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			continue
		}
		f, err := root.OpenFile(rel, flags, 0)
		root.Close()
		if err == nil {
			return f
		}
	}
	return nil
}
