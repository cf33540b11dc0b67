package front

import (
	"net/http"
	"slices"
	"strings"
)

// Methods are those that a route takes; empty is all of them. GET stands for
// HEAD too (RFC 9110 §9.1: both are what every server has to support).
type Methods []string

func (m Methods) stage(next http.Handler) http.Handler {
	if len(m) == 0 {
		return next
	}
	allowed := slices.Clone(m)
	if slices.Contains(m, http.MethodGet) && !slices.Contains(m, http.MethodHead) {
		allowed = append(allowed, http.MethodHead)
	}
	allow := http.Header{"Allow": {strings.Join(allowed, ", ")}} // RFC 9110 §15.5.6: MUST
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x := ExchangeOf(r); !slices.Contains(allowed, r.Method) && !x.accelerated {
			failWith(w, r, MethodNotAllowed, r.Method+" is not one of the route's methods", allow)
			return
		}
		next.ServeHTTP(w, r)
	})
}
