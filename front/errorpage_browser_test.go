package front

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/frontd/frontd/internal/counterpart"
)

// In a real browser: the page's own policy lets its style in, it is dark where
// that is wanted, fits a phone, and unfolds without a script. Where
// FRONTD_SCREENSHOTS names a folder, it is photographed for people.
func TestPostmortemInABrowser(t *testing.T) {
	path := counterpart.Find(t, "chromium")
	x := &Exchange{ID: "01req", Settings: &Settings{ShowErrors: true}, Incident: hostileIncident()}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := newPage(x, 500, "")
		p.whole = r.URL.Path != "/plain"
		p.write(w, r, x)
	}))
	t.Cleanup(srv.Close)
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
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	truth := func(why, expression string) {
		t.Helper()
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		must(err)
		if !ok {
			t.Errorf("%s: not %s", why, expression)
		}
	}
	for _, view := range []struct {
		name, scheme, ground string
		width                int64
	}{{"light", "light", "rgb(255, 255, 255)", 1100}, {"dark", "dark", "rgb(20, 23, 28)", 1100}, {"narrow", "light", "rgb(255, 255, 255)", 360}} {
		_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: view.width, Height: 900, DeviceScaleFactor: 1, Mobile: view.width < 500})
		must(err)
		_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: view.scheme}}})
		must(err)
		for _, path := range []string{"/plain", "/"} {
			must(chromedp.Do(ctx, chromedp.Navigate(srv.URL+path)))
			truth(view.name+path+" is wider than its window", `document.documentElement.scrollWidth <= innerWidth`)
			truth(view.name+path+" has what an application said as markup", `document.querySelectorAll("script, img").length === 0`)
			if dir := os.Getenv("FRONTD_SCREENSHOTS"); dir != "" {
				shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
				must(err)
				must(os.WriteFile(filepath.Join(dir, view.name+map[string]string{"/": "", "/plain": "-plain"}[path]+".png"), shot, 0o600))
			}
		}
		truth(view.name, `getComputedStyle(document.body).backgroundColor === "`+view.ground+`"`)
		truth("the failing line is to be seen", `document.querySelector("details.frame[open] .at").getBoundingClientRect().height > 10`)
		truth("the next frame is folded", `!document.querySelectorAll("details.frame")[1].open`)
		must(chromedp.Do(ctx, chromedp.Click("details.frame:not([open]) > summary")))
		truth("and unfolds", `document.querySelectorAll("details.frame")[1].open`)
		truth("the curl line is to be seen", `document.querySelector("#curl").textContent.startsWith("curl ")`)
	}
}
