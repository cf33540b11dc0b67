"""PEP 3333, rule by rule, over a real socket. The rules that a correct
application meets run twice: bare, and inside wsgiref.validate."""

import unittest

from .client import head, hosting, record, request

PRELUDE = '''
import io, os, sys, threading, tempfile
OK = ("200 OK", [("Content-Type", "text/plain")])
class Closing:
    def __init__(self, items): self.items = iter(items)
    def __iter__(self): return self
    def __next__(self):
        item = next(self.items)
        if isinstance(item, Exception): raise item
        return item
    def close(self): print("closed", flush=True)
apps = {}
def route(f):
    apps["/" + f.__name__] = f
    return f
def application(environ, start_response):
    return apps[environ["PATH_INFO"]](environ, start_response)
'''

GOOD = PRELUDE + '''
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


BAD = PRELUDE + '''
import gc
@route
def hello(environ, start_response):
    start_response(*OK)
    return [b"hello"]
@route
def raises(environ, start_response):
    secret_local = 1
    raise LookupError("nothing here")
@route
def empties_then_raises(environ, start_response):
    start_response(*OK)
    return Closing([b"", b"", b"", ValueError("late")])
@route
def raises_midway(environ, start_response):
    start_response(*OK)
    return Closing([b"some", ValueError("midway")])
@route
def twice(environ, start_response):
    start_response(*OK); start_response(*OK)
    return [b"x"]
@route
def twice_after(environ, start_response):
    start_response(*OK)(b"some"); start_response(*OK)
    return [b"x"]
@route
def exc_info_after(environ, start_response):
    start_response(*OK)(b"some")
    try: raise KeyError("original")
    except KeyError: start_response("500 No", [], sys.exc_info())
    return [b"x"]
@route
def never(environ, start_response):
    return [b"x"]
@route
def never_generator(environ, start_response):
    yield b"x"
@route
def text(environ, start_response):
    start_response(*OK)
    return "text"
@route
def bytes_itself(environ, start_response):
    start_response(*OK)
    return b"bytes"
@route
def nothing(environ, start_response):
    start_response(*OK)
@route
def text_item(environ, start_response):
    start_response(*OK)
    return [b"ok", "text"]
@route
def text_write(environ, start_response):
    start_response(*OK)("text")
    return []
@route
def close_raises(environ, start_response):
    start_response("503 Busy", OK[1])
    class Bad(Closing):
        def close(self): raise ValueError("in close")
    return Bad([b"kept"])
@route
def both_raise(environ, start_response):
    start_response(*OK)
    class Bad(Closing):
        def close(self): raise ValueError("in close")
    return Bad([ValueError("in the item")])
@route
def long(environ, start_response):
    start_response("200 OK", OK[1] + [("Content-Length", "10")])
    return [b"12 characters"[:12]] if environ["QUERY_STRING"] == "list" else iter([b"12 cha", b"racter", b"s"])
@route
def short(environ, start_response):
    start_response("200 OK", OK[1] + [("Content-Length", "10")])
    return [b"8 chars."] if environ["QUERY_STRING"] == "list" else iter([b"8 ch", b"ars."])
@route
def one_item(environ, start_response):
    start_response(*OK)
    class One(Closing):
        def __len__(self): return 1
    return One([b"", b"item"])
@route
def unclean(environ, start_response):
    start_response(*eval(environ["HTTP_X"]))
    return [b"x"]
@route
def big(environ, start_response):
    start_response(*OK)
    return [b"0123456789abcdef" * (1 << 18)]
@route
def keeps(environ, start_response):
    kept = apps.setdefault("kept", [])
    start_response(*OK)
    if kept:
        kept[0]["wsgi.errors"].write("after the end\\n")
        try: kept[0]["wsgi.input"].read()
        except ValueError as e: return [repr((str(e), kept[0]["frontd.aborted"]())).encode()]
    kept.append(environ)
    return [b"kept"]
@route
def part_of_a_file(environ, start_response):
    f = tempfile.TemporaryFile()
    f.write(bytes(range(256)) * 1000); f.seek(1000)
    start_response("206 Partial Content", OK[1] + [("Content-Length", "100000")])
    return environ["wsgi.file_wrapper"](f)
@route
def body_with_204(environ, start_response):
    start_response("204 No Content", [])
    return [b"no"]
@route
def collected(environ, start_response):
    start_response(*OK)
    try: raise ValueError
    except ValueError: start_response("200 OK", OK[1], sys.exc_info())
    gc.collect()
    return [b"%d" % len(gc.get_objects())]
@route
def swallows(environ, start_response):
    start_response(*OK)
    try: environ["wsgi.input"].read()
    except OSError: pass
    return [b"looks complete"]
@route
def ticks(environ, start_response):
    start_response(*OK)
    def tick():
        while True: yield b"tick"
    return Closing(tick())
'''


class Bad(unittest.TestCase):
    options = {}

    def setUp(self):
        context = hosting(BAD, **self.options)
        self.host = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        self.client = self.host.client()

    def line(self):
        return self.host.process.stdout.readline().decode().strip()

    def failed(self, uri, because, **more):
        """Asks for uri and wants a whole 500 that says nothing of the reason."""
        answer = self.client.ask(uri, **more)
        self.assertEqual((answer.status, answer.app_status, answer.body), (500, 1, b"Internal Server Error\n"), uri)
        self.assertIn(because, answer.stderr.decode())
        return answer

    def cut(self, uri, sent, because, **more):
        """Asks for uri and wants an answer that breaks off after sent."""
        answer = self.client.ask(uri, **more)
        self.assertFalse(answer.ended, uri + ": no END_REQUEST")
        self.assertEqual((answer.status, answer.body), (200, sent))
        self.assertIn(because, answer.stderr.decode())
        self.client = self.host.client()

    def test_before_anything_is_sent(self):
        for uri, because in (("/raises", "LookupError: nothing here"), ("/empties_then_raises", "ValueError: late"),
                             ("/twice", "second time"), ("/never", "did not call"), ("/never_generator", "before it called"),
                             ("/text", "gave str"), ("/bytes_itself", "gave int"), ("/nothing", "not iterable"),
                             ("/text_item", "gave str"), ("/text_write", "not str")):
            with self.subTest(uri):
                self.failed(uri, because)
        self.assertEqual(self.client.ask("/hello").body, b"hello", "the worker lives")

    def test_traceback_shows_the_application_only(self):
        answer = self.failed("/raises", "webapp.py")
        self.assertNotIn(b"gateway.py", answer.stderr)

    def test_after_something_is_sent(self):
        self.cut("/raises_midway", b"some", "ValueError: midway")
        self.assertEqual(self.line(), "closed")
        self.cut("/twice_after", b"some", "second time")
        self.cut("/exc_info_after", b"some", "KeyError: 'original'")

    def test_close_that_raises(self):
        answer = self.client.ask("/close_raises")
        self.assertEqual((answer.status, answer.body, answer.app_status), (503, b"kept", 0))
        self.assertIn(b"in close", answer.stderr)
        answer = self.failed("/both_raise", "in the item")
        self.assertIn(b"in close", answer.stderr)

    def test_longer_than_content_length(self):
        for how in ("list", "iter"):
            answer = self.client.ask("/long?" + how)
            self.assertEqual((answer.ended, answer.body), (True, b"12 characters"[:10]))
            self.assertIn(b"longer than its Content-Length", answer.stderr)

    def test_big_list(self):
        self.assertEqual(self.client.ask("/big").body, b"0123456789abcdef" * (1 << 18))

    def test_an_environ_outlives_its_request_harmlessly(self):
        self.client.ask("/keeps", b"unread")
        answer = self.client.ask("/keeps", b"unread")
        self.assertEqual(answer.body, b"('wsgi.input is read after the end of its request', False)")
        self.assertEqual(answer.stderr, b"")
        self.assertEqual(self.host.log(), "after the end\n")

    def test_part_of_a_file(self):
        answer = self.client.ask("/part_of_a_file")
        self.assertEqual(answer.body, (bytes(range(256)) * 1000)[1000:101000])
        self.assertEqual((answer.ended, answer.stderr), (True, b""))

    def test_shorter_than_content_length(self):
        for how in ("list", "iter"):
            self.cut("/short?" + how, b"8 chars.", "2 bytes short")
        self.assertTrue(self.client.ask("/short?list", method="HEAD").ended, "HEAD has no body to be short")

    def test_length_of_a_single_item(self):
        self.assertEqual(self.client.ask("/hello").header("Content-Length"), "5")
        self.assertEqual(self.client.ask("/one_item").header("Content-Length"), "4")

    def test_body_where_none_may_be(self):
        self.assertEqual(self.client.ask("/body_with_204").stdout, b"Status: 204 No Content\r\n\r\n")

    def test_unclean_heads(self):
        good = '"200 OK", '
        for what in ('"200", []', '200, []', 'b"200 OK", []', '"20x OK", []', '"103 Early Hints", []', '"200 OK\\nX: y", []',
                     good + '()', good + '[["A", "b"]]', good + '[("A", b"b")]', good + '[(b"A", "b")]', good + '[("A", "b", "c")]',
                     good + '[("X", "a\\r\\nSet-Cookie: b")]', good + '[("X", "a\\0")]', good + '[("X", "a\\x7f")]',
                     good + '[("X\\r\\nY", "a")]', good + '[("X Y", "a")]', good + '[("", "a")]', good + '[("X:", "a")]',
                     good + '[("X", "\\u20ac")]', good + '[("Connection", "close")]', good + '[("transfer-ENCODING", "chunked")]',
                     good + '[("Upgrade", "x")]', good + '[("Keep-Alive", "x")]', good + '[("Status", "404 X")]',
                     good + '[("Content-Length", "-1")]', good + '[("Content-Length", "1"), ("Content-Length", "2")]'):
            with self.subTest(what):
                self.failed("/unclean", "Error: ", HTTP_X=what)

    def test_bad_content_length_of_a_request(self):
        answer = self.client.ask("/hello", CONTENT_LENGTH="1x")
        self.assertEqual((answer.status, answer.ended), (400, True))

    def test_exc_info_leaves_nothing_behind(self):
        self.client.ask("/collected")
        counts = [int(self.client.ask("/collected").body) for _ in range(200)]
        self.assertLess(max(counts[100:]) - min(counts[100:]), 20)

    def test_an_abort_never_looks_complete(self):
        self.client.send(head("/swallows", method="POST", CONTENT_LENGTH="9") + record(2, 1))
        answer = self.client.read_answer()
        self.assertEqual((answer.stdout, answer.app_status), (b"", 1))

    def test_abort_in_mid_response(self):
        self.client.send(request("/ticks"))
        self.client.read_record()
        self.client.send(record(2, 1))
        answer = self.client.read_answer()
        self.assertEqual(answer.app_status, 1)
        self.assertEqual(self.line(), "closed")
        self.assertEqual(self.client.ask("/hello").body, b"hello")

    def test_client_gone_in_mid_response(self):
        self.client.send(request("/ticks"))
        self.client.read_record()
        self.client.close()
        self.assertEqual(self.line(), "closed")
        self.client = self.host.client()
        self.assertEqual(self.client.ask("/hello").body, b"hello")
        self.assertEqual(self.host.log(), "", "a client that leaves is no error")


class BadThreaded(Bad):
    options = {"threads": 2}


class Dev(unittest.TestCase):
    def test_locals(self):
        with hosting(BAD, args=["--dev"]) as host:
            self.assertIn(b"secret_local = 1", host.client().ask("/raises").stderr)
        with hosting(BAD) as host:
            self.assertNotIn(b"secret_local = 1", host.client().ask("/raises").stderr)
