"""What is sent in several buffers arrives as one, whatever the kernel takes at once."""

import unittest

from frontd_wsgi import output, record


class Reluctant:
    """A socket whose sendmsg takes only so many bytes, as one that a signal interrupts."""

    def __init__(self, most):
        self.most, self.got = most, b""

    def sendmsg(self, parts):
        taken = b"".join(bytes(p) for p in parts)[:self.most]
        self.got += taken
        return len(taken)

    def sendall(self, data):
        self.got += bytes(data)


class Parts(unittest.TestCase):
    def test_any_part_of_a_vector_taken(self):
        content = bytes(range(256)) * 600
        want = b"".join(record.stream_parts(record.STDOUT, 1, content))
        for most in (0, 1, 7, 8, 9, 65536, len(want) - 1, len(want)):
            out = output.Output(Reluctant(most))
            out.request_id = 1
            out.send_stdout(content)
            self.assertEqual(out.sock.got, want, "sendmsg took %d bytes" % most)

    def test_more_parts_than_one_vector(self):
        out = output.Output(Reluctant(1 << 40))
        out.request_id = 1
        content = bytes(output.MAX_VECTOR * record.MAX_CONTENT)
        out.send_stdout(content)
        self.assertEqual(len(out.sock.got), len(content) + 8 * output.MAX_VECTOR)
