package fcgi

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"time"
)

// A tortureCall is one request of a client.
type tortureCall struct {
	id      uint64
	mode    string
	size    int           // of the answer's body
	length  int           // of the request's body; -1: none
	breakAt int           // the client breaks its body off there; -1: it does not
	stallAt int           // the client sends nothing more from there on; -1: it does
	cancel  time.Duration // the client leaves then; 0: it does not
	slow    bool          // it takes the answer slowly
}

// deliberate reports whether something is to go wrong by design.
func (c *tortureCall) deliberate() bool {
	return c.cancel > 0 || c.breakAt >= 0 || c.stallAt >= 0 || c.mode == "half"
}

func (s *tortureSite) draw(rng *rand.Rand) *tortureCall {
	modes := []string{"whole", "whole", "whole", "whole", "duplex", "early", "noise", "half", "panic"}
	c := &tortureCall{id: s.ids.Add(1), mode: modes[rng.IntN(len(modes))], length: -1, breakAt: -1, stallAt: -1}
	c.size = tortureSize(rng)
	if rng.IntN(2) == 0 || c.mode == "duplex" {
		c.length = tortureSize(rng)
	}
	if c.mode == "half" {
		c.size += 2
	}
	if c.length > 0 {
		switch rng.IntN(20) {
		case 0:
			c.breakAt = rng.IntN(c.length)
		case 1:
			c.stallAt = rng.IntN(c.length)
			c.cancel = time.Duration(1+rng.IntN(20)) * time.Millisecond
		}
	}
	if rng.IntN(8) == 0 {
		c.cancel = time.Duration(1+rng.IntN(5000)) * time.Microsecond
	}
	c.slow = rng.IntN(16) == 0
	return c
}

// tortureSize is mostly small, at times around a record's or a window's size.
func tortureSize(rng *rand.Rand) int {
	switch rng.IntN(10) {
	case 0:
		return 0
	case 1:
		return MaxContent - 2 + rng.IntN(5)
	case 2:
		return rng.IntN(300_000)
	default:
		return rng.IntN(3000)
	}
}

func (s *tortureSite) client(rng *rand.Rand, over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		default:
		}
		c := s.draw(rng)
		outcome := s.one(c)
		s.mu.Lock()
		s.results[outcome]++
		s.mu.Unlock()
	}
}

// tortureHang is when a request counts as hung.
const tortureHang = time.Minute

var errTortureHang = errors.New("nothing happened for too long")

// one makes a request and judges its answer. It returns what came of it, in a word.
func (s *tortureSite) one(c *tortureCall) string {
	ctx, stop := context.WithTimeoutCause(context.Background(), tortureHang, errTortureHang)
	defer stop()
	if c.cancel > 0 {
		inner, cancel := context.WithTimeoutCause(ctx, c.cancel, context.Canceled)
		defer cancel()
		ctx = inner
	}
	u, err := s.pool.Acquire(ctx, Turn{})
	if err != nil {
		return s.failed(c, err)
	}
	release := sync.OnceFunc(func() { s.pool.Release(u) })
	defer release()
	req, body := c.request()
	req.OnEnd = release // as a gateway does: who reads slowly holds no worker
	if c.id%5 == 0 {
		req.Buffer = Buffering{Memory: 2000, File: 100_000, Dir: s.dir}
	}
	resp, err := u.Transport.RoundTrip(ctx, req)
	if err != nil {
		var lost *RequestError
		if errors.As(err, &lost) {
			body.end(lost)
		}
		return s.failed(c, err)
	}
	n, err := s.check(c, resp)
	resp.Close()
	body.end(resp)
	if err != nil {
		return s.failed(c, err)
	}
	return s.whole(c, resp, n)
}

func (c *tortureCall) request() (*Request, *tortureBody) {
	p := new(Params)
	for _, kv := range [][2]string{
		{"REQUEST_METHOD", "POST"}, {"SERVER_PROTOCOL", "HTTP/1.1"}, {"REQUEST_URI", "/"},
		{"HTTP_X_ID", strconv.FormatUint(c.id, 10)}, {"HTTP_X_MODE", c.mode},
		{"HTTP_X_SIZE", strconv.Itoa(c.size)}, {"HTTP_X_LENGTH", strconv.Itoa(max(c.length, 0))},
	} {
		p.Add(kv[0], kv[1])
	}
	req := &Request{Role: RoleResponder, Params: p, Stderr: func([]byte) {}}
	if c.length < 0 {
		return req, nil
	}
	if c.id%2 == 0 {
		p.Add("CONTENT_LENGTH", strconv.Itoa(c.length))
	}
	body := &tortureBody{c: c, ended: make(chan struct{})}
	req.Stdin, req.Hold = body, c.id%3 == 0
	return req, body
}

// A tortureBody is a request's body.
type tortureBody struct {
	c     *tortureCall
	at    int
	ended chan struct{}
}

func (b *tortureBody) Read(p []byte) (int, error) {
	if b.at == b.c.breakAt {
		return 0, errTortureBody
	}
	if b.at == b.c.stallAt {
		<-b.ended
		return 0, os.ErrDeadlineExceeded
	}
	n := min(len(p), b.c.length-b.at, 1+int(b.c.id*31%9000))
	for _, stop := range []int{b.c.breakAt, b.c.stallAt} {
		if stop > b.at {
			n = min(n, stop-b.at)
		}
	}
	tortureFill(p[:n], b.c.id, b.at)
	b.at += n
	if b.at == b.c.length {
		return n, io.EOF
	}
	return n, nil
}

// end ends a Read that still waits, as its owner does.
func (b *tortureBody) end(r interface {
	BodyBusy() bool
	Wait()
}) {
	if b == nil {
		return
	}
	r.BodyBusy()
	close(b.ended)
	r.Wait()
}

// check reads the body and holds each byte against what belongs to the request.
func (s *tortureSite) check(c *tortureCall, resp *Response) (n int, err error) {
	if got := resp.Header.Get("X-Id"); resp.Status == 200 && got != strconv.FormatUint(c.id, 10) {
		s.t.Errorf("request %d got the answer to %s", c.id, got)
	}
	for {
		b, err := resp.Next()
		if i := tortureWrong(b, c.id, n); i >= 0 && resp.Status == 200 {
			s.t.Errorf("request %d (%s): byte %d of its answer is another's", c.id, c.mode, n+i)
		}
		n += len(b)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if c.slow {
			<-time.After(time.Millisecond) // a client on a slow line
		}
	}
}

// failed judges a request that the client sees fail.
func (s *tortureSite) failed(c *tortureCall, err error) string {
	var breach *ProtocolError
	switch {
	case errors.Is(err, errTortureHang):
		s.t.Errorf("request %+v hangs", *c)
	case errors.As(err, &breach):
		s.t.Errorf("request %+v: %v", *c, err)
	case !s.storm && !c.deliberate():
		s.t.Errorf("request %+v failed although nothing was done to it: %v", *c, err)
	}
	return "failed"
}

// whole judges an answer that the client takes for complete.
func (s *tortureSite) whole(c *tortureCall, resp *Response, n int) string {
	if c.mode == "panic" {
		if resp.Status != 500 {
			s.t.Errorf("request %d: a panic gave status %d", c.id, resp.Status)
		}
		return "panic"
	}
	if resp.Status != 200 {
		if !c.deliberate() {
			s.t.Errorf("request %+v: status %d", *c, resp.Status)
		}
		return strconv.Itoa(resp.Status)
	}
	want := c.size
	if c.mode == "duplex" {
		want = c.length
	}
	if n != want || c.mode == "half" || c.mode != "early" && c.breakAt >= 0 {
		s.t.Errorf("request %+v: %d bytes of an answer look whole", *c, n)
	}
	if got := resp.Header.Get("X-Got"); got != "" && got != c.sum() {
		s.t.Errorf("request %+v: the application got %s, sent was %s", *c, got, c.sum())
	}
	return "whole"
}

func (c *tortureCall) sum() string {
	body := make([]byte, max(c.length, 0))
	tortureFill(body, c.id, 0)
	return fmt.Sprintf("%d %08x", len(body), crc32.ChecksumIEEE(body))
}
