package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/internal/counterpart"
)

// hostile is a status with everything that a page can show, and with names
// that would like to be more than text.
func hostile() statusReport {
	s := twoApps()
	s.Stopping, s.LogLost = true, 3
	s.Apps[0].Refused = 1
	s.Apps[0].Rate.Failed = 2
	s.Apps[1].Failing = "<script>alert(1)</script>\nline two"
	for i := range 5 {
		s.Apps[0].Workers[1].InFlight = append(s.Apps[0].Workers[1].InFlight,
			front.Flight{Method: "GET", URI: fmt.Sprintf("/%d/\"><img src=x onerror=alert(1)>", i), Age: time.Second})
	}
	s.Apps = append(s.Apps, appReport{Name: "fpm", Kind: "fcgi", Target: "127.0.0.1:9000"})
	return s
}

func TestStatusPageShowsAndEscapes(t *testing.T) {
	p := newStatusPage("status.json", hostile)
	w := httptest.NewRecorder()
	p.page(w, httptest.NewRequest(http.MethodGet, "/", nil))
	page := w.Body.String()
	for _, want := range []string{
		"<title>frontd: stopping, 4 requests wait for blog, shop does not start</title>", "&lt;script&gt;alert(1)", "3 log lines lost",
		"and 2 more", "/2/&#34;&gt;&lt;img", "before: exit status 1 after 20ms", "Its workers are not frontd’s", "4.2ms", "http-equiv=\"refresh\"",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if strings.Contains(page, "<img") || strings.Contains(page, "/3/") || strings.Count(page, "<script>") != 1 {
		t.Errorf("what a client says became more than text, or too much is shown:\n%s", page)
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy is %q", csp)
	}
}

func TestEventFraming(t *testing.T) {
	if got, want := string(event([]byte("a\nb\r\n\nc"))), "data: a\ndata: b\ndata: \ndata: c\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// As many as may watch do; one more is told to come later, and gets in when
// one of them leaves.
func TestWatchersAreBounded(t *testing.T) {
	p := newStatusPage("status.json", twoApps)
	mux := http.NewServeMux()
	p.serve(mux)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	client := newClient(t)
	watch := func() (*http.Response, error) { return client.Get(s.URL + "/events") }
	var open []*http.Response
	t.Cleanup(func() {
		for _, r := range open {
			r.Body.Close()
		}
	})
	for range maxWatchers {
		r, err := watch()
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%v %v", r, err)
		}
		open = append(open, r)
		if _, err := io.ReadFull(r.Body, make([]byte, len("data: <header>"))); err != nil {
			t.Fatal(err)
		}
	}
	late, err := watch()
	if err != nil || late.StatusCode != http.StatusServiceUnavailable || late.Header.Get("Retry-After") == "" {
		t.Errorf("one more: %v %v", late, err)
	}
	late.Body.Close()
	open[0].Body.Close()
	counterpart.Await(t, "a place for one more", patience, func() error {
		r, err := watch()
		if err == nil {
			open = append(open, r)
			if r.StatusCode != http.StatusOK {
				err = fmt.Errorf("%s", r.Status)
			}
		}
		return err
	})
}

// browser starts chromium without a window, for as long as the test runs.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := counterpart.Find(t, "chromium")
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(2*time.Minute)) // on a fresh machine it comes from the disk
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, end := chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(end)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("end chromium: %v", err)
		}
	})
	return ctx
}

// In a real browser: nothing is refused by the page's own policy, it follows
// the daemon, it is dark where that is wanted, and fits a phone.
func TestStatusPageInABrowser(t *testing.T) {
	ctx := browser(t)
	dir := t.TempDir()
	r := serve(t, dir, configure(t, dir, oneDemo)...)
	thrown := make(chan string, 100)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(chromedp.Listen(ctx, func(e any) {
		if e, ok := e.(*cdpruntime.EventExceptionThrown); ok {
			thrown <- e.ExceptionDetails.Text
		}
	}))
	_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 360, Height: 740, DeviceScaleFactor: 2, Mobile: true})
	must(err)
	await := func(why, expression string) {
		t.Helper()
		if err := chromedp.Do(ctx, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(patience))); err != nil {
			t.Fatalf("%s: %v", why, err)
		}
	}
	// The policy is the page's own: it lets its style, its script and its events in.
	must(chromedp.Do(ctx, chromedp.Navigate(r.numbers()+"/")))
	await("the page is not live", `document.getElementById("link").textContent === "Live."`)
	border, err := chromedp.Run(ctx, chromedp.Evaluate[string](`getComputedStyle(document.querySelector("section")).borderTopStyle`))
	must(err)
	if border != "solid" {
		t.Errorf("the border of a section is %q: the page has no style", border)
	}
	wide, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`))
	must(err)
	if wide {
		t.Error("the page is wider than a phone")
	}
	for scheme, want := range map[string]string{"light": "rgb(255, 255, 255)", "dark": "rgb(22, 24, 28)"} {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		must(err)
		ground, err := chromedp.Run(ctx, chromedp.Evaluate[string](`getComputedStyle(document.body).backgroundColor`))
		must(err)
		if ground != want {
			t.Errorf("%s: the ground is %s, want %s", scheme, ground, want)
		}
	}
	release := r.hold()
	await("the request in flight does not appear", `document.querySelector("td.serving").textContent.includes("POST /checksum")`)
	release()
	await("its end does not appear", `document.querySelector("td:nth-child(2)").textContent === "idle"`)
	select {
	case what := <-thrown:
		t.Errorf("the script failed: %s", what)
	default:
	}
}
