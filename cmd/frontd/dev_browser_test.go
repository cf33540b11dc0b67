package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/frontd/frontd/internal/counterpart"
)

// In a real browser: the page's own policy lets its script run, and the page
// becomes the next error's, and at last the application's, without being asked.
func TestDevPageInABrowser(t *testing.T) {
	ctx := browser(t)
	r, path := develop(t, devBare)
	r.awaitAnswer("version 000")
	save(t, path, devBare+"def broken(:\n")
	r.AwaitLine("not restarted", patience)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	shows := func(text string) {
		t.Helper()
		// Not Poll: it ends with the page that it is asked in.
		counterpart.Await(t, "a page with "+text, patience, func() error {
			body, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body ? document.body.innerText : ""`))
			if err == nil && !strings.Contains(body, text) {
				err = fmt.Errorf("it shows %q", body)
			}
			return err
		})
	}
	must(chromedp.Do(ctx, chromedp.Navigate(r.url+"/")))
	shows("SyntaxError: invalid syntax")
	wide, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`))
	must(err)
	if wide {
		t.Error("the page is wider than the window")
	}
	save(t, path, devBare+"raise LookupError('another one')\n")
	shows("LookupError: another one")
	save(t, path, devVersion(devBare, 1))
	shows("version 001")
}
