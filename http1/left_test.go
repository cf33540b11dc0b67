package http1

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
)

// A goroutine that a handler leaves with the body, whatever becomes of the answer,
// gets an error: neither the memory nor the bytes of another request.
func TestBodyLeftBehind(t *testing.T) {
	for name, end := range map[string]func(w http.ResponseWriter, client io.Closer){
		"a panic":           func(http.ResponseWriter, io.Closer) { panic(http.ErrAbortHandler) },
		"a client gone":     func(w http.ResponseWriter, client io.Closer) { client.Close(); w.Write(make([]byte, 1<<20)) },
		"an answer as ever": func(w http.ResponseWriter, _ io.Closer) { w.Write([]byte("whole")) },
	} {
		for _, reading := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, reading %v", name, reading), func(t *testing.T) { leaveBody(t, reading, end) })
		}
	}
}

func leaveBody(t *testing.T, reading bool, end func(w http.ResponseWriter, client io.Closer)) {
	var (
		client io.Closer
		body   io.Reader
		reads  chan error
		goOn   chan bool
	)
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body = r.Body; reading {
			go func() {
				// Received below.
				_, err := io.Copy(io.Discard, body)
				reads <- err
			}()
		}
		<-goOn
		end(w, client)
	})}
	inBubble(t, s, func(t *testing.T, l *memListener) {
		reads, goOn = make(chan error, 1), make(chan bool)
		c := l.dial()
		defer c.Close()
		client = c
		io.WriteString(c, post("Content-Length: 100000\r\n\r\nbegin"))
		synctest.Wait() // it waits for more
		goOn <- true
		if reading {
			if err := <-reads; err == nil {
				t.Error("who read it found its end")
			}
		}
		io.Copy(io.Discard, c)
		synctest.Wait()
		if _, err := body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("reading it later: %v", err)
		}
	})
}
