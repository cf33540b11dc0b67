package fcgi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func cgiRequest(method, rawURL string, header http.Header) *http.Request {
	u, err := url.Parse(rawURL)
	if err != nil {
		panic(err)
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Request{Method: method, URL: u, Proto: "HTTP/1.1", Header: header}
}

// cgiPairs returns what AppendCGI adds, each name with all its values.
func cgiPairs(r *http.Request, c *CGI, length int64) map[string][]string {
	var p Params
	AppendCGI(&p, r, c, length)
	pairs := make(map[string][]string)
	p.Each(func(name, value string) { pairs[name] = append(pairs[name], value) })
	return pairs
}

// absent stands for a variable that is not to be there; an empty one is "".
const absent = "\x00"

func cgiWant(t *testing.T, pairs map[string][]string, want map[string]string) {
	t.Helper()
	for name, value := range want {
		got := pairs[name]
		switch {
		case value == absent && got != nil:
			t.Errorf("%s is %q, want none", name, got)
		case value != absent && (len(got) != 1 || got[0] != value):
			t.Errorf("%s is %q, want %q once", name, got, value)
		}
	}
}

func TestCGIVariables(t *testing.T) {
	tests := []struct {
		why    string
		r      *http.Request
		c      CGI
		length int64
		want   map[string]string
	}{
		{
			"a plain GET (C1, C3, C7)", cgiRequest("GET", "/a%20b", nil),
			CGI{Scheme: "http", ServerName: "example.com", ServerPort: "80", PathInfo: "/a b", RequestURI: "/a%20b", Host: "evil:9"}, 0,
			map[string]string{
				"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1",
				"QUERY_STRING": "", "SCRIPT_NAME": "", "PATH_INFO": "/a b", "REQUEST_URI": "/a%20b", "DOCUMENT_URI": "/a b",
				"CONTENT_LENGTH": absent, "CONTENT_TYPE": absent, "HTTPS": absent, "REQUEST_SCHEME": "http",
				"SERVER_NAME": "example.com", "SERVER_PORT": "80", "HTTP_HOST": "evil:9", // C8: Host is no word on the server's name
				"PATH_TRANSLATED": absent, "SCRIPT_FILENAME": absent, "REQUEST_ID": absent,
			},
		},
		{
			"the query is not decoded (C3), the method is verbatim (C7)", cgiRequest("get", "/?a=%20b&c", nil),
			CGI{PathInfo: "/"}, 0,
			map[string]string{"QUERY_STRING": "a=%20b&c", "REQUEST_METHOD": "get"},
		},
		{"an empty query", cgiRequest("GET", "/?", nil), CGI{}, 0, map[string]string{"QUERY_STRING": ""}},
		{
			"a body of known length (C1, C2)", cgiRequest("POST", "/", http.Header{"Content-Type": {"a/b"}, "Content-Length": {"999"}}),
			CGI{}, 5,
			map[string]string{
				"CONTENT_LENGTH": "5", "CONTENT_TYPE": "a/b",
				"HTTP_CONTENT_TYPE": absent, "HTTP_CONTENT_LENGTH": absent,
			},
		},
		{"a body of unknown length", cgiRequest("POST", "/", nil), CGI{}, -1, map[string]string{"CONTENT_LENGTH": absent}},
		{"an empty body", cgiRequest("POST", "/", nil), CGI{}, 0, map[string]string{"CONTENT_LENGTH": "0"}},
		{"a long body", cgiRequest("PUT", "/", nil), CGI{}, 1 << 40, map[string]string{"CONTENT_LENGTH": "1099511627776"}},
		{
			"IPv6 without brackets (C6)", cgiRequest("GET", "/", nil),
			CGI{RemoteAddr: "2001:db8::1", RemotePort: "40000", ServerAddr: "::1"}, 0,
			map[string]string{"REMOTE_ADDR": "2001:db8::1", "REMOTE_PORT": "40000", "SERVER_ADDR": "::1"},
		},
		{
			"a peer on a unix socket has no address (C6)", cgiRequest("GET", "/", nil), CGI{}, 0,
			map[string]string{"REMOTE_ADDR": "", "REMOTE_PORT": "", "SERVER_ADDR": ""},
		},
		{
			"https", cgiRequest("GET", "/", nil), CGI{Scheme: "https", ServerPort: "443"}, 0,
			map[string]string{"HTTPS": "on", "REQUEST_SCHEME": "https", "SERVER_PORT": "443"},
		},
		{
			"a mount (C4)", cgiRequest("GET", "/shop/cart", nil), CGI{ScriptName: "/shop", PathInfo: "/cart"}, 0,
			map[string]string{"SCRIPT_NAME": "/shop", "PATH_INFO": "/cart", "DOCUMENT_URI": "/shop/cart"},
		},
		{
			"a script with PATH_INFO (C5)", cgiRequest("GET", "/x.php/a/b", nil),
			CGI{ScriptName: "/x.php", PathInfo: "/a/b", ScriptFilename: "/srv/x.php", DocumentRoot: "/srv/"}, 0,
			map[string]string{
				"SCRIPT_FILENAME": "/srv/x.php", "PATH_INFO": "/a/b", "PATH_TRANSLATED": "/srv/a/b",
				"DOCUMENT_ROOT": "/srv/", "REDIRECT_STATUS": "200",
			},
		},
		{
			"a script without PATH_INFO: PATH_TRANSLATED only with it (C5)", cgiRequest("GET", "/x.php", nil),
			CGI{ScriptName: "/x.php", ScriptFilename: "/srv/x.php", DocumentRoot: "/srv"}, 0,
			map[string]string{"PATH_TRANSLATED": absent, "PATH_INFO": absent, "SCRIPT_NAME": "/x.php"},
		},
		{
			"a name for the request", cgiRequest("GET", "/", http.Header{"X-Request-Id": {"theirs"}}), CGI{RequestID: "ours"}, 0,
			map[string]string{"REQUEST_ID": "ours", "HTTP_X_REQUEST_ID": "theirs"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			pairs := cgiPairs(tt.r, &tt.c, tt.length)
			cgiWant(t, pairs, tt.want)
			for name, values := range pairs {
				if len(values) > 1 {
					t.Errorf("%s is there %d times: %q", name, len(values), values)
				}
			}
		})
	}
}

func TestCGIHeaders(t *testing.T) {
	pairs := cgiPairs(cgiRequest("GET", "/", http.Header{
		"Accept-Language":     {"de"},
		"Cookie":              {"a=1", "b=2", "c=3"},      // C9
		"X-Forwarded-For":     {"192.0.2.1", "192.0.2.2"}, // C9
		"X_forwarded_for":     {"203.0.113.9"},            // C10
		"X-User":              {"alice"},
		"X_User":              {"root"},
		"_":                   {"underscore"},
		"Proxy":               {"http://evil.example"}, // httpoxy
		"Remote-User":         {"root"},                // C11
		"Https":               {"on"},
		"Transfer-Encoding":   {"chunked"},
		"Connection":          {"X-User, close"},
		"Keep-Alive":          {"timeout=5"},
		"Proxy-Connection":    {"close"},
		"Proxy-Authorization": {"Basic Zm9v"},
		"Te":                  {"trailers"},
		"Trailer":             {"X-Sum"},
		"Upgrade":             {"h2c"},
		"Host":                {"evil"},
		"X-Empty":             {""},
		"X-None":              nil,
		"X-Long":              {strings.Repeat("v", 60000)},
		"X-" + strings.Repeat("Long-Name-", 30) + "End": {"long"},
	}), &CGI{Scheme: "http", Host: "example.com"}, 0)
	cgiWant(t, pairs, map[string]string{
		"HTTP_ACCEPT_LANGUAGE":     "de",
		"HTTP_COOKIE":              "a=1; b=2; c=3",
		"HTTP_X_FORWARDED_FOR":     "192.0.2.1, 192.0.2.2",
		"HTTP_X_USER":              "alice",
		"HTTP__":                   absent,
		"HTTP_PROXY":               absent,
		"REMOTE_USER":              absent,
		"AUTH_TYPE":                absent,
		"HTTP_REMOTE_USER":         "root",
		"HTTPS":                    absent,
		"HTTP_HTTPS":               "on",
		"HTTP_TRANSFER_ENCODING":   absent,
		"HTTP_CONNECTION":          absent,
		"HTTP_KEEP_ALIVE":          absent,
		"HTTP_PROXY_CONNECTION":    absent,
		"HTTP_PROXY_AUTHORIZATION": absent,
		"HTTP_TE":                  absent,
		"HTTP_TRAILER":             absent,
		"HTTP_UPGRADE":             absent,
		"HTTP_HOST":                "example.com",
		"HTTP_X_EMPTY":             "",
		"HTTP_X_NONE":              absent,
		"HTTP_X_LONG":              strings.Repeat("v", 60000),
		"HTTP_X_" + strings.Repeat("LONG_NAME_", 30) + "END": "long",
	})
}

// No client's word sets a variable of the server: every name that a header
// makes begins with HTTP_.
func TestCGINamesFromHeaders(t *testing.T) {
	for _, name := range []string{
		"SCRIPT_FILENAME", "Script-Filename", "PATH-INFO", "Php-Value", "PHP_ADMIN_VALUE", "DOCUMENT-ROOT", "Http-Proxy", "Content_Length",
		"CONTENT-LENGTH\x00", "Redirect-Status",
	} {
		pairs := cgiPairs(cgiRequest("GET", "/", http.Header{name: {"evil"}}), &CGI{}, 0)
		for key, values := range pairs {
			if slices.Contains(values, "evil") && (!strings.HasPrefix(key, "HTTP_") || key == "HTTP_PROXY") {
				t.Errorf("header %s set %s", name, key)
			}
		}
	}
}

// A field over a record's size is refused, never cut (F23).
func TestCGIFieldTooLarge(t *testing.T) {
	var p Params
	AppendCGI(&p, cgiRequest("GET", "/", http.Header{"Cookie": {strings.Repeat("x", 40000), strings.Repeat("y", 40000)}}), &CGI{}, 0)
	if p.Err() == nil {
		t.Error("80 KB of cookies passed")
	}
}

// What precedes REMOTE_ADDR is the same bytes for all clients: applications know it again.
func TestAppendCGIBeginsAlike(t *testing.T) {
	beginning := func(url, addr, id string) string {
		r := cgiRequest("GET", url, http.Header{"User-Agent": {addr}})
		var p Params
		AppendCGI(&p, r, &CGI{
			Scheme: "https", ServerName: "example.com", ServerPort: "443", ServerAddr: "192.0.2.1", RemoteAddr: addr,
			PathInfo: r.URL.Path, DocumentRoot: "/srv", Sendfile: "/srv/files", RequestURI: url, RequestID: id, Host: r.URL.Host,
		}, 0)
		before, _, found := strings.Cut(string(p.buf), "REMOTE_ADDR")
		if !found {
			t.Fatalf("no REMOTE_ADDR in %q", p.buf)
		}
		return before[:len(before)-2] // the lengths of the pair
	}
	one := beginning("/a?b", "198.51.100.1", "1")
	if other := beginning("http://other.example/c", "2001:db8::1", "2"); one != other {
		t.Errorf("two clients' requests begin with\n%q\n%q", one, other)
	}
	for _, name := range []string{"SERVER_NAME", "HTTPS", "DOCUMENT_ROOT", "REQUEST_METHOD", "FRONTD_SENDFILE"} {
		if !strings.Contains(one, name) {
			t.Errorf("%s is not in the beginning, %q", name, one)
		}
	}
}
