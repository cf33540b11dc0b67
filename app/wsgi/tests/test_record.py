"""The wire format: every cut of a stream, and what must be refused."""

import unittest

from frontd_wsgi import record
from frontd_wsgi.record import PairsDecoder, ProtocolError

from .client import pair


class Pairs(unittest.TestCase):
    want = {"A": "1", "": "", "N" * 127: "v" * 128, "M" * 128: "w" * 70000, "LATIN": "\x80\xff"}

    def encoded(self):
        return b"".join(pair(n, v) for n, v in self.want.items())

    def test_stream_cut_at_every_offset(self):
        data = b"".join(pair(n, v) for n, v in self.want.items() if len(v) < 1000)
        want = {n: v for n, v in self.want.items() if len(v) < 1000}
        for cut in range(len(data) + 1):
            decoder, got = PairsDecoder(), {}
            decoder.add(data[:cut], got)
            decoder.add(data[cut:], got)
            decoder.end()
            self.assertEqual(got, want, "cut at %d" % cut)

    def test_byte_by_byte(self):
        decoder, got = PairsDecoder(), {}
        for byte in self.encoded():
            decoder.add(bytes([byte]), got)
        decoder.end()
        self.assertEqual(got, self.want)

    def test_four_byte_length_of_a_short_value(self):
        got = {}
        record.decode_pairs(b"\x01\x80\x00\x00\x02Axy", got)
        self.assertEqual(got, {"A": "xy"})

    def test_declared_length_over_the_limit_is_refused_before_it_comes(self):
        decoder = PairsDecoder()
        with self.assertRaises(ProtocolError):
            decoder.add(b"\xff\xff\xff\xff\x01A", {})

    def test_stream_over_the_limit(self):
        decoder = PairsDecoder(100)
        decoder.add(pair("A", "x" * 60), {})
        with self.assertRaises(ProtocolError):
            decoder.add(pair("B", "x" * 60), {})

    def test_end_within_a_pair(self):
        for cut in range(1, 5):
            decoder = PairsDecoder()
            decoder.add(pair("AB", "xy")[:cut], {})
            with self.assertRaises(ProtocolError, msg="cut at %d" % cut):
                decoder.end()


class Records(unittest.TestCase):
    def test_long_streams_are_divided_and_padded(self):
        for size in (0, 1, 8, record.MAX_CONTENT, record.MAX_CONTENT + 1, 200000):
            content = bytes(i % 251 for i in range(size))
            out, got = record.stream(record.STDOUT, 7, content), b""
            while out:
                _, kind, request_id, length, padding, _ = record.unpack_header(out, 0)
                self.assertEqual((kind, request_id, (length + padding) % 8), (record.STDOUT, 7, 0))
                self.assertGreater(length, 0, "an empty record would end the stream")
                got += out[8:8 + length]
                out = out[8 + length + padding:]
            self.assertEqual(got, content)

    def test_values_result_has_only_what_was_asked(self):
        out = record.values_result(pair("FCGI_MAX_REQS", "") + pair("NOPE", ""), {"FCGI_MAX_REQS": "4", "OTHER": "1"})
        got = {}
        record.decode_pairs(out[8:8 + out[5]], got)
        self.assertEqual(got, {"FCGI_MAX_REQS": "4"})
