package cgi

import (
	"context"
	"io"
	"net/http/httptest"
	"testing"
)

// statusRecorder takes a program's exit status as FastCGI's response writer does.
type statusRecorder struct {
	*httptest.ResponseRecorder
	status uint32
}

func (r *statusRecorder) SetAppStatus(n uint32) { r.status = n }

// What a program ends with goes on to where a web server can be told.
func TestExitStatusIsToldOn(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		program string
		want    uint32
	}{{"exit 3", 3}, {"exit 0", 0}} {
		h := &Handler{Path: script(t, dir, "x.cgi", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello'; "+c.program+"\n")}
		h.Stderr = func(context.Context) io.Writer { return io.Discard }
		w := &statusRecorder{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Body.String() != "hello" || w.status != c.want {
			t.Errorf("%s: %q, told %d", c.program, w.Body, w.status)
		}
	}
}
