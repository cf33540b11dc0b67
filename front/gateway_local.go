package front

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

func stderrDropped(n int) []byte {
	return fmt.Appendf(nil, "… %d more bytes of stderr were left out (at most %d a request, %d a line)", n, maxStderrTotal, maxStderrLine)
}

// localRequest is the request that a local redirect stands for: GET, without
// a body or what describes one.
func localRequest(ctx context.Context, from *http.Request, target string) (*http.Request, error) {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, err
	}
	r := from.Clone(ctx)
	r.Method, r.URL, r.RequestURI = http.MethodGet, u, target
	r.Body, r.ContentLength = http.NoBody, 0
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding", "Expect", "Range"} {
		r.Header.Del(name)
	}
	return r, nil
}
