package front

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func decode(t *testing.T, encoding string, body []byte) string {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	switch encoding {
	case "gzip":
		r = mustMake[*gzip.Reader](t)(gzip.NewReader(r))
	case "zstd":
		d := mustMake[*zstd.Decoder](t)(zstd.NewReader(r, zstd.WithDecoderMaxWindow(8<<20)))
		defer d.Close()
		r = d
	}
	return string(mustMake[[]byte](t)(io.ReadAll(r)))
}

func TestCompression(t *testing.T) {
	text := strings.Repeat("all work and no play ", 500)
	for _, c := range []struct {
		name, accept, encoding string
		header                 http.Header
		request                []string
		status                 int
		body                   string
		vary                   bool
	}{
		{name: "gzip", accept: "gzip", encoding: "gzip", body: text, vary: true},
		{name: "preferred", accept: "gzip, deflate, br, zstd", encoding: "zstd", body: text, vary: true},
		{name: "liked better", accept: "zstd;q=0.5, gzip", encoding: "gzip", body: text, vary: true},
		{name: "not asked for", body: text, vary: true},
		{name: "refused", accept: "gzip;q=0, *;q=0", body: text, vary: true},
		{name: "rather not", accept: "identity, gzip;q=0.5", body: text, vary: true},
		{name: "small", accept: "gzip", body: "small", vary: true},
		{name: "small of known length", accept: "gzip", header: http.Header{"Content-Length": {"5"}}, body: "small", vary: true},
		{name: "known length", accept: "gzip", encoding: "gzip", header: http.Header{"Content-Length": {strconv.Itoa(len(text))}}, body: text, vary: true},
		{name: "encoded", accept: "gzip", header: http.Header{"Content-Encoding": {"br"}}, body: text, vary: true},
		{name: "digest", accept: "gzip", header: http.Header{"Repr-Digest": {"sha-256=:AAAA:"}}, body: text, vary: true},
		{name: "no-transform", accept: "gzip", header: http.Header{"Cache-Control": {"max-age=5, No-Transform"}}, body: text},
		{name: "picture", accept: "gzip", header: http.Header{"Content-Type": {"image/png"}}, body: text},
		{name: "part", accept: "gzip", status: 206, header: http.Header{"Content-Range": {"bytes 0-9/10"}}, body: text, vary: true},
		{name: "range asked for", accept: "gzip", request: []string{"Range: bytes=0-1"}, body: text, vary: true},
		{name: "error page", accept: "gzip", status: 500, encoding: "gzip", body: text, vary: true},
		{name: "strong tag", accept: "gzip", encoding: "gzip", header: http.Header{"Etag": {`"a"`}, "Accept-Ranges": {"bytes"}}, body: text, vary: true},
		{name: "weak tag", accept: "gzip", encoding: "gzip", header: http.Header{"Etag": {`W/"a"`}}, body: text, vary: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			comp := mustMake[*Compression](t)(NewCompression(Compression{Encodings: []string{"zstd", "gzip"}, MinSize: 1024}))
			h := chainFor(t, Route{Compression: comp, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/plain; charset=utf-8")
				for k, v := range c.header {
					w.Header()[k] = v
				}
				if c.status != 0 {
					w.WriteHeader(c.status)
				}
				for rest := c.body; rest != ""; {
					n := min(700, len(rest))
					io.WriteString(w, rest[:n])
					rest = rest[n:]
				}
			})})
			fields := c.request
			if c.accept != "" {
				fields = append(fields, "Accept-Encoding: "+c.accept)
			}
			w := ask(h, "GET", "/", fields...)
			a := w.Header()
			ours := c.encoding
			if own := c.header.Get("Content-Encoding"); own != "" {
				ours = own
			}
			if a.Get("Content-Encoding") != ours || c.status != 0 && w.Code != c.status {
				t.Fatalf("%d, encoding %q, want %q", w.Code, a.Get("Content-Encoding"), ours)
			}
			if got := decode(t, c.encoding, w.Body.Bytes()); got != c.body {
				t.Errorf("%d bytes, want %d", len(got), len(c.body))
			}
			if got := a.Get("Vary") == "Accept-Encoding"; got != c.vary {
				t.Errorf("Vary %q", a.Get("Vary"))
			}
			if length := a.Get("Content-Length"); length != "" && length != strconv.Itoa(w.Body.Len()) {
				t.Errorf("Content-Length %s of %d bytes", length, w.Body.Len())
			}
			if tag := c.header.Get("Etag"); tag != "" && (a.Get("Etag") != `W/"a"` || a.Get("Accept-Ranges") != "") {
				t.Errorf("Etag %q, Accept-Ranges %q", a.Get("Etag"), a.Get("Accept-Ranges"))
			}
		})
	}
}

// HEAD says what GET would, and sends nothing (RFC 9110 §9.3.2).
func TestCompressionOfHEAD(t *testing.T) {
	comp := mustMake[*Compression](t)(NewCompression(Compression{Encodings: []string{"gzip"}}))
	h := chainFor(t, Route{Compression: comp, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Length", "10000")
		w.WriteHeader(200)
	})})
	w := ask(h, "HEAD", "/", "Accept-Encoding: gzip")
	if a := w.Header(); a.Get("Content-Encoding") != "gzip" || a.Get("Content-Length") != "" || w.Body.Len() != 0 {
		t.Errorf("%v, %d bytes", a, w.Body.Len())
	}
}

// What is flushed is with the client, small as it is, and can be decoded.
func TestCompressionStreams(t *testing.T) {
	for _, encoding := range []string{"gzip", "zstd"} {
		comp := mustMake[*Compression](t)(NewCompression(Compression{Encodings: []string{encoding}, MinSize: 1 << 20}))
		w := httptest.NewRecorder()
		h := chainFor(t, Route{Compression: comp, Handler: http.HandlerFunc(func(cw http.ResponseWriter, r *http.Request) {
			cw.Header().Set("Content-Type", "text/html")
			for i := range 3 {
				io.WriteString(cw, "tick\n")
				if err := http.NewResponseController(cw).Flush(); err != nil {
					t.Error(err)
				}
				if !w.Flushed {
					t.Error("not flushed")
				}
				var r io.Reader
				if encoding == "gzip" {
					r = mustMake[*gzip.Reader](t)(gzip.NewReader(bytes.NewReader(w.Body.Bytes())))
				} else {
					d := mustMake[*zstd.Decoder](t)(zstd.NewReader(bytes.NewReader(w.Body.Bytes()), zstd.WithDecoderConcurrency(1)))
					defer d.Close()
					r = d
				}
				got := make([]byte, 5*(i+1))
				if n, err := io.ReadFull(r, got); err != nil {
					t.Fatalf("%s: after flush %d the client has %d bytes: %v", encoding, i+1, n, err)
				}
			}
		})})
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", encoding)
		h.ServeHTTP(w, r)
		if got := decode(t, encoding, w.Body.Bytes()); got != "tick\ntick\ntick\n" {
			t.Errorf("%s: %q", encoding, got)
		}
	}
}

// An answer that is broken off has no end in its encoding either; one that fails
// before anything was sent is an error page.
func TestCompressionOfBrokenAnswers(t *testing.T) {
	comp := mustMake[*Compression](t)(NewCompression(Compression{Encodings: []string{"gzip"}, MinSize: 1024}))
	h := chainFor(t, Route{Compression: comp, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/late" {
			io.WriteString(w, strings.Repeat("x", 5000))
		} else {
			io.WriteString(w, "held back")
		}
		Fail(w, r, WorkerDied, "")
	})})
	if w := ask(h, "GET", "/early", "Accept-Encoding: gzip"); w.Code != 502 || strings.Contains(w.Body.String(), "held") {
		t.Errorf("early: %d %q", w.Code, w.Body)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/late", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	func() {
		defer func() {
			if v := recover(); v != http.ErrAbortHandler {
				t.Errorf("ended with %v, want an abort", v)
			}
		}()
		h.ServeHTTP(w, r)
	}()
	if d, err := gzip.NewReader(bytes.NewReader(w.Body.Bytes())); err == nil {
		if _, err := io.ReadAll(d); err == nil {
			t.Error("a broken answer decodes to its end")
		}
	}
}

func TestBestEncoding(t *testing.T) { // RFC 9110 §12.5.3
	offered := []string{"br", "zstd", "gzip"}
	for accept, want := range map[string]string{
		"": "", "gzip": "gzip", "gzip, br": "br", "*": "br", "br;q=0, *": "zstd", "GZIP;Q=0.5": "gzip", "x-gzip": "gzip", "br;q=x, gzip": "gzip",
		"identity": "", "identity;q=0, gzip;q=0.001": "gzip", "identity;q=0.8, gzip;q=0.7": "", "gzip;q=2": "", "deflate": "", "br ; q=0.1 , gzip ;q=0.2": "gzip", ",,": "",
	} {
		if got := bestEncoding([]string{accept}, offered); got != want {
			t.Errorf("%q: %q, want %q", accept, got, want)
		}
	}
	if got := bestEncoding(nil, offered); got != "" {
		t.Errorf("no field: %q", got)
	}
	if got := bestEncoding([]string{"gzip;q=0.5", "br;q=0.6"}, offered); got != "br" {
		t.Errorf("two fields: %q", got)
	}
}
