package front

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// Static serves the files of a folder: GET and HEAD, index.html for a folder,
// no listings, no names that begin with a dot (but .well-known, RFC 8615), and
// nothing that a link leads to outside of the folder.
type Static struct {
	root   *os.Root
	prefix string
}

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
	if !ok || x.EncodedSlash || isHidden(rest) {
		Fail(w, r, NotFound, "no file is served by this path")
		return
	}
	name, wantDir := fileName(rest)
	info, err := s.root.Stat(name)
	if err != nil {
		failFile(w, r, err)
		return
	}
	switch {
	case info.IsDir() && !strings.HasSuffix(x.Path, "/"):
		redirectToFolder(w, r, x)
	case info.IsDir():
		s.serveFile(w, r, path.Join(name, "index.html"))
	case wantDir:
		Fail(w, r, NotFound, "a file, not a folder: "+name)
	default:
		s.serveFile(w, r, name)
	}
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
	// Nonblocking, for opening a FIFO waits for its writer for ever.
	f, err := s.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		failFile(w, r, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		failFile(w, r, err)
		return
	}
	if !info.Mode().IsRegular() {
		Fail(w, r, NotFound, "neither a file nor a folder with an index: "+name)
		return
	}
	h := w.Header()
	if h.Get("Content-Type") == "" { // or an application that names the file has set it
		h.Set("Content-Type", contentType(name))
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Etag", `"`+strconv.FormatInt(info.ModTime().UnixNano(), 36)+"-"+strconv.FormatInt(info.Size(), 36)+`"`)
	http.ServeContent(w, r, name, info.ModTime(), io.ReadSeeker(f))
}

// failFile answers for a file that cannot be had. A link that leads out of
// the root is as good as no file.
func failFile(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, fs.ErrPermission):
		Fail(w, r, Forbidden, err.Error())
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EIO), errors.Is(err, fs.ErrClosed):
		Fail(w, r, Internal, err.Error())
	default:
		Fail(w, r, NotFound, err.Error())
	}
}

// types are those a site needs wherever it runs; a machine may add others in
// its mime.types.
var types = map[string]string{
	".avif": "image/avif", ".bmp": "image/bmp", ".css": "text/css; charset=utf-8", ".csv": "text/csv; charset=utf-8",
	".gif": "image/gif", ".gz": "application/gzip", ".htm": "text/html; charset=utf-8", ".html": "text/html; charset=utf-8",
	".ico": "image/x-icon", ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".js": "text/javascript; charset=utf-8",
	".json": "application/json", ".map": "application/json", ".md": "text/markdown; charset=utf-8",
	".mjs": "text/javascript; charset=utf-8", ".mp3": "audio/mpeg", ".mp4": "video/mp4", ".ogg": "audio/ogg",
	".otf": "font/otf", ".pdf": "application/pdf", ".png": "image/png", ".svg": "image/svg+xml", ".ttf": "font/ttf",
	".txt": "text/plain; charset=utf-8", ".wasm": "application/wasm", ".webm": "video/webm",
	".webmanifest": "application/manifest+json", ".webp": "image/webp", ".woff": "font/woff", ".woff2": "font/woff2",
	".xml": "text/xml; charset=utf-8", ".zip": "application/zip",
}

// contentType goes by the name alone: guessing by content makes a page of an
// upload.
func contentType(name string) string {
	ext := strings.ToLower(path.Ext(name))
	if t, ok := types[ext]; ok {
		return t
	}
	if t := mime.TypeByExtension(ext); t != "" {
		return t
	}
	return "application/octet-stream"
}
