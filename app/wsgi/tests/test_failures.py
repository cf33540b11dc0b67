"""PEP 3333 where the application fails or breaks it, and where its client leaves."""

import unittest

from .apps import PRELUDE
from .client import head, hosting, record, request

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
def bad_repr(environ, start_response):
    class Bad:
        def __repr__(self): raise ValueError("in repr")
    bad_local = Bad()
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
def close_exits(environ, start_response):
    start_response(*OK)
    class Bad(Closing):
        def close(self): sys.exit("in close")
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
        answer = self.client.ask("/close_exits")
        self.assertEqual((answer.status, answer.body, answer.ended), (200, b"kept", True), "the answer was whole")
        self.assertIn(b"SystemExit: in close", answer.stderr)
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
            self.assertIn(b"LookupError", host.client().ask("/bad_repr").stderr, "a repr that fails hides nothing")
        with hosting(BAD) as host:
            self.assertNotIn(b"secret_local = 1", host.client().ask("/raises").stderr)
