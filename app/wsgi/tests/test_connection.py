"""The record parser under hostile bytes: the same random ones in every run."""

import contextlib
import io
import random
import socket
import unittest

from frontd_wsgi.connection import Connection
from frontd_wsgi.errors import RequestAborted
from frontd_wsgi.record import ProtocolError, opening

from .client import begin, head, record, request

SEEDS = [
    request("/a", b"body"), request("/b?q=1", request_id=2),
    head("/c", CONTENT_LENGTH="9") + record(5, 1, b"12345", padding=7) + record(2, 1),
    begin() + begin(2) + record(9, 0, b"\x0e\x00FCGI_MAX_CONNS") + record(99, 0, b"x"),
]



def zeroed(data):
    """Returns the records of data with zero in their reserved bytes, as web
    servers send them: then a whole head is taken by the short way."""
    out, at = bytearray(data), 0
    while at < len(out):
        out[at + 7] = 0
        at += 8 + (out[at + 4] << 8 | out[at + 5]) + out[at + 6]
    return bytes(out)


SEEDS += [zeroed(data) for data in SEEDS] + [zeroed(request("/long", x="v" * 300, REQUEST_ID="")), zeroed(head("/p") + record(5, 1, b"x"))]


class Errors:
    def detach(self):
        pass


def converse(data, cuts):
    """Feeds data, cut at cuts, to a connection. Returns what requests it saw."""
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    with ours, theirs:
        connection = Connection(theirs, {"FCGI_MAX_CONNS": "1"})
        seen = []
        try:
            for start, end in zip([0] + cuts, cuts + [len(data)]):
                if start == end:
                    continue
                ours.sendall(data[start:end])
                if not connection.receive():
                    break
                environ = connection.next_request()
                while environ is not None:
                    # The rest arrives while the body is read.
                    ours.sendall(data[end:])
                    ours.shutdown(socket.SHUT_WR)
                    seen.append((environ.get("REQUEST_URI"), body_of(connection)))
                    connection.finish(Errors(), b"")
                    while connection.receive():
                        pass
                    environ = connection.next_request()
                    if environ is None or connection.lost:
                        return seen
        except ProtocolError:
            seen.append("protocol error")
        except RequestAborted:
            seen.append("gone")
        return seen


def body_of(connection):
    body = b""
    try:
        for piece in iter(connection.read_stdin, b""):
            body += piece
    except RequestAborted:
        return "aborted"
    return body


class Parser(unittest.TestCase):
    def test_every_cut_gives_the_same(self):
        for data in SEEDS[:3] + [zeroed(data) for data in SEEDS[:3]]:
            want = converse(data, [])
            self.assertEqual(len(want), 1)
            for cut in range(1, len(data)):
                self.assertEqual(converse(data, [cut]), want, "cut at %d" % cut)

    def test_the_short_way_and_the_long_way_agree(self):
        for data in SEEDS[:3]:
            self.assertEqual(converse(zeroed(data), []), converse(data, []))
        self.assertIsNotNone(opening(zeroed(SEEDS[0])), "or nothing was tested")
        self.assertIsNone(opening(SEEDS[0]))

    def test_ids_and_flags_of_the_short_way(self):
        for request_id in (1, 2, 255, 256, 65535):
            for keep in (True, False):
                got = opening(zeroed(begin(request_id, keep) + record(4, request_id, b"\x01\x01AB")))
                self.assertEqual((got.request_id, got.keep, got.held), (request_id, keep, False))
        for other in (begin(0), begin(role=2)):
            self.assertIsNone(opening(zeroed(other + record(4, 1, b"\x01\x01AB"))))
        self.assertIsNone(opening(zeroed(begin(1) + record(4, 2, b"\x01\x01AB"))), "PARAMS of another id")

    def test_damaged_streams_end_in_known_ways(self):
        source = random.Random(1)
        for _ in range(3000):
            data = bytearray(source.choice(SEEDS) + source.choice(SEEDS))
            for _ in range(source.randint(1, 4)):
                at = source.randrange(len(data))
                if source.random() < 0.5:
                    data[at] = source.randrange(256)
                else:
                    del data[at:at + source.randint(1, 9)]
            cuts = sorted(source.sample(range(1, len(data)), 2))
            with contextlib.redirect_stderr(io.StringIO()):  # the host says why it closed
                steps = converse(bytes(data), cuts)  # anything else raises here
            for step in steps:
                self.assertTrue(step in ("protocol error", "gone") or len(step) == 2)
