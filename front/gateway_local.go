package front

import (
	"fmt"
	"net/http"
)

func stderrDropped(n int) []byte {
	return fmt.Appendf(nil, "… %d more bytes of stderr were left out (at most %d a request, %d a line)", n, maxStderrTotal, maxStderrLine)
}

// localRequest is the request that a local redirect stands for: GET, without
// a body or what describes one.
func localRequest(from *http.Request) *http.Request {
	r := from.Clone(from.Context())
	r.Method = http.MethodGet
	r.Body, r.ContentLength = http.NoBody, 0
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding", "Expect", "Range"} {
		r.Header.Del(name)
	}
	return r
}
