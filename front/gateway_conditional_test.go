package front

import (
	"io"
	"net/http"
	"testing"
)

// What a request asks on conditions is the application's to judge: it gets the
// fields as they came, and nothing is cut out of its answer.
func TestConditionalRequestsPassToTheApplication(t *testing.T) { // H11
	fields := map[string]string{
		"Range": "bytes=2-4", "If-Range": `"x"`, "If-None-Match": `"x"`, "If-Match": `"y"`,
		"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT", "If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT",
	}
	w := startWorker(t, 8, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range fields {
			if got := r.Header.Get(name); got != value {
				t.Errorf("the application gets %s: %q, want %q", name, got, value)
			}
		}
		w.Header().Set("Etag", `"x"`)
		w.Header().Set("Last-Modified", "Fri, 31 Dec 1999 00:00:00 GMT")
		io.WriteString(w, "0123456789")
	}))
	url, _ := site(t, Route{Path: "/", App: "app", Settings: settingsFor(), Handler: gateway(w.upstream)})
	req := newReq(t, "GET", url+"/", nil)
	for name, value := range fields {
		req.Header.Set(name, value)
	}
	if resp, body := fetch(t, req); resp.StatusCode != 200 || body != "0123456789" || resp.Header.Get("Etag") != `"x"` {
		t.Errorf("answer %d %q, %v", resp.StatusCode, body, resp.Header)
	}
}
