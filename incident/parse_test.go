package incident

import (
	"fmt"
	"strings"
	"testing"
)

// show is a traceback in a form to compare: one line a frame, outermost first.
func show(t *Traceback) string {
	if t == nil {
		return "none\n"
	}
	var b strings.Builder
	if t.Cause != nil {
		b.WriteString(show(t.Cause) + "= " + t.Relation + "\n")
	}
	fmt.Fprintf(&b, "%s %s: %s\n", t.Language, t.Type, t.Message)
	for _, f := range t.Frames {
		fmt.Fprintf(&b, "  %s:%d %s | %s\n", f.File, f.Line, f.Function, f.Code)
	}
	if t.Notes != "" {
		fmt.Fprintf(&b, "+ %s\n", t.Notes)
	}
	return b.String()
}

var tracebacks = []struct{ name, text, want string }{
	{"python, as Flask logs it", `[2026-11-21 06:00:00,000] ERROR in app: Exception on /x [GET]
Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/flask/app.py", line 1473, in wsgi_app
    response = self.full_dispatch_request()
               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop.py", line 7, in view
    return 1 / 0
           ~~^~~
ZeroDivisionError: division by zero
`, `python ZeroDivisionError: division by zero
  /usr/lib/python3/dist-packages/flask/app.py:1473 wsgi_app | response = self.full_dispatch_request()
  /srv/shop.py:7 view | return 1 / 0
`},
	{"python, chained both ways, with a note", `Traceback (most recent call last):
  File "/a.py", line 1, in a
    a()
KeyError: 'x'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/a.py", line 2, in b
    b()
shop.errors.NotFound: no x

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/a.py", line 3, in c
    c()
  [Previous line repeated 3 more times]
RuntimeError
a note
`, `python KeyError: 'x'
  /a.py:1 a | a()
= from
python shop.errors.NotFound: no x
  /a.py:2 b | b()
= during
python RuntimeError: 
  /a.py:3 c | c()
+ a note
`},
	{"python, a syntax error", `Traceback (most recent call last):
  File "/w.py", line 1, in <module>
    import bad
  File "/bad.py", line 3
    def (
        ^
SyntaxError: invalid syntax
`, `python SyntaxError: invalid syntax
  /w.py:1 <module> | import bad
  /bad.py:3  | def (
`},
	{"python, a group stays as it is", "  + Exception Group Traceback (most recent call last):\n  |   File \"/a.py\", line 1, in <module>\n  | ExceptionGroup: x (1 sub-exception)\n", "none\n"},
	{"python, died of a signal", `Fatal Python error: Segmentation fault

Thread 0x00007f0000000002 (most recent call first):
  File "/other.py", line 9 in wait

Current thread 0x00007f0000000001 (most recent call first):
  File "/usr/lib/python3.12/ctypes/__init__.py", line 519 in string_at
  File "/srv/app.py", line 4 in app

Extension modules: x (total: 1)
`, `python Fatal Python error: Segmentation fault
  /srv/app.py:4 app | 
  /usr/lib/python3.12/ctypes/__init__.py:519 string_at | 
`},
	{"our host's line", "Traceback (most recent call last):\nX: y\n" + hostPrefix + `{"type":"shop.X","message":"y","frames":[{"file":"/a.py","line":3,"function":"f","code":"x()"}],"cause":{"type":"K","message":"z","frames":[]}}` + "\n",
		"python K: z\n= \npython shop.X: y\n  /a.py:3 f | x()\n"},
	{"php, uncaught, with a previous one", `PHP Warning:  something in /srv/w.php on line 1
PHP Fatal error:  Uncaught LogicException: inner in /srv/a.php:3
Stack trace:
#0 /srv/a.php(9): inner(1, 'x')
#1 {main}

Next RuntimeException: outer
of two lines in /srv/a.php:5
Stack trace:
#0 [internal function]: Shop\Cart->add(Object(X))
#1 /srv/a.php(9): array_map(Array)
#2 {main}
  thrown in /srv/a.php on line 5
`, `php LogicException: inner
  /srv/a.php:9  | 
  /srv/a.php:3 inner | 
= previous
php RuntimeException: outer
  /srv/a.php:9  | 
  :0 array_map | 
  /srv/a.php:5 Shop\Cart->add | 
+ of two lines
`},
	{"php, a parse error", "[21-Nov-2026 06:00:00 UTC] PHP Parse error:  syntax error, unexpected token \"}\" in /srv/a.php on line 4\n",
		"php PHP Parse error: syntax error, unexpected token \"}\"\n  /srv/a.php:4  | \n"},
	{"php, memory", "PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 bytes) in /srv/a.php on line 2\n",
		"php PHP Fatal error: Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 bytes)\n  /srv/a.php:2  | \n"},
	{"go, a handler", `fcgi: panic in handler: runtime error: index out of range [3] with length 2
goroutine 35 [running]:
github.com/frontd/frontd/fcgi.(*serverRequest).handlerDied(0xc000200008, {0x7a, 0xc0})
	/src/fcgi/server_request.go:352 +0x5e
panic({0x7a86a0?, 0xc0000184b0?})
	/usr/local/go/src/runtime/panic.go:783 +0x132
runtime.goPanicIndex(0x3, 0x2)
	/usr/local/go/src/runtime/panic.go:115 +0x74
main.(*cart).item(...)
	/srv/main.go:12
main.main.func1({0x8b, 0xc0}, 0xc0)
	/srv/main.go:20 +0x1d
net/http.HandlerFunc.ServeHTTP(0x1?, {0x8, 0xc}, 0x0?)
	/usr/local/go/src/net/http/server.go:2322 +0x29
created by github.com/frontd/frontd/fcgi.(*Server).Serve in goroutine 1
	/src/fcgi/server.go:100 +0x1
`, `go runtime error: index out of range [3] with length 2
  /src/fcgi/server.go:100 github.com/frontd/frontd/fcgi.(*Server).Serve | 
  /usr/local/go/src/net/http/server.go:2322 net/http.HandlerFunc.ServeHTTP | 
  /srv/main.go:20 main.main.func1 | 
  /srv/main.go:12 main.(*cart).item | 
`},
	{"go, a fatal error", `fatal error: all goroutines are asleep - deadlock!

goroutine 1 [chan receive]:
main.main()
	/srv/main.go:5 +0x2e

goroutine 2 [select]:
main.other()
	/srv/main.go:9 +0x2e
exit status 2
`, "go fatal error: all goroutines are asleep - deadlock!\n  /srv/main.go:5 main.main | \n"},
	{"go, a signal within a panic", `panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x4a]

goroutine 7 [running]:
main.work()
	/srv/main.go:7 +0x2e
`, `go runtime error: invalid memory address or nil pointer dereference
  /srv/main.go:7 main.work | 
+ [signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x4a]
`},
	{"perl", "no such cart at /srv/app.pl line 12, <STDIN> line 3.\n\tmain::cart(7) called at /srv/app.pl line 20\n\tmain::run() called at app.psgi line 30\n", `perl die: no such cart
  app.psgi:30  | 
  /srv/app.pl:20 main::run | 
  /srv/app.pl:12 main::cart | 
`},
	{"perl, without calls", "Can't locate object method \"x\" via package \"Y\" at ./app.pl line 3.\n", "perl die: Can't locate object method \"x\" via package \"Y\"\n  ./app.pl:3  | \n"},
	{"ruby", "/srv/a.rb:2:in `item': no cart (RuntimeError)\n\tfrom /srv/a.rb:5:in `<main>'\n", "ruby RuntimeError: no cart\n  /srv/a.rb:5 <main> | \n  /srv/a.rb:2 item | \n"},
	{"no traceback", "a line\npanic: but no stack\n", "none\n"},
	{"nothing", "", "none\n"},
}

func TestParse(t *testing.T) {
	for _, c := range tracebacks {
		if got := show(Parse(c.text)); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
		crlf := strings.ReplaceAll(c.text, "\n", "\r\n")
		if got := show(Parse(crlf)); !strings.Contains(c.text, hostPrefix) && got != c.want {
			t.Errorf("%s, with CR LF:\n%s\nwant\n%s", c.name, got, c.want)
		}
		for cut := range c.text {
			Parse(c.text[:cut]) // does not panic
			Parse(c.text[cut:])
		}
	}
}

// Each parser by itself, for others must not stand before it.
func fuzzParser(f *testing.F, parse func(string) *Traceback) {
	for _, c := range tracebacks {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := parse(s).bounded(maxCauses)
		if got == nil {
			return
		}
		depth := 0
		for tb := got; tb != nil; tb = tb.Cause {
			depth++
			if len(tb.Frames) > maxFrames || len(tb.Message) > maxMessage || len(tb.Notes) > maxNotes || depth > maxCauses+1 {
				t.Fatalf("out of bounds: %d frames, depth %d", len(tb.Frames), depth)
			}
			for _, fr := range tb.Frames {
				if fr.Line < 0 || len(fr.File) > maxName {
					t.Fatalf("frame %+v", fr)
				}
			}
		}
		i := &Incident{Traceback: got}
		if fingerprint(i, "") != fingerprint(i, "") {
			t.Fatal("two fingerprints")
		}
	})
}

func FuzzHost(f *testing.F)        { fuzzParser(f, parseHost) }
func FuzzPython(f *testing.F)      { fuzzParser(f, parsePython) }
func FuzzPythonFatal(f *testing.F) { fuzzParser(f, parsePythonFatal) }
func FuzzPHP(f *testing.F)         { fuzzParser(f, parsePHP) }
func FuzzGo(f *testing.F)          { fuzzParser(f, parseGo) }
func FuzzPerl(f *testing.F)        { fuzzParser(f, parsePerl) }
func FuzzRuby(f *testing.F)        { fuzzParser(f, parseRuby) }

func BenchmarkParse(b *testing.B) {
	for _, c := range tracebacks[:1] {
		b.ReportAllocs()
		for b.Loop() {
			i := &Incident{Traceback: Parse(c.text)}
			fingerprint(i, "")
		}
	}
}
