package wsgi_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/frontd/frontd/app/wsgi"
	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/incident"
)

const failingApp = `
def inner(secret):
    raise LookupError("no such thing \u20ac")

def application(environ, start_response):
    try:
        inner("s3")
    except LookupError as e:
        raise ValueError("outer\nof two lines") from e
`

// TestTraceback has an application fail and reads what it told of it.
func TestTraceback(t *testing.T) {
	for _, dev := range []bool{false, true} {
		_, _, conn := start(t, wsgi.Options{
			Target: "shop", Dir: writeApp(t, failingApp), Dev: dev, Tracebacks: true,
			CacheDir: filepath.Join(t.TempDir(), "cache"),
		})
		_, stderr := converse(t, conn, fcgi.NewRecordReader(conn), "")
		lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
		if !incident.HostLine([]byte(lines[len(lines)-1])) {
			t.Fatalf("no line for programs at the end of %q", stderr)
		}
		tb := incident.Parse(lines[len(lines)-1] + "\n")
		if tb == nil {
			t.Fatalf("nothing is found in %q", lines[len(lines)-1])
		}
		if lines[0] != "Traceback (most recent call last):" {
			t.Errorf("the traceback for people begins with %q", lines[0])
		}
		if tb.Type != "ValueError" || tb.Message != "outer\nof two lines" || len(tb.Frames) != 1 {
			t.Fatalf("exception %+v", tb)
		}
		if f := tb.Frames[0]; filepath.Base(f.File) != "shop.py" || f.Line != 9 || f.Function != "application" ||
			f.Code != `raise ValueError("outer\nof two lines") from e` {
			t.Errorf("frame %+v", f)
		}
		if tb.Cause == nil || tb.Cause.Message != "no such thing €" || len(tb.Cause.Frames) != 2 {
			t.Fatalf("cause %+v", tb.Cause)
		}
		want := ""
		if dev {
			want = "'s3'"
		}
		if got := tb.Cause.Frames[1].Locals["secret"]; got != want {
			t.Errorf("dev %v: local variable %q, want %q", dev, got, want)
		}
	}
}
