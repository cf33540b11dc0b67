"""What the configuration puts around the application, and into its environ."""

import json
import unittest

from .client import hosting

APP = '''
class Tag:
    def __init__(self, app, name="tag"):
        self.app, self.name = app, name
        print("made", type(app).__name__, flush=True)
    def __call__(self, environ, start_response):
        environ["path"] = environ.get("path", "") + self.name
        return self.app(environ, start_response)
def inner(app):
    return Tag(app, "inner")
class layers:
    outer = Tag
def not_an_app(app):
    return 5
def fails(app):
    raise ValueError("no, I will not")
def application(environ, start_response):
    import os
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr((environ.get("path"), environ["frontd.config"], "FRONTD_SETTINGS" in os.environ)).encode()]
'''


class Middleware(unittest.TestCase):
    def test_outermost_first(self):
        args = ["--middleware", "webapp:layers.outer", "--middleware", "webapp:inner"]
        with hosting(APP, args=args) as host:
            self.assertEqual(host.client().ask("/").body, b"('taginner', {}, False)")
            made = [host.process.stdout.readline() for _ in range(2)]
            self.assertEqual(made, [b"made function\n", b"made Tag\n"], "each once, the innermost first")

    def test_errors(self):
        for name, text in (("nowhere", "has no nowhere"), ("fails", "middleware webapp:fails failed with ValueError: no, I"),
                           ("not_an_app", "middleware webapp:not_an_app gave int, which cannot be called")):
            with self.subTest(name), hosting(APP, args=["--middleware", "webapp:" + name]) as host:
                self.assertEqual(host.wait(), 3)
                self.assertIn(text, host.log().splitlines()[-1])


class Settings(unittest.TestCase):
    def test_a_plain_dict(self):
        settings = {"THEME": "dark", "WORD": "\u20ac \"quoted\""}
        with hosting(APP, env={"FRONTD_SETTINGS": json.dumps(settings)}) as host:
            self.assertEqual(host.client().ask("/").body.decode(), repr((None, settings, False)))
