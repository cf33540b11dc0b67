"""What the application's wsgi.errors is: the FCGI_STDERR stream of its request."""

import sys
import threading

from .record import STDERR, stream

# An unfinished line longer than this goes out as it is, in characters.
MAX_PARTIAL = 8192

class RequestAborted(ConnectionAbortedError):
    """The web server aborted the request (FastCGI 5.4), or its connection is gone."""


def log(message):
    """Writes a line about the host itself to the process's stderr."""
    try:
        sys.stderr.write("frontd-wsgi: %s\n" % message)
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # nobody reads it any more: there is no other place to say so


class Errors:
    """A text stream, fit for several threads at once: a line is never mixed
    with another thread's, even if it is written in pieces, as print() does.

    After the end of its request, text goes to the process's stderr: the
    connection may already carry another request.
    """

    encoding = "utf-8"
    errors = "backslashreplace"
    closed = False
    _partial = None  # thread -> its unfinished line

    def __init__(self, connection, request_id):
        self._connection = connection
        self._request_id = request_id

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError("wsgi.errors takes str, not %s" % type(text).__name__)
        thread = threading.get_ident()
        if self._partial:
            line = self._partial.pop(thread, "") + text
        else:
            line = text
        cut = line.rfind("\n") + 1
        if len(line) - cut > MAX_PARTIAL:
            cut = len(line)
        if cut < len(line):
            vars(self).setdefault("_partial", {})[thread] = line[cut:]  # of two threads one makes it
        if cut:
            self._send(line[:cut])
        return len(text)

    def writelines(self, lines):
        self.write("".join(lines))

    def flush(self):
        if self._partial:
            line = self._partial.pop(threading.get_ident(), "")
            if line:
                self._send(line)

    def writable(self):
        return True

    def readable(self):
        return False

    def seekable(self):
        return False

    def isatty(self):
        return False

    def flush_all(self):
        """Sends the unfinished lines of every thread: the request is ending."""
        while self._partial:
            try:
                self._send(self._partial.popitem()[1])
            except KeyError:
                return  # a thread of the application's was first

    def detach(self):
        """Cuts the stream from its connection. The caller holds the connection's lock."""
        self._connection = None

    def _send(self, text):
        connection = self._connection
        if connection is not None and not connection.lock._is_owned():  # else it is in the middle of a record
            content = text.encode("utf-8", "backslashreplace")
            with connection.lock:
                if self._connection is not None and connection.send_stderr(
                        stream(STDERR, self._request_id, content)):
                    return
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            pass  # as in log
