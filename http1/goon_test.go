package http1

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// Behind the head of the final answer there is no 100 Continue, whatever becomes of
// the connection: it would stand within the answer's body.
func TestNoContinueWithinAnAnswer(t *testing.T) {
	for name, head := range map[string]string{
		"kept":               "",
		"closed by client":   "Connection: close\r\n",
		"closed by handler":  "X-Close: yes\r\n",
		"kept, from an old ": "Connection: keep-alive\r\n",
	} {
		s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Close") != "" {
				w.Header().Set("Connection", "close")
			}
			io.WriteString(w, "early")
			w.(http.Flusher).Flush()
			io.Copy(w, r.Body)
		})}
		serve(t, s, func(l *memListener) {
			answer := l.talk("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n"+head+"\r\nbody", 1<<20)
			if !strings.HasPrefix(answer, "HTTP/1.1 200 ") || strings.Contains(answer, "100 Continue") || !strings.Contains(answer, "body") {
				t.Errorf("%s: %q", name, answer)
			}
		})
	}
}
