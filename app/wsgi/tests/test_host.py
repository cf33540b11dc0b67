"""The process: how it starts, stops, fails to load, and serves in threads."""

import hashlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

from frontd_wsgi.host import Host

from .client import PACKAGE, PATIENCE, Client, begin, head, hosting, params, record, request

APP = '''
import atexit, os, sys, threading
atexit.register(lambda: print("atexit", flush=True))
entered = threading.Barrier(4, timeout=20)
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/exit": sys.exit(0)
    if path == "/interrupt": raise KeyboardInterrupt
    if path == "/wait":
        print("waiting", flush=True)
        environ["wsgi.input"].read(1)
    if path == "/thread":
        entered.wait()
        body = threading.current_thread().name
    elif path == "/process":
        body = "%s %s %r" % (os.getcwd() == sys.path[0], os.read(0, 1), sys.argv[1:])
    elif path == "/modules":
        body = repr([m for m in ("record", "environ", "host", "errors", "loader") if m in sys.modules])
    else:
        body = environ["QUERY_STRING"]
    print("out of the process")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]
'''


class Stops(unittest.TestCase):
    def test_term_lets_the_request_in_hand_finish(self):
        for threads in (1, 3):
            with self.subTest(threads=threads), hosting(APP, threads=threads) as host:
                idle, busy = host.client(), host.client()
                self.assertTrue(idle.ask("/").ended)
                busy.send(head("/wait", method="POST", CONTENT_LENGTH="1"))
                host.await_line("waiting")
                host.term()
                if threads > 1:
                    self.assertTrue(idle.at_end(), "an idle connection closes at once")
                busy.send(record(5, 1, b"x") + record(5, 1))
                answer = busy.read_answer()
                self.assertEqual((answer.status, answer.ended), (200, True))
                self.assertTrue(busy.at_end(), "kept or not, it closes")
                self.assertEqual(host.wait(), 0)
                self.assertIn(b"atexit\n", host.process.stdout.read())
                self.assertEqual(host.log(), "")

    def test_a_request_that_has_arrived_is_served(self):
        with hosting(APP) as host:
            busy, next_one, half = host.client(), host.client(), host.client()
            next_one.ask("/")
            half.send(begin() + record(4, 1, params("/?half")[:9]))
            busy.send(head("/wait", method="POST", CONTENT_LENGTH="1"))
            host.await_line("waiting")
            next_one.send(request("/?next"))
            host.term()
            half.send(record(4, 1, params("/?half")[9:]) + record(4, 1) + record(5, 1))
            busy.send(record(5, 1, b"x") + record(5, 1))
            self.assertEqual(next_one.read_answer().body, b"next")
            self.assertEqual(half.read_answer().body, b"half")
            self.assertEqual(host.wait(), 0)

    def test_system_exit_in_the_application(self):
        for threads in (1, 2):
            with self.subTest(threads=threads), hosting(APP, threads=threads) as host:
                for _ in range(3):
                    answer = host.client().ask("/exit")
                    self.assertEqual((answer.status, answer.app_status), (500, 1))
                    self.assertIn(b"SystemExit: 0", answer.stderr)
                self.assertEqual(host.client().ask("/?on").body, b"on", "the worker lives")
                host.term()
                self.assertEqual(host.wait(), 0)

    def test_keyboard_interrupt_in_the_application(self):
        for threads in (1, 2):
            with self.subTest(threads=threads), hosting(APP, threads=threads) as host:
                other = host.client()
                if threads > 1:
                    other.send(head("/wait", method="POST", CONTENT_LENGTH="1"))
                    self.assertEqual(host.process.stdout.readline(), b"waiting\n")
                self.assertEqual(host.client().ask("/interrupt").status, 500)
                if threads > 1:
                    other.send(record(5, 1, b"x") + record(5, 1))
                    self.assertEqual(other.read_answer().status, 200, "other threads finish")
                self.assertEqual(host.wait(), 1)

    def test_quit_writes_the_stacks_and_goes_on(self):
        read, write = os.pipe()
        with open(read) as dump, hosting(APP, threads=2, stderr=open(write, "wb")) as host:
            client = host.client()
            client.send(head("/wait", method="POST", CONTENT_LENGTH="1"))
            self.assertEqual(host.process.stdout.readline(), b"waiting\n")
            host.process.send_signal(signal.SIGQUIT)
            self.assertIn("most recent call first", dump.readline())
            self.assertTrue(any("webapp.py\", line" in line for line in iter(dump.readline, "")))
            client.send(record(5, 1, b"x") + record(5, 1))
            self.assertTrue(client.read_answer().ended)


class Threads(unittest.TestCase):
    def test_each_request_has_a_thread(self):
        with hosting(APP, threads=4) as host:
            clients = [host.client() for _ in range(4)]
            for client in clients:
                client.send(request("/thread"))  # none returns before all four are in
            names = {client.read_answer().body for client in clients}
            self.assertEqual(len(names), 4)

    def test_one_thread_is_the_main_thread(self):
        source = APP.replace("entered.wait()", "pass")
        with hosting(source) as host:
            self.assertEqual(host.client().ask("/thread").body, b"MainThread")

    def test_ten_thousand_requests_without_a_mix_up(self):
        with hosting(APP.replace('print("out', '#'), threads=8) as host:
            wrong = []

            def work(number):
                client = host.client()
                for n in range(10000 // 8):
                    keep = n % 50 != 49
                    token = "%d-%d" % (number, n) * (1 + n % 40)
                    answer = client.ask("/?" + token, keep=keep)
                    if answer.body.decode() != token or not answer.ended:
                        wrong.append(token)
                    if not keep:
                        client.close()
                        client = host.client()

            threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(wrong, [])
            self.assertEqual(host.log(), "")


class Process(unittest.TestCase):
    def test_what_the_application_finds(self):
        with hosting(APP) as host:
            client = host.client()
            self.assertEqual(client.ask("/process").body, b"True b'' []")
            self.assertEqual(host.process.stdout.readline(), b"out of the process\n")
            self.assertEqual(client.ask("/modules").body, b"[]")

    def test_background_threads_run_while_the_host_waits(self):
        source = """
import threading
asked = threading.Event()
def background():
    asked.wait()
    print("ran", flush=True)
threading.Thread(target=background, daemon=True).start()
def application(environ, start_response):
    asked.set()
    start_response("200 OK", [])
    return []
"""
        with hosting(source) as host:
            self.assertTrue(host.client().ask("/").ended)
            host.await_line("ran")

    def test_more_idle_connections_than_are_kept(self):
        with hosting(APP.replace("import atexit", "import frontd_wsgi.host; frontd_wsgi.host.MAX_IDLE = 4\nimport atexit")) as host:
            clients = []
            for _ in range(6):
                clients.append(host.client())
                self.assertTrue(clients[-1].ask("/?x").ended)
            self.assertTrue(clients[0].at_end(), "the longest idle is closed")
            self.assertTrue(clients[5].ask("/?x").ended)

    def test_out_of_descriptors(self):
        limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))\n"
        with hosting(limit + APP) as host:
            clients = []
            for _ in range(40):
                clients.append(host.client())
                self.assertTrue(clients[-1].ask("/?x").ended)
            self.assertIn("cannot accept", host.log())

    def test_two_processes_share_the_socket(self):
        with hosting(APP) as host:
            # Only this one can answer: from here on it stops on TERM.
            self.assertTrue(host.client().ask("/?x", keep=False).ended)
            command = host.process.args
            with tempfile.TemporaryFile() as errors:
                second = subprocess.Popen(command, stdin=host.listener, stdout=subprocess.PIPE, stderr=errors)
                try:
                    for _ in range(50):
                        self.assertTrue(host.client().ask("/?x", keep=False).ended)
                    host.term()
                    self.assertEqual(host.wait(), 0)
                    for _ in range(50):
                        self.assertTrue(host.client().ask("/?x", keep=False).ended)
                    second.terminate()
                    self.assertEqual(second.wait(PATIENCE), 0)
                finally:
                    second.kill()
                    second.wait()
                    second.stdout.close()

    def test_descriptor_0_is_not_a_socket(self):
        got = subprocess.run([sys.executable, PACKAGE, "webapp"], stdin=subprocess.DEVNULL, capture_output=True)
        self.assertEqual(got.returncode, 1)
        self.assertIn(b"descriptor 0 is not a socket", got.stderr)

    def test_upload_of_20_megabytes(self):
        source = '''
import hashlib
def application(environ, start_response):
    h = hashlib.sha256()
    for chunk in iter(lambda: environ["wsgi.input"].read(70001), b""):
        h.update(chunk)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [h.hexdigest().encode()]
'''
        body = os.urandom(1 << 20) * 20
        for family in (socket.AF_UNIX, socket.AF_INET):
            with hosting(source, family=family) as host:
                self.assertEqual(host.client().ask("/", body).body.decode(), hashlib.sha256(body).hexdigest())


class Loading(unittest.TestCase):
    def refused(self, source, target="webapp"):
        with hosting(source, target=target) as host:
            self.assertEqual(host.wait(), 3)
            self.assertEqual(host.log().splitlines()[-1][:41], "frontd-wsgi: cannot load the application:")
            return host.log()

    def test_errors(self):
        for source, target, texts in (
            ("", "nowhere.wsgi", ["ModuleNotFoundError", "no module named 'nowhere'; looked in /"]),
            ("import nowhere", "webapp", ["Traceback", "needs 'nowhere', which this Python"]),
            ("def x(:", "webapp", ["SyntaxError: "]),
            ("1/0", "webapp", ["line 1, in <module>", "ZeroDivisionError: division by zero"]),
            ("import sys; sys.exit('no')", "webapp", ["SystemExit: no"]),
            ("def create_app(): pass\nclass Shop: pass", "webapp",
             ["has no application or app; callable there: Shop, create_app; for a factory say webapp:create_app()"]),
            ("application = 5", "webapp", ["is int, which cannot be called"]),
            ("def app(): pass", "webapp:wsgi", ["has no wsgi; callable there: app"]),
            ("def create_app(): return 1/0", "webapp:create_app()", ["Traceback", "factory webapp:create_app() failed"]),
            ("", "web app", ["is not MODULE[:CALLABLE]"]),
        ):
            with self.subTest(source):
                log = self.refused(source, target)
                for text in texts:
                    self.assertIn(text, log)

    def test_targets(self):
        body = "def %s(environ, start_response):\n  start_response('200 OK', [])\n  return [b'%s']\n"
        for source, target in (
            (body % ("application", "y") + body % ("app", "n"), "webapp"),
            (body % ("app", "y"), "webapp"),
            (body % ("other", "y"), "webapp:other"),
            ("class a:\n class b:\n  @staticmethod\n" + "".join("  " + line for line in (body % ("c", "y")).splitlines(True)),
             "webapp:a.b.c"),
            (body % ("inner", "y") + "def create_app(): return inner", "webapp:create_app()"),
        ):
            with self.subTest(target), hosting(source, target=target) as host:
                self.assertEqual(host.client().ask("/").body, b"y")


class Signals(unittest.TestCase):
    """In this process, whose main thread runs the tests."""

    def setUp(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind("")  # an abstract address that the kernel chooses
        self.listener.listen()
        self.addCleanup(self.listener.close)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def host(self, threads, gateway=None):
        server = Host(self.listener, gateway, {}, threads)
        for fd in (server._wake_read, server._wake_write, server._signals_read, server._signals_write):
            self.addCleanup(os.close, fd)
        server.take_signals()
        self.addCleanup(signal.set_wakeup_fd, -1)
        return server

    def test_one_that_comes_before_the_wait_is_not_lost(self):
        for threads in (1, 2):
            server = self.host(threads)
            # As if Python had not yet run the handler when the wait begins.
            signal.signal(signal.SIGTERM, lambda *_: None)
            os.kill(os.getpid(), signal.SIGTERM)
            watched = select.poll()
            watched.register(server._signals_read, select.POLLIN)
            self.assertTrue(watched.poll(PATIENCE * 1000), "the wait ends at once")

    def test_one_that_comes_during_an_accept_costs_no_request(self):
        """The web server knows of nothing and sends its request, whole or in pieces."""

        class Gateway:
            @staticmethod
            def serve(connection, environ):
                connection.finish(Errors(), b"Status: 200 OK\r\n\r\nhello")
                return True

        class Errors:
            @staticmethod
            def detach():
                pass

        class Listener:
            def __init__(self, of, server):
                self.of, self.server = of, server

            def accept(self):
                accepted = self.of.accept()
                self.server.stop()
                return accepted

            def close(self):
                pass  # the test's own, for the next host

            def __getattr__(self, name):
                return getattr(self.of, name)

        for threads in (1, 3):
            for pieces in (1, 2):
                with self.subTest(threads=threads, pieces=pieces):
                    server = self.host(threads, Gateway)
                    server._listener = Listener(self.listener, server)
                    client = Client(self.listener.getsockname())
                    self.addCleanup(client.close)
                    stopped = threading.Event()
                    stop_listening = server._poller.stop_listening

                    def stop():
                        stop_listening()
                        stopped.set()

                    server._poller.stop_listening = stop
                    results = []
                    runs = threading.Thread(target=lambda: results.append(server.run()))
                    runs.start()
                    self.assertTrue(stopped.wait(PATIENCE))
                    asked = request("/")
                    client.send(asked[:4])
                    if pieces == 1:
                        client.send(asked[4:])
                    else:
                        client.send(asked[4:20])
                        client.send(asked[20:])
                    self.assertEqual(client.read_answer().body, b"hello")
                    self.assertTrue(client.at_end())
                    runs.join(PATIENCE)
                    self.assertEqual(results, [0])

    def test_the_application_s_own_do_not_keep_the_host_awake(self):
        signal.signal(signal.SIGUSR1, lambda *_: None)
        server = self.host(1)
        os.kill(os.getpid(), signal.SIGUSR1)
        waits, second = [], threading.Event()
        wait = server._poller.wait

        def counted():
            waits.append(1)
            if len(waits) == 2:
                second.set()
            return wait()

        server._poller.wait = counted
        stopper = threading.Thread(target=lambda: (second.wait(PATIENCE), server.stop()))
        stopper.start()
        self.assertEqual(server.run(), 0)
        stopper.join()
        self.assertLessEqual(len(waits), 3)
