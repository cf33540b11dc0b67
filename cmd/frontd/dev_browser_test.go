package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/frontd/frontd/internal/counterpart"
)

// awaitText waits until the browser shows a text.
func awaitText(t *testing.T, ctx context.Context, text string) {
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
	shows := func(text string) { t.Helper(); awaitText(t, ctx, text) }
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

// The page of a request's exception becomes the application's answer, too, once
// the code was mended; what was sent with a form is never sent again unasked.
func TestDevExceptionInABrowser(t *testing.T) {
	ctx := browser(t)
	failing := strings.Replace(devBare, `    start_response`, `    if environ["PATH_INFO"] == "/fails": raise LookupError("no such " + "thing")`+"\n"+`    start_response`, 1)
	r, path := develop(t, failing)
	r.awaitAnswer("version 000")
	if err := chromedp.Do(ctx, chromedp.Navigate(r.url+"/fails")); err != nil {
		t.Fatal(err)
	}
	awaitText(t, ctx, "LookupError: no such thing")
	if _, body, policy := r.browse("/fails"); !strings.Contains(body, "loads itself again") || !strings.Contains(policy, "script-src 'sha256-") {
		t.Errorf("the page says %q, with the policy %q", body, policy)
	}
	save(t, path, strings.Replace(failing, "LookupError", "KeyError", 1))
	awaitText(t, ctx, "KeyError: 'no such thing'")
	save(t, path, devVersion(devBare, 1))
	awaitText(t, ctx, "version 001")
}
