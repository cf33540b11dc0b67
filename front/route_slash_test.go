package front

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// Two routes may lead to one application, which decodes what routing takes for
// data: an encoded slash must not be the way around what guards one of them.
func TestEncodedSlashLeadsAroundNoRoute(t *testing.T) {
	served := ""
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { served = ExchangeOf(r).Path })
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) })
	routes := []Route{
		{Path: "/admin/", Handler: guarded}, {Path: "/api/admin/users", Handler: guarded}, {Path: "= /exact/one", Handler: guarded},
		{Path: "/api/", Handler: app}, {Path: "/", Handler: app},
	}
	h, err := New(Config{Log: quiet, Routes: routes})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		target, served string
		status         int
	}{
		{"/admin/users", "", 403},
		{"/admin%2Fusers", "", 400}, {"/admin%2f/users", "", 400}, {"/%2Fadmin/users", "", 400}, {"/%2f%2Fadmin%2Fusers", "", 400},
		{"/api/admin%2Fusers", "", 400}, {"/api/admin%2F%2Fusers", "", 400}, {"/exact%2Fone", "", 400}, {"/api%2Fother", "", 400},
		// Data, whichever way it is read.
		{"/api/projects/group%2Fname", "/api/projects/group/name", 200}, {"/redirect/http:%2F%2Fother%2F", "/redirect/http://other/", 200},
		{"/admin/group%2Fname", "", 403}, {"/a%5Cb", `/a\b`, 200},
	} {
		served = ""
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", c.target, nil))
		if w.Code != c.status || served != c.served {
			t.Errorf("%s: %d, the application saw %q; want %d and %q", c.target, w.Code, served, c.status, c.served)
		}
		u, err := url.Parse(c.target)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Explain(routes, "GET", u); (err != nil) != (c.status == 400) {
			t.Errorf("%s is explained with error %v", c.target, err)
		}
	}
}
