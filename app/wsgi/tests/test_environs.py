"""The beginning of params that comes again: decoded once, and never taken for another."""

import random
import unittest

from frontd_wsgi.environs import _MAX_KNOWN, Environs
from frontd_wsgi.record import decode_pairs

from .client import pair

SERVER = pair("SERVER_NAME", "example.com") + pair("SERVER_PORT", "80") + pair("REQUEST_METHOD", "GET")


def client(n):
    return pair("REMOTE_ADDR", "10.0.0.%d" % n) + pair("REQUEST_URI", "/%d" % n)


class Beginnings(unittest.TestCase):
    def setUp(self):
        self.environs = Environs({"wsgi.version": (1, 0), "SERVER_NAME": "localhost"})

    def plain(self, params):
        environ = {"wsgi.version": (1, 0), "SERVER_NAME": "localhost"}
        return environ if decode_pairs(params, environ) == len(params) else None

    def test_each_request_has_an_environ_of_its_own(self):
        for n in (1, 2, 1):
            environ = self.environs.of(SERVER + client(n))
            self.assertEqual(environ, self.plain(SERVER + client(n)))
            environ["SERVER_PORT"] = environ["added"] = "by the application"
        self.assertEqual(self.environs.new(), {"wsgi.version": (1, 0), "SERVER_NAME": "localhost"})

    def test_the_last_of_one_name_holds(self):
        params = SERVER + client(1) + pair("SERVER_PORT", "8080")
        for _ in range(2):
            self.assertEqual(self.environs.of(params)["SERVER_PORT"], "8080")

    def test_what_a_client_sends_is_not_taken_for_the_name(self):
        self.environs.of(SERVER + client(1))
        for value in ("REMOTE_ADDR", "xxREMOTE_ADDRxx", "REMOTE_ADD", "\x0b\x01REMOTE_ADDRx"):
            for params in (SERVER + pair("HTTP_X", value) + client(2), pair("HTTP_X", value) + SERVER + client(2),
                           pair(value, "x") + client(3)):
                for _ in range(2):
                    self.assertEqual(self.environs.of(params), self.plain(params), params)

    def test_long_and_missing_beginnings(self):
        for params in (client(1), pair("A", "x"), pair("A", "v" * 300) + client(1), b"",
                       SERVER + pair("REMOTE_ADDR", "x" * 200), pair("REMOTE_ADDR", ""), b"REMOTE_ADDR"):
            for _ in range(2):
                self.assertEqual(self.environs.of(params), self.plain(params), params)

    def test_what_is_not_whole_pairs_is_refused(self):
        whole = SERVER + client(1)
        self.environs.of(whole)
        for cut in range(1, len(whole)):
            self.assertEqual(self.environs.of(whole[:cut]), self.plain(whole[:cut]), "cut at %d" % cut)

    def test_damaged_params_are_read_as_ever(self):
        source = random.Random(1)
        for _ in range(3000):
            params = bytearray(SERVER + client(source.randrange(3)) + SERVER)
            for _ in range(source.randint(0, 3)):
                params[source.randrange(len(params))] = source.randrange(256)
            self.assertEqual(self.environs.of(bytes(params)), self.plain(bytes(params)), params)

    def test_many_different_ones_take_bounded_memory(self):
        for n in range(3 * _MAX_KNOWN):
            params = pair("SERVER_NAME", str(n)) + client(1)
            self.assertEqual(self.environs.of(params)["SERVER_NAME"], str(n))
            self.assertLessEqual(len(self.environs._known), _MAX_KNOWN)
