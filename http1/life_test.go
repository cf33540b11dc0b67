package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func readAnswer(t *testing.T, r *bufio.Reader) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("answer: %v", err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatalf("body: %v", err)
	}
	return resp
}

func TestSlowHead(t *testing.T) { // H4
	s := &Server{Handler: http.HandlerFunc(swallow), HeadTimeout: 10 * time.Second, IdleTimeout: 20 * time.Second}
	inBubble(t, s, func(t *testing.T, l *memListener) {
		for _, c := range []struct {
			why, first, drip string
			want             []int
			least, most      time.Duration
		}{
			{"nothing at all", "", "", nil, 10 * time.Second, 11 * time.Second},
			{"one byte a second", "", strings.Repeat("x", 1000), []int{408}, 10 * time.Second, 11 * time.Second},
			{"idle between requests", get, "", []int{200}, 20 * time.Second, 21 * time.Second},
			{"one byte a second behind a request", get, strings.Repeat("x", 1000), []int{200, 408}, 11 * time.Second, 12 * time.Second},
			{"fast enough", get, "GET /xxx", []int{200, 408}, 11 * time.Second, 12 * time.Second},
		} {
			conn := l.dial()
			begun := time.Now()
			io.WriteString(conn, c.first)
			dripped := make(chan struct{})
			go func() {
				defer close(dripped)
				for i := range len(c.drip) {
					time.Sleep(time.Second) // virtual
					if _, err := io.WriteString(conn, c.drip[i:i+1]); err != nil {
						return
					}
				}
			}()
			// Received below.
			answers, _ := io.ReadAll(conn)
			took := time.Since(begun)
			conn.Close()
			<-dripped
			if got := statuses(t, string(answers)); !slices.Equal(got, c.want) || took < c.least || took > c.most {
				t.Errorf("%s: answers %v after %v, want %v after %v", c.why, got, took, c.want, c.least)
			}
		}
	})
}

// A client that leaves while a handler runs ends the request's context, within
// twice the sweeper's period; bytes of a next request do not.
func TestClientThatLeaves(t *testing.T) {
	var ended chan time.Duration
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		begun := time.Now()
		select {
		case <-r.Context().Done():
		case <-time.After(time.Hour):
		}
		ended <- time.Since(begun)
	})}
	inBubble(t, s, func(t *testing.T, l *memListener) {
		ended = make(chan time.Duration, 2)
		for _, raw := range []string{get, post("Content-Length: 3\r\n\r\nabc"), chunks("3\r\nabc\r\n0\r\n\r\n")} {
			c := l.dial()
			io.WriteString(c, raw)
			time.Sleep(10 * time.Second) // virtual
			c.Close()
			if took := <-ended; took > 10*time.Second+2*sweepEvery {
				t.Errorf("%.20q: noticed after %v", raw, took)
			}
		}
		c := l.dial()
		io.WriteString(c, get)
		time.Sleep(time.Second) // virtual: it is watched
		io.WriteString(c, get)
		synctest.Wait()
		c.CloseWrite()
		if took := <-ended; took != time.Hour {
			t.Errorf("a request behind it: ended after %v", took)
		}
		synctest.Wait() // its answer is written, or the next would not be served
		c.Close()
		<-ended
	})
}

// What a watch reads ahead belongs to the next request.
func TestBytesDuringAWatchAreNotLost(t *testing.T) {
	var got []string
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.URL.Path+string(body))
		time.Sleep(time.Second) // virtual: long enough to be watched
	})}
	inBubble(t, s, func(t *testing.T, l *memListener) {
		c := l.dial()
		r := bufio.NewReader(c)
		io.WriteString(c, get)
		time.Sleep(500 * time.Millisecond)
		io.WriteString(c, "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
		readAnswer(t, r)
		readAnswer(t, r)
		c.Close()
	})
	if !slices.Equal(got, []string{"/next", "/babc"}) {
		t.Errorf("served %q", got)
	}
}

func TestContextEndsWithTheHandler(t *testing.T) {
	var outer context.Context
	var after, derived chan struct{}
	s := &Server{ConnContext: func(net.Conn) context.Context { return context.WithValue(context.Background(), keyOfTest{}, "v") },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			outer = r.Context()
			if outer.Value(keyOfTest{}) != "v" || outer.Value(http.LocalAddrContextKey) == nil {
				t.Error("values are missing")
			}
			stop := context.AfterFunc(outer, func() { t.Error("was stopped") })
			if !stop() || outer.Err() != nil {
				t.Error("the context has ended")
			}
			context.AfterFunc(outer, func() { close(after) })
			child, cancel := context.WithCancel(outer)
			context.AfterFunc(child, func() { close(derived); cancel() })
		})}
	inBubble(t, s, func(t *testing.T, l *memListener) {
		after, derived = make(chan struct{}), make(chan struct{})
		l.talk(get, 100)
		<-after
		<-derived
		if outer.Err() != context.Canceled || context.Cause(outer) != context.Canceled {
			t.Errorf("%v, %v", outer.Err(), context.Cause(outer))
		}
		<-outer.Done()
		late := make(chan struct{})
		context.AfterFunc(outer, func() { close(late) })
		<-late
	})
}

type keyOfTest struct{}

// What a goroutine does that outlives the handler reaches nobody's answer.
func TestLateWriter(t *testing.T) {
	var late http.ResponseWriter
	var body io.Reader
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if late != nil {
			late.Header().Set("X", "late")
			if _, err := io.WriteString(late, "late"); err == nil {
				t.Error("a write after the handler returned succeeds")
			}
			late.WriteHeader(500)
			late.(http.Flusher).Flush()
			if n, err := body.Read(make([]byte, 10)); n > 0 || !errors.Is(err, http.ErrBodyReadAfterClose) {
				t.Errorf("a read after the handler returned: %d, %v", n, err)
			}
		}
		late, body = w, r.Body
	})}
	serve(t, s, func(l *memListener) {
		answers := l.talk(post("Content-Length: 3\r\n\r\nabc")+post("Content-Length: 3\r\n\r\nabc"), 1<<10)
		if got := statuses(t, answers); !slices.Equal(got, []int{200, 200}) || strings.Contains(answers, "late") {
			t.Errorf("answers %q", answers)
		}
	})
}

func TestUnreadBody(t *testing.T) {
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "early") })}
	inBubble(t, s, func(t *testing.T, l *memListener) {
		for _, c := range []struct {
			why, raw string
			want     []int
			most     time.Duration
		}{
			{"a small one is read", post("Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000)), []int{200, 200}, 0},
			{"a large one is not", post("Content-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1000)), []int{200}, lingerTime},
			{"a bad one ends the connection", chunks("x\r\n"), []int{200}, lingerTime},
			{"one that does not come is not waited for long", post("Content-Length: 10\r\n\r\nabc"), []int{200}, drainTime + lingerTime},
		} {
			begun := time.Now()
			conn := l.dial()
			io.WriteString(conn, c.raw)
			r := bufio.NewReader(conn)
			readAnswer(t, r)
			if took := time.Since(begun); took != 0 {
				t.Errorf("%s: answered after %v", c.why, took)
			}
			if len(c.want) > 1 {
				io.WriteString(conn, get)
				readAnswer(t, r)
			} else if _, err := r.ReadByte(); err != io.EOF {
				t.Errorf("%s: %v, want the connection's end", c.why, err)
			}
			conn.Close()
			synctest.Wait()
			if took := time.Since(begun); took > c.most+time.Second {
				t.Errorf("%s: took %v", c.why, took)
			}
		}
	})
}

func TestDeadlines(t *testing.T) {
	var readErr, writeErr error
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctl := http.NewResponseController(w)
		for i := range 3 { // moved again and again, forward and back
			if err := ctl.SetReadDeadline(time.Now().Add(time.Duration(3-i) * time.Second)); err != nil {
				t.Error(err)
			}
		}
		_, readErr = io.Copy(io.Discard, r.Body)
		for range 100 { // each write has its time: the whole may take longer
			if err := ctl.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Error(err)
			}
			if _, writeErr = w.Write(make([]byte, 64<<10)); writeErr != nil {
				break
			}
		}
	})}
	inBubble(t, s, func(t *testing.T, l *memListener) {
		c := l.dial()
		begun := time.Now()
		io.WriteString(c, post("Content-Length: 10\r\n\r\nabc"))
		total := 0
		for range 20 {
			time.Sleep(5 * time.Second) // virtual
			n, err := io.CopyN(io.Discard, c, 128<<10)
			if total += int(n); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		c.Close()
		synctest.Wait()
		if !errors.Is(readErr, os.ErrDeadlineExceeded) || !errors.Is(writeErr, os.ErrDeadlineExceeded) {
			t.Errorf("errors %v, %v after %v", readErr, writeErr, time.Since(begun))
		}
	})
}

// A body may be read while the answer is written, by two goroutines.
func TestFullDuplex(t *testing.T) {
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Content-Type", "x/y")
		pieces := make(chan []byte)
		go func() {
			defer close(pieces)
			for b := make([]byte, 1000); ; {
				n, err := r.Body.Read(b)
				if pieces <- bytes.Clone(b[:n]); err != nil {
					return
				}
			}
		}()
		// The range below receives its end.
		for p := range pieces {
			w.Write(p)
			w.(http.Flusher).Flush()
		}
	})}
	serve(t, s, func(l *memListener) {
		c := l.dial()
		defer c.Close()
		io.WriteString(c, post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"))
		r := bufio.NewReader(c)
		if line, _ := r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("%q", line)
		}
		r.ReadString('\n')
		io.WriteString(c, "3\r\nabc\r\n")
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 3)
		if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "abc" {
			t.Fatalf("%q, %v", first, err)
		}
		io.WriteString(c, "0\r\n\r\n"+get)
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
			t.Errorf("%q, %v", rest, err)
		}
		readAnswer(t, r)
	})
}

// A handler that leaves a goroutine reading the body is not waited for.
func TestReaderThatOutlivesTheHandler(t *testing.T) {
	var got chan error
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reads := make(chan struct{})
		go func() {
			close(reads)
			_, err := r.Body.Read(make([]byte, 1))
			got <- err
		}()
		// The test receives its end.
		<-reads
		synctest.Wait()
	})}
	inBubble(t, s, func(t *testing.T, l *memListener) {
		got = make(chan error, 1)
		c := l.dial()
		io.WriteString(c, post("Content-Length: 1\r\n\r\n"))
		readAnswer(t, bufio.NewReader(c))
		if err := <-got; err == nil {
			t.Error("read something")
		}
		c.Close()
	})
}

func TestHijack(t *testing.T) {
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if _, _, err := w.(http.Hijacker).Hijack(); !errors.Is(err, http.ErrHijacked) {
			t.Errorf("a second time: %v", err)
		}
		if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrHijacked) {
			t.Errorf("write: %v", err)
		}
		line, _ := rw.ReadString('\n')
		rw.WriteString("got " + line)
		rw.Flush()
		nc.Close()
	})}
	serve(t, s, func(l *memListener) {
		if got := l.talk(get+"hello\n", 1<<10); got != "got hello\n" {
			t.Errorf("%q", got)
		}
	})
}
