package front

import "net/http"

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
