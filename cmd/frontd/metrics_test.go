package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/internal/counterpart"
)

// numbers is the address of the listener of [metrics], once it serves.
func (r *running) numbers() string {
	r.t.Helper()
	return "http://" + r.AwaitLine(`numbers listen.* address"?[:=]"?([^ "]+)`, patience)[1]
}

// fetchNumbers asks the listener of [metrics].
func (r *running) fetchNumbers(url string) fetched {
	r.t.Helper()
	a, err := ask(r.t.Context(), r.client, http.MethodGet, url, "", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

const oneDemo = "[server]\nlisten = [\"127.0.0.1:0\"]\n[metrics]\nlisten = \"127.0.0.1:0\"\n[app.demo]\nkind = \"demo\"\nworkers = 1\nthreads = 1\n"

func TestMetricsCountRequests(t *testing.T) {
	dir := t.TempDir()
	r := serve(t, dir, configure(t, dir, oneDemo)...)
	r.get("/hello")
	r.get("/status?code=503")
	r.do(http.MethodPost, "/checksum", "text/plain", strings.NewReader("12345"))
	// A request is counted after its answer.
	var page string
	counterpart.Await(t, "three requests to be counted", patience, func() error {
		page = r.fetchNumbers(r.numbers() + "/metrics").body
		for _, want := range []string{
			`frontd_requests_total{app="demo",class="2xx"} 2`, `frontd_requests_total{app="demo",class="5xx"} 1`,
			`frontd_request_duration_seconds_count{app="demo",class="2xx"} 2`,
			`frontd_request_queue_seconds_count{app="demo",class="2xx"} 2`,
			`frontd_request_worker_seconds_count{app="demo",class="5xx"} 1`,
			`frontd_request_body_bytes_total{app="demo"} 5`,
			`frontd_workers{app="demo",state="idle"} 1`, `frontd_queue_capacity{app="demo"} 1024`,
			`frontd_worker_restarts_total{app="demo",cause="signal"} 0`,
		} {
			if !strings.Contains(page, want+"\n") {
				return fmt.Errorf("no %s in\n%s", want, page)
			}
		}
		return nil
	})
	if err := r.killWorker(); err != nil {
		t.Fatal(err)
	}
	counterpart.Await(t, "the crash to be counted", patience, func() error {
		if p := r.fetchNumbers(r.numbers() + "/metrics").body; !strings.Contains(p, `frontd_worker_restarts_total{app="demo",cause="signal"} 1`+"\n") {
			return fmt.Errorf("page:\n%s", p)
		}
		return nil
	})
}

func (r *running) killWorker() error {
	return syscall.Kill(r.awaitServing("demo", 1)[0], syscall.SIGKILL)
}

// The page docs/metrics.md and what is served name the same metrics, with the
// same types.
func TestMetricsAreDocumented(t *testing.T) {
	dir := t.TempDir()
	r := serve(t, dir, configure(t, dir, oneDemo)...)
	// What has no sample yet is not served: one request of a worker, and one that is refused.
	r.get("/hello")
	r.do(http.MethodTrace, "/hello", "", nil)
	var page string
	counterpart.Await(t, "a failure to be counted", patience, func() error {
		page = r.fetchNumbers(r.numbers() + "/metrics").body
		if !strings.Contains(page, `cause="method-not-allowed"`) || !strings.Contains(page, "frontd_request_worker_seconds_sum{") {
			return errors.New("not yet in " + page)
		}
		return nil
	})
	served := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(page, -1) {
		served[m[1]] = m[2]
	}
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (counter|gauge|histogram|summary) ").FindAllStringSubmatch(string(doc), -1) {
		described[m[1]] = m[2]
	}
	if len(served) < 20 || !reflect.DeepEqual(served, described) {
		t.Errorf("served:    %v\ndescribed: %v", served, described)
	}
}

// Every field of a status is in docs/control.md.
func TestStatusIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/control.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, v := range []any{statusReport{}, appReport{}, workerReport{}, rateReport{}, stateReport{}, front.Flight{}} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if n++; !strings.Contains(string(doc), "`"+name+"`") {
				t.Errorf("%T's %s is not described", v, name)
			}
		}
	}
	if n < 40 {
		t.Errorf("only %d fields were found", n)
	}
}

// Busy workers and a queue keep nobody waiting who asks how it is (S44 of
// the peers' pitfalls: a status page served by the pool that it reports on).
func TestStatusOfABusyDaemon(t *testing.T) {
	dir := t.TempDir()
	r := serve(t, dir, configure(t, dir, oneDemo)...)
	numbers := r.numbers()
	release := r.hold()
	waiting := make(chan struct{})
	go func() {
		defer close(waiting) // received below
		if resp, err := r.client.Get(r.url + "/hello?secret=1"); err != nil {
			t.Error(err)
		} else {
			resp.Body.Close()
		}
	}()
	counterpart.Await(t, "a request to wait", patience, func() error {
		if s := r.status(); s.Apps[0].Queue != 1 {
			return fmt.Errorf("queue: %d", s.Apps[0].Queue)
		}
		return nil
	})
	s := r.status()
	if w := s.Apps[0].Workers[0]; s.Apps[0].States != (stateReport{Busy: 1}) || w.Busy != 1 || len(w.InFlight) != 1 || w.InFlight[0].URI != "/checksum?hold" {
		t.Errorf("status is %+v", s.Apps[0])
	}
	for _, path := range []string{"/metrics", "/live", "/ready", "/status.json"} {
		// The machine may be busy with other tests: the best of several counts.
		best := time.Hour
		for range 20 {
			began := time.Now()
			if a := r.fetchNumbers(numbers + path); a.status != http.StatusOK {
				t.Fatalf("%s: %d %s", path, a.status, a.body)
			}
			best = min(best, time.Since(began))
		}
		prompt(t, path, best, 50*time.Millisecond)
	}
	if a := r.fetchNumbers(numbers + "/status.json"); !strings.Contains(a.body, `"uri":"/checksum"`) || strings.Contains(a.body, "hold") {
		t.Errorf("the query of a request in flight is public, or its path is not: %s", a.body)
	}
	release()
	<-waiting
}

func TestReadyFollowsTheWorkers(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/start.sh", "exit 1\n")
	r := launch(t, dir, configure(t, dir, oneDemo+"[app.late]\nkind = \"exec\"\ntarget = \"sh start.sh\"\nworkers = 1\n[[route]]\npath = \"/late\"\napp = \"late\"\n[[route]]\npath = \"/\"\napp = \"demo\"\n")...)
	numbers := r.numbers()
	counterpart.Await(t, "the late application to be the one that is not ready", patience, func() error {
		if a := r.fetchNumbers(numbers + "/ready"); a.status != http.StatusServiceUnavailable || a.body != "late: its workers do not start\n" {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
	if a := r.fetchNumbers(numbers + "/live"); a.status != http.StatusOK {
		t.Errorf("a failing application makes the daemon dead: %d %s", a.status, a.body)
	}
	write(t, dir+"/start.sh", "exec gofcgi\n")
	counterpart.Await(t, "ready", patience, func() error {
		if a := r.fetchNumbers(numbers + "/ready"); a.status != http.StatusOK || a.body != "ready\n" {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
}

// From the beginning of a graceful stop to its end the daemon is not ready.
func TestNotReadyWhileStopping(t *testing.T) {
	dir := t.TempDir()
	r := serve(t, dir, configure(t, dir, oneDemo)...)
	numbers := r.numbers()
	release := r.hold()
	r.Signal(syscall.SIGTERM)
	counterpart.Await(t, "not ready", patience, func() error {
		if a := r.fetchNumbers(numbers + "/ready"); a.status != http.StatusServiceUnavailable || a.body != "stopping\n" {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
	release()
	if s := r.AwaitExit(patience); s.ExitCode() != 0 {
		t.Errorf("exit status %d", s.ExitCode())
	}
}

func TestKnownHost(t *testing.T) {
	hosts := []string{"web1.internal", "*.metrics.example.com"}
	for host, want := range map[string]bool{
		"127.0.0.1:9180": true, "[::1]:9180": true, "::1": true, "localhost": true, "LOCALHOST.:9180": true, "": true,
		"box": true, "BOX:9180": true, "web1.internal:9180": true, "a.metrics.example.com": true,
		"evil.example": false, "evil.example:9180": false, "metrics.example.com": false, ".metrics.example.com": false,
		"127.0.0.1.evil.example": false, "localhost.evil.example": false, "xweb1.internal": false, "127.0.0.1@evil": false,
	} {
		if got := knownHost(host, "box", hosts); got != want {
			t.Errorf("%q: %v, want %v", host, got, want)
		}
	}
}

func TestGuardRefusesForeignNames(t *testing.T) {
	h := guarded(nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("numbers")) }))
	for _, c := range []struct {
		host, path string
		want       int
	}{
		{"127.0.0.1:9180", "/metrics", 200}, {"evil.example", "/metrics", 421}, {"evil.example", "/", 421},
		{"evil.example", "/ready", 200}, {"lb.internal", "/live", 200},
	} {
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s of %s: %d, want %d", c.path, c.host, w.Code, c.want)
		}
		if c.want == 421 && strings.Contains(w.Body.String(), "numbers") {
			t.Errorf("%s of %s: told all the same", c.path, c.host)
		}
	}
}

// A check that hangs makes the daemon dead to its probes, and costs one
// goroutine however often they come.
func TestLiveness(t *testing.T) {
	stuck := make(chan struct{})
	entered := make(chan struct{}, 10)
	l := &liveness{check: func() { entered <- struct{}{}; <-stuck }}
	for range 3 {
		if err := l.ask(t.Context()); err == nil {
			t.Error("alive, although the check hangs")
		}
	}
	if len(entered) != 1 {
		t.Errorf("%d checks hang", len(entered))
	}
	close(stuck)
	counterpart.Await(t, "the check to come back", patience, func() error { return l.ask(t.Context()) })
}

// Nobody asks: nothing is counted. Somebody watches: for a while it is.
func TestTrafficCountsForWatchersOnly(t *testing.T) {
	tr := newTraffic()
	defer tr.close()
	tr.set.Keep([]string{"a"})
	x := &front.Exchange{App: "a", Status: 200, Start: time.Now()}
	tr.observe(x)
	if r := tr.rates(time.Now(), false); r != nil || tr.counted.Load() {
		t.Errorf("counted for nobody: %v", r)
	}
	now := time.Now()
	tr.rates(now, true)
	tr.observe(x)
	if r := tr.rates(now.Add(time.Second), true)["a"]; r.Requests != 1 {
		t.Errorf("watched, the rate is %+v, want 1 a second", r)
	}
	tr.unwatched()
	if tr.counted.Load() {
		t.Error("counted on after the watcher has gone")
	}
	tr.keep()
	tr.unwatched()
	if !tr.counted.Load() {
		t.Error("not counted for [metrics], after a watcher has gone")
	}
}

func TestCausesAreAll(t *testing.T) {
	src, err := os.ReadFile("../../front/errors.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^\t\w+ +Cause = "([a-z-]+)"`).FindAllStringSubmatch(string(src), -1) {
		names = append(names, m[1])
		if !slices.Contains(front.Causes, front.Cause(m[1])) {
			t.Errorf("front.Causes lacks %s: its requests would count as other", m[1])
		}
	}
	if len(names) != len(front.Causes) || len(names) < 20 {
		t.Errorf("%d causes, %d in front.Causes", len(names), len(front.Causes))
	}
}

// Each expression of the dashboard names metrics that exist.
func TestDashboardNamesMetricsThatExist(t *testing.T) {
	raw, err := os.ReadFile("../../deploy/grafana/frontd.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var dash struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Definition string }
		}
	}
	if err := json.Unmarshal(raw, &dash); err != nil {
		t.Fatal(err)
	}
	var exprs []string
	for _, p := range dash.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, g := range p.Targets {
			exprs = append(exprs, g.Expr)
		}
	}
	for _, v := range dash.Templating.List {
		exprs = append(exprs, v.Definition)
	}
	named := 0
	for _, expr := range exprs {
		for _, name := range regexp.MustCompile(`\b(?:frontd|process|go)_[a-z_]+`).FindAllString(expr, -1) {
			named++
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			if !strings.Contains(string(doc), "| `"+name+"` |") && !strings.Contains(string(doc), "| `"+base+"` | histogram") {
				t.Errorf("%s names %s, which does not exist", expr, name)
			}
		}
	}
	if named < 15 {
		t.Errorf("only %d names were found", named)
	}
}

// What [metrics] costs a request.
func BenchmarkTraffic(b *testing.B) {
	tr := newTraffic()
	defer tr.close()
	tr.set.Keep([]string{"a"})
	x := &front.Exchange{App: "a", Status: 200, Start: time.Now(), Attempts: 1, BytesOut: 100}
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprintf("counted=%v", on), func(b *testing.B) {
			if on {
				tr.keep()
			}
			b.ReportAllocs()
			for b.Loop() {
				tr.observe(x)
			}
		})
	}
	if n := testing.AllocsPerRun(100, func() { tr.observe(x) }); n != 0 {
		b.Errorf("%v allocations a request", n)
	}
}
