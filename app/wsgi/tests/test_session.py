"""environ["frontd.session"]: what changes it, and what of that is told."""

import unittest

from frontd_wsgi.session import Session

from .client import hosting

APP = '''
def application(environ, start_response):
    s = environ.get("frontd.session")
    path = environ["PATH_INFO"]
    if s is not None:
        s["path"] = path
        if path == "/bad":
            s["list"].append(object())
        if path == "/raise":
            raise ValueError("after a change")
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/late":
        def late():
            yield b"first"
            try:
                s["k"] = 1
            except RuntimeError as e:
                yield b" " + str(e).encode()
        return late()
    return [repr(s is None or sorted(s)).encode()]
'''


def told(change, data='{"n":41,"name":"\\u00e9","list":[1],"map":{}}'):
    s = Session(data, "id1")
    change(s)
    return sorted(s.head().decode().replace("Frontd-Session-", "").splitlines())


class Changes(unittest.TestCase):
    def test_reading_changes_nothing(self):
        def read(s):
            self.assertEqual((s["n"], s["name"], s["list"], s.get("x"), "n" in s, len(s), s.id),
                             (41, "\u00e9", [1], None, True, 4, "id1"))
            self.assertEqual(dict(s)["map"], {})
            self.assertNotIn("41", repr(s), "values do not get into logs")
        self.assertEqual(told(read), [])

    def test_changes(self):
        def order(s):
            s["n"] = 5
            s.incr("n")
            s.incr("m", 2)
            s.incr("m")
            s["gone"] = 1
            del s["gone"]
        self.assertEqual(told(order), ["Add: m=3", "Delete: gone", "Set: n=6"])
        self.assertEqual(told(lambda s: s.incr("n")), ["Add: n=1"])
        self.assertEqual(told(lambda s: s.__setitem__("k=%/\u00e9\r\nX", "a\r\nSet-Cookie: x")),
                         ["Set: k%3D%25%2F%C3%A9%0D%0AX=%22a%5Cr%5CnSet-Cookie%3A%20x%22"])

    def test_change_within_a_value(self):
        self.assertEqual(told(lambda s: s["list"].append(2)), ["Set: list=%5B1%2C2%5D"])
        self.assertEqual(told(lambda s: s.setdefault("map", {}).update(a=1)), ["Set: map=%7B%22a%22%3A1%7D"])

        def and_deleted(s):
            s["list"].append(2)
            del s["list"]
        self.assertEqual(told(and_deleted), ["Delete: list"])

    def test_login_and_logout(self):
        def login(s):
            s.renew()
            s["user"] = "ann"
        self.assertEqual(told(login), ["Renew: 1", "Set: user=%22ann%22"])

        def logout(s):
            s.incr("n")
            s["list"].append(2)
            s.clear()
            self.assertEqual(dict(s), {})
        self.assertEqual(told(logout), ["Clear: 1"])

    def test_refused(self):
        s = Session("{}")
        for error, change in ((TypeError, lambda: s.__setitem__(1, 1)), (TypeError, lambda: s.__setitem__("k", object())),
                              (ValueError, lambda: s.__setitem__("", 1)), (ValueError, lambda: s.__setitem__("k" * 257, 1)),
                              (ValueError, lambda: s.__setitem__("k", float("nan"))), (TypeError, lambda: s.incr("k", 1.5)),
                              (KeyError, lambda: s.__delitem__("k"))):
            self.assertRaises(error, change)
        s["text"] = "x"
        self.assertRaises(TypeError, s.incr, "text")
        s.head()
        for change in (lambda: s.incr("n"), s.clear, s.renew, lambda: s.__setitem__("k", 1), lambda: s.pop("text")):
            self.assertRaises(RuntimeError, change)


class Answers(unittest.TestCase):
    def test_answers(self):
        with hosting(APP) as host:
            client = host.client()
            session = {"FRONTD_SESSION": '{"list":[]}', "FRONTD_SESSION_ID": "id1"}
            answer = client.ask("/x", **session)
            self.assertIn(b"Frontd-Session-Set: path=%22%2Fx%22", answer.stdout)
            self.assertEqual(answer.body, b"['list', 'path']")
            self.assertEqual(client.ask("/x").body, b"True", "a route without sessions")
            answer = client.ask("/late", **session)
            self.assertIn(b"the head of the answer was sent", answer.body)
            for path in ("/raise", "/bad"):
                answer = client.ask(path, **session)
                self.assertIn(b"Status: 500", answer.stdout)
                self.assertNotIn(b"Frontd-Session", answer.stdout, "a failure changes nothing")
