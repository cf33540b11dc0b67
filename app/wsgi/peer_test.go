package wsgi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frontd/frontd/app/wsgi"
	"github.com/yookoala/gofast"
)

const echoApp = `
def application(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("201 Created", [("Content-Type", "text/plain"), ("X-Path", environ["PATH_INFO"])])
    yield environ["REQUEST_METHOD"].encode() + b" "
    yield body
`

// TestGofast asks the host through a FastCGI client that is not ours.
func TestGofast(t *testing.T) {
	_, _, conn := start(t, wsgi.Options{
		Target: "shop", Dir: writeApp(t, echoApp), Threads: 2, CacheDir: filepath.Join(t.TempDir(), "cache"),
	})
	handler := gofast.NewHandler(
		gofast.Chain(gofast.BasicParamsMap, gofast.MapHeader)(gofast.BasicSession),
		gofast.SimpleClientFactory(gofast.SimpleConnFactory("unix", conn.RemoteAddr().String())),
	)
	for _, body := range []string{"", "small", strings.Repeat("large ", 50000)} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/a%20b?q=1", strings.NewReader(body)))
		got, err := io.ReadAll(w.Result().Body)
		if err != nil {
			t.Fatal(err)
		}
		if w.Code != http.StatusCreated || string(got) != "POST "+body || w.Header().Get("X-Path") != "/a b" {
			t.Errorf("body of %d bytes: status %d, %d bytes, X-Path %q", len(body), w.Code, len(got), w.Header().Get("X-Path"))
		}
	}
}
