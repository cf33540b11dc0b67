"""Handlers of signals that run while an answer is being sent."""

import unittest

from .apps import PRELUDE
from .client import head, hosting, request

APP = PRELUDE + '''
import signal
class Timeout(Exception): pass
state = {}
def blocked(then):
    """Calls then in a handler that finds the worker in a send that does not go on."""
    def ring(*_):
        seen = state["given"]
        state["still"] = state.get("still", 0) + 1 if state.get("seen") == seen else 0
        state["seen"] = seen
        if state["still"] < 20: return
        signal.setitimer(signal.ITIMER_REAL, 0)
        print("blocked", flush=True)
        then()
    state.clear()
    state["given"] = 0
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
def give(write):
    write(b"first")
    for state["given"] in range(200): write(b"A" * 65528)
@route
def raises(environ, start_response):
    def then(): raise {"own": Timeout, "os": TimeoutError}[environ["QUERY_STRING"]]("too late")
    blocked(then)
    try:
        give(start_response(*OK))
    except (Timeout, TimeoutError):
        print("caught", flush=True)
    return [b"and more"]
@route
def tells(environ, start_response):
    blocked(lambda: environ["wsgi.errors"].write("ding\\n"))
    give(start_response(*OK))
    return [b"the end"]
@route
def reads(environ, start_response):
    def ring(*_): raise TimeoutError("no body")
    signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        environ["wsgi.input"].read()
    except TimeoutError as e:
        start_response("408 Request Timeout", OK[1])
        return [str(e).encode()]
@route
def hello(environ, start_response):
    start_response(*OK)
    return [b"hello"]
'''


class Interrupted(unittest.TestCase):
    def test_an_exception_amid_a_record_cuts_the_answer(self):
        for kind, name in (("own", "Timeout"), ("os", "TimeoutError")):
            with self.subTest(kind), hosting(APP) as host:
                client = host.client()
                client.send(request("/raises?" + kind))
                host.await_line("caught")
                with self.assertRaisesRegex(AssertionError, "closed within a record"):
                    client.read_answer()
                self.assertIn("%s was raised by a signal's handler" % name, host.log())
                self.assertEqual(host.client().ask("/hello").body, b"hello", "the worker lives")

    def test_errors_amid_a_record(self):
        with hosting(APP) as host:
            client = host.client()
            client.send(request("/tells"))
            host.await_line("blocked")
            answer = client.read_answer()
            self.assertEqual((answer.ended, answer.body), (True, b"first" + b"A" * 65528 * 200 + b"the end"))
            self.assertEqual(answer.stderr.decode() + host.log(), "ding\n")

    def test_an_exception_amid_a_read_is_the_applications(self):
        with hosting(APP) as host:
            client = host.client()
            client.send(head("/reads", method="POST", CONTENT_LENGTH="5"))
            answer = client.read_answer()
            self.assertEqual((answer.status, answer.body), (408, b"no body"))
