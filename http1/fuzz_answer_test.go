package http1

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A step is one thing that a handler does, by two bytes of the fuzzer's.
type step struct{ what, with byte }

var (
	stepStatuses = []int{200, 200, 201, 204, 206, 299, 304, 404, 500, 103}
	stepSizes    = []int{0, 1, 3, 10, 511, 512, 2047, 2048, 2049, 4095, 4096, 4097, 8192, 20000}
	stepFields   = [][2]string{
		{"X-A", "1"}, {"X-A", " two "}, {"Content-Type", "text/x"}, {"Content-Type", ""}, {"Content-Length", "0"}, {"Content-Length", "3"},
		{"Content-Length", "10"}, {"Content-Length", "4096"}, {"Connection", "close"}, {"Connection", "keep-alive"}, {"Connection", "x"},
		{"Transfer-Encoding", "identity"}, {"Transfer-Encoding", "chunked"}, {"Trailer", "T"}, {"Trailer", "t, U"}, {"T", "v"},
		{"Date", "today"}, {"Content-Encoding", "gzip"}, {"Content-Encoding", ""}, {"Etag", `"e"`}, {"Bad Name", "x"},
	}
	stepRequests = []string{
		get, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		post("Content-Length: 5\r\n\r\nabcde"), chunks("3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: y\r\n\r\n"),
		"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nabcde",
		post("Content-Length: 9\r\nConnection: close\r\n\r\nabc"),
	}
)

// A play is a handler that does what it is told, the same on any engine.
type play struct {
	steps []step
	old   bool   // the request is of HTTP/1.0
	head  bool   // it is HEAD
	told  string // what the handler was told by what it called

	written int // bytes
	flushed bool
}

// lengthKnown says whether one engine may tell the answer's length where the
// other does not: net/http has half the buffer, and ours counts what HEAD drops.
func (p *play) lengthKnown() bool {
	return !p.flushed && p.written >= bufferSize/2 && (p.written <= bufferSize || p.head)
}

func (p *play) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/next" && len(p.told) > 0 {
		io.WriteString(w, "next")
		return
	}
	p.told = "."
	begun := false
	for _, s := range p.steps {
		p.told += p.do(w, r, s, &begun)
	}
}

// do does a step and returns what came of it. Once an answer has begun nothing is read of the
// body: our engine allows that, the other one only if asked.
func (p *play) do(w http.ResponseWriter, r *http.Request, s step, begun *bool) string {
	size := stepSizes[int(s.with)%len(stepSizes)]
	field := stepFields[int(s.with)%len(stepFields)]
	switch s.what % 8 {
	case 0:
		status := stepStatuses[int(s.with)%len(stepStatuses)]
		if status < 200 && p.old { // a difference on purpose
			return ""
		}
		*begun = *begun || status >= 200
		w.WriteHeader(status)
	case 1, 2:
		*begun = true
		p.written += size
		n, err := io.WriteString(w, strings.Repeat("<", size))
		return fmt.Sprint(n == size, err)
	case 3:
		*begun, p.flushed = true, true
		return fmt.Sprint(http.NewResponseController(w).Flush())
	case 4:
		if p.old && field[0] == "Transfer-Encoding" { // net/http keeps a connection after an answer without an end
			return ""
		}
		w.Header().Set(field[0], field[1])
	case 5:
		if headOnly(field[0]) || field[0] == "Connection" { // of two, net/http sends both
			return ""
		}
		w.Header().Add(field[0], field[1])
	case 6:
		w.Header().Del(field[0])
	case 7:
		if !*begun {
			b := make([]byte, size)
			n, err := io.ReadFull(r.Body, b)
			return fmt.Sprint(n, err == nil)
		}
	}
	return ""
}

// FuzzAnswers holds that a client cannot tell the engines apart by their
// answers, whatever a handler does, and a handler not by what it is told.
func FuzzAnswers(f *testing.F) {
	for i := range stepRequests {
		f.Add(byte(i), []byte{4, 2, 0, 1, 1, 3, 3, 0, 1, 12})
		f.Add(byte(i), []byte{7, 3, 4, 6, 1, 3})
		f.Add(byte(i), []byte{5, 13, 1, 4, 4, 15, 4, 16})
	}
	own, std := new(play), new(play)
	s := &Server{Handler: own, Log: quietLog}
	netHTTP := &http.Server{Handler: std, ErrorLog: log.New(io.Discard, "", 0)}
	ownListener, stdListener := newListener(), newListener()
	done := make(chan error, 2)
	go func() { done <- s.Serve(ownListener) }()
	go func() { done <- netHTTP.Serve(stdListener) }()
	// Both received by Cleanup.
	f.Cleanup(func() { s.Close(); netHTTP.Close(); <-done; <-done })
	f.Fuzz(func(t *testing.T, request byte, script []byte) {
		raw := stepRequests[int(request)%len(stepRequests)]
		var steps []step
		for pair := range slices.Chunk(script[:len(script)/2*2], 2) {
			if steps = append(steps, step{pair[0], pair[1]}); len(steps) == 32 {
				break
			}
		}
		p := play{steps: steps, old: strings.Contains(raw, "HTTP/1.0"), head: strings.HasPrefix(raw, "HEAD")}
		*own, *std = p, p
		a, b := plain(t, ownListener.talk(raw+get, 1<<20)), plain(t, stdListener.talk(raw+get, 1<<20))
		if !slices.Equal(a, b) && !own.lengthKnown() {
			t.Errorf("%q, %v:\nengine   %q\nnet/http %q", raw, steps, a, b)
		}
		if own.told != std.told {
			t.Errorf("%q, %v: handlers are told\nengine   %s\nnet/http %s", raw, steps, own.told, std.told)
		}
	})
}
