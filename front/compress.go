package front

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression makes answers smaller on their way to clients that ask for it.
// It leaves alone what is encoded already, a part of something (206), marked
// no-transform, signed by a digest, of another type, or too small to gain.
//
// A strong entity tag becomes a weak one: the bytes are others (RFC 9110
// §8.8.1). What the handler flushes is flushed through, so that a stream streams.
//
// BREACH: where an answer holds a secret (a CSRF token) beside what an attacker
// may put in, its length tells of the secret, under TLS too. An application
// that does not mask its tokens (Django and Rails do) is better not compressed.
type Compression struct {
	Encodings []string // "zstd", "gzip", the preferred one first; empty: not used
	Types     []string // "text/html", "text/*"; nil: DefaultCompressedTypes
	MinSize   int64    // bytes; a smaller answer stays as it is
}

// DefaultCompressedTypes are those of text and of fonts that are not packed.
var DefaultCompressedTypes = []string{
	"text/html", "text/css", "text/plain", "text/xml", "text/javascript", "text/markdown", "text/csv",
	"application/javascript", "application/json", "application/ld+json", "application/manifest+json",
	"application/xml", "application/xhtml+xml", "application/rss+xml", "application/atom+xml", "application/wasm",
	"image/svg+xml", "image/x-icon", "font/ttf", "font/otf",
}

func (c *Compression) used() bool { return c != nil && len(c.Encodings) > 0 }

func (c *Compression) stage(next http.Handler) http.Handler {
	if !c.used() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		encoding := ""
		// A range is of the content as it is: a part of it cannot be encoded alone.
		if len(r.Header["Range"]) == 0 {
			encoding = bestEncoding(r.Header["Accept-Encoding"], c.Encodings)
		}
		if encoding == "" {
			next.ServeHTTP(w, r)
			return
		}
		cw := compressWriters.Get().(*compressWriter)
		cw.w, cw.c, cw.encoding, cw.headOnly = w, c, encoding, r.Method == http.MethodHead
		defer cw.release()
		next.ServeHTTP(cw, r)
		cw.finish()
	})
}

// head names Accept-Encoding for caches: on what could be encoded, also where
// this client did not ask for it.
func (c *Compression) head(_ *Exchange, h http.Header, status int) {
	if status == http.StatusNotModified || c.takesType(h) && !isNoTransform(h) {
		addVary(h, "Accept-Encoding")
	}
}

// takes says whether an answer may be encoded, all but its size.
func (c *Compression) takes(status int, h http.Header) bool {
	switch {
	case status < 200, status == http.StatusNoContent, status == http.StatusPartialContent, status == http.StatusNotModified:
		return false
	case len(h["Content-Encoding"]) > 0, len(h["Content-Range"]) > 0, len(h["Content-Digest"]) > 0, len(h["Repr-Digest"]) > 0:
		return false
	}
	return c.takesType(h) && !isNoTransform(h)
}

func (c *Compression) takesType(h http.Header) bool {
	types := h["Content-Type"]
	if len(types) != 1 {
		return false
	}
	media, _, _ := strings.Cut(types[0], ";")
	media = strings.ToLower(strings.TrimSpace(media))
	list := c.Types
	if list == nil {
		list = DefaultCompressedTypes
	}
	return slices.ContainsFunc(list, func(t string) bool {
		kind, all := strings.CutSuffix(t, "*")
		return t == media || all && strings.HasPrefix(media, kind)
	})
}

// isNoTransform: RFC 9111 §5.2.2.6.
func isNoTransform(h http.Header) bool {
	return slices.ContainsFunc(listItems(h["Cache-Control"]), func(s string) bool { return strings.EqualFold(s, "no-transform") })
}

// An encoder is what gzip and zstd have in common.
type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

// Both work on the caller's goroutine alone. A window of half a megabyte is
// what every client has room for (RFC 9659 allows 8 MiB).
var encoders = map[string]*sync.Pool{
	"gzip": {New: func() any {
		e, err := gzip.NewWriterLevel(io.Discard, 5)
		return mustEncoder(e, err)
	}},
	"zstd": {New: func() any {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault),
			zstd.WithWindowSize(512<<10), zstd.WithLowerEncoderMem(true))
		return mustEncoder(e, err)
	}},
}

func mustEncoder(e encoder, err error) encoder {
	if err != nil {
		panic("front: encoder: " + err.Error()) // its options are constants
	}
	return e
}

var errEncoding = errors.New(`want "zstd" or "gzip"`)

// NewCompression checks c.
func NewCompression(c Compression) (*Compression, error) {
	for _, e := range c.Encodings {
		if encoders[e] == nil {
			return nil, errEncoding
		}
	}
	return &c, nil
}
