package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// An event reaches the client before the application makes the next: the
// second is made only when the client, having read the first, asks for it.
func TestEventsArrive(t *testing.T) {
	t.Parallel()
	needFlask(t)
	dir, pool := counterpart.Dir(t), counterpart.Dir(t)
	copyApp(t, "flask", dir)
	copyApp(t, "flask", pool)
	// A worker of the pool may be anyone's: one, so that both requests meet.
	for name, s := range map[string]site{
		"serve": serve(t, dir, "wsgi:app:app", "-w", "1", "--threads", "2").site(),
		"nginx": webServers[0].start(t, runPool(t, pool, 1, "wsgi:app:app", "--threads", "4")),
	} {
		resp, err := s.client.Get(s.url + "/events/" + name)
		if err != nil {
			t.Fatal(err)
		}
		body := bufio.NewReader(resp.Body)
		readEvent(t, body, "data: first\n")
		s.do(http.MethodPost, "/open/"+name, "text/plain", strings.NewReader("x"))
		readEvent(t, body, "data: second\n")
		if _, err := body.ReadByte(); err != io.EOF {
			t.Errorf("after the last event: %v", err)
		}
		resp.Body.Close()
	}
}

func readEvent(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil || line != want {
		t.Fatalf("got %q, want %q: %v", line, want, err)
	}
	if line, err = r.ReadString('\n'); err != nil || line != "\n" {
		t.Fatalf("after %q came %q: %v", want, line, err)
	}
}

// What is sent comes back before more is sent, through all layers.
func TestFullDuplex(t *testing.T) {
	t.Parallel()
	r := serve(t, counterpart.Dir(t), "-w", "1")
	pr, pw := io.Pipe()
	defer pw.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/echo", pr)
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan error, 1)
	go func() {
		// Its end is received from first.
		_, err := io.WriteString(pw, "ping 0\n")
		first <- err
	}()
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	body := bufio.NewReader(resp.Body)
	for i := range 100 {
		if line, err := body.ReadString('\n'); err != nil || line != fmt.Sprintf("ping %d\n", i) {
			t.Fatalf("round %d: %q: %v", i, line, err)
		}
		if _, err := fmt.Fprintf(pw, "ping %d\n", i+1); err != nil {
			t.Fatal(err)
		}
	}
	pw.Close()
	if rest, err := io.ReadAll(body); err != nil || string(rest) != "ping 100\n" {
		t.Errorf("the rest is %q: %v", rest, err)
	}
}

// An application answers without reading the body: the answer is there while
// the client still sends, and the worker free for the next.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	needFlask(t)
	dir := counterpart.Dir(t)
	copyApp(t, "flask", dir)
	r := serve(t, dir, "wsgi:app:app", "-w", "1")
	r.awaitServing("app", 1)
	nc := r.dial()
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(nc, "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n%s", pattern(100_000)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil) // with 49,900,000 bytes to come
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge || string(b) != "enough\n" {
		t.Errorf("status %d, %q: %v", resp.StatusCode, b, err)
	}
	if a := r.get("/"); a.status != http.StatusOK {
		t.Errorf("the next request: status %d", a.status)
	}
}

// 100 Continue is sent when the application reads, and not before.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	needFlask(t)
	dir := counterpart.Dir(t)
	copyApp(t, "flask", dir)
	r := serve(t, dir, "wsgi:app:app", "-w", "1")
	r.awaitServing("app", 1)
	const head = "POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
	status := func(path string) (*bufio.Reader, io.Writer, string) {
		nc := r.dial()
		nc.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(nc, head, path)
		br := bufio.NewReader(nc)
		line, err := br.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return br, nc, strings.TrimSpace(line)
	}
	if _, _, line := status("early"); !strings.HasPrefix(line, "HTTP/1.1 413 ") {
		t.Errorf("an application that does not read: first came %q, want the answer", line)
	}
	br, w, line := status("checksum")
	if line != "HTTP/1.1 100 Continue" {
		t.Fatalf("an application that reads: first came %q", line)
	}
	br.ReadString('\n')
	io.WriteString(w, "abc")
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(b), sumOf([]byte("abc"))) {
		t.Errorf("%q: %v", b, err)
	}
}

// A client that goes away is logged as such, and its request ended.
func TestClientGone(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, jsonLog+demoApp(1))...)
	nc := r.dial()
	fmt.Fprintf(nc, "GET /events?gone HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := bufio.NewReader(nc).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if l := r.awaitRequestLine("/events?gone"); l.Cause != "client-gone" {
		t.Errorf("the access log has %+v", l)
	}
	counterpart.Await(t, "the worker to be free", patience, func() error {
		if s := r.status(); s.Apps[0].Busy != 0 {
			return errors.New("busy")
		}
		return nil
	})
}
