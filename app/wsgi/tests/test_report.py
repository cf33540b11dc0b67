"""Exceptions that are hard to tell: each is told somehow, or its request would get no answer."""

import json
import linecache
import unittest
from unittest import mock

from frontd_wsgi.report import LINE_PREFIX, Reporter


class NoText(Exception):
    def __str__(self):
        raise ValueError("in str")


class NoModule(Exception):
    pass


NoModule.__module__ = None


def raised(exc):
    try:
        local = exc
        raise local
    except type(exc) as e:
        return e


def cycle():
    exc = ValueError("its own cause")
    exc.__cause__ = exc
    return exc


class Hard(unittest.TestCase):
    def told(self, exc, want):
        for dev in (False, True):
            text, _, line = Reporter(dev, lines=True).text(exc).rpartition(LINE_PREFIX)
            self.assertIn(want, text)
            self.assertIn("test_report.py", text)
            self.assertTrue(json.loads(line)["type"].endswith(want))
            self.assertEqual(json.loads(line)["frames"][0]["function"], "raised")

    def test_exceptions(self):
        for exc in (NoText(), NoModule("odd"), cycle()):
            with self.subTest(type(exc).__name__):
                self.told(raised(exc), type(exc).__name__)

    def test_without_a_descriptor_to_read_the_source(self):
        for name in ("getline", "getlines", "updatecache"):  # by version, another is asked
            with mock.patch.object(linecache, name, side_effect=OSError(24, "Too many open files")):
                self.told(raised(LookupError("here")), "LookupError")
