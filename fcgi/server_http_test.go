package fcgi

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// srvRequest has a server make the request out of parameters, and hands it over.
func srvRequest(t *testing.T, pairs ...string) (req *http.Request, env []Param) {
	synctest.Test(t, func(t *testing.T) {
		p := newSrvSite(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			req, env = r, slices.Clone(Env(r))
		})}).dial()
		p.send(srvBegin(1, true), srvParams(1, pairs...), srvIn(1, ""))
		srvRecord(p.rr)
	})
	return req, env
}

func TestServerRequest(t *testing.T) {
	pairs := []string{"REQUEST_METHOD=GET", "SERVER_PROTOCOL=HTTP/2.0", "REQUEST_URI=/a%20b?x=1", "HTTP_HOST=example.com:8080",
		"HTTP_X_CUSTOM_THING=1", "HTTP_COOKIE=a=b; c=d", "CONTENT_TYPE=text/x", "HTTP_CONTENT_TYPE=text/y", "HTTP_PROXY=evil",
		"HTTP_TRANSFER_ENCODING=chunked", "HTTP_CONTENT_LENGTH=99", "REMOTE_ADDR=::1", "REMOTE_PORT=5", "HTTPS=on", "EMPTY="}
	r, env := srvRequest(t, pairs...)
	var got []string
	for _, p := range env {
		got = append(got, p.Name+"="+p.Value)
	}
	if want := slices.DeleteFunc(slices.Clone(pairs), func(s string) bool { return s == "HTTP_PROXY=evil" }); !slices.Equal(got, want) {
		t.Errorf("Env:\n got %q\nwant %q (in order, without HTTP_PROXY)", got, want)
	}
	want := http.Header{"X-Custom-Thing": {"1"}, "Cookie": {"a=b; c=d"}, "Content-Type": {"text/x"}}
	if !reflect.DeepEqual(r.Header, want) {
		t.Errorf("Header: got %v, want %v", r.Header, want)
	}
	if r.Host != "example.com:8080" || r.RemoteAddr != "[::1]:5" || r.TLS == nil || r.ProtoMajor != 2 || r.URL.Path != "/a b" || r.ContentLength != 0 {
		t.Errorf("got Host %q, RemoteAddr %q, TLS %v, Proto %q, Path %q, ContentLength %d", r.Host, r.RemoteAddr, r.TLS, r.Proto, r.URL.Path, r.ContentLength)
	}
	r, _ = srvRequest(t, "REQUEST_METHOD=GET", "SERVER_PROTOCOL=INCLUDED", "SERVER_NAME=::1", "SERVER_PORT=81", "HTTPS=off",
		"SCRIPT_NAME=/s", "PATH_INFO=/p q", "QUERY_STRING=a=%20")
	if r.Host != "[::1]:81" || r.RemoteAddr != "" || r.TLS != nil || r.Proto != "HTTP/1.1" || r.RequestURI != "/s/p%20q?a=%20" {
		t.Errorf("got Host %q, RemoteAddr %q, TLS %v, Proto %q, RequestURI %q", r.Host, r.RemoteAddr, r.TLS, r.Proto, r.RequestURI)
	}
}

// TestServerRequestURI: A24. The URL is what net/http's server makes of it.
func TestServerRequestURI(t *testing.T) {
	for _, tt := range []struct{ method, uri, host, path, query string }{
		{"GET", "/a?b=c?d", "h", "/a", "b=c?d"},
		{"GET", "http://other/abs?x", "other", "/abs", "x"},
		{"OPTIONS", "*", "h", "*", ""},
		{"GET", "/a#b", "h", "/a#b", ""},
		{"GET", "//x/y", "h", "//x/y", ""},
		{"GET", "/a%2fb", "h", "/a/b", ""},
		{"CONNECT", "x:443", "x:443", "", ""},
	} {
		r, _ := srvRequest(t, "REQUEST_METHOD="+tt.method, "REQUEST_URI="+tt.uri, "HTTP_HOST=h")
		if r.RequestURI != tt.uri || r.Host != tt.host || r.URL.Path != tt.path || r.URL.RawQuery != tt.query {
			t.Errorf("%s %s: got %q, host %q, path %q, query %q", tt.method, tt.uri, r.RequestURI, r.Host, r.URL.Path, r.URL.RawQuery)
		}
	}
}

func TestServerBadRequests(t *testing.T) {
	for why, params := range map[string][]string{
		"no REQUEST_METHOD":       {"REQUEST_URI=/"},
		"invalid URL escape":      {"REQUEST_METHOD=GET", "REQUEST_URI=/%zz"},
		`CONTENT_LENGTH is "+1"`:  {"REQUEST_METHOD=POST", "REQUEST_URI=/", "CONTENT_LENGTH=+1"},
		`CONTENT_LENGTH is "1_0"`: {"REQUEST_METHOD=POST", "REQUEST_URI=/", "CONTENT_LENGTH=1_0"},
		// R11, RFC 9110 §5.5
		`control byte in "HTTP_X"`:       {"REQUEST_METHOD=GET", "REQUEST_URI=/", "HTTP_X=a\x00b"},
		`control byte in "HTTP_Y"`:       {"REQUEST_METHOD=GET", "REQUEST_URI=/", "HTTP_Y=a\r\nX: b"},
		`control byte in "HTTP_Z"`:       {"REQUEST_METHOD=GET", "REQUEST_URI=/", "HTTP_Z=a\rb"},
		`control byte in "PATH_INFO"`:    {"REQUEST_METHOD=GET", "REQUEST_URI=/", "PATH_INFO=/a\x00.jpg"},
		`control byte in "CONTENT_TYPE"`: {"REQUEST_METHOD=GET", "REQUEST_URI=/", "CONTENT_TYPE=\x00"},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newSrvSite(t, &Server{Handler: srvSay("hello")}).dial()
			p.send(srvBegin(1, true), srvParams(1, params...), srvIn(1, ""))
			for _, want := range []string{why, "Status: 400 Bad Request"} {
				got, err := srvRecord(p.rr)
				if text := strings.ReplaceAll(got, `\"`, `"`); err != nil || !strings.Contains(text, want) {
					t.Errorf("%s: got %s, %v, want %q in it", why, got, err, want)
				}
			}
		})
	}
}
