package http1

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// vectors are requests with the statuses of all answers on the connection;
// behind each comes a good request, which must not be answered where the
// connection closes. rule is the one that refuses, nil if none does.
var vectors = []struct {
	why  string
	raw  string
	want []int
	rule *Rule
}{
	{"a good one", get, []int{200, 200}, nil},
	{"a good body", post("Content-Length: 3\r\n\r\nabc"), []int{200, 200}, nil},
	{"good chunks", post("Transfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-T: v\r\n\r\n"), []int{200, 200}, nil},
	{"an empty chunked body", post("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), []int{200, 200}, nil},
	{"leading zeros", post("Content-Length: 003\r\n\r\nabc"), []int{200, 200}, nil},
	{"empty lines before", "\r\n\r\n" + get, []int{200, 200}, nil},
	{"an empty line after a body", post("Content-Length: 3\r\n\r\nabc\r\n"), []int{200, 200}, nil},
	{"HTTP/1.0 closes", "GET / HTTP/1.0\r\n\r\n", []int{200}, nil},
	{"HTTP/1.0 may keep", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", []int{200, 200}, nil},
	{"close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", []int{200}, nil},
	{"an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", []int{200, 200}, nil},
	{"absolute form", "GET http://a/x HTTP/1.1\r\nHost: A:80\r\n\r\n", []int{200, 200}, nil},
	{"a method of its own", "get / HTTP/1.1\r\nHost: a\r\n\r\n", []int{200, 200}, nil},
	{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", []int{200, 200}, nil},
	{"bytes beyond ASCII in target and value", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\nX: \xff\r\n\r\n", []int{200, 200}, nil},
	{"HTTP/1.0 ignores Expect", "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na", []int{200}, nil},

	{"too many empty lines", strings.Repeat("\r\n", 9), []int{400}, RuleEmptyLines},
	{"empty line that goes on", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}, RuleLineEnd},
	{"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", []int{400}, RuleLineEnd},
	{"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", []int{400}, RuleLineEnd},
	{"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", []int{400}, RuleLineEnd},
	{"CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", []int{400}, RuleLineEnd},
	{"HTTP/0.9", "GET /\r\n", []int{400}, RuleRequestLine},
	{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", []int{400}, RuleRequestLine},
	{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{400}, RuleRequestLine},
	{"HTTP/1111", "GET / HTTP/1111\r\nHost: a\r\n\r\n", []int{400}, RuleRequestLine},
	{"HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", []int{400}, RuleRequestLine},
	{"http/1.1", "GET / http/1.1\r\nHost: a\r\n\r\n", []int{400}, RuleRequestLine},
	{"no method", " / HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}, RuleRequestLine},
	{"tab", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}, RuleRequestLine},
	{"space at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", []int{400}, RuleRequestLine},
	{"method beyond ASCII", "G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}, RuleMethod},
	{"method with a colon", "G:T / HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}, RuleMethod},
	{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", []int{505}, RuleVersion},
	{"space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}, RuleTarget},
	{"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}, RuleTarget},
	{"NUL in the target", "GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}, RuleTarget},
	{"%zz", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}, RuleTarget},
	{"no slash", "GET x HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}, RuleTarget},
	{"folded field", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", []int{400}, RuleFold},
	{"folded length", post("Content-Length:\r\n 3\r\n\r\nabc"), []int{400}, RuleLength},
	{"fold before any field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", []int{400}, RuleFold},
	{"space before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", []int{400}, RuleFieldName},
	{"empty name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", []int{400}, RuleFieldName},
	{"no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", []int{400}, RuleFieldName},
	{"name beyond ASCII", "GET / HTTP/1.1\r\nHost: a\r\nX\xc3\xa9: b\r\n\r\n", []int{400}, RuleFieldName},
	{"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", []int{400}, RuleFieldValue},
	{"BEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x07b\r\n\r\n", []int{400}, RuleFieldValue},
	{"DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", []int{400}, RuleFieldValue},
	{"no host", "GET / HTTP/1.1\r\n\r\n", []int{400}, RuleNoHost},
	{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", []int{400}, RuleHosts},
	{"space in the host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", []int{400}, RuleHost},
	{"slash in the host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", []int{400}, RuleHost},
	{"user in the host", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", []int{400}, RuleHost},
	{"absolute form of another host", "GET http://a/x HTTP/1.1\r\nHost: b\r\n\r\n", []int{400}, RuleOtherHost},
	{"two lengths", post("Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"), []int{400}, RuleLengths},
	{"the same length twice", post("Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), []int{400}, RuleLengths},
	{"length +1", post("Content-Length: +1\r\n\r\na"), []int{400}, RuleLength},
	{"length -1", post("Content-Length: -1\r\n\r\na"), []int{400}, RuleLength},
	{"length 0_1", post("Content-Length: 0_1\r\n\r\na"), []int{400}, RuleLength},
	{"length 0x10", post("Content-Length: 0x10\r\n\r\na"), []int{400}, RuleLength},
	{"length 5, 5", post("Content-Length: 5, 5\r\n\r\nabcde"), []int{400}, RuleLength},
	{"no length", post("Content-Length:\r\n\r\n"), []int{400}, RuleLength},
	{"length over 2^64", post("Content-Length: 18446744073709551617\r\n\r\na"), []int{400}, RuleLength},
	{"length over 2^63", post("Content-Length: 9223372036854775808\r\n\r\na"), []int{400}, RuleLength},
	{"identity", post("Transfer-Encoding: identity\r\n\r\n"), []int{400}, RuleCoding},
	{"gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), []int{400}, RuleCoding},
	{",chunked", post("Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"), []int{400}, RuleCoding},
	{"chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), []int{400}, RuleCoding},
	{"VT before chunked", post("Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"), []int{400}, RuleFieldValue},
	{"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400}, RuleCodingOld},
	{"length beside chunked", post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX"), []int{400}, RuleTwoLengths},
	{"chunked beside length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), []int{400}, RuleTwoLengths},
	{"announced length", post("Transfer-Encoding: chunked\r\nTrailer: content-length\r\n\r\n0\r\n\r\n"), []int{400}, RuleTrailerName},
	{"Expect: foo", "GET / HTTP/1.1\r\nHost: a\r\nExpect: foo\r\n\r\n", []int{417}, RuleExpect},
	{"two Expect", post("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na"), []int{417}, RuleExpect},
	{"target over 8 KiB", "GET /" + strings.Repeat("a", 8<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", []int{414}, RuleTargetSize},
	{"target without an end", "GET /" + strings.Repeat("a", 9<<10), []int{414}, RuleTargetSize},
	{"field over 16 KiB", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 16<<10) + "\r\n\r\n", []int{431}, RuleFieldSize},
	{"field without an end", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 100<<10), []int{431}, RuleFieldSize},
	{"fields over 100", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("a: b\r\n", 101) + "\r\n", []int{431}, RuleFieldCount},
	{"a hundred fields", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("a: b\r\n", 100) + "\r\n", []int{200, 200}, nil},
	{"head over 64 KiB", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("a:"+strings.Repeat("b", 998)+"\r\n", 80) + "\r\n", []int{431}, RuleHeadSize},

	{"space after a chunk's size", chunks("3 \r\nabc\r\n0\r\n\r\n"), []int{400}, RuleChunkSize},
	{"0x in a chunk's size", chunks("0x3\r\nabc\r\n0\r\n\r\n"), []int{400}, RuleChunkSize},
	{"_ in a chunk's size", chunks("6_0\r\nabc\r\n0\r\n\r\n"), []int{400}, RuleChunkSize},
	{"sign in a chunk's size", chunks("+5\r\nabcde\r\n0\r\n\r\n"), []int{400}, RuleChunkSize},
	{"negative chunk's size", chunks("-5\r\nabcde\r\n0\r\n\r\n"), []int{400}, RuleChunkSize},
	{"huge chunk's size", chunks("10000000000000003\r\nabc\r\n0\r\n\r\n"), []int{400}, RuleChunkSize},
	{"zeros before a chunk's size", chunks("0000000000000003\r\nabc\r\n0\r\n\r\n"), []int{200, 200}, nil},
	{"more zeros than its integer has digits", chunks("00000000000000003\r\nabc\r\n0\r\n\r\n"), []int{400}, RuleChunkSize},
	{"extension without a size", chunks(";x\r\nabc\r\n0\r\n\r\n"), []int{400}, RuleChunkSize},
	{"NUL in an extension", chunks("3;\x00\r\nabc\r\n0\r\n\r\n"), []int{400}, RuleChunkSize},
	{"bare LF after a chunk's size", chunks("3\nabc\r\n0\r\n\r\n"), []int{400}, RuleLineEnd},
	{"bare LF in an extension", chunks("3;x\nabc\r\n0\r\n\r\n"), []int{400}, RuleLineEnd},
	{"bare CR in an extension", chunks("3;x\rabc\r\n\r\n0\r\n\r\n"), []int{400}, RuleLineEnd},
	{"endless extension", chunks("3;" + strings.Repeat("x", 9<<10)), []int{400}, RuleChunkLine},
	{"long extensions of small chunks", chunks(strings.Repeat("1;"+strings.Repeat("x", 3000)+"\r\na\r\n", 8)), []int{400}, RuleChunkExcess},
	{"short extensions of many chunks", chunks(strings.Repeat("1;x=y\r\na\r\n", 3000) + "0\r\n\r\n"), []int{200, 200}, nil},
	{"chunk longer than its size", chunks("3\r\nabcd\r\n0\r\n\r\n"), []int{400}, RuleChunkEnd},
	{"chunk that ends in LF", chunks("3\r\nabc\n0\r\n\r\n"), []int{400}, RuleChunkEnd},
	{"length as a trailer", chunks("0\r\nContent-Length: 5\r\n\r\n"), []int{400}, RuleTrailerKind},
	{"host as a trailer", chunks("0\r\nhost: b\r\n\r\n"), []int{400}, RuleTrailerKind},
	{"no colon in a trailer", chunks("0\r\nX\r\n\r\n"), []int{400}, RuleTrailer},
	{"folded trailer", chunks("0\r\nX: a\r\n b\r\n\r\n"), []int{400}, RuleTrailer},
	{"trailers over 16 KiB", chunks("0\r\n" + strings.Repeat("a: "+strings.Repeat("b", 998)+"\r\n", 20) + "\r\n"), []int{400}, RuleTrailerSize},
}

func post(rest string) string   { return "POST / HTTP/1.1\r\nHost: a\r\n" + rest }
func chunks(body string) string { return post("Transfer-Encoding: chunked\r\n\r\n" + body) }

// Each vector is sent whole and byte by byte; small ones also in two pieces
// that are cut at every place.
func TestRules(t *testing.T) {
	var refused *Rule
	s := &Server{Handler: http.HandlerFunc(swallow), Refused: func(r Refusal) { refused = r.Rule }}
	serve(t, s, func(l *memListener) {
		for _, v := range vectors {
			raw := v.raw + get
			cuts := []int{len(raw)}
			if len(raw) < 1<<10 {
				for i := range len(raw) {
					cuts = append(cuts, i)
				}
			}
			for _, cut := range append(cuts, -1) {
				refused = nil
				answer := l.talkCut(raw, cut)
				if got := statuses(t, answer); !slices.Equal(got, v.want) {
					t.Errorf("%s, cut at %d: answers %v, want %v", v.why, cut, got, v.want)
					break
				}
				if v.rule == nil || strings.Contains(answer, "X-Rule: "+v.rule.Name+"\r\n") {
					continue
				}
				if refused != v.rule {
					t.Errorf("%s, cut at %d: refused by %+v, want %s", v.why, cut, refused, v.rule.Name)
					break
				}
			}
		}
	})
}

// talkCut sends raw in two pieces, or byte by byte if cut is -1.
func (l *memListener) talkCut(raw string, cut int) string {
	if cut < 0 {
		return l.talk(raw, 1)
	}
	c := l.dial()
	defer c.Close()
	c.Write([]byte(raw[:cut])) // where it was refused already, the answer shows it
	c.Write([]byte(raw[cut:]))
	c.CloseWrite()
	var all strings.Builder
	for b := make([]byte, 4096); ; {
		n, err := c.Read(b)
		if all.Write(b[:n]); err != nil {
			return all.String()
		}
	}
}

func TestEveryRuleHasAVector(t *testing.T) {
	have := map[*Rule]bool{RuleSlowHead: true} // TestSlowHead
	for _, v := range vectors {
		have[v.rule] = true
	}
	names := map[string]bool{}
	for _, r := range Rules {
		if !have[r] {
			t.Errorf("rule %s has no vector", r.Name)
		}
		if names[r.Name] {
			t.Errorf("two rules %s", r.Name)
		}
		names[r.Name] = true
		if r.Status < 400 || r.Status > 599 {
			t.Errorf("rule %s: status %d", r.Name, r.Status)
		}
	}
}

func TestRefusalTellsWhatWasRead(t *testing.T) {
	var got []Refusal
	s := &Server{Handler: http.HandlerFunc(swallow), Refused: func(r Refusal) { got = append(got, r) }}
	serve(t, s, func(l *memListener) {
		l.talk("POST /x HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", 1<<10)
		l.talk("nothing\r\n", 1<<10)
	})
	if len(got) != 2 {
		t.Fatalf("told of %d refusals", len(got))
	}
	if r := got[0]; r.Method != "POST" || r.Target != "/x" || r.Proto != "HTTP/1.1" || r.Bytes == 0 || r.Start.IsZero() || r.Remote == nil {
		t.Errorf("%+v", r)
	}
	if r := got[1]; r.Method != "" || r.Rule != RuleRequestLine {
		t.Errorf("%+v", r)
	}
}

// A hundred requests in one write are answered in their order.
func TestPipelining(t *testing.T) { // H1
	var raw strings.Builder
	var want []int
	for i := range 100 {
		switch i % 3 {
		case 0:
			raw.WriteString(get)
		case 1:
			raw.WriteString(post("Content-Length: 5\r\n\r\nabcde"))
		case 2:
			raw.WriteString(chunks("3\r\nabc\r\n0\r\n\r\n"))
		}
		want = append(want, 200+i)
	}
	next := 200
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		swallow(w, r)
		w.Header().Set("Content-Length", "0")
		if next == 204 {
			w.Header().Del("Content-Length")
		}
		w.WriteHeader(next)
		next++
	})}
	serve(t, s, func(l *memListener) {
		if got := statuses(t, l.talk(raw.String(), 1<<20)); !slices.Equal(got, want) {
			t.Errorf("answers %v", got)
		}
	})
}

// inBubble is serve on virtual time.
func inBubble(t *testing.T, s *Server, f func(t *testing.T, l *memListener)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		serve(t, s, func(l *memListener) { f(t, l) })
	})
}
