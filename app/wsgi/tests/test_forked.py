"""Processes that the application forks, and what they do to the worker: nothing."""

import os
import unittest

from .client import hosting

APP = '''
import atexit, multiprocessing, os, signal, subprocess, sys, time
atexit.register(lambda: print("atexit", os.getpid(), flush=True))
fork = multiprocessing.get_context("fork")

def told(pid):
    """How a child ended, as for subprocess."""
    status = os.waitpid(pid, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

def application(environ, start_response):
    path = environ["PATH_INFO"]
    body = "ok"
    if path == "/pool":
        with fork.Pool(2) as pool:
            body = pool.map(abs, [1, -2])
    elif path == "/terminate":
        child = fork.Process(target=signal.pause)
        child.start()
        child.terminate()
        child.join()
        body = child.exitcode
    elif path == "/preexec":
        program = "import signal; print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, signal.pthread_sigmask(0, []))"
        body = subprocess.check_output([sys.executable, "-c", program], preexec_fn=lambda: None, text=True).strip()
    elif path == "/mask":
        body = (told(os.fork() or os._exit(5)), signal.pthread_sigmask(0, []))
    elif path in ("/exit", "/exit-text", "/raise", "/answer", "/write", "/abort"):
        child = os.fork()
        if not child:
            if path == "/exit": sys.exit(7)
            if path == "/exit-text": sys.exit("because")
            if path == "/raise": raise LookupError("in the child")
            if path == "/write":
                start_response("200 OK", [])(b"child")
            start_response("200 OK", [])
            if path == "/abort": environ["wsgi.input"].read()
            return [b"child"]
        body = told(child)
    elif path == "/stream":
        def stream():
            yield b"one,"
            child = os.fork()
            yield b"child" if not child else b"%d," % told(child)
        start_response("200 OK", [])
        return stream()
    elif path == "/close":
        class Forking:
            def __iter__(self): return iter([b"%d" % os.getpid()])
            def close(self):
                self.child = os.fork()
                if not self.child: sys.exit(7)
                print(told(self.child), flush=True)
        start_response("200 OK", [])
        return Forking()
    elif path == "/cut":
        child = os.fork()
        if not child:
            signal.pause()
        print(child, flush=True)
        start_response("200 OK", [])
        def cut():
            yield b"some"
            raise ValueError("midway")
        return cut()
    start_response("200 OK", [])
    return [str(body).encode()]
'''


class Forked(unittest.TestCase):
    threads = 1

    def setUp(self):
        context = hosting(APP, threads=self.threads)
        self.host = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        self.client = self.host.client()

    def ask(self, uri, body=b""):
        """Asks twice on one connection: what a child sent would stand before the second answer."""
        answer = self.client.ask(uri, body)
        self.assertEqual((answer.status, answer.ended, answer.stderr), (200, True, b""))
        after = self.client.ask("/")
        self.assertEqual((after.body, after.ended), (b"ok", True))
        return answer.body.decode()

    def test_multiprocessing(self):
        self.assertEqual(self.ask("/pool"), "[1, 2]")

    def test_term_ends_a_child(self):
        for _ in range(10):
            self.assertEqual(self.ask("/terminate"), "-15")

    def test_signals_are_as_they_were(self):
        self.assertEqual(self.ask("/preexec"), "True set()")
        self.assertEqual(self.ask("/mask"), "(5, set())")

    def test_a_child_that_comes_back_ends(self):
        for uri, want, line in (("/exit", "7", ""), ("/exit-text", "1", "because\n"), ("/raise", "1", "LookupError: in the child"),
                                ("/answer", "1", "came back with an answer"), ("/write", "1", "came back with an answer"),
                                ("/stream", "one,1,", "came back with an answer")):
            with self.subTest(uri):
                before = len(self.host.log())
                self.assertEqual(self.ask(uri), want)
                self.assertIn(line, self.host.log()[before:])
        self.assertEqual(self.ask("/abort", b"body"), "1")
        self.host.term()
        self.assertEqual(self.host.wait(), 0)
        self.assertEqual(self.host.process.stdout.read(), b"atexit %d\n" % self.host.process.pid, "a child runs none")

    def test_a_child_of_close(self):
        self.assertEqual(self.ask("/close"), str(self.host.process.pid))
        self.assertEqual(self.host.process.stdout.readline(), b"7\n")

    def test_a_child_that_lives_on_holds_no_connection(self):
        answer = self.client.ask("/cut")  # read until the host closes
        child = int(self.host.process.stdout.readline())
        try:
            self.assertEqual((answer.body, answer.ended), (b"some", False))
        finally:
            os.kill(child, 9)


class ForkedFromThreads(Forked):
    threads = 3
