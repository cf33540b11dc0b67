package http1

import (
	"bufio"
	"io"
	"net/http"
	"testing"
	"time"
)

// A handler that gives up waiting for a body does not cost the connection,
// where the body comes soon after the answer.
func TestBodyGivenUp(t *testing.T) {
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.NewResponseController(w).EnableFullDuplex()
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second))
			if _, err := io.ReadAll(r.Body); err == nil {
				t.Error("read all")
			}
		}
	})}
	inBubble(t, s, func(t *testing.T, l *memListener) {
		for late, kept := range map[time.Duration]bool{0: true, drainTime / 2: true, 2 * drainTime: false} {
			c := l.dial()
			io.WriteString(c, post("Content-Length: 4\r\n\r\n"))
			r := bufio.NewReader(c)
			readAnswer(t, r)
			time.Sleep(late) // virtual
			io.WriteString(c, "body"+get)
			if kept {
				readAnswer(t, r)
			} else if _, err := r.ReadByte(); err == nil {
				t.Errorf("answered after %v", late)
			}
			c.Close()
		}
	})
}
