package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func scrape(fill func(*Page)) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	Handler(fill).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w
}

// What is served passes Prometheus' own lint, whatever the names are.
func TestPageIsWellFormed(t *testing.T) {
	s := New("a\"b\\c\nd")
	s.Keep([]string{"blog", "shop"})
	for _, status := range []int{0, 101, 200, 301, 404, 500} {
		r := request("blog", status, time.Duration(status)*time.Millisecond)
		r.Cause = "a\"b\\c\nd"
		s.Observe(r)
	}
	w := scrape(s.Write)
	page := w.Body.String()
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, page)
	}
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatalf("%v in\n%s", err, page)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, want := range []string{
		`cause="a\"b\\c\nd"`, `frontd_request_duration_seconds_bucket{app="blog",class="4xx",le="0.5"} 1`,
		`frontd_request_duration_seconds_count{app="blog",class="5xx"} 1`, "go_goroutines ", "process_cpu_seconds_total ",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
}

// A metric that is told twice is a failed scrape, not a page with a doubt.
func TestTwiceIsAnError(t *testing.T) {
	w := scrape(func(p *Page) {
		p.Metric("a", Gauge, "A.")
		p.Sample(1)
		p.Sample(2)
	})
	if w.Code != 500 || !strings.Contains(w.Body.String(), "collected before") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}
