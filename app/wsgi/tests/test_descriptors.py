"""A process that has no descriptor left, or may watch no more: it loses no thread and does not spin."""

import contextlib
import errno
import io
import os
import socket
import threading
import unittest

from frontd_wsgi import host as host_module
from frontd_wsgi.host import Host

from .client import PATIENCE, Client, head, hosting, record, request

APP = '''
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
held = []
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/eat":
        try:
            while True: held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError: pass
    elif path == "/free":
        while held: os.close(held.pop())
    elif path == "/wait":
        print("waiting", flush=True)
        environ["wsgi.input"].read(1)
    elif path == "/raise":
        raise LookupError("with nothing left")
    start_response("200 OK", [])
    return [b"ok"]
'''


class Exhausted(unittest.TestCase):
    def test_every_request_is_answered(self):
        for threads in (1, 4):
            with self.subTest(threads=threads), hosting(APP, threads=threads) as host:
                self.assertTrue(host.client().ask("/eat").ended)
                for n in range(40):
                    client = host.client()
                    self.assertEqual(client.ask("/").body, b"ok", "connection %d" % n)
                answer = client.ask("/raise")
                self.assertEqual(answer.status, 500)
                self.assertIn(b"with nothing left", answer.stderr)
                self.assertTrue(client.ask("/free").ended)
                clients = [host.client() for _ in range(threads)]
                for client in clients:
                    client.send(head("/wait", method="POST", CONTENT_LENGTH="1"))
                    host.await_line("waiting")  # so that each has a thread: all of them are there
                for client in clients:
                    client.send(record(5, 1, b"x") + record(5, 1))
                    self.assertEqual(client.read_answer().body, b"ok")
                self.assertIn("cannot accept", host.log())

    def test_who_cannot_be_accepted_costs_no_time(self):
        """While every descriptor is of a connection that is busy."""
        for threads in (1, 4):
            with self.subTest(threads=threads), hosting(APP, threads=threads) as host:
                busy = host.client()
                self.assertTrue(busy.ask("/eat").ended)
                busy.send(head("/wait", method="POST", CONTENT_LENGTH="1"))
                host.await_line("waiting")
                before = ticks(host.process.pid)
                late = host.client()
                late.sock.settimeout(1)  # not a wait for something to happen: this long it is watched
                late.send(request("/"))
                with self.assertRaises(socket.timeout):
                    late.sock.recv(1)
                self.assertLess(ticks(host.process.pid) - before, 0.5 * os.sysconf("SC_CLK_TCK"))
                late.sock.settimeout(PATIENCE)
                busy.send(record(5, 1, b"x") + record(5, 1))
                self.assertEqual(busy.read_answer().body, b"ok")
                self.assertEqual(late.read_answer().body, b"ok", "when another connection rests, it makes room")


def ticks(pid):
    """Returns the CPU time that a process has used, in ticks: proc(5)."""
    with open("/proc/%d/stat" % pid) as f:
        return sum(map(int, f.read().rpartition(")")[2].split()[11:13]))


class Gateway:
    @staticmethod
    def serve(connection, environ):
        connection.finish(Errors(), b"Status: 200 OK\r\n\r\nhello")
        return True


class Errors:
    @staticmethod
    def detach():
        pass


class InThisProcess(unittest.TestCase):
    def setUp(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind("")
        self.listener.listen()
        self.addCleanup(self.listener.close)
        said = contextlib.redirect_stderr(io.StringIO())
        said.__enter__()
        self.addCleanup(said.__exit__, None, None, None)

    def host(self, threads):
        server = Host(self.listener.dup(), Gateway, {}, threads)
        for fd in (server._wake_read, server._wake_write, server._signals_read, server._signals_write):
            self.addCleanup(os.close, fd)
        return server

    def client(self):
        client = Client(self.listener.getsockname())
        self.addCleanup(client.close)
        return client

    def test_no_room_for_nobody_closes_nothing(self):
        """Linux says EMFILE before it finds that nobody waits to be accepted."""
        server = self.host(4)
        client = self.client()
        server._accept()
        served = self.client()
        served.send(request("/"))
        server._accept()
        self.assertEqual(served.read_answer().body, b"hello")
        full = OSError(errno.EMFILE, "none left")
        server._refused(full)
        self.assertEqual(len(server._idle), 2)
        self.client()  # now one waits
        server._refused(full)
        self.assertTrue(served.at_end(), "it has had its answer")
        server._refused(full)
        self.assertEqual(len(server._idle), 1, "a request is on its way there")
        server._idle[next(iter(server._idle))].accepted -= 2 * host_module.NEW_GRACE
        server._refused(full)
        self.assertTrue(client.at_end(), "none came")
        server._listener.close()

    def test_what_is_not_yet_armed_is_not_closed(self):
        """Or its descriptor, by then another connection's, would be armed."""
        server = self.host(2)
        served, closed = self.client(), threading.Event()
        arm, forget, steps = server._poller.arm, server._poller.forget, []
        closer = threading.Thread(target=lambda: server._close_longest_idle(float("inf")))

        def slow_arm(connection):
            closer.start()
            closed.wait(0.2)  # where it is not waited for, it is done by then
            arm(connection)
            steps.append("armed")

        def told_forget(connection):
            steps.append("closed")
            forget(connection)
            closed.set()

        server._poller.arm, server._poller.forget = slow_arm, told_forget
        served.send(request("/"))
        server._accept()
        closer.join(PATIENCE)
        self.assertEqual(steps, ["armed", "closed"])
        self.assertEqual(served.read_answer().body, b"hello")
        self.assertTrue(served.at_end())
        server._listener.close()

    def test_what_cannot_be_watched_is_closed(self):
        for threads in (1, 3):
            with self.subTest(threads=threads):
                server = self.host(threads)
                arm = server._poller.arm
                failing = [OSError(errno.ENOSPC, "watches too many")]
                server._poller.arm = lambda c: arm(c) if c.is_new() or not failing else self.fails(failing.pop())
                runs, results = self.run_in_thread(server)
                first = self.client()
                first.send(request("/"))
                self.assertEqual(first.read_answer().body, b"hello")
                self.assertTrue(first.at_end())
                second = self.client()
                for _ in range(3):
                    self.assertEqual(second.ask("/").body, b"hello")
                server.stop()
                runs.join(PATIENCE)
                self.assertEqual(results, [0])

    def test_a_thread_that_fails_ends_the_host(self):
        server = self.host(3)
        wait, failing = server._poller.wait, [MemoryError()]
        server._poller.wait = lambda: wait() if not failing else self.fails(failing.pop())
        runs, results = self.run_in_thread(server)
        runs.join(PATIENCE)
        self.assertEqual(results, [1], "so that the supervisor starts another one")

    def run_in_thread(self, server):
        results = []
        thread = threading.Thread(target=lambda: results.append(server.run()))
        thread.start()
        return thread, results

    def fails(self, error):
        raise error
