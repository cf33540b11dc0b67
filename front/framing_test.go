package front

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// get is a request that nothing is wrong with.
const get = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

// hostile are requests with the statuses of all answers on the connection.
// Each is sent whole, then byte by byte, with a good request behind it: where the
// connection closes, that one must not be answered.
var hostile = []struct {
	why  string
	raw  string
	want []int
}{
	{"a good one", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", []int{200, 200}},
	{"a good body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", []int{200, 200}},
	{"good chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-T: v\r\n\r\n", []int{200, 200}},
	{"empty lines before", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", []int{200, 200}},
	{"an empty line after a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\n", []int{200, 200}},
	{"too many empty lines", strings.Repeat("\r\n", 9) + get, []int{400}},

	// What net/http lets through (4A).
	{"length beside chunked", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX", []int{400}},
	{"chunked beside length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", []int{400}},
	{"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400}},
	{"folded field", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", []int{400}},
	{"folded length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 3\r\n\r\nabc", []int{400}},
	{"fold before any field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", []int{400}},
	{"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", []int{400}},
	{"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", []int{400}},
	{"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", []int{400}},
	{"space after a chunk's size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n", []int{400}},
	{"0x in a chunk's size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", []int{400}},
	{"_ in a chunk's size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6_0\r\nabc\r\n0\r\n\r\n", []int{400}},
	{"sign in a chunk's size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nabcde\r\n0\r\n\r\n", []int{400}},
	{"negative chunk's size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabcde\r\n0\r\n\r\n", []int{400}},
	{"huge chunk's size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n", []int{400}},
	{"extension without a size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n;x\r\nabc\r\n0\r\n\r\n", []int{400}},
	{"bare LF after a chunk's size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", []int{400}},
	{"bare LF in an extension", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\nabc\r\n0\r\n\r\n", []int{400}},
	{"bare CR in an extension", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\rabc\r\n\r\n0\r\n\r\n", []int{400}},
	{"NUL in an extension", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;\x00\r\nabc\r\n0\r\n\r\n", []int{400}},
	{"chunk longer than its size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", []int{400}},
	{"chunk that ends in LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n", []int{400}},
	{"length as a trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n", []int{400}},
	{"host as a trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n", []int{400}},
	{"two types", "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n\r\n", []int{400}},
	{"GET *", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	{"GET authority", "GET h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", []int{400}},
	{"CONNECT", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", []int{405}},
	{"TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", []int{405, 200}},
	{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{400}},
	{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", []int{204, 200}},
	{"absolute form", "GET http://a/x HTTP/1.1\r\nHost: A:80\r\n\r\n", []int{200, 200}},
	{"absolute form of another host", "GET http://a/x HTTP/1.1\r\nHost: b\r\n\r\n", []int{400}},
	{"another scheme", "GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	{"junk for a target", "GET s://]ufd/: HTTP/1.1\r\nHost: ]ufd\r\n\r\n", []int{400}},
	{"user in the authority", "GET http://u@a/x HTTP/1.1\r\nHost: u@a\r\n\r\n", []int{400}},
	{"no host in the authority", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", []int{200, 200}},
	{"port over 65535", "GET / HTTP/1.1\r\nHost: a:99999999\r\n\r\n", []int{400}},
	{"dots in the host", "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", []int{400}},
	{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", []int{505}},
	{"method -bl", "-bl / HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	{"method get", "get / HTTP/1.1\r\nHost: a\r\n\r\n", []int{200, 200}},
	{"above the root", "GET /a/../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	{"NUL in the path", "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	{"LF in the path", "GET /%0a HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	{"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	{"fragment in the query", "GET /a?b#c HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	{"target over 8 KiB", "GET /" + strings.Repeat("a", 8<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", []int{414}},
	{"field over 16 KiB", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 16<<10) + "\r\n\r\n", []int{431}},
	{"fields over 100", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("a: b\r\n", 101) + "\r\n", []int{431}},
	{"head over 64 KiB", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("a:"+strings.Repeat("b", 998)+"\r\n", 100) + "\r\n", []int{431}},
	{"one line over 64 KiB", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 100<<10) + "\r\n\r\n", []int{431}},
	{"Expect: foo", "GET / HTTP/1.1\r\nHost: a\r\nExpect: foo\r\n\r\n", []int{417}},
	{"folded coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", []int{400}},
	{"tab after a chunk's size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\t\r\nabc\r\n0\r\n\r\n", []int{400}},
	{"space before an extension", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 ;x=y\r\nabc\r\n0\r\n\r\n", []int{400}},
	{"space before a chunk's size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n", []int{400}},
	{"chunk of 2^63", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8000000000000000\r\nabc", []int{400}},
	{"coding as a trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\ntransfer-encoding: chunked\r\n\r\n", []int{400}},
	{"TRACE *", "TRACE * HTTP/1.1\r\nHost: a\r\n\r\n", []int{405, 200}},
	{"PRI * in HTTP/1.1", "PRI * HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	{"CONNECT without a port", "CONNECT h HTTP/1.1\r\nHost: h\r\n\r\n", []int{405}},
	{"absolute form in HTTP/1.0", "GET http://a/x HTTP/1.0\r\n\r\n", []int{200}},
	{"absolute form without a path", "GET http://a?x=y HTTP/1.1\r\nHost: a\r\n\r\n", []int{200, 200}},
	{"absolute form and an empty Host", "GET http://a/x HTTP/1.1\r\nHost:\r\n\r\n", []int{200, 200}},
	{"close among others", "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE ,y\r\n\r\n", []int{200}},
	{"close in a second field", "GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n", []int{200}},
	{"another proxy's close", "GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n", []int{200, 200}},
	{"WebSocket", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n", []int{200, 200}},
	{"h2c", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", []int{200, 200}},
	{"PROXY protocol", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get, []int{400}},
	{"PROXY protocol, version 2", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0caaaaaaaaaaaa" + get, []int{400}},
	{"GET with a body", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", []int{200, 200}},
	{"two credentials", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", []int{400}},

	// What net/http refuses already, as a regression test of it and of us (4B).
	{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", []int{400}},
	{"length +1", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", []int{400}},
	{"length -1", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na", []int{400}},
	{"length 0_1", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0_1\r\n\r\na", []int{400}},
	{"length 0x10", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x10\r\n\r\na", []int{400}},
	{"length 5, 5", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nabcde", []int{400}},
	{"no length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", []int{400}},
	{"length over 2^64", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\na", []int{400}},
	{"length 5;", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5;\r\n\r\nabcde", []int{400}},
	{"length in other digits", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \u0665\r\n\r\nabcde", []int{400}},
	{"chunked with a parameter", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", []int{400}},
	{"chunked, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", []int{400}},
	{"chunked by a Kelvin sign", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chun\u212aed\r\n\r\n0\r\n\r\n", []int{400}},
	{"identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", []int{400}},
	{"gzip, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", []int{400}},
	{"chunked twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400}},
	{"VT before chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", []int{400}},
	{"space before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", []int{400}},
	{"empty name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", []int{400}},
	{"no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", []int{400}},
	{"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", []int{400}},
	{"CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", []int{400}},
	{"DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", []int{400}},
	{"name beyond ASCII", "GET / HTTP/1.1\r\nHost: a\r\nX\xc3\xa9: b\r\n\r\n", []int{400}},
	{"method beyond ASCII", "G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	{"HTTP/0.9", "GET /\r\n", []int{400}},
	{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", []int{400}},
	{"HTTP/1111", "GET / HTTP/1111\r\nHost: a\r\n\r\n", []int{400}},
	{"space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	{"NUL in the target", "GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	{"%zz", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	{"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	{"tab", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", []int{400}},
	{"no host", "GET / HTTP/1.1\r\n\r\n", []int{400}},
}

func TestHostileRequests(t *testing.T) {
	for _, size := range []int{1 << 20, 1} {
		open(t, Config{}, ServerConfig{}, ok, func(d *door) {
			for _, c := range hostile {
				if size == 1 && len(c.raw) > 1<<10 {
					continue // its size is what is tested
				}
				got := statuses(t, d.talk(c.raw+get, size))
				if !slices.Equal(got, c.want) {
					t.Errorf("%s, %d bytes a write: answers %v, want %v", c.why, size, got, c.want)
				}
			}
		})
	}
}

// Floods of fields are refused when their limit is over, not when they end.
func TestFloodsOfFields(t *testing.T) { // H10
	for why, raw := range map[string]string{
		"a million fields":             strings.Repeat("a:\r\n", 1e6),
		"a hundred thousand cookies":   "Cookie: " + strings.Repeat("a=b; ", 1e5) + "\r\n",
		"names as different as can be": fieldsOf(20000),
	} {
		open(t, Config{}, ServerConfig{}, func(w http.ResponseWriter, r *http.Request) { t.Errorf("%s: was served", why) }, func(d *door) {
			if got := statuses(t, d.talk("GET / HTTP/1.1\r\nHost: a\r\n"+raw, 1<<20)); !slices.Equal(got, []int{431}) {
				t.Errorf("%s: answers %v, want 431", why, got)
			}
			if len(d.refusals) != 1 || d.refusals[0].Cause != HeadTooLarge {
				t.Errorf("%s: told of %+v", why, d.refusals)
			}
		})
	}
}

func fieldsOf(n int) string {
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, "x-%d: y\r\n", i)
	}
	return all.String()
}

func TestGarbageAfterAGoodRequestIsAnsweredInTurn(t *testing.T) { // H2
	var release chan struct{} // made in each bubble
	open(t, Config{}, ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
		<-release
		ok(w, r)
		if r.Context().Err() != nil {
			t.Error("garbage behind a request ended the request")
		}
	}, func(d *door) {
		release = make(chan struct{})
		go close(release) // ends at once
		answer := d.talk(get+"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"+get, 1<<20)
		if got := statuses(t, answer); !slices.Equal(got, []int{200, 400}) {
			t.Errorf("answers %v, want 200 and 400", got)
		}
		if len(d.refusals) != 1 || d.refusals[0].Cause != BadRequest || d.refusals[0].Detail != "folded line" {
			t.Errorf("told of %+v", d.refusals)
		}
	})
}

func TestHandlerNeverSeesTheEndOfABadBody(t *testing.T) {
	for _, body := range []string{"3\r\nabc\r\n3\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n", "3\r\nabc\r\n0\r\nHost: b\r\n\r\n", "3\r\nab"} {
		var got error
		open(t, Config{}, ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
			_, got = io.Copy(io.Discard, r.Body)
			Fail(w, r, CauseOf(got), "")
		}, func(d *door) {
			d.talk("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"+body, 1<<20)
		})
		want := BadRequest
		if strings.HasSuffix(body, "\r\nab") {
			want = TooSlow // it waits for the rest
		}
		if CauseOf(got) != want {
			t.Errorf("body %q: error %v, want %s", body, got, want)
		}
	}
}

// FuzzFraming holds that the check does not depend on how the bytes come, and
// that what it passes is what came, up to the offence.
func FuzzFraming(f *testing.F) {
	for _, c := range hostile {
		if len(c.raw) < 1<<10 {
			f.Add([]byte(c.raw+get), uint16(len(c.raw)/2))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, cut uint16) {
		whole := &framing{maxLine: 1 << 10}
		all := bytes.Clone(raw)
		n, wantErr := whole.feed(all)
		want := all[:n]

		parts := &framing{maxLine: 1 << 10}
		var got []byte
		var gotErr error
		at := int(cut) % (len(raw) + 1)
		for _, piece := range [][]byte{bytes.Clone(raw[:at]), bytes.Clone(raw[at:])} {
			n, err := parts.feed(piece)
			got = append(got, piece[:n]...)
			if gotErr = err; err != nil {
				break
			}
		}
		if (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("whole: %v; cut at %d: %v", wantErr, at, gotErr)
		}
		if wantErr == nil {
			if !bytes.Equal(got, want) {
				t.Fatalf("whole passes %q, cut at %d %q", want, at, got)
			}
			whole.line, parts.line = append([]byte{}, whole.line...), append([]byte{}, parts.line...)
			if !reflect.DeepEqual(whole, parts) {
				t.Fatalf("whole %+v, cut at %d %+v", whole, at, parts)
			}
		} else if !bytes.HasPrefix(got, want) {
			t.Fatalf("whole passes %q, cut %q", want, got)
		}
	})
}
