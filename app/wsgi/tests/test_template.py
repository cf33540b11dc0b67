"""The template: what it forks is what would have been started."""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

from .client import PACKAGE, PATIENCE, Client

try:
    import ctypes
except ImportError:
    ctypes = None
PR_SET_CHILD_SUBREAPER = 36

APP = """
import atexit, os, random
loader, hooks = os.getpid(), []
atexit.register(lambda: print("atexit of the template" if os.getpid() == loader else "atexit of a worker", flush=True))
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    path = environ["PATH_INFO"]
    if path == "/fork":
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write, ",".join(hooks).encode())
            os._exit(0)
        os.waitpid(child, 0)
        text = os.read(read, 1000).decode()
        os.close(read)
        os.close(write)
    else:
        text = {"/pid": os.getpid(), "/parent": os.getppid(), "/group": os.getpgrp(), "/random": random.random(),
                "/hooks": ",".join(hooks), "/descriptors": sorted(map(int, os.listdir("/proc/self/fd")))}[path]
    return [str(text).encode()]
"""


class Template:
    """A template with this process as its supervisor."""

    def __init__(self, test, source, target="webapp", greeting=True):
        self.test = test
        self.folder = tempfile.mkdtemp()
        test.addCleanup(shutil.rmtree, self.folder)
        with open(os.path.join(self.folder, "webapp.py"), "w") as f:
            f.write(source)
        self.orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.orders.settimeout(PATIENCE)
        test.addCleanup(self.orders.close)
        self.errors = tempfile.TemporaryFile()
        test.addCleanup(self.errors.close)
        self.process = subprocess.Popen(
            [sys.executable, PACKAGE, target, "--directory", self.folder, "--template"], stdin=theirs,
            stdout=subprocess.PIPE, stderr=self.errors, env={**os.environ, "PYTHONUNBUFFERED": "1"})
        theirs.close()
        test.addCleanup(self.end)
        self.greeting = self.orders.recv(4096) if greeting else None

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def log(self):
        return os.pread(self.errors.fileno(), 1 << 20, 0).decode()

    def fork(self, go=True):
        return Worker(self, go)


class Worker:
    def __init__(self, template, go):
        test = template.test
        address = os.path.join(template.folder, "s%d" % len(os.listdir(template.folder)))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        listener.listen(8)
        self.output, theirs = os.pipe()
        test.addCleanup(os.close, self.output)
        report, reports = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        report.settimeout(PATIENCE)
        socket.send_fds(template.orders, [b"fork"], [listener.fileno(), theirs, theirs, reports.fileno()])
        for end in (listener, reports):
            end.close()
        os.close(theirs)
        test.assertEqual(report.recv(4096), b"up")
        if not go:
            report.close()
            return
        report.send(b"go")
        report.close()
        self.client = Client(address)
        test.addCleanup(self.client.close)
        self.pid = int(self.ask("/pid"))
        test.addCleanup(self.kill)

    def ask(self, uri):
        return self.client.ask(uri).body.decode()

    def kill(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass  # the test has waited for it

    def printed(self):
        """Returns what it has printed, up to its end."""
        text = b""
        while select.select([self.output], [], [], PATIENCE)[0]:
            data = os.read(self.output, 4096)
            if not data:
                return text.decode()
            text += data
        raise AssertionError("its output does not end: %r" % text)


@unittest.skipUnless(ctypes and sys.platform == "linux", "nothing but Linux gives a process its orphaned descendants")
class Templates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # The tests take the place of a supervisor, whose children the workers have to become.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def test_workers(self):
        template = Template(self, APP)
        self.assertEqual(template.greeting, b"ready")
        one, other = template.fork(), template.fork()
        for worker in (one, other):
            self.assertEqual(worker.ask("/parent"), str(os.getpid()))
            self.assertEqual(worker.ask("/group"), str(worker.pid))
        self.assertNotEqual(one.pid, other.pid)
        self.assertNotEqual(one.ask("/random"), other.ask("/random"), "both go on with one series")
        self.assertEqual(one.ask("/descriptors"), other.ask("/descriptors"), "what was left of the first is in the second")

        os.kill(one.pid, signal.SIGTERM)
        one.client.close()
        self.assertEqual(os.waitpid(one.pid, 0)[1], 0)
        self.assertEqual(one.printed(), "atexit of a worker\n")
        self.assertEqual(other.ask("/pid"), str(other.pid))

    def test_end(self):
        template = Template(self, APP)
        worker = template.fork()
        template.orders.close()
        self.assertEqual(template.process.wait(PATIENCE), 0)
        self.assertEqual(template.process.stdout.read(), b"atexit of the template\n")
        self.assertEqual(worker.ask("/pid"), str(worker.pid), "workers go on without it")

    def test_unwanted(self):
        template = Template(self, APP)
        worker = template.fork(go=False)
        self.assertEqual(worker.printed(), "", "it ends, and runs nothing")
        self.assertEqual(template.fork().ask("/parent"), str(os.getpid()))

    def test_hooks(self):
        template = Template(self, APP + """
import sys
first, wrong = (lambda: hooks.append("first")), (lambda: 1 / 0)
os.register_at_fork(after_in_child=lambda: exit(3))
os.register_at_fork(after_in_child=first)
os.register_at_fork(after_in_child=wrong)
os.register_at_fork(before=lambda: None, after_in_child=lambda: hooks.append("pair"))
os.register_at_fork(after_in_child=lambda: hooks.append("last"))
try:
    os.register_at_fork(after_in_child=1)
except TypeError:
    hooks.append("refused")
""")
        worker = template.fork()
        # The pair is for every fork, and the worker is the second.
        self.assertEqual(worker.ask("/hooks"), "refused,pair,pair,first,last")
        self.assertEqual(worker.ask("/fork"), "refused,pair,pair,first,last,first,pair,last")
        worker.kill()
        self.assertIn("ZeroDivisionError", worker.printed())
        self.assertNotIn("ZeroDivisionError", template.log())

    def test_threads(self):
        template = Template(self, APP + """
import threading
threading.Thread(target=threading.Event().wait, daemon=True, name="sender").start()
""")
        self.assertRegex(template.greeting.decode(), "^ready threads that were started .*: sender; ")
        self.assertEqual(template.fork().ask("/parent"), str(os.getpid()))

    def test_failure(self):
        template = Template(self, "raise RuntimeError('no database')", greeting=False)
        self.assertEqual(template.process.wait(PATIENCE), 3)
        self.assertEqual(template.orders.recv(4096), b"")
        self.assertIn("RuntimeError: no database", template.log())


if __name__ == "__main__":
    unittest.main()
