"""The host: accepts connections, gives each request a thread, stops in order."""

import errno
import ipaddress
import os
import select
import signal
import socket
import sys
import threading
import time

from . import forked
from .connection import Connection
from .environs import Environs
from .errors import RequestAborted, log
from .poller import Poller
from .record import ProtocolError
from .report import format_exception

# Connections kept open with no request on them. Over it, the one idle the longest is closed.
MAX_IDLE = 512
# Milliseconds until the next accept when the process has no descriptor left.
ACCEPT_PAUSE = 100
# Seconds between two lines that tell of it.
COMPLAINT_PAUSE = 1.0
# Seconds after which a connection on which nothing was asked makes room for another.
NEW_GRACE = 1.0
# Milliseconds that a stopping host waits for the rest of a request that has begun to arrive.
PARTIAL_GRACE = 2000
# How long, in seconds, kept connections may bring one more request when the
# host stops: their web servers may be sending it just now.
KEPT_GRACE = 1.0


class Host:
    """Serves a listening socket with a number of threads.

    A connection is owned by whoever took it out of idle: that is one
    operation of a dict, and whoever the poller woke for a connection needs no
    lock for it. Who takes one unasked, to close it, does: its descriptor may be
    in the hands of a thread that has put it there and not yet armed it.
    """

    def __init__(self, listener, gateway, base, threads, allowed_peers=None):
        self._listener = listener
        self._gateway = gateway
        self._environs = Environs(base)
        self._threads = threads
        self._allowed_peers = allowed_peers
        self._values = {"FCGI_MAX_CONNS": str(threads), "FCGI_MAX_REQS": str(threads), "FCGI_MPXS_CONNS": "0",
                        "FRONTD_HOLD": "1"}
        self._idle = {}  # descriptor -> Connection, the longest idle first
        self._resting = threading.Lock()  # held from putting one into idle until it is armed
        self._connections = set()  # idle or not
        self._running = False
        self._forked = False  # this process is none that serves: the application forked it
        self._complained = -COMPLAINT_PAUSE  # that it cannot accept, by time.monotonic
        self._mask = threading.local()
        self._stopping = False
        self._status = 0
        # Other workers share this socket: another may have taken the
        # connection that this one was woken for.
        listener.setblocking(False)
        self._wake_read, self._wake_write = os.pipe()
        self._signals_read, self._signals_write = os.pipe()
        for fd in (self._signals_read, self._signals_write):
            os.set_blocking(fd, False)
        wakers = [self._wake_read] + [self._signals_read] * (threads == 1)
        self._poller = Poller(listener.fileno(), wakers, threads)

    def stop(self, status=0):
        """Stops accepting; run returns when the requests in hand have ended.
        Safe in a signal handler and in any thread."""
        self._status = max(self._status, status)
        if not self._stopping:
            self._stopping = True
            os.write(self._wake_write, b"s")  # never read, so it wakes every thread

    def take_signals(self):
        """Has TERM and INT stop the host; for the main thread. Python runs the
        handlers only where the main thread runs Python, which a signal that
        comes just before it begins to wait would not make it do. So the
        interpreter also writes each signal to a pipe, which is waited for."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.set_wakeup_fd(self._signals_write, warn_on_full_buffer=False)

    def _on_signal(self, *_):
        self.stop()

    def _signalled(self):
        try:
            os.read(self._signals_read, 4096)
        except BlockingIOError:
            pass  # a child of the application's shares the pipe

    def _await_stop(self):
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        poll.register(self._signals_read, select.POLLIN)
        while not self._stopping:
            poll.poll()
            self._signalled()

    def run(self):
        """Serves until stop. Returns the process's exit status."""
        self._running = True
        os.register_at_fork(before=self._hold_signals, after_in_parent=self._pass_signals, after_in_child=self._let_go)
        if self._threads == 1:
            self._loop()
        else:
            threads = [
                threading.Thread(target=self._serve_until_stop, name="request-%d" % (n + 1))
                for n in range(self._threads)
            ]
            for thread in threads:
                thread.start()
            self._await_stop()
            for thread in threads:
                thread.join()
        self._running = False
        self._listener.close()
        return self._status

    def _hold_signals(self):
        """Before a fork of the application's: a signal to the child waits until it has let go."""
        self._mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))

    def _pass_signals(self):
        before = getattr(self._mask, "before", None)  # None: run began within the fork
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _let_go(self):
        """In a process that the application has forked: see forked.py. Of the
        descriptors only its copies are closed."""
        if self._running:
            self._running = False
            self._forked = True
            for connection in self._connections:
                connection.abandon()
            self._poller.close()
            self._listener.close()
            for number, default in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
                if signal.getsignal(number) == self._on_signal:
                    signal.signal(number, default)
            wakeup = signal.set_wakeup_fd(-1)
            if wakeup != self._signals_write:
                signal.set_wakeup_fd(wakeup)  # the application's own
            for fd in (self._wake_read, self._wake_write, self._signals_read, self._signals_write):
                os.close(fd)
        self._pass_signals()

    def _serve_until_stop(self):
        """A thread, which ends before the others only with the whole host: one
        after the other would be missed by nobody until no request is answered."""
        try:
            self._loop()
        except BaseException as e:
            self.stop(1)
            log("a thread failed, the worker ends:\n" + format_exception(e))

    def _loop(self):
        listener_fd = self._listener.fileno()
        wait, idle, serve = self._poller.wait, self._idle, self._serve
        while not self._stopping:
            for fd, _ in wait():
                connection = idle.pop(fd, None)
                if connection is not None:
                    serve(connection)
                elif fd == listener_fd:
                    if not self._stopping:
                        self._accept()
                elif fd == self._signals_read:
                    self._signalled()
        self._poller.stop_listening()
        self._drain()

    def _accept(self):
        try:
            sock, address = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return  # another worker has it, or the peer thought better
        except OSError as e:
            self._refused(e)
            return
        sock.setblocking(True)
        if not self._is_allowed(sock, address):
            sock.close()
            return
        if len(self._idle) >= MAX_IDLE:
            self._close_longest_idle(time.monotonic())
        try:
            connection = Connection(sock, self._values, self._environs)
        except OSError:
            sock.close()  # gone already
            return
        self._connections.add(connection)
        self._serve(connection)

    def _is_allowed(self, sock, address):
        if self._allowed_peers is None or sock.family == socket.AF_UNIX:
            return True
        if normalized_address(address[0]) in self._allowed_peers:
            return True
        log("connection from %s refused: not in FCGI_WEB_SERVER_ADDRS" % address[0])
        return False

    def _refused(self, error):
        """Makes room for the connection that waits to be accepted, or waits."""
        now = time.monotonic()
        full = error.errno in (errno.EMFILE, errno.ENFILE)
        if full and not self._waits():
            return  # Linux finds no descriptor before it looks whether there is a connection
        if now >= self._complained + COMPLAINT_PAUSE:
            self._complained = now
            log("cannot accept: %s" % error)
        if not full or not self._close_longest_idle(now - NEW_GRACE):
            self._pause()

    def _waits(self):
        """Reports whether a connection waits to be accepted."""
        poll = select.poll()
        poll.register(self._listener.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _close_longest_idle(self, before):
        """Closes the connection that is idle the longest. Of those on which no
        request has come yet, only one that was accepted before a time. Returns
        whether there was one."""
        for fd in list(self._idle):  # not of items, whose making lets other threads run
            connection = self._idle.get(fd)
            if connection is None or connection.is_new() and connection.accepted > before:
                continue
            connection = self._take(fd)
            if connection is not None:
                self._close(connection)
                return True
        return False

    def _take(self, fd):
        """Takes a connection out of idle for which the poller woke nobody."""
        with self._resting:
            return self._idle.pop(fd, None)

    def _pause(self):
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        poll.poll(ACCEPT_PAUSE)

    def _serve(self, connection):
        """Serves what has arrived on connection, which the caller owns, and
        lets it rest until more comes, or closes it."""
        try:
            alive = connection.receive()
            while alive:
                environ = connection.next_request()
                if environ is None:
                    break
                if not self._gateway.serve(connection, environ):
                    self.stop(1)
                if connection.is_empty():
                    break
        except ProtocolError as e:
            log("connection closed: %s" % e)
            alive = False
        except RequestAborted:
            alive = False
        except Exception as e:  # a defect of the host's own costs a connection, not a thread
            log("connection closed:\n" + format_exception(e))
            alive = False
        if not alive or connection.wants_close():
            self._close(connection)
            return
        if self._stopping and not connection.partial() and not connection.is_new():
            self._close(connection)
            return
        if self._threads == 1:
            self._rest(connection)
        else:
            with self._resting:
                self._rest(connection)

    def _rest(self, connection):
        self._idle[connection.fd] = connection
        try:
            self._poller.arm(connection)
        except OSError as e:  # epoll_ctl(2): the kernel has no memory for it, or its user watches too many
            log("connection closed: %s" % e)
            del self._idle[connection.fd]
            self._close(connection)

    def _close(self, connection):
        if self._forked:
            forked.end()
        self._poller.forget(connection)
        self._connections.discard(connection)
        connection.sock.close()

    def _drain(self):
        """Serves one more request on each idle connection that brings it soon,
        and closes them."""
        waiting = {}
        poll = select.poll()
        for fd in list(self._idle):
            connection = self._take(fd)
            if connection is not None:
                waiting[fd] = connection
                poll.register(fd, select.POLLIN)
        end = time.monotonic() + KEPT_GRACE
        while waiting:
            ready = poll.poll(max(0, end - time.monotonic()) * 1000)
            if not ready:
                break
            for fd, _ in ready:
                poll.unregister(fd)
                self._finish(waiting.pop(fd))
        for connection in waiting.values():
            self._finish(connection) if connection.partial() else self._close(connection)

    def _finish(self, connection):
        """Serves what is arriving on connection and closes it."""
        self._serve(connection)
        while self._idle.pop(connection.fd, None) is not None:  # the request is not all there
            poll = select.poll()
            poll.register(connection.fd, select.POLLIN)
            if not connection.partial() or not poll.poll(PARTIAL_GRACE):
                self._close(connection)
                return
            self._serve(connection)


def normalized_address(text):
    """Returns an IP address in a form that compares; IPv4 in IPv6 is IPv4."""
    address = ipaddress.ip_address(text.strip().partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def allowed_peers():
    """Reads FCGI_WEB_SERVER_ADDRS (FastCGI 3.2). Returns None if it is not set."""
    addresses = os.environ.get("FCGI_WEB_SERVER_ADDRS")
    if addresses is None:
        return None
    try:
        return {normalized_address(a) for a in addresses.split(",")}
    except ValueError as e:
        sys.exit("frontd-wsgi: FCGI_WEB_SERVER_ADDRS: %s" % e)


def take_listener():
    """Takes the listening socket from descriptor 0 (FastCGI 2.2), which is
    /dev/null from then on: neither the application nor what it starts may read it."""
    try:
        listener = socket.socket(fileno=os.dup(0))
    except OSError as e:
        raise SystemExit("frontd-wsgi: descriptor 0 is not a socket (%s): start it with a supervisor, "
                         "such as frontd or spawn-fcgi" % e.strerror)
    os.set_inheritable(listener.fileno(), False)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return listener
