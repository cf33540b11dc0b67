package front

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// Static serves the files of a folder: GET and HEAD, index.html for a folder,
// no names that begin with a dot (but .well-known, RFC 8615), and nothing that
// a link leads to outside of the folder.
//
// The fields are set before it serves.
type Static struct {
	// Index are the files that stand for a folder, the first that is there;
	// nil is index.html.
	Index []string
	// Listing shows what is in a folder that has none of them.
	Listing bool
	// Fallback is the file for paths that have none, relative to the folder;
	// "" is 404.
	Fallback string
	// Next, if not nil, answers what no file does: paths that have none, and
	// methods other than GET and HEAD (nginx: try_files $uri @app).
	Next http.Handler
	// Source, if not nil, says of the name of a file whether it may hold the text of a
	// program of Next's, as Folder.IsSource does: such a file is never sent, Next
	// answers.
	Source func(name string) bool
	// Precompressed are the encodings whose files may lie beside a file, "br",
	// "zstd" and "gzip", the preferred one first.
	Precompressed []string

	root   *os.Root
	prefix string
}

var defaultIndex = []string{"index.html"}

// NewStatic opens a folder. prefix is what is cut off a request's path before
// the rest is looked up, "/static" for a route "/static/"; "" cuts nothing.
// The folder stays the one that is opened here, wherever its name leads later.
func NewStatic(folder, prefix string) (*Static, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("open static root: %w", err)
	}
	return &Static{root: root, prefix: strings.TrimSuffix(prefix, "/")}, nil
}

// Close gives the folder back. Requests after it are answered 500.
func (s *Static) Close() error { return s.root.Close() }

func (s *Static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := ExchangeOf(r)
	rest, ok := strings.CutPrefix(x.Path, s.prefix)
	unfit := !ok || x.EncodedSlash || isHidden(rest)
	if s.Next != nil && (unfit || r.Method != http.MethodGet && r.Method != http.MethodHead) {
		s.Next.ServeHTTP(w, r)
		return
	}
	if unfit {
		Fail(w, r, NotFound, "no file is served by this path")
		return
	}
	name, wantDir := fileName(rest)
	info, err := s.root.Stat(name)
	switch {
	case err != nil:
		s.missing(w, r, err)
	case !info.IsDir() && s.isSource(name):
		s.Next.ServeHTTP(w, r)
	case info.IsDir() && s.Next != nil && !s.Listing && s.hasNoIndex(name):
		s.Next.ServeHTTP(w, r) // with or without its slash, the folder has no page
	case info.IsDir() && !strings.HasSuffix(x.Path, "/"):
		redirectToFolder(w, r, x)
	case info.IsDir():
		s.serveFolder(w, r, name)
	case wantDir:
		s.missing(w, r, &fs.PathError{Op: "open folder", Path: name, Err: fs.ErrNotExist})
	default:
		s.serveFile(w, r, name)
	}
}

// missing answers for a path that has no file: with the fallback or by Next, where
// there is one and it is not the reading that failed.
func (s *Static) missing(w http.ResponseWriter, r *http.Request, err error) {
	switch none := fileCause(err) == NotFound; {
	case none && s.Fallback != "" && !s.isSource(s.Fallback):
		s.serveFile(w, r, s.Fallback)
	case none && s.Next != nil:
		s.Next.ServeHTTP(w, r)
	default:
		failFile(w, r, err)
	}
}

// indexOf returns the file that stands for a folder, "" if none does. The error is of
// a folder that may not be looked into: it must not pass for one that has none.
func (s *Static) indexOf(folder string) (string, error) {
	index := s.Index
	if index == nil {
		index = defaultIndex
	}
	for _, file := range index {
		file = path.Join(folder, file)
		switch info, err := s.root.Stat(file); {
		case errors.Is(err, fs.ErrPermission):
			return "", err
		case err == nil && info.Mode().IsRegular() && !s.isSource(file):
			return file, nil
		}
	}
	return "", nil
}

func (s *Static) hasNoIndex(folder string) bool {
	file, _ := s.indexOf(folder) // without rights it is Next's, too: the URL may be its own
	return file == ""
}

func (s *Static) isSource(name string) bool {
	return s.Next != nil && s.Source != nil && s.Source(name)
}

func (s *Static) serveFolder(w http.ResponseWriter, r *http.Request, name string) {
	switch file, err := s.indexOf(name); {
	case err != nil:
		failFile(w, r, err)
		return
	case file != "":
		s.serveFile(w, r, file)
		return
	case s.Listing:
		s.list(w, r, name)
		return
	}
	s.missing(w, r, &fs.PathError{Op: "find index of", Path: name, Err: fs.ErrNotExist})
}

// fileName turns the rest of a path into a name below the root.
func fileName(rest string) (name string, wantDir bool) {
	wantDir = rest == "" || strings.HasSuffix(rest, "/")
	if name = strings.Trim(rest, "/"); name == "" {
		name = "."
	}
	return name, wantDir
}

// isHidden says whether a segment begins with a dot: .git, .env, .htpasswd.
func isHidden(p string) bool {
	for i := strings.Index(p, "/."); i >= 0; {
		if rest := p[i+1:]; rest != ".well-known" && !strings.HasPrefix(rest, ".well-known/") {
			return true
		}
		next := strings.Index(p[i+1:], "/.")
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return false
}

// redirectToFolder adds the slash that relative links of an index need. The
// location is made of the clean path: of a raw "//evil" it would leave the site.
func redirectToFolder(w http.ResponseWriter, r *http.Request, x *Exchange) {
	to := url.URL{Path: x.Path + "/", RawQuery: r.URL.RawQuery}
	w.Header().Set("Location", to.String())
	w.WriteHeader(http.StatusMovedPermanently)
}

func (s *Static) serveFile(w http.ResponseWriter, r *http.Request, name string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		Fail(w, r, MethodNotAllowed, r.Method+" on a file")
		return
	}
	f, info, err := s.open(name)
	if err != nil {
		failFile(w, r, err)
		return
	}
	defer f.Close()
	h := w.Header()
	if h.Get("Content-Type") == "" { // or an application that names the file has set it
		h.Set("Content-Type", contentType(name))
	}
	h.Set("X-Content-Type-Options", "nosniff")
	if len(s.Precompressed) > 0 {
		addVary(h, "Accept-Encoding")
		if packed, encoding, when := s.packed(r, name, info); packed != nil {
			defer packed.Close()
			h.Set("Etag", etag(when, "-"+encoding))
			sendFile(w, &packedWriter{w, encoding}, r, info, packed)
			return
		}
	}
	h.Set("Etag", etag(info, ""))
	sendFile(w, w, r, info, f)
}

// open opens a regular file, for nothing else has an end.
func (s *Static) open(name string) (*os.File, fs.FileInfo, error) {
	// Nonblocking, for opening a FIFO waits for its writer for ever.
	f, err := s.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open as a file", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// etag is strong: of the time of the last change, which file systems keep to a
// few nanoseconds, and the size. Two servers that have the same file by rsync -t
// tell the same of it, which they would not if the inode were in it.
func etag(info fs.FileInfo, suffix string) string {
	return `"` + strconv.FormatInt(info.ModTime().UnixNano(), 36) + "-" + strconv.FormatInt(info.Size(), 36) + suffix + `"`
}

// failFile answers for a file that cannot be had.
func failFile(w http.ResponseWriter, r *http.Request, err error) {
	reason := err.Error()
	if leadsOut(err) {
		reason += ": a link there leads out of the folder, or is absolute"
	}
	Fail(w, r, fileCause(err), reason)
}

// leadsOut says whether os.Root refused a link, whose error has no name: it is not
// the system's, as all others are.
func leadsOut(err error) bool {
	var failed *fs.PathError
	var number syscall.Errno
	return errors.As(err, &failed) && !errors.As(failed.Err, &number) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrClosed)
}

// fileCause says what it means that a file cannot be had. A link that leads
// out of the root is as good as no file.
func fileCause(err error) Cause {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return Forbidden
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EIO), errors.Is(err, fs.ErrClosed):
		return Internal
	}
	return NotFound
}
