package cgi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A program that the web server has found is run where it lies below Path, by
// whatever name Path is called, and nowhere else.
func TestFindNamed(t *testing.T) {
	out, dir := t.TempDir(), t.TempDir()
	script(t, dir, "sub/a.cgi", "#!/bin/sh\n")
	script(t, out, "evil", "#!/bin/sh\n")
	if err := os.WriteFile(filepath.Join(dir, "data"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	for name, target := range map[string]string{link: dir, filepath.Join(dir, "out"): filepath.Join(out, "evil")} {
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	for file, status := range map[string]int{
		real + "/sub/a.cgi": 0, real + "/data": 403, real + "/sub": 404, real: 404, real + "/out": 404, real + "/none": 404,
		filepath.Join(out, "evil"): 404, real + "/../" + filepath.Base(out) + "/evil": 404, "sub/a.cgi": 404, "": 404, real + "/sub/a.cgi\x00": 404,
	} {
		for _, path := range []string{dir, link} {
			h := &Handler{Path: path, Found: true, Env: func(*http.Request) []string { return []string{"SCRIPT_NAME=/a", "SCRIPT_FILENAME=" + file} }}
			p, err := h.find(httptest.NewRequest("GET", "/", nil))
			if status == 0 && (err != nil || p.file != file || p.inDir) {
				t.Errorf("%q below %s: %+v, %v", file, path, p, err)
			}
			if e := new(refusal); status != 0 && (!errors.As(err, &e) || e.status != status) {
				t.Errorf("%q below %s: %+v, %v; want %d", file, path, p, err, status)
			}
		}
	}
}

func TestFind(t *testing.T) {
	out := t.TempDir()
	dir := t.TempDir()
	for _, name := range []string{"a", "sub/b", ".hidden", ".git/x", "nph-c"} {
		script(t, dir, name, "#!/bin/sh\n")
	}
	script(t, out, "evil", "#!/bin/sh\n")
	if err := os.WriteFile(filepath.Join(dir, "data"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"inside": "sub/b", "outside": filepath.Join(out, "evil"), "up": "../" + filepath.Base(out) + "/evil"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	h := &Handler{Path: dir, Mount: func(*http.Request) string { return "/cgi" }}
	tests := []struct {
		path, file, script, info string
		status                   int
	}{
		{path: "/cgi/a", file: "a", script: "/cgi/a"},
		{path: "/cgi/a/", file: "a", script: "/cgi/a", info: "/"},
		{path: "/cgi/a/x/../y", file: "a", script: "/cgi/a", info: "/x/../y"},
		{path: "/cgi/sub/b/x", file: "sub/b", script: "/cgi/sub/b", info: "/x"},
		{path: "/cgi/inside", file: "inside", script: "/cgi/inside"},
		{path: "/cgi/outside", status: 404},
		{path: "/cgi/up", status: 404},
		{path: "/cgi/.hidden", status: 404},
		{path: "/cgi/.git/x", status: 404},
		{path: "/cgi/../a", status: 404},
		{path: "/cgi/sub/../a", status: 404},
		{path: "/cgi//a", status: 404},
		{path: "/cgi/sub", status: 404},
		{path: "/cgi/", status: 404},
		{path: "/cgi", status: 404},
		{path: "/cgia", status: 404},
		{path: "/other", status: 404},
		{path: "/cgi/none", status: 404},
		{path: "/cgi/a\x00b", status: 404},
		{path: "/cgi/data", status: 403},
	}
	for _, test := range tests {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = test.path
		got, err := h.find(r)
		if test.status != 0 {
			w := httptest.NewRecorder()
			if err != nil {
				refuse(w, err)
			}
			if err == nil || w.Code != test.status || strings.Contains(w.Body.String(), dir) {
				t.Errorf("%q: %+v, %v, %d %s; want %d", test.path, got, err, w.Code, w.Body, test.status)
			}
			continue
		}
		want := program{file: filepath.Join(dir, test.file), scriptName: test.script, pathInfo: test.info, inDir: true}
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", test.path, got, err, want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("PATH", "/the/path")
	t.Setenv("KEPT", "ours")
	t.Setenv("SECRET", "not for programs")
	h := &Handler{
		Inherit: []string{"KEPT", "NOT_SET"},
		Env: func(*http.Request) []string {
			return []string{
				"REQUEST_METHOD=GET", "HTTP_PROXY=http://evil/", "PATH=/evil", "KEPT=evil", "LD_PRELOAD=/evil.so",
				"SCRIPT_NAME=/guess", "SCRIPT_FILENAME=/guess", "PATH_INFO=/guess", "nonsense", "=x", "N=a\x00b", "EMPTY=",
			}
		},
	}
	r := httptest.NewRequest("GET", "/", nil)
	got := h.environment(r, program{file: "/d/p", scriptName: "/p", pathInfo: "/x", inDir: true})
	want := []string{
		"REQUEST_METHOD=GET", "EMPTY=", "SCRIPT_FILENAME=/d/p", "SCRIPT_NAME=/p", "PATH_INFO=/x",
		"PATH=/the/path", "KEPT=ours",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q; want %q", got, want)
	}
}

// TestMetaVariables are those of a request that came without them.
func TestMetaVariables(t *testing.T) {
	r := httptest.NewRequest("POST", "http://h.example:81/p/x?a=1", strings.NewReader("body"))
	r.Header = http.Header{
		"Content-Type": {"text/plain"}, "Cookie": {"a=1", "b=2"}, "X-Two": {"1", "2"},
		"X_user": {"evil"}, "Proxy": {"http://evil/"}, "Connection": {"close"}, "Authorization": {"Basic x"},
	}
	got := (&Handler{}).environment(r, program{file: "/d/p", scriptName: "/p", pathInfo: "/x"})
	want := []string{
		"GATEWAY_INTERFACE=CGI/1.1", "SERVER_PROTOCOL=HTTP/1.1", "SERVER_SOFTWARE=frontd",
		"SERVER_NAME=h.example", "SERVER_PORT=81", "REQUEST_METHOD=POST", "REQUEST_URI=/p/x?a=1",
		"QUERY_STRING=a=1", "SCRIPT_NAME=/p", "PATH_INFO=/x", "CONTENT_TYPE=text/plain", "CONTENT_LENGTH=4",
		"REMOTE_ADDR=192.0.2.1", "REMOTE_PORT=1234", "HTTP_HOST=h.example:81",
		"HTTP_COOKIE=a=1; b=2", "HTTP_X_TWO=1, 2", "SCRIPT_FILENAME=/d/p",
	}
	for _, v := range want {
		if !slices.Contains(got, v) {
			t.Errorf("no %q in %q", v, got)
		}
	}
	for _, v := range got {
		if strings.Contains(v, "evil") || strings.HasPrefix(v, "HTTP_CO") && !strings.HasPrefix(v, "HTTP_COOKIE") || strings.Contains(v, "Basic") {
			t.Errorf("%q must not be there", v)
		}
	}
}

func TestPathTranslated(t *testing.T) {
	for _, test := range []struct{ root, info, want string }{
		{"/srv/www", "/a/b", "/srv/www/a/b"},
		{"/srv/www/", "/a/", "/srv/www/a/"},
		{"/srv/www", "", ""},
		{"", "/a", ""},
		{"/srv/www", "/../../etc/passwd", ""},
		{"/srv/www", "/a/./b", ""},
		{"/srv/www", "/a\x00b", ""},
	} {
		got, ok := translated(test.root, test.info)
		if got != test.want || ok != (test.want != "") {
			t.Errorf("%q in %q: %q, %v; want %q", test.info, test.root, got, ok, test.want)
		}
	}
	h := &Handler{Env: func(*http.Request) []string {
		return []string{"DOCUMENT_ROOT=/srv/www", "PATH_INFO=/p/x", "PATH_TRANSLATED=/srv/www/p/x"}
	}}
	got := h.environment(httptest.NewRequest("GET", "/", nil), program{file: "/d/p", scriptName: "/p", pathInfo: "/x", inDir: true})
	if !slices.Contains(got, "PATH_TRANSLATED=/srv/www/x") || slices.Contains(got, "PATH_TRANSLATED=/srv/www/p/x") {
		t.Errorf("the web server's guess stays: %q", got)
	}
}
