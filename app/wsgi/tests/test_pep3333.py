"""PEP 3333, rule by rule, over a real socket, as a correct application meets
it. Every rule runs twice: bare, and inside wsgiref.validate."""

import unittest

from .apps import PRELUDE
from .client import head, hosting, record

GOOD = PRELUDE + '''
import gzip
@route
def hello(environ, start_response):
    start_response(*OK)
    return [b"hello"]

@route
class klass:
    def __init__(self, environ, start_response):
        start_response(*OK)
    def __iter__(self):
        yield b"from a class"

@route
def generator(environ, start_response):
    start_response(*OK)
    yield b""
    yield b"gen"
    yield b"erated"

@route
def unmeasured(environ, start_response):
    class Wrapper:
        def __init__(self, items): self.items = items
        def __len__(self): return len(self.items)
        def __iter__(self): return iter(self.items)
    start_response(*OK)
    return Wrapper(iter([b"no ", b"length"]))

@route
def temporary_file(environ, start_response):
    f = tempfile.NamedTemporaryFile()
    f.write(b"gone with its close"); f.flush(); f.seek(0)
    start_response(*OK)
    if environ["QUERY_STRING"]:
        import types
        f = types.SimpleNamespace(name=f.name, file=f, fileno=f.fileno, tell=f.tell, read=f.read, close=f.close)
    return environ["wsgi.file_wrapper"](f)

@route
def writer(environ, start_response):
    write = start_response(*OK)
    for n in range(5):
        write(b"%d" % n)
    return [b"5", b"6789"]

@route
def write_waits(environ, start_response):
    write = start_response(*OK)
    write(b"first")
    environ["wsgi.input"].read(1)
    return [b"second"]

@route
def lazy(environ, start_response):
    start_response(*OK)
    for n in range(3):
        yield b"chunk%d" % n
        environ["wsgi.input"].read(1)

@route
def closing(environ, start_response):
    start_response(*OK)
    return Closing([b"a", b"b"])

@route
def not_modified(environ, start_response):
    start_response("304 Not Modified", [])
    return Closing([b""])

@route
def no_content(environ, start_response):
    start_response("204 No Content", [])
    return []

@route
def length(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"he", b"llo"]

@route
def replaced(environ, start_response):
    start_response(*OK)
    try:
        raise ValueError("changed my mind")
    except ValueError:
        start_response("503 Busy", [("Content-Type", "text/plain"), ("X-New", "1")], sys.exc_info())
    return [b"busy"]

@route
def inputs(environ, start_response):
    source, how = environ["wsgi.input"], environ["QUERY_STRING"]
    if how == "read": out = repr([source.read(5), source.read(15), source.read(0), source.read(1 << 20), source.read(1)])
    elif how == "readline": out = repr([source.readline(), source.readline(2), source.readline(), source.readline(100)])
    elif how == "readlines": out = repr([source.readlines(), source.readlines()])
    elif how == "hint": out = repr([source.readlines(4), source.readlines()])
    elif how == "iter": out = repr(list(source))
    elif how == "past": out = repr([source.read(3), source.read(1), source.read(5), source.readline(), source.readlines()])
    elif how == "lines": out = str([len(line) for line in source])
    start_response(*OK)
    return [out.encode()]

@route
def errors(environ, start_response):
    environ["wsgi.errors"].write("one\\n")
    environ["wsgi.errors"].writelines(["two\\n", "three \\u20ac \\udc80"])
    environ["wsgi.errors"].flush()
    start_response(*OK)
    return [b"x"]

@route
def threaded_errors(environ, start_response):
    def work(n):
        for i in range(1000):
            print(("%d" % n) * 200, file=environ["wsgi.errors"])
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for t in threads: t.start()
    for t in threads: t.join()
    start_response(*OK)
    return [b"x" * 100000]

@route
def unicode_path(environ, start_response):
    start_response(*OK)
    return [environ["HTTP_X"].encode("latin-1")]

@route
def variables(environ, start_response):
    leak = "leak" in environ
    environ["leak"] = "1"
    start_response(*OK)
    return [repr((type(environ) is dict, leak, environ["wsgi.multithread"], environ["wsgi.multiprocess"],
                  environ["wsgi.run_once"], environ["wsgi.url_scheme"], environ.get("frontd.request_id"))).encode()]

@route
def wrapped_file(environ, start_response):
    f = tempfile.NamedTemporaryFile()
    f.write(bytes(range(256)) * 1000); f.flush(); f.seek(5)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "255995")])
    def check(close=f.close):
        close(); print("file closed", flush=True)
    class File:
        def __getattr__(self, name): return check if name == "close" else getattr(f, name)
    return environ["wsgi.file_wrapper"](File(), 8192)

@route
def plain_file(environ, start_response):
    kind = environ["QUERY_STRING"]
    path = os.path.join(os.getcwd(), "plain-" + kind)
    with (gzip.open if kind == "gzip" else open)(path, "wb") as f:
        f.write(os.urandom(100000) if kind != "small" else b"small")
    f = gzip.open(path) if kind == "gzip" else open(path, "rb", 0 if kind == "raw" else -1)
    if kind != "small": f.read(5)
    start_response(*OK)
    return environ["wsgi.file_wrapper"](f)

@route
def wrapped_pipe(environ, start_response):
    r, w = os.pipe(); os.write(w, b"through a pipe"); os.close(w)
    start_response(*OK)
    return environ["wsgi.file_wrapper"](os.fdopen(r, "rb"))

@route
def wrapped_bytes(environ, start_response):
    start_response(*OK)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"b" * 100000), 4096)
'''

VALIDATED = GOOD + '''
from wsgiref.validate import validator
for name in apps: apps[name] = validator(apps[name])
'''


class Good(unittest.TestCase):
    source = GOOD

    @classmethod
    def setUpClass(cls):
        context = hosting(cls.source)
        cls.host = context.__enter__()
        cls.addClassCleanup(context.__exit__, None, None, None)

    def setUp(self):
        self.client = self.host.client()
        self.addCleanup(self.client.close)

    def ask(self, uri, body=b"", stderr=b"", **more):
        answer = self.client.ask(uri, body, **more)
        self.assertTrue(answer.ended)
        self.assertEqual((answer.app_status, answer.stderr), (0, stderr))
        return answer

    def line(self):
        return self.host.process.stdout.readline().decode().strip()

    def test_kinds_of_application(self):
        self.assertEqual(self.ask("/hello").body, b"hello")
        self.assertEqual(self.ask("/klass").body, b"from a class")
        self.assertEqual(self.ask("/generator").body, b"generated")
        self.assertEqual(self.ask("/unmeasured").body, b"no length", "its len() raises TypeError")

    def test_write_comes_before_the_iterable(self):
        self.assertEqual(self.ask("/writer").body, b"0123456789")

    def test_write_sends_at_once(self):
        self.client.send(head("/write_waits", method="POST", CONTENT_LENGTH="1"))
        self.assertTrue(self.client.read_record()[2].endswith(b"first"))
        self.client.send(record(5, 1, b"x") + record(5, 1))
        self.assertEqual(self.client.read_answer().stdout, b"second")

    def test_each_item_is_sent_before_the_next_is_asked_for(self):
        self.client.send(head("/lazy", method="POST", CONTENT_LENGTH="3"))
        for n in range(3):
            self.assertTrue(self.client.read_record()[2].endswith(b"chunk%d" % n))
            self.client.send(record(5, 1, b"x"))
        self.client.send(record(5, 1))
        self.assertEqual(self.client.read_answer().stdout, b"")

    def test_close(self):
        self.ask("/closing")
        self.ask("/closing", method="HEAD")
        self.ask("/not_modified")
        self.ask("/wrapped_file")
        self.assertEqual([self.line() for _ in range(4)], ["closed"] * 3 + ["file closed"], "once for each")

    def test_no_body(self):
        for uri, more, status in (("/hello", {"method": "HEAD"}, 200), ("/not_modified", {}, 304), ("/no_content", {}, 204)):
            answer = self.ask(uri, **more)
            self.assertEqual((answer.status, answer.body), (status, b""))
            if status == 304:
                self.assertEqual(self.line(), "closed")
            if status != 200:
                self.assertIsNone(answer.header("Content-Length"))

    def test_content_length(self):
        self.assertEqual(self.ask("/length").header("Content-Length"), "5")
        self.assertIsNone(self.ask("/generator").header("Content-Length"), "no generator has one")

    def test_exc_info_before_the_head_is_sent(self):
        answer = self.ask("/replaced")
        self.assertEqual((answer.status, answer.header("X-New"), answer.body), (503, "1", b"busy"))

    def test_input(self):
        body = b"first line\nsecond\n\nlast without end"
        want = {
            "read": [body[:5], body[5:20], b"", body[20:], b""],
            "readline": [b"first line\n", b"se", b"cond\n", b"\n"],
            "readlines": [body.splitlines(True), []],
            "iter": body.splitlines(True),
            "hint": [[b"first line\n"], body.splitlines(True)[1:]],
        }
        for how, result in want.items():
            for pieces in (1, 4, len(body)):
                with self.subTest("%s in records of %d" % (how, pieces)):
                    parts = [record(5, 1, body[i:i + pieces]) for i in range(0, len(body), pieces)]
                    self.client.send(head("/inputs?" + how, method="POST", CONTENT_LENGTH=str(len(body))) +
                                     b"".join(parts) + record(5, 1))
                    answer = self.client.read_answer()
                    self.assertEqual(answer.stderr, b"")
                    self.assertEqual(answer.body.decode(), repr(result))

    def test_reading_past_the_end_does_not_wait(self):
        # The STDIN stream stays open: only CONTENT_LENGTH says that it is over.
        self.client.send(head("/inputs?past", method="POST", CONTENT_LENGTH="3") + record(5, 1, b"abc"))
        self.assertEqual(self.client.read_answer().body, b"[b'abc', b'', b'', b'', []]")

    def test_body_without_content_length(self):
        self.client.send(head("/inputs?iter", method="POST") + record(5, 1, b"a\n") + record(5, 1, b"b") + record(5, 1))
        self.assertEqual(self.client.read_answer().body, rb"[b'a\n', b'b']")

    def test_huge_lines(self):
        line = b"x" * 30719 + b"\n"
        self.assertEqual(self.ask("/inputs?lines", line * 512).body, str([30720] * 512).encode())

    def test_errors(self):
        self.ask("/errors", stderr=b"one\ntwo\nthree \xe2\x82\xac \\udc80")

    def test_errors_of_many_threads_are_not_torn(self):
        answer = self.client.ask("/threaded_errors")
        lines = answer.stderr.decode().splitlines()
        self.assertEqual(sorted(lines), sorted([str(n) * 200 for n in range(8)] * 1000))
        self.assertEqual(len(answer.body), 100000)

    def test_latin_1(self):
        self.assertEqual(self.ask("/unicode_path", HTTP_X="\x80\xff").body, b"\x80\xff")

    def test_variables(self):
        for _ in range(2):
            answer = self.ask("/variables", HTTPS="on", REQUEST_ID="r7")
            self.assertEqual(answer.body.decode(), repr((True, False, False, True, False, "https", "r7")))

    def test_file_wrapper(self):
        answer = self.ask("/wrapped_file")
        self.assertEqual(answer.body, (bytes(range(256)) * 1000)[5:], "from where the file stood")
        self.assertEqual(self.line(), "file closed")
        for kind, told in (("buffered", "99995"), ("raw", "99995"), ("gzip", None), ("small", None)):
            answer = self.ask("/plain_file?" + kind)
            self.assertEqual(len(answer.body), 5 if kind == "small" else 99995, kind)
            if type(self) is Good:  # the validator hides what the iterable is
                self.assertEqual(answer.header("Content-Length"), told, kind)
            answer = self.ask("/plain_file?" + kind, method="HEAD")
            self.assertEqual((answer.body, answer.ended), (b"", True))
        for how in ("", "?inside"):
            answer = self.ask("/temporary_file" + how, FRONTD_SENDFILE="/")
            self.assertEqual((answer.body, answer.header("X-Sendfile")), (b"gone with its close", None))
        self.assertEqual(self.ask("/wrapped_pipe").body, b"through a pipe")
        self.assertEqual(self.ask("/wrapped_bytes").body, b"b" * 100000)


class Validated(Good):
    source = VALIDATED

    def test_content_length(self):
        pass  # the validator hides what the iterable is; Good has looked

    @classmethod
    def tearDownClass(cls):
        log = cls.host.log()
        if log:
            raise AssertionError("the validator, or the host, complained: " + log)
