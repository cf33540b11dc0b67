package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/frontd/frontd/internal/counterpart"
)

const ownPageApp = `
PAGE = b"<!doctype html><title>mine</title><p>000</p></html>"
def app(environ, start_response):
    path = environ["PATH_INFO"]
    headers = [("Content-Type", "text/plain" if path == "/text" else "text/html; charset=utf-8")]
    if path == "/policy": headers.append(("Content-Security-Policy", "default-src 'self'"))
    if path == "/length": headers.append(("Content-Length", str(len(PAGE))))
    start_response("200 OK" if path == "/well" else "500 Internal Server Error", headers)
    return iter([PAGE[:10], PAGE[10:]])
`

// TestDevOwnPage: the page that an application has of its own for an exception is
// told when a change has been tried, and other answers are left alone.
func TestDevOwnPage(t *testing.T) {
	r, path := develop(t, ownPageApp)
	const page = "<!doctype html><title>mine</title><p>000</p></html>"
	for _, url := range []string{"/well", "/text", "/policy"} {
		if _, body, _ := r.browse(url); body != page {
			t.Errorf("%s: %q", url, body)
		}
	}
	if a := r.get("/length"); a.body != page {
		t.Errorf("what is no browser got %q", a.body)
	}
	var told []<-chan string
	for _, url := range []string{"/length", "/streamed"} {
		status, body, _ := r.browse(url)
		if status != http.StatusInternalServerError || !strings.HasPrefix(body, page+"<script data-news=") {
			t.Fatalf("%s: %d %q", url, status, body)
		}
		told = append(told, r.awaitNews(body))
	}
	save(t, path, devVersion(ownPageApp, 1))
	for _, c := range told {
		if line := <-c; line != "data: news" {
			t.Errorf("the page was told %q", line)
		}
	}
}

const debuggedDjango = `
import sys
from django.conf import settings
settings.configure(DEBUG=True, SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
def view(request): return HttpResponse("is " + "well now" if "000" == "001" else [][1])
urlpatterns = [path("", view)]
app = get_wsgi_application()
`

// TestDevDjangoPage has a real browser stand before Django's page of an exception
// while the file is mended: it shows what is mended without being asked.
func TestDevDjangoPage(t *testing.T) {
	counterpart.NeedRun(t, "python3's django", "python3", "-c", "import django")
	ctx := browser(t)
	r, path := develop(t, debuggedDjango)
	r.awaitServing("app", 1)
	if err := chromedp.Do(ctx, chromedp.Navigate(r.url+"/")); err != nil {
		t.Fatal(err)
	}
	awaitText(t, ctx, "IndexError")
	save(t, path, devVersion(debuggedDjango, 1))
	awaitText(t, ctx, "is well now")
}
