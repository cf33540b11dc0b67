package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/frontd/frontd/internal/counterpart"
)

// A view is how a person looks at a page.
type view struct {
	name, scheme string
	width        int64
}

var views = []view{{"light", "light", 1100}, {"dark", "dark", 1100}, {"narrow", "light", 360}}

func (v view) set(ctx context.Context) error {
	_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: v.width, Height: 900, DeviceScaleFactor: 1, Mobile: v.width < 500})
	if err != nil {
		return err
	}
	_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.scheme}}})
	return err
}

// In a real browser, what each way to fail shows: under --dev the post-mortem, in
// light, dark and on a phone. Where FRONTD_SCREENSHOTS names a folder, each is
// photographed for people.
func TestIncidentPagesInABrowser(t *testing.T) {
	ctx := browser(t)
	dir := counterpart.Dir(t)
	r := serve(t, dir, append(configure(t, dir, layFailing(t, dir)), "--dev")...)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := chromedp.Call(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"X-Api-Key": "hunter2"}})
	must(err)
	for _, f := range mishaps {
		must(chromedp.Do(ctx, chromedp.Navigate(r.url+f.path+"?item=tea&password=hunter2")))
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
		must(err)
		title := f.title
		if f.stacks != "" && r.saidStacks() {
			title = f.stacks
		}
		if !strings.Contains(text, title) || strings.Contains(text, "hunter2") || !strings.Contains(text, "curl ") {
			t.Errorf("%s: want %q, a curl line, and no secret in\n%s", f.name, title, text)
		}
		for _, view := range views {
			must(view.set(ctx))
			ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.documentElement.scrollWidth <= innerWidth`))
			must(err)
			if !ok {
				t.Errorf("%s, %s: the page is wider than its window", f.name, view.name)
			}
			if shots := os.Getenv("FRONTD_SCREENSHOTS"); shots != "" {
				shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
				must(err)
				name := fmt.Sprintf("%s-%s.png", strings.ReplaceAll(f.name, " ", "-"), view.name)
				must(os.WriteFile(filepath.Join(shots, name), shot, 0o600))
			}
		}
	}
}
