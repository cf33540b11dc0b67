"""What a connection sends: one record at a time, whichever thread it is from."""

import threading

from . import record
from .errors import RequestAborted, log

# Buffers that one sendmsg takes: POSIX promises 16, all systems take 1024.
MAX_VECTOR = 512

LOST = "the web server closed the connection"


class Output:
    """The sending half of a connection. The lock guards the socket's sending side.
    What runs amid a send in the thread that sends, a signal's handler or a __del__,
    would find that it is the owner: what it writes to wsgi.errors is not sent."""

    __slots__ = ("sock", "lock", "request_id", "aborted", "lost", "abandoned", "_stderr_used")

    def __init__(self, sock):
        self.sock = sock
        self.lock = threading.RLock()  # one record at a time: wsgi.errors may be written by any thread
        self.request_id = 0
        self.aborted = False  # by ABORT_REQUEST, or lost
        self.lost = False
        self.abandoned = False  # this process is none that serves it
        self._stderr_used = False

    def abandon(self):
        """In a process that was forked: leaves the connection to the one that
        serves it. A thread that held the lock is not here to release it."""
        self.lock = threading.RLock()
        self.lost = self.aborted = self.abandoned = True
        self.sock.close()

    def send(self, data):
        """Sends whole records. The peer's absence is RequestAborted."""
        with self.lock:
            self._send(data)

    def _send(self, data):
        if self.lost:
            raise RequestAborted(LOST)
        try:
            self.sock.sendall(data)
        except BaseException as e:
            raise self._broken(e) from None

    def _broken(self, e):
        """Ends the connection, of which e ended a send, and returns what to raise.
        A part of a record may have left, and nothing can come behind that."""
        self.lost = self.aborted = True
        if isinstance(e, OSError) and e.errno is not None:
            return RequestAborted(LOST)
        log("an answer is cut: %s was raised by a signal's handler while it was sent" % type(e).__name__)
        return e

    def send_stdout(self, content):
        """Sends content as FCGI_STDOUT. The peer's absence is RequestAborted."""
        with self.lock:
            if len(content) <= record.MAX_CONTENT:
                self._send(record.record(record.STDOUT, self.request_id, content))
            else:
                self._send_parts(record.stream_parts(record.STDOUT, self.request_id, content))

    def _send_parts(self, parts):
        """Sends a list of buffers without making one of them."""
        if self.lost:
            raise RequestAborted(LOST)
        try:
            for start in range(0, len(parts), MAX_VECTOR):
                vector = parts[start:start + MAX_VECTOR]
                sent = self.sock.sendmsg(vector)
                for part in vector:  # a signal may have cut it short
                    if sent < len(part):
                        self.sock.sendall(memoryview(part)[sent:])
                    sent = max(0, sent - len(part))
        except BaseException as e:
            raise self._broken(e) from None

    def send_stderr(self, records):
        """Sends FCGI_STDERR records. The caller holds lock. Returns False if the peer is gone."""
        self._stderr_used = True
        try:
            self._send(records)
        except RequestAborted:
            return False
        return True
