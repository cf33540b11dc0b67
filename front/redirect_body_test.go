package front

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

// What an application has read of a body may be more than the route allows that it
// leads on to: nobody wants the rest, and it is no reason to fail.
func TestLocalRedirectToStricterRoute(t *testing.T) {
	up := startWorker(t, 8, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.CopyN(io.Discard, r.Body, 200<<10)
		w.Header().Set("Location", "/small")
	}))
	small := DefaultSettings()
	small.MaxBody = 10
	url, records := site(t,
		Route{Path: "= /small", Settings: small, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "small")
		})},
		Route{Handler: gateway(up.upstream), Settings: settingsFor()})
	resp, body := fetch(t, newReq(t, "POST", url+"/large", bytes.NewReader(make([]byte, 1<<20))))
	if resp.StatusCode != 200 || body != "small" {
		t.Errorf("%d %q, want 200", resp.StatusCode, body)
	}
	if x := <-records; x.Cause != "" || x.BytesIn < 200<<10 {
		t.Errorf("%s %q, %d bytes of body; want no failure, and all that was read", x.Cause, x.Detail, x.BytesIn)
	}
}
