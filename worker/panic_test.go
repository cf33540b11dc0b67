package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/frontd/frontd/fcgi"
)

// Each is a way to panic, at the function whose name stands in the last frame.
func panics(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/text":
		panic("the \"shop\" is\nclosed \xff")
	case "/index":
		var none []int
		none[len(r.URL.Path)] = 1
	case "/wrapped":
		panic(fmt.Errorf("open the till: %w", &fs.PathError{Op: "open", Path: "/till", Err: fs.ErrNotExist}))
	case "/nil":
		var missing error
		panic(missing.Error())
	case "/again":
		defer func() { panic(recover()) }()
		deep(r, 200)
	case "/vain":
		panic(vain{})
	case "/abort":
		panic(http.ErrAbortHandler)
	}
}

func deep(r *http.Request, n int) {
	if n == 0 {
		panic(errors.New("at the bottom"))
	}
	deep(r, n-1)
}

type vain struct{}

func (vain) Error() string { panic("no words") }

func TestPanicIsToldToFrontd(t *testing.T) {
	ask := panicking(t)
	for _, want := range []struct {
		path, typ, message, inmost, cause string
		frames                            int // 0: any
	}{
		{"/text", "panic", "the \"shop\" is\nclosed \uFFFD", "worker.panics", "", 0},
		{"/index", "runtime error", "index out of range [6] with length 0", "worker.panics", "", 0},
		{"/wrapped", "panic", "open the till: open /till: file does not exist", "worker.panics", "*fs.PathError", 0},
		{"/nil", "runtime error", "invalid memory address or nil pointer dereference", "worker.panics", "", 0},
		{"/again", "panic", "at the bottom", "worker.deep", "", maxPanicFrames},
		{"/vain", "panic", "a worker.vain that panics when it is asked what it says", "worker.panics", "", 0},
	} {
		stderr := ask(want.path, "frontd")
		text, line, found := strings.Cut(stderr, "\n"+panicPrefix)
		var p panicked
		if err := json.Unmarshal([]byte(line), &p); !found || err != nil || !strings.HasSuffix(line, "\n") {
			t.Errorf("%s: %v in %q", want.path, err, stderr)
			continue
		}
		if !strings.Contains(text, "panics(") {
			t.Errorf("%s: no stack for people before it: %q", want.path, text)
		}
		last, cause := p.Frames[len(p.Frames)-1], ""
		if p.Cause != nil {
			cause = p.Cause.Type
		}
		if p.Language != "go" || p.Type != want.typ || p.Message != want.message || cause != want.cause ||
			!strings.HasSuffix(last.Function, want.inmost) || !strings.HasSuffix(last.File, "/worker/panic_test.go") || last.Line == 0 {
			t.Errorf("%s: got %+v", want.path, p)
		}
		if want.frames > 0 && len(p.Frames) != want.frames {
			t.Errorf("%s: %d frames, want %d", want.path, len(p.Frames), want.frames)
		}
		for _, f := range p.Frames {
			if strings.HasPrefix(f.Function, "runtime.") || strings.Contains(f.Function, "/fcgi.") {
				t.Errorf("%s: a frame that is not the application's: %s", want.path, f.Function)
			}
		}
	}
	if got := ask("/abort", "frontd"); got != "" {
		t.Errorf("an answer broken off on purpose is told: %q", got)
	}
	if got := ask("/text", "nginx/1.26.0"); strings.Contains(got, panicPrefix) || !strings.Contains(got, "panics(") {
		t.Errorf("another web server's log gets %q", got)
	}
}

// panicking serves panics, and returns what asks for a path by the name of a
// web server, and returns the request's stderr.
func panicking(t *testing.T) (ask func(path, software string) string) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	srv := &fcgi.Server{Handler: http.HandlerFunc(panics), Panicked: tellPanic}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	// Its end goes to served.
	tr := &fcgi.Transport{Dial: func(context.Context) (net.Conn, error) { return net.Dial("unix", l.Addr().String()) }}
	t.Cleanup(func() {
		tr.Close()
		tr.Wait()
		srv.Close()
		<-served
	})
	return func(path, software string) string {
		t.Helper()
		var mu sync.Mutex
		var stderr bytes.Buffer
		req := &fcgi.Request{Role: fcgi.RoleResponder, Params: new(fcgi.Params), Stderr: func(b []byte) {
			mu.Lock()
			defer mu.Unlock()
			stderr.Write(b)
		}}
		req.Params.Add("REQUEST_METHOD", "GET")
		req.Params.Add("REQUEST_URI", path)
		req.Params.Add("SERVER_SOFTWARE", software)
		resp, err := tr.RoundTrip(t.Context(), req)
		if err == nil {
			_, err = rest(resp)
		}
		if err != io.EOF && path != "/abort" {
			t.Fatalf("%s: %v", path, err)
		}
		mu.Lock()
		defer mu.Unlock()
		return stderr.String()
	}
}
