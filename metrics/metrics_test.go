package metrics

import (
	"math"
	"strings"
	"sync"
	"testing"
	"time"
)

func request(app string, status int, d time.Duration) *Request {
	return &Request{App: app, Status: status, Queued: true, Worked: true, Queue: d / 4, Worker: d / 2, Duration: d}
}

func TestObserveNeitherAllocatesNorForgets(t *testing.T) {
	s := New("worker-died", "client-gone")
	s.Keep([]string{"blog"})
	r := request("blog", 502, 3*time.Millisecond)
	r.Cause, r.BytesIn, r.BytesOut = "worker-died", 10, 20
	if n := testing.AllocsPerRun(1000, func() { s.Observe(r) }); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
	p := page(s)
	for _, want := range []string{
		`frontd_requests_total{app="blog",class="5xx"} 1001`,
		`frontd_request_failures_total{app="blog",cause="worker-died",class="5xx"} 1001`,
		`frontd_request_body_bytes_total{app="blog"} 10010`,
		`frontd_response_body_bytes_total{app="blog"} 20020`,
		`frontd_request_duration_seconds_bucket{app="blog",class="5xx",le="0.0025"} 0`,
		`frontd_request_duration_seconds_bucket{app="blog",class="5xx",le="0.005"} 1001`,
		`frontd_request_duration_seconds_bucket{app="blog",class="5xx",le="+Inf"} 1001`,
		`frontd_request_queue_seconds_count{app="blog",class="5xx"} 1001`,
		`frontd_request_worker_seconds_sum{app="blog",class="5xx"} 1.5015`,
	} {
		if !strings.Contains(p, want+"\n") {
			t.Errorf("the page has no line %q in\n%s", want, p)
		}
	}
}

func page(s *Set) string { return scrape(s.Write).Body.String() }

// What a client says never becomes a label, and so no page grows by it.
func TestSizeIsBounded(t *testing.T) {
	s := New("client-gone")
	s.Keep([]string{"blog"})
	fill := func(name string, status int) {
		r := request(name, status, time.Second)
		r.Cause = name
		s.Observe(r)
	}
	for status := range 1000 {
		fill("a", status)
	}
	lines := strings.Count(page(s), "\nfrontd_")
	for status := -1; status < 100_000; status += 997 {
		fill(strings.Repeat("x", status%50+1), status)
	}
	if got := strings.Count(page(s), "\nfrontd_"); got != lines {
		t.Errorf("%d lines became %d", lines, got)
	}
	if !strings.Contains(page(s), `app="(none)",cause="other",class="other"`) {
		t.Error("what is not known is counted nowhere")
	}
}

func TestKeep(t *testing.T) {
	s := New()
	s.Keep([]string{"a", "b"})
	a := s.App("a")
	s.Keep([]string{"c", "a"})
	if s.App("a") != a {
		t.Error("a lost its numbers in a reload that kept it")
	}
	if s.App("b") != nil {
		t.Error("b is counted after it was removed")
	}
	if got := strings.Join(s.Apps(), " "); got != "(none) a c" {
		t.Errorf("applications are %q", got)
	}
}

func TestRefuseCountsTheCauseAlone(t *testing.T) {
	s := New("bad-request")
	s.Refuse(400, "bad-request")
	if p := page(s); !strings.Contains(p, `frontd_request_failures_total{app="(none)",cause="bad-request",class="4xx"} 1`) ||
		!strings.Contains(p, `frontd_requests_total{app="(none)",class="4xx"} 0`) {
		t.Errorf("page:\n%s", p)
	}
}

func TestConcurrentObserversLoseNothing(t *testing.T) {
	s := New()
	s.Keep([]string{"a"})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { // waited for below
			for range 1000 {
				s.Observe(request("a", 200, time.Millisecond))
			}
		})
	}
	for range 100 {
		s.Keep([]string{"a"})
		page(s)
	}
	all.Wait()
	if !strings.Contains(page(s), `frontd_requests_total{app="a",class="2xx"} 8000`) {
		t.Error("requests were lost")
	}
}

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		name string
		of   map[time.Duration]int
		q    float64
		want time.Duration
	}{
		{"none", nil, 0.99, 0},
		{"the middle of the first bucket", map[time.Duration]int{50 * time.Microsecond: 10}, 0.5, 50 * time.Microsecond},
		{"the end of a bucket", map[time.Duration]int{4 * time.Millisecond: 10}, 1, 5 * time.Millisecond},
		{"the slow hundredth", map[time.Duration]int{time.Millisecond: 98, 4 * time.Second: 2}, 0.99, 3750 * time.Millisecond},
		{"beyond the last bound", map[time.Duration]int{time.Hour: 1}, 0.5, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h histogram
			for d, n := range c.of {
				for range n {
					h.observe(d)
				}
			}
			counts := h.read()
			if got := counts.Quantile(c.q); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestWindow(t *testing.T) {
	s := New()
	s.Keep([]string{"a"})
	w := NewWindow(s)
	now := time.Unix(1000, 0)
	if got := w.Rates(now); len(got) != 0 {
		t.Errorf("the first question is answered with %v", got)
	}
	observe := func(n, status int) {
		for range n {
			r := request("a", status, 4*time.Millisecond)
			r.BytesIn = 3
			s.Observe(r)
		}
	}
	observe(20, 200)
	observe(20, 503)
	now = now.Add(4 * time.Second)
	got := w.Rates(now)["a"]
	if want := (Rate{Seconds: 4, Requests: 10, Failed: 5, BytesIn: 30, P50: 3750 * time.Microsecond, P99: 4975 * time.Microsecond}); got != want {
		t.Errorf("rates are %+v, want %+v", got, want)
	}
	// Watched every second, the window is ten seconds long.
	for range 30 {
		now = now.Add(time.Second)
		observe(7, 200)
		got = w.Rates(now)["a"]
	}
	if math.Abs(got.Requests-7) > 1e-9 || got.Seconds < 9 || got.Seconds > 11 || got.Failed != 0 {
		t.Errorf("after half a minute rates are %+v, want 7 requests/s of about 10 s", got)
	}
	if n := len(w.moments); n > windowPlaces {
		t.Errorf("%d moments are kept, at most %d", n, windowPlaces)
	}
	// A rate over an hour tells nothing of now.
	if got := w.Rates(now.Add(time.Hour)); len(got) != 0 {
		t.Errorf("after an hour rates are %v", got)
	}
}

// An application that went and came again under the same name begins anew:
// its counters are lower than they were.
func TestWindowOfAnApplicationThatCameAgain(t *testing.T) {
	s := New()
	s.Keep([]string{"a"})
	s.Observe(request("a", 200, time.Second))
	w, now := NewWindow(s), time.Unix(1000, 0)
	w.Rates(now)
	s.Keep(nil)
	s.Keep([]string{"a"})
	if got, ok := w.Rates(now.Add(time.Second))["a"]; ok {
		t.Errorf("its rate is %+v, want none yet", got)
	}
}

func BenchmarkObserve(b *testing.B) {
	s := New("client-gone")
	s.Keep([]string{"blog", "shop"})
	r := request("blog", 200, 3*time.Millisecond)
	r.BytesIn, r.BytesOut = 10, 1000
	b.ReportAllocs()
	for b.Loop() {
		s.Observe(r)
	}
}
