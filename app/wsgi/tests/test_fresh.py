"""Development: the newest source runs, however soon it follows the one before."""

import os
import py_compile
import subprocess
import sys
import tempfile
import unittest

from .client import PACKAGE

IMPORT = """
import sys
sys.path[:0] = [%r, %r]
if sys.argv[1] == "fresh":
    from frontd_wsgi import fresh
    fresh.watch(%r)
import edited
print(edited.value)
"""


class Fresh(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.source = os.path.join(self.folder, "edited.py")

    def write(self, value, time=None):
        with open(self.source, "w") as f:
            f.write("value = %r\n" % value)
        if time:
            os.utime(self.source, (time, time))

    def value(self, how="fresh"):
        code = IMPORT % (self.folder, os.path.dirname(PACKAGE), self.folder)
        return subprocess.run([sys.executable, "-c", code, how], check=True, capture_output=True).stdout.decode().strip()

    def test_same_second_same_size(self):
        self.write("old", 1700000000.1)
        cached = py_compile.compile(self.source, doraise=True)
        self.write("new", 1700000000.2)
        self.assertEqual(self.value("as ever"), "old", "Python itself does not see the change")
        self.assertEqual(self.value(), "new")
        self.assertEqual(self.value("as ever"), "old", "and nothing was cached that is fresh")
        later = os.stat(self.source).st_ctime + 60
        os.utime(cached, (later, later))
        self.assertEqual(self.value(), "old", "bytecode that is much younger than its source is used")

    def test_fresh_source_leaves_no_bytecode(self):
        self.write("first")
        self.assertEqual(self.value(), "first")
        self.assertFalse(os.path.exists(os.path.join(self.folder, "__pycache__")))
        self.write("other")
        self.assertEqual(self.value(), "other")
