package front

import (
	"io"
	"io/fs"
	"net/http"
	"os"
)

// packedSuffixes are the names that encoders give their files.
var packedSuffixes = map[string]string{"br": ".br", "zstd": ".zst", "gzip": ".gz"}

// packed opens the encoded file beside a file that the client likes best. One
// that is older than the file is of what the file was before.
func (s *Static) packed(r *http.Request, name string, info fs.FileInfo) (f *os.File, encoding string, packedInfo fs.FileInfo) {
	offered := make([]string, 0, len(s.Precompressed))
	for _, e := range s.Precompressed {
		if i, err := s.root.Stat(name + packedSuffixes[e]); err == nil && i.Mode().IsRegular() && !i.ModTime().Before(info.ModTime()) {
			offered = append(offered, e)
		}
	}
	encoding = bestEncoding(r.Header["Accept-Encoding"], offered)
	if encoding == "" {
		return nil, "", nil
	}
	f, packedInfo, err := s.open(name + packedSuffixes[encoding])
	if err != nil {
		return nil, "", nil // the file itself is there
	}
	return f, encoding, packedInfo
}

// A packedWriter names the encoding when the head is written: set before,
// http.ServeContent would say nothing of the length, and an error would have it.
type packedWriter struct {
	http.ResponseWriter
	encoding string
}

func (w *packedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ReadFrom implements io.ReaderFrom, for files.
func (w *packedWriter) ReadFrom(src io.Reader) (int64, error) {
	if to, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return to.ReadFrom(src)
	}
	return copyBody(w.ResponseWriter, src)
}

func (w *packedWriter) WriteHeader(status int) {
	if status == http.StatusOK || status == http.StatusPartialContent {
		w.Header()["Content-Encoding"] = []string{w.encoding}
	}
	w.ResponseWriter.WriteHeader(status)
}
