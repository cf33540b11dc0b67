"""FastCGI 1.0 as the application: each hazard once, over a real socket."""

import resource
import socket
import struct
import unittest

from .client import begin, head, hosting, pair, params, record, request

ECHO = '''
def application(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode("latin-1") + b":" + body]
'''

LAZY = '''
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/ignore":
        return [b"ignored"]
    def chunks():
        yield b"first"
        try:
            yield environ["wsgi.input"].read(5)
        except OSError as e:
            print("read raised", type(e).__mro__[1].__name__, flush=True)
            raise
        finally:
            print("aborted", environ["frontd.aborted"](), flush=True)
    return chunks()
'''


class Host(unittest.TestCase):
    source = ECHO
    options = {}

    def setUp(self):
        context = hosting(self.source, **self.options)
        self.host = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        self.client = self.host.client()

    def line(self):
        return self.host.process.stdout.readline().decode().strip()


class Records(Host):
    def test_byte_by_byte(self):
        for byte in request("/split", b"body", CONTENT_LENGTH="4"):
            self.client.send(bytes([byte]))
        self.assertEqual(self.client.read_answer().body, b"/split:body")

    def test_cut_at_every_byte(self):
        data = begin() + record(4, 1, params("/cut"), padding=255) + record(4, 1, padding=3) + \
            record(5, 1, b"xyz", padding=13) + record(5, 1, padding=255)
        for cut in range(1, len(data)):
            self.client.send(data[:cut])
            self.client.send(data[cut:])
            self.assertEqual(self.client.read_answer().body, b"/cut:xyz", "cut at %d" % cut)

    def test_largest_records(self):
        big = params("/max", X="v" * 70000)
        out = begin() + record(4, 1, big[:65535], 255) + record(4, 1, big[65535:], 255) + record(4, 1)
        self.client.send(out + record(5, 1, b"b" * 65535, 255) + record(5, 1))
        self.assertEqual(self.client.read_answer().body, b"/max:" + b"b" * 65535)

    def test_params_in_any_division(self):
        encoded = params("/div", LONG="x" * 300)
        for size in (1, 2, 3, 7, 129):
            parts = [record(4, 1, encoded[i:i + size]) for i in range(0, len(encoded), size)]
            self.client.send(begin() + b"".join(parts) + record(4, 1) + record(5, 1))
            self.assertEqual(self.client.read_answer().body, b"/div:")

    def test_two_requests_in_one_write(self):
        self.client.send(request("/one", b"1") + request("/two", b"2", request_id=2))
        self.assertEqual(self.client.read_answer(1).body, b"/one:1")
        self.assertEqual(self.client.read_answer(2).body, b"/two:2")

    def test_version(self):
        self.client.send(record(1, 1, struct.pack(">HB5x", 1, 1), version=2))
        self.assertTrue(self.client.at_end())

    def test_length_that_is_a_lie_costs_no_memory(self):
        def resident():
            with open("/proc/%d/statm" % self.host.process.pid) as f:
                return int(f.read().split()[1]) * resource.getpagesize()
        self.client.ask("/warm")
        before = resident()
        liar = self.host.client()
        liar.send(begin() + record(4, 1, b"\xff\xff\xff\xff\xff\xff\xff\xffA"))
        self.assertTrue(liar.at_end(), "the connection is closed without waiting for the rest")
        self.assertLess(resident() - before, 1 << 20)

    def test_params_over_the_limit(self):
        piece = record(4, 1, pair("N", "v" * 60000))
        with self.assertRaises(OSError):
            self.client.send(begin() + piece * 40)
            if self.client.at_end():
                raise OSError("closed after all was sent")
        self.assertIn("over 1048576 bytes", self.host.log())


class Management(Host):
    def values(self, *names):
        self.client.send(record(9, 0, b"".join(pair(n, "") for n in names)))
        kind, request_id, content = self.client.read_record()
        self.assertEqual((kind, request_id), (10, 0))
        return content

    def test_only_the_names_asked_for(self):
        self.assertEqual(self.values("FCGI_MPXS_CONNS"), pair("FCGI_MPXS_CONNS", "0"))
        self.assertEqual(self.values("FCGI_MAX_CONNS", "X", "FCGI_MAX_REQS"),
                         pair("FCGI_MAX_CONNS", "1") + pair("FCGI_MAX_REQS", "1"))

    def test_a_management_connection_holds_nobody_up(self):
        self.values("FCGI_MAX_CONNS")
        self.assertEqual(self.host.client().ask("/other").body, b"/other:")

    def test_in_mid_body(self):
        self.client.send(head("/", CONTENT_LENGTH="2") + record(5, 1, b"a"))
        self.values("FCGI_MAX_REQS")
        self.client.send(record(5, 1, b"b") + record(5, 1))
        self.assertEqual(self.client.read_answer().body, b"/:ab")

    def test_unknown_type(self):
        self.client.send(record(99, 0, b"?"))
        self.assertEqual(self.client.read_record(), (11, 0, bytes([99, 0, 0, 0, 0, 0, 0, 0])))
        self.assertEqual(self.client.ask("/on").body, b"/on:", "the connection goes on")


class Requests(Host):
    def test_unknown_role(self):
        self.client.send(begin(3, keep=True, role=2))
        self.assertEqual(self.client.read_answer(3).protocol_status, 3)
        self.assertEqual(self.client.ask("/on").body, b"/on:")
        self.client.send(begin(3, keep=False, role=9))
        self.assertEqual(self.client.read_answer(3).protocol_status, 3)
        self.assertTrue(self.client.at_end(), "without KEEP_CONN the connection closes")

    def test_records_of_inactive_ids_are_ignored(self):
        self.client.send(record(5, 9, b"stray") + record(4, 9, b"stray") + record(2, 9))
        self.assertEqual(self.client.ask("/on").body, b"/on:")

    def test_second_request_while_one_runs(self):
        self.client.send(head("/", CONTENT_LENGTH="1") + begin(2) + record(4, 2))
        self.assertEqual(self.client.read_answer(2).protocol_status, 1, "CANT_MPX_CONN")
        self.client.send(record(5, 2) + record(5, 1, b"x") + record(5, 1))
        self.assertEqual(self.client.read_answer(1).body, b"/:x")

    def test_begin_with_the_id_of_the_active_request(self):
        self.client.send(head("/", CONTENT_LENGTH="1") + begin(1))
        self.assertFalse(self.client.read_answer().ended)

    def test_keep_conn(self):
        for n in range(3):
            self.assertEqual(self.client.ask("/%d" % n).body, b"/%d:" % n)
        self.assertTrue(self.client.ask("/last", keep=False).ended)
        self.assertTrue(self.client.at_end())

    def test_idle_connections_hold_nobody_up(self):
        idle = [self.host.client() for _ in range(5)]
        for client in idle:
            client.ask("/warm")
        half = self.host.client()
        half.send(begin() + record(4, 1, b"\x01"))
        self.assertEqual(self.client.ask("/new").body, b"/new:")
        for client in idle:
            self.assertEqual(client.ask("/again").body, b"/again:")

    def test_abort_in_params(self):
        self.client.send(begin() + record(4, 1, b"\x01") + record(2, 1))
        self.assertEqual(self.client.read_answer().app_status, 1)
        self.assertEqual(self.client.ask("/on").body, b"/on:")


class Threaded(Requests):
    options = {"threads": 3}


class Fallback(Requests):
    """The poller where there is no epoll, with threads and without."""

    source = ECHO.replace("def application", '''
import frontd_wsgi.host, frontd_wsgi.poller
frontd_wsgi.host.Poller = frontd_wsgi.poller.PollPoller
def application''')


    def test_term(self):
        self.assertTrue(self.client.ask("/").ended)
        self.host.term()
        self.assertEqual(self.host.wait(), 0)
        self.assertTrue(self.client.at_end())


class FallbackThreaded(Fallback):
    options = {"threads": 3}


class Aborts(Host):
    source = LAZY

    def start(self, uri="/"):
        self.client.send(head(uri, method="POST", CONTENT_LENGTH="5") + record(5, 1, b"ab"))
        kind, _, content = self.client.read_record()
        self.assertEqual((kind, content[-5:]), (6, b"first"))

    def test_abort_request_in_mid_body(self):
        self.start()
        self.client.send(record(2, 1))
        self.assertEqual([self.line(), self.line()], ["read raised ConnectionAbortedError", "aborted True"])
        answer = self.client.read_answer()
        self.assertEqual((answer.app_status, answer.stdout), (1, b""), "an end, and no more of the answer")
        self.assertEqual(self.client.ask("/ignore").body, b"ignored", "exactly one END_REQUEST came")

    def test_connection_lost_in_mid_body(self):
        self.start()
        self.client.close()
        self.assertEqual([self.line(), self.line()], ["read raised ConnectionAbortedError", "aborted True"])
        self.assertEqual(self.host.client().ask("/ignore").body, b"ignored")

    def test_body_shorter_than_content_length(self):
        self.start()
        self.client.send(record(5, 1))
        self.assertEqual([self.line(), self.line()], ["read raised Exception", "aborted False"])
        answer = self.client.read_answer()
        self.assertFalse(answer.ended, "the answer had begun: it is cut")
        self.assertIn(b"3 bytes short", answer.stderr)

    def test_body_longer_than_content_length(self):
        self.start()
        self.client.send(record(5, 1, b"cde-too-much") + record(5, 1))
        self.assertEqual(self.client.read_answer().stdout, b"abcde")
        self.assertEqual(self.client.ask("/ignore").body, b"ignored")


class Unread(Host):
    source = LAZY

    def test_answer_comes_before_the_body(self):
        self.client.send(head("/ignore", method="POST", CONTENT_LENGTH=str(100 << 20)))
        self.assertEqual(self.client.read_answer().body, b"ignored")

    def test_a_small_rest_is_drained(self):
        self.client.send(request("/ignore", b"x" * 200000))
        self.assertEqual(self.client.read_answer().body, b"ignored")
        self.assertEqual(self.client.ask("/ignore").body, b"ignored")

    def test_a_large_rest_closes_the_connection(self):
        self.client.send(head("/ignore", method="POST", CONTENT_LENGTH="9000000"))
        self.assertEqual(self.client.read_answer().body, b"ignored")
        with self.assertRaises(OSError):
            for _ in range(200):
                self.client.send(record(5, 1, b"x" * 60000))
        self.assertEqual(self.host.log(), "", "an early answer is no error")

    def test_without_keep_conn_the_answer_survives_the_close(self):
        self.client.send(head("/ignore", keep=False, method="POST", CONTENT_LENGTH="70000") + record(5, 1, b"x" * 60000))
        answer = self.client.read_answer()
        self.assertEqual((answer.body, answer.ended), (b"ignored", True))
        self.client.send(record(5, 1, b"x" * 10000) + record(5, 1))
        self.assertTrue(self.client.at_end())


class Peers(unittest.TestCase):
    def test_web_server_addresses(self):
        for allowed, served in (("127.0.0.1", True), ("10.0.0.1, ::ffff:127.0.0.1", True), ("10.0.0.1", False)):
            with self.subTest(allowed), hosting(ECHO, family=socket.AF_INET,
                                                env={"FCGI_WEB_SERVER_ADDRS": allowed}) as host:
                client = host.client()
                try:
                    answer = client.ask("/x")
                except OSError:
                    answer = None
                self.assertEqual(answer is not None and answer.ended, served)

    def test_unix_sockets_have_no_address(self):
        with hosting(ECHO, env={"FCGI_WEB_SERVER_ADDRS": "10.0.0.1"}) as host:
            self.assertTrue(host.client().ask("/x").ended)
