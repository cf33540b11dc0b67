package front

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// A shrinking is a client under whose first bytes the file becomes shorter.
type shrinking struct {
	*httptest.ResponseRecorder
	t    *testing.T
	file string
}

func (s *shrinking) Write(p []byte) (int, error) {
	if err := os.Truncate(s.file, 10); err != nil {
		s.t.Error(err)
	}
	return s.ResponseRecorder.Write(p)
}

// sending is one where the server sends files by itself.
type sending struct{ *shrinking }

func (s sending) ReadFrom(src io.Reader) (int64, error) { return io.Copy(s.shrinking, src) }

// Units and numbers, where http.ServeContent has its own mind. 200 is also a range of all.
func TestStaticRangeUnits(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f.txt"), []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := NewStatic(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	for ranges, want := range map[string]int{
		"bytes=2-3": 206, "Bytes=2-3": 206, "bytes=20-": 416, "items=0-1": 200, "seconds=0-": 200, "nonsense": 200,
		"bytes=2-3,-0": 206, "bytes=-0": 416, "bytes=-00,-0": 416, "bytes=0-18446744073709551615": 200, "bytes=18446744073709551615-": 416,
		"bytes=-99999999999999999999": 200, "bytes=3-2": 416, "bytes=x-2": 416,
	} {
		r := httptest.NewRequest(http.MethodGet, "http://a/f.txt", nil)
		r.Header.Set("Range", ranges)
		w := httptest.NewRecorder()
		files.ServeHTTP(w, r)
		if w.Code == 206 && w.Header().Get("Content-Range") == "bytes 0-9/10" {
			w.Code = 200
		}
		if w.Code != want || want == 206 && w.Body.String() != "23" || want == 200 && w.Body.Len() != 10 {
			t.Errorf("Range %q: %d %q, want %d", ranges, w.Code, w.Body, want)
		}
	}
}

// A file that becomes shorter while it is sent ends the answer visibly, whole, in
// parts or encoded, and the log says why.
func TestStaticFileThatShrinks(t *testing.T) {
	gzip, err := NewCompression(Compression{Encodings: []string{"gzip"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why, ranges string
		route       Route
		sends       bool
		broken      bool
	}{
		{why: "plain", broken: true},
		{why: "by the server", sends: true, broken: true},
		{why: "one part", ranges: "bytes=5-200000", broken: true},
		{why: "parts", ranges: "bytes=5-200000,5-300000", broken: true},
		{why: "a part that stays", ranges: "bytes=2-5"},
		{why: "encoded", route: Route{Compression: gzip}, broken: true},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "f.txt")
		text := make([]byte, 4<<20) // of no pattern: what is encoded goes out in many pieces
		for i, n := 0, uint32(1); i < len(text); i++ {
			n = n*1664525 + 1013904223
			text[i] = byte(n >> 24)
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		files, err := NewStatic(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { files.Close() })
		var seen Exchange
		c.route.Handler, c.route.Settings = files, DefaultSettings()
		h, err := New(Config{Routes: []Route{c.route}, Log: quiet, Observe: func(x *Exchange) { seen = *x }})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "http://a/f.txt", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		if c.ranges != "" {
			r.Header.Set("Range", c.ranges)
		}
		client := &shrinking{httptest.NewRecorder(), t, file}
		var w http.ResponseWriter = client
		if c.sends {
			w = sending{client}
		}
		broken := func() (broken bool) {
			defer func() {
				v, _ := recover().(error)
				broken = errors.Is(v, http.ErrAbortHandler)
			}()
			h.ServeHTTP(w, r)
			return false
		}()
		want := Cause("")
		if c.broken {
			want = FileBroken
		}
		if broken != c.broken || seen.Cause != want {
			t.Errorf("%s: broken off %v, cause %q, %q; want %v, %q", c.why, broken, seen.Cause, seen.Detail, c.broken, want)
		}
	}
}
