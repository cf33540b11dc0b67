"""The template: a process that has loaded the application and forks its workers.

Its supervisor has given it a socket of messages on descriptor 0. It says "ready"
there, is sent "fork" with four descriptors, the worker's 0, 1 and 2 and a socket
for its report, and ends where the socket does. supervisor/template.go has the
other side.
"""

import array
import os
import socket
import sys
import threading
import traceback
import warnings

from .errors import log

# Of prctl(2) and signal(7).
_PR_SET_PDEATHSIG = 1
_SIGKILL = 9
# What ps -o comm and top show; at most 15 characters.
_NAME = "frontd-template"


class ForkHooks:
    """Stands in for os.register_at_fork while the application is loaded.

    A worker is forked by way of a process that ends at once, which is none of
    the application's business: a hook that opens a connection or starts a thread
    after a fork has to run once, in the worker. So hooks for the child alone
    are kept, and run where the worker begins; from then on Python runs them,
    at forks of the worker's own. One with "before" takes locks, and holds for
    every fork.
    """

    def __init__(self):
        self._register = os.register_at_fork
        self._in_worker = []
        self._began = False
        os.register_at_fork = self.register

    def register(self, *, before=None, after_in_child=None, after_in_parent=None):
        hooks = {"before": before, "after_in_child": after_in_child, "after_in_parent": after_in_parent}
        hooks = {name: hook for name, hook in hooks.items() if hook is not None}
        if list(hooks) == ["after_in_child"] and callable(after_in_child):
            self._register(after_in_child=lambda: after_in_child() if self._began else None)
            self._in_worker.append(after_in_child)
        else:
            self._register(**hooks)  # what is wrong with them, Python says

    def run(self):
        """Runs the hooks of a new worker, in the order in which they were
        registered. As at every fork, an exception is told and ends nothing."""
        os.register_at_fork = self._register
        self._began = True
        for hook in self._in_worker:
            try:
                hook()
            except BaseException:  # sys.exit() in a hook is no reason for a worker to end, either
                log("a hook of os.register_at_fork failed:\n" + traceback.format_exc())


class Template:
    """The process before it forks. It becomes a worker where fork_workers returns True."""

    def __init__(self):
        self._orders = take_orders()
        self._supervisor = os.getppid()
        self._prctl = find_prctl()  # now: a worker has no need to look for it
        self._name = rename(_NAME)
        self._hooks = ForkHooks()

    def fork_workers(self):
        """Forks a worker for each order. Returns True in each worker, and False
        in the template when no more are wanted."""
        self._orders.send(b"ready" + loaded_threads())
        while True:
            message, descriptors = receive(self._orders)
            if not message:
                return False
            if message != b"fork" or len(descriptors) != 4:
                log("the supervisor said %r with %d descriptors, want fork with 4" % (message, len(descriptors)))
                return False
            report = socket.socket(fileno=descriptors.pop())
            if self._fork(descriptors, report):
                return True
            report.close()
            for descriptor in descriptors:
                os.close(descriptor)

    def _fork(self, descriptors, report):
        for stream in (sys.stdout, sys.stderr):
            flush(stream)  # or what waits there would be written by each
        # Its writing end closes when the process in between has ended: from
        # then on the worker is the supervisor's child.
        settled, unsettled = os.pipe()
        try:
            between = fork()
        except OSError as e:
            tell_failure(report, e)
            os.close(settled)
            os.close(unsettled)
            return False
        if between:
            os.close(settled)
            try:
                os.waitpid(between, 0)
            except ChildProcessError:
                pass  # the application ignores SIGCHLD, or has waited for it
            os.close(unsettled)
            return False
        self._orders.close()
        os.close(unsettled)
        try:
            worker = fork()
        except OSError as e:
            tell_failure(report, e)
            os._exit(1)
        if worker:
            os._exit(0)
        self._begin(descriptors, settled, report)
        return True

    def _begin(self, descriptors, settled, report):
        """Makes this process what a worker is that was started afresh."""
        os.setpgid(0, 0)
        os.read(settled, 1)
        os.close(settled)
        if self._prctl is not None:
            self._prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        if os.getppid() != self._supervisor:
            os._exit(1)  # it is gone, and so is the promise to end with it
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        rename(self._name)
        try:
            report.send(b"up")
            go = report.recv(16)
        except OSError:
            go = b""
        if go != b"go":
            os._exit(1)  # not wanted any more
        report.close()
        self._hooks.run()


def tell_failure(report, error):
    try:
        report.send(b"error cannot fork: " + str(error).encode())
    except OSError:
        pass  # nobody waits for it any more


def receive(orders):
    """Returns a message and the descriptors that came along. socket.recv_fds
    would do, if it did not leave its flags out: no program is to inherit them."""
    message, ancillary, _, _ = orders.recvmsg(64, socket.CMSG_SPACE(8 * array.array("i").itemsize),
                                              socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data[:len(data) - len(data) % descriptors.itemsize])
    return message, list(descriptors)


def take_orders():
    """Takes the socket of orders from descriptor 0, which is /dev/null from then on."""
    try:
        orders = socket.socket(fileno=os.dup(0))
    except OSError as e:
        raise SystemExit("frontd-wsgi: descriptor 0 is not a socket (%s): a template needs frontd" % e.strerror)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return orders


def find_prctl():
    """Returns prctl(2), or None where ctypes was left out of this Python or is
    forbidden: then the guard alone ends workers whose supervisor was killed."""
    try:
        import ctypes
        return ctypes.CDLL(None).prctl
    except Exception:
        return None


def rename(name):
    """Gives this process another name among processes, and returns the one it had."""
    try:
        with open("/proc/self/comm", "r+") as f:
            before = f.read().rstrip("\n")
            f.seek(0)
            f.write(name)
            return before
    except OSError:
        return name  # /proc is not there: people see the command line


def loaded_threads():
    """Returns what the operator is to know of threads: none but this one goes along."""
    names = [t.name for t in threading.enumerate() if t is not threading.current_thread()]
    if not names:
        return b""
    return (" threads that were started while the application was loaded are not in its workers: %s; start them in "
            "os.register_at_fork(after_in_child=…), or set preload = false" % ", ".join(names)).encode()[:2000]


def flush(stream):
    try:
        stream.flush()
    except (OSError, ValueError, AttributeError):
        pass  # closed, or none: nothing waits in it


def fork():
    with warnings.catch_warnings():
        # Python warns of other threads; the operator was told which.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
