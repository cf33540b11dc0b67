package front

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestHost(t *testing.T) {
	for _, c := range []struct{ host, name string }{ // name "": refused
		{"example.com", "example.com"}, {"EXAMPLE.com", "example.com"}, {"example.com.", "example.com"},
		{"example.com:80", "example.com"}, {"example.com.:80", "example.com"}, {"example.com:", "example.com"},
		{"a", "a"}, {"a-b.c_d", "a-b.c_d"}, {"127.0.0.1", "127.0.0.1"}, {"127.0.0.1:1", "127.0.0.1"},
		{"xn--mnchen-3ya.de", "xn--mnchen-3ya.de"}, {"a:65535", "a"}, {"a:00080", "a"},
		{"[::1]", "[::1]"}, {"[::1]:80", "[::1]"}, {"[::1]:", "[::1]"}, {"[FE80::A]", "[fe80::a]"}, {"[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]"},
		{strings.Repeat("a", 63), strings.Repeat("a", 63)},
		{"", ""}, {".", ""}, {"..", ""}, {".a", ""}, {"a..b", ""}, {"a...", ""}, {"a..", ""}, {":80", ""}, {":", ""},
		{"a:0", ""}, {"a:65536", ""}, {"a:99999999", ""}, {"a:-1", ""}, {"a:+1", ""}, {"a:8a", ""}, {"a:80:80", ""}, {"a: 80", ""},
		{"a b", ""}, {" a", ""}, {"a ", ""}, {"a\tb", ""}, {"a\x00b", ""}, {"a\x7f", ""}, {"a\nb", ""}, {"ä.de", ""}, {"a\xff", ""},
		{"a/b", ""}, {"a\\b", ""}, {"a?b", ""}, {"a#b", ""}, {"u@a", ""}, {"a@b:80", ""}, {"a,b", ""}, {"a;b", ""}, {"a%41", ""},
		{"a*", ""}, {"*.a", ""}, {"a'b", ""}, {`a"b`, ""}, {"<a>", ""}, {"$a", ""}, {"(a)", ""},
		{"[::1", ""}, {"::1", ""}, {"::1]", ""}, {"[::1]a", ""}, {"[::1]80", ""}, {"[]", ""}, {"[", ""}, {"]", ""}, {"[1.2.3.4]", ""},
		{"[::1%25eth0]", ""}, {"[::1%eth0]", ""}, {"[v1.a]", ""}, {"[::g]", ""}, {"[[::1]]", ""}, {"[::1]:x", ""},
		{strings.Repeat("a", 64), ""}, {strings.Repeat("a.", 127) + "a", ""},
	} {
		name, err := splitHost(c.host)
		if name != c.name || (err == nil) != (c.name != "") {
			t.Errorf("host %q: %q, %v; want %q", c.host, name, err, c.name)
		}
	}
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"a.b:80", "[::1]:80", "a..b", "A.", "[::ffff:1.2.3.4]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := splitHost(s)
		if err != nil {
			return
		}
		if again, err := splitHost(name); err != nil || again != name {
			t.Fatalf("%q is %q, and that is %q, %v", s, name, again, err)
		}
		if strings.ContainsAny(name, "/\\@?#% \"'<>") {
			t.Fatalf("%q is taken for a name", name)
		}
	})
}

func TestNormalizePath(t *testing.T) {
	for _, c := range []struct {
		raw, decoded, route string
		err                 error
	}{
		{raw: "/", decoded: "/"}, {raw: "/a/b", decoded: "/a/b"}, {raw: "/a/", decoded: "/a/"},
		{raw: "//", decoded: "/"}, {raw: "//evil", decoded: "/evil"}, {raw: "/a//b", decoded: "/a/b"}, {raw: "/a//", decoded: "/a/"},
		{raw: "/.", decoded: "/"}, {raw: "/./a", decoded: "/a"}, {raw: "/a/.", decoded: "/a/"}, {raw: "/a/./b", decoded: "/a/b"},
		{raw: "/a/..", decoded: "/"}, {raw: "/a/../b", decoded: "/b"}, {raw: "/a/b/../../c", decoded: "/c"}, {raw: "/a/b/..", decoded: "/a/"},
		{raw: "/a//../b", decoded: "/b"}, {raw: "/a/%2e%2e/b", decoded: "/b"}, {raw: "/a/.%2E/b", decoded: "/b"}, {raw: "/%2e/a", decoded: "/a"},
		{raw: "/...", decoded: "/..."}, {raw: "/.a", decoded: "/.a"}, {raw: "/a..", decoded: "/a.."},
		{raw: "/%41%20b", decoded: "/A b"}, {raw: "/%c3%a9", decoded: "/é"}, {raw: "/é", decoded: "/é"}, {raw: "/%25", decoded: "/%"},
		{raw: "/a%2Fb", decoded: "/a/b", route: "/a%2Fb"}, {raw: "/a%2fb/c", decoded: "/a/b/c", route: "/a%2Fb/c"},
		{raw: "/a%5Cb", decoded: `/a\b`}, {raw: "/a;b=c", decoded: "/a;b=c"}, {raw: "/a+b", decoded: "/a+b"},
		{raw: "/..", err: errPathEscape}, {raw: "/../a", err: errPathEscape}, {raw: "/a/../../etc/passwd", err: errPathEscape},
		{raw: "/%2e%2e/a", err: errPathEscape}, {raw: "//../a", err: errPathEscape}, {raw: "/./../a", err: errPathEscape},
		{raw: "/a/%2e%2e%2f%2e%2e%2fetc", err: errPathHidden}, {raw: "/a/..%2fb", err: errPathHidden}, {raw: "/a%2f..", err: errPathHidden},
		{raw: "/a%2f.%2fb", err: errPathHidden}, {raw: "/..%5cb", err: errPathHidden}, {raw: "/a%5c..%5cb", err: errPathHidden},
		{raw: `/a\b`, err: errPathSlash}, {raw: `/\..\b`, err: errPathSlash},
		{raw: "/%00", err: errPathControl}, {raw: "/a%0ab", err: errPathControl}, {raw: "/%7f", err: errPathControl}, {raw: "/a\tb", err: errPathControl},
		{raw: "/%", err: errPathPercent}, {raw: "/%4", err: errPathPercent}, {raw: "/%zz", err: errPathPercent}, {raw: "/%4z", err: errPathPercent},
		{raw: "", err: errPathForm}, {raw: "a", err: errPathForm}, {raw: "*", err: errPathForm},
	} {
		got, err := normalizePath(c.raw)
		if c.route == "" {
			c.route = c.decoded
		}
		if got.decoded != c.decoded || got.route != c.route || err != c.err {
			t.Errorf("%q: %q, %q, %v; want %q, %q, %v", c.raw, got.decoded, got.route, err, c.decoded, c.route, c.err)
		}
	}
}

func FuzzNormalizePath(f *testing.F) {
	for _, s := range []string{"/a/../b", "/%2e%2e/", "/a%2f..", `/a\b`, "//", "/a%252e", "/%5c", "/a/./b//c/", "/%ff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := normalizePath(raw)
		if err != nil {
			return
		}
		for _, path := range []string{p.decoded, p.route} {
			if path == "" || path[0] != '/' || strings.Contains(path, "//") && !p.encodedSlash {
				t.Fatalf("%q becomes %q", raw, path)
			}
		}
		for segment := range strings.FieldsFuncSeq(p.decoded, isSlash) {
			if segment == "." || segment == ".." {
				t.Fatalf("%q becomes %q", raw, p.decoded)
			}
		}
		if p.encodedSlash {
			return
		}
		again, err := normalizePath((&url.URL{Path: p.decoded}).EscapedPath())
		if err != nil || again != p {
			t.Fatalf("%q is %+v, and that is %+v, %v", raw, p, again, err)
		}
	})
}

// pass sends a request through the strict stage and returns it as the next stage has it.
func pass(t *testing.T, limits Strict, r *http.Request) (*http.Request, int) {
	t.Helper()
	var got *http.Request
	h := &strict{limits: limits.withDefaults(), next: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r })}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return got, w.Code
}

func TestFieldsThatNoLaterStageMaySee(t *testing.T) { // H13
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{
		"X-User": {"alice"}, "X_user": {"root"}, "Content_length": {"5"}, "X.user": {"root"}, "X-Real-Ip": {"1.2.3.4"},
		"Connection": {"Upgrade, HTTP2-Settings", " x-real-ip ,close"}, "Upgrade": {"h2c"}, "Http2-Settings": {"AAMAAABkAAQ"},
		"Keep-Alive": {"1"}, "Proxy-Connection": {"close"}, "Te": {"trailers"}, "Trailer": {"X-T"}, "Proxy": {"http://evil"},
		"Proxy-Authorization": {"Basic eDp5"}, "Cookie": {"a=b", "c=d"},
	}
	got, _ := pass(t, Strict{}, r)
	if got == nil {
		t.Fatal("refused")
	}
	if want := (http.Header{"X-User": {"alice"}, "Cookie": {"a=b", "c=d"}}); !reflect.DeepEqual(got.Header, want) {
		t.Errorf("left: %v, want %v", got.Header, want)
	}
}

func TestInvalidNamesAreRefusedIfAsked(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["X_user"] = []string{"root"}
	if got, status := pass(t, Strict{RefuseInvalid: true}, r); got != nil || status != 400 {
		t.Errorf("status %d, passed: %v; want 400", status, got != nil)
	}
}

func TestHeadLimits(t *testing.T) {
	for _, c := range []struct {
		why    string
		header http.Header
		status int
	}{
		{"as many as allowed", http.Header{"A": {"1", "2"}, "B": {"3"}}, 200},
		{"one more, repeated", http.Header{"A": {"1", "2", "3"}, "B": {"4"}}, 431},
		{"as big as allowed", http.Header{"A": {strings.Repeat("x", 9)}}, 200},
		{"bigger", http.Header{"A": {strings.Repeat("x", 10)}}, 431},
		{"two credentials", http.Header{"Authorization": {"a", "b"}}, 400},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = c.header
		limits := Strict{MaxFields: 3, MaxFieldBytes: 10}
		if c.status == 400 {
			limits = Strict{}
		}
		if _, status := pass(t, limits, r); status != c.status {
			t.Errorf("%s: status %d, want %d", c.why, status, c.status)
		}
	}
}

func TestRoutes(t *testing.T) {
	named := func(name string) Route {
		return Route{App: name, Handler: http.NotFoundHandler()}
	}
	routes := make([]Route, 0, 8)
	for _, r := range []struct{ name, host, path string }{
		{"exact", "", "= /exact"}, {"regexp", "", `~ \.cgi$`}, {"wild", "*.Example.com", "/"}, {"v6", "[::1]", "/"},
		{"static", "example.com", "/static/"}, {"docs", "example.com", "/docs"}, {"host", "example.com", ""},
	} {
		route := named(r.name)
		route.Host, route.Path = r.host, r.path
		routes = append(routes, route)
	}
	rt, err := newRouter(routes)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ host, path, want string }{
		{"other", "/exact", "exact"}, {"other", "/exact/", ""}, {"other", "/x.cgi", "regexp"}, {"other", "/x.cgi/a", ""},
		{"a.example.com", "/", "wild"}, {"a.b.example.com", "/", "wild"}, {"aexample.com", "/", ""}, {"[::1]", "/", "v6"},
		{"example.com", "/static/a", "static"}, {"example.com", "/static", "host"}, {"example.com", "/static%2Fa", "host"},
		{"example.com", "/docs", "docs"}, {"example.com", "/docs/a", "docs"}, {"example.com", "/docsa", "host"}, {"", "/", ""},
	} {
		got := ""
		if route := rt.match(&Exchange{hostName: c.host, routePath: c.path}); route != nil {
			got = route.route.App
		}
		if got != c.want {
			t.Errorf("host %q, path %q: route %q, want %q", c.host, c.path, got, c.want)
		}
	}
}

func TestBadRoutesAreToldAllAtOnce(t *testing.T) {
	h := http.NotFoundHandler()
	_, err := New(Config{Log: quiet, Routes: []Route{
		{Handler: h, Path: "~ ("}, {Handler: h, Host: "a:80"}, {Handler: h, Path: "static"}, {Handler: h, Path: "= /a/../b"},
		{Handler: h, Host: "a b"}, {Path: "/"}, {Handler: h, MountPrefix: "/a/"}, {Handler: h, Path: "/fine"},
	}})
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	for i := range 7 {
		if want := "route " + string(rune('1'+i)) + ": "; i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("error %d of %q, want it to start with %q", i+1, lines, want)
		}
	}
	if len(lines) != 7 {
		t.Errorf("%d errors: %q", len(lines), lines)
	}
}

func TestSettingsMergeByLevel(t *testing.T) {
	app := Override{MaxBody: new(int64(5)), QueueTimeout: &defaultSettings.BodyIdle}
	route := Override{MaxBody: new(int64(0)), ShowErrors: new(true)}
	got := DefaultSettings().With(app, route)
	want := defaultSettings
	want.MaxBody, want.QueueTimeout, want.ShowErrors = 0, defaultSettings.BodyIdle, true
	if got != want {
		t.Errorf("merged %+v, want %+v", got, want)
	}
	// Each field of Override must reach the field of its name.
	o, s := reflect.TypeFor[Override](), reflect.TypeFor[Settings]()
	var missing []string
	for i := range s.NumField() {
		if _, ok := o.FieldByName(s.Field(i).Name); !ok {
			missing = append(missing, s.Field(i).Name)
		}
		var all Override
		field := reflect.ValueOf(&all).Elem().FieldByName(s.Field(i).Name)
		value := reflect.New(field.Type().Elem())
		switch value.Elem().Kind() {
		case reflect.Bool:
			value.Elem().SetBool(true)
		case reflect.Pointer:
			value.Elem().Set(reflect.New(value.Elem().Type().Elem()))
		default:
			value.Elem().SetInt(12345)
		}
		field.Set(value)
		if merged := reflect.ValueOf(Settings{}.With(all)).Field(i); merged.Interface() != value.Elem().Interface() {
			t.Errorf("%s is not merged", s.Field(i).Name)
		}
	}
	if !slices.Equal(missing, nil) {
		t.Errorf("not to be set: %v", missing)
	}
}
