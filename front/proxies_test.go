package front

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"testing"
)

func TestWhoTheClientIs(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, c := range []struct {
		why                  string
		peer                 string
		listener             Listener
		config               Proxies
		header               http.Header
		client, scheme, host string
		status               int // 0: passes
	}{
		{why: "no proxy", peer: "192.0.2.1:5", client: "192.0.2.1:5", scheme: "http", host: "example.com"},
		{why: "not trusted", peer: "192.0.2.1:5", header: http.Header{"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil"}},
			config: Proxies{Host: true}, client: "192.0.2.1:5", scheme: "http", host: "example.com"},
		{why: "trusted", peer: "10.0.0.1:5", header: http.Header{"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil"}},
			client: "1.2.3.4:0", scheme: "https", host: "example.com"},
		{why: "the client's own claim", peer: "10.0.0.1:5", header: http.Header{"X-Forwarded-For": {"6.6.6.6, 1.2.3.4", "10.0.0.2"}},
			client: "1.2.3.4:0", scheme: "http", host: "example.com"},
		{why: "trusted all the way", peer: "10.0.0.1:5", header: http.Header{"X-Forwarded-For": {"10.0.0.3, 10.0.0.2"}}, client: "10.0.0.3:0", scheme: "http", host: "example.com"},
		{why: "rubbish left of a proxy", peer: "10.0.0.1:5", header: http.Header{"X-Forwarded-For": {"unknown, 10.0.0.2"}}, client: "10.0.0.2:0", scheme: "http", host: "example.com"},
		{why: "only rubbish", peer: "10.0.0.1:5", header: http.Header{"X-Forwarded-For": {"<script>"}}, client: "10.0.0.1:5", scheme: "http", host: "example.com"},
		{why: "IPv6, all spellings", peer: "[::1]:5", header: http.Header{"X-Forwarded-For": {"[2001:db8::1]:99"}}, client: "[2001:db8::1]:99", scheme: "http", host: "example.com"},
		{why: "IPv6 bare", peer: "[::1]:5", header: http.Header{"X-Forwarded-For": {"2001:db8::1"}}, client: "[2001:db8::1]:0", scheme: "http", host: "example.com"},
		{why: "IPv4 in IPv6 peer", peer: "[::ffff:10.0.0.1]:5", header: http.Header{"X-Forwarded-For": {"::ffff:1.2.3.4"}}, client: "1.2.3.4:0", scheme: "http", host: "example.com"},
		{why: "proto and ssl differ: ssl is nobody's", peer: "10.0.0.1:5", header: http.Header{"X-Forwarded-Proto": {"http"}, "X-Forwarded-Ssl": {"on"}}, client: "10.0.0.1:5", scheme: "http", host: "example.com"},
		{why: "two protos: the nearest proxy's", peer: "10.0.0.1:5", header: http.Header{"X-Forwarded-Proto": {"https", "http"}}, client: "10.0.0.1:5", scheme: "http", host: "example.com"},
		{why: "unknown proto", peer: "10.0.0.1:5", header: http.Header{"X-Forwarded-Proto": {"gopher"}}, client: "10.0.0.1:5", scheme: "http", host: "example.com"},
		{why: "host believed", peer: "10.0.0.1:5", config: Proxies{Host: true}, header: http.Header{"X-Forwarded-Host": {"Front.example"}}, client: "10.0.0.1:5", scheme: "http", host: "Front.example"},
		{why: "bad host", peer: "10.0.0.1:5", config: Proxies{Host: true}, header: http.Header{"X-Forwarded-Host": {"a/b"}}, status: 400},
		{why: "unix socket", peer: "@", header: http.Header{"X-Forwarded-For": {"1.2.3.4"}}, client: "invalid AddrPort", scheme: "http", host: "example.com"},
		{why: "unix socket, trusted", peer: "@", listener: Listener{TrustPeer: true}, header: http.Header{"X-Forwarded-For": {"1.2.3.4"}}, client: "1.2.3.4:0", scheme: "http", host: "example.com"},
		{why: "FastCGI has decided", peer: "10.0.0.1:5", listener: Listener{Kind: FastCGI, TrustPeer: true}, header: http.Header{"X-Forwarded-For": {"1.2.3.4"}}, client: "10.0.0.1:5", scheme: "http", host: "example.com"},
		{why: "Forwarded is not asked", peer: "10.0.0.1:5", header: http.Header{"Forwarded": {"for=6.6.6.6"}}, client: "10.0.0.1:5", scheme: "http", host: "example.com"},
		{why: "Forwarded", peer: "10.0.0.1:5", config: Proxies{Forwarded: true}, header: http.Header{
			"Forwarded": {`for=6.6.6.6;proto=http, for="[2001:db8::1]:99";proto=https;host=h`, "for=10.0.0.2;proto=http"}, "X-Forwarded-For": {"6.6.6.6"}},
			client: "[2001:db8::1]:99", scheme: "https", host: "example.com"},
		{why: "Forwarded, malformed", peer: "10.0.0.1:5", config: Proxies{Forwarded: true}, header: http.Header{"Forwarded": {`for="1.2.3.4`}}, status: 400},
	} {
		c.config.Trusted = trusted
		r := httptest.NewRequest("GET", "http://example.com/", nil)
		r.RemoteAddr, r.Header = c.peer, c.header
		f := newFlight(httptest.NewRecorder(), r, &defaultSettings)
		f.Listener, f.Host = c.listener, r.Host
		w, passed := httptest.NewRecorder(), false
		h := &proxies{config: c.config, next: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true })}
		h.ServeHTTP(w, r.WithContext(f))
		if passed != (c.status == 0) || !passed && w.Code != c.status {
			t.Errorf("%s: passed %v, status %d", c.why, passed, w.Code)
		} else if passed && (f.Client.String() != c.client || f.Scheme != c.scheme || f.Host != c.host) {
			t.Errorf("%s: client %v, %s, %s; want %v, %s, %s", c.why, f.Client, f.Scheme, f.Host, c.client, c.scheme, c.host)
		}
	}
}

func TestRequestIDIsTakenFromTrustedPeersOnly(t *testing.T) {
	for _, c := range []struct {
		ids     []string
		trusted bool
		taken   bool
	}{
		{[]string{"abc-DEF_1.2"}, true, true}, {[]string{"abc"}, false, false}, {[]string{"a", "b"}, true, false}, {nil, true, false},
		{[]string{""}, true, false}, {[]string{"a b"}, true, false}, {[]string{"a\"b"}, true, false}, {[]string{"../x"}, true, false},
		{[]string{string(make([]byte, maxIDLen+1))}, true, false},
	} {
		a := &access{settings: &defaultSettings, proxies: &Proxies{}, next: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["X-Request-Id"] = c.ids
		r = r.WithContext(WithListener(r.Context(), Listener{TrustPeer: c.trusted}))
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		got := w.Header().Get("X-Request-Id")
		if taken := len(c.ids) > 0 && got == c.ids[0]; taken != c.taken || got == "" {
			t.Errorf("ids %q, trusted %v: got %q", c.ids, c.trusted, got)
		}
	}
}

func TestForwarded(t *testing.T) {
	for _, c := range []struct {
		field string
		want  []forwardedElement // nil: malformed
	}{
		{`for="_gazonk"`, []forwardedElement{{node: "_gazonk"}}},
		{`For="[2001:db8:cafe::17]:4711"`, []forwardedElement{{node: "[2001:db8:cafe::17]:4711"}}},
		{`for=192.0.2.60;proto=http;by=203.0.113.43`, []forwardedElement{{node: "192.0.2.60", proto: "http"}}},
		{`for=192.0.2.43, for=198.51.100.17`, []forwardedElement{{node: "192.0.2.43"}, {node: "198.51.100.17"}}},
		{`for=a , , for=b ; HOST=c`, []forwardedElement{{node: "a"}, {node: "b", host: "c"}}},
		{`for="a\"b,c;d"`, []forwardedElement{{node: `a"b,c;d`}}},
		{``, []forwardedElement{}},
		{`for=a;for=b`, nil}, {`for`, nil}, {`for=`, nil}, {`=a`, nil}, {`for="a`, nil}, {`for="a\`, nil}, {`for=a b`, nil}, {`for=a"b"`, nil}, {"for=\x00", nil},
	} {
		got, err := parseForwarded(c.field)
		if (err == nil) != (c.want != nil) || len(got) != len(c.want) || err == nil && len(got) > 0 && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %v, %v; want %v", c.field, got, err, c.want)
		}
	}
}

func FuzzForwarded(f *testing.F) {
	for _, s := range []string{`for="[::1]:1";proto=https, for=b`, `for="a\"b"`, `,;,`, `host=a;by=b`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		elements, err := parseForwarded(s)
		if err != nil && elements != nil {
			t.Fatalf("%q: an error and %v", s, elements)
		}
		// A later element must not change an earlier one: the walk starts at the end.
		more, err2 := parseForwarded(s + ",for=last")
		if err == nil && (err2 != nil || len(more) != len(elements)+1 || more[len(elements)].node != "last") {
			t.Fatalf("%q gives %v, with one more %v, %v", s, elements, more, err2)
		}
	})
}
