"""wsgi.input: the request's body, read from its connection when it is asked for."""

from .errors import RequestAborted


class Input:
    """The body as a binary file (PEP 3333, "Input and Error Streams").

    It ends at CONTENT_LENGTH or, without one, where FCGI_STDIN ends; past the
    end every read returns b"" at once. A body shorter than CONTENT_LENGTH and
    an aborted request raise OSError: an end of file would pass for the whole.
    """

    __slots__ = ("_connection", "_remaining", "_piece", "_at", "_ended")

    def __init__(self, connection, length):
        self._connection = connection
        self._remaining = length  # bytes of CONTENT_LENGTH still to come, or None
        self._piece = b""
        self._at = 0  # what of _piece has been read
        self._ended = length == 0

    def read(self, size=-1):
        if size is None or size < 0:
            size = 1 << 62
        left = len(self._piece) - self._at
        if left == 0 and self._ended:
            return b""
        if size <= left:
            return self._take(size)
        parts = []
        while size > 0 and (left or self._more()):
            left = min(size, len(self._piece) - self._at)
            parts.append(self._take(left))
            size -= left
            left = 0
        return b"".join(parts)

    def readline(self, size=-1):
        if size is None or size < 0:
            size = 1 << 62
        parts = []
        while size > 0 and (self._at < len(self._piece) or self._more()):
            end = self._piece.find(b"\n", self._at, self._at + size) + 1
            part = self._take((end or min(len(self._piece), self._at + size)) - self._at)
            parts.append(part)
            size -= len(part)
            if end:
                break
        return b"".join(parts)

    def readlines(self, hint=-1):
        lines = []
        size = 0
        for line in self:
            lines.append(line)
            size += len(line)
            if hint is not None and 0 < hint <= size:
                break
        return lines

    def __iter__(self):
        return self

    def __next__(self):
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def aborted(self):
        """environ["frontd.aborted"]: reports whether the web server aborted the
        request or is gone. It looks at what has arrived and never waits. For
        one thread at a time, as reading is. After its end a request is not aborted."""
        return self._connection is not None and self._connection.check_aborted()

    def detach(self):
        """Cuts the stream from its connection, which may carry another request soon."""
        self._connection = None

    def _take(self, n):
        start = self._at
        self._at = start + n
        if start == 0 and n == len(self._piece):
            return self._piece
        return self._piece[start:self._at]

    def _more(self):
        """Gets the next piece. Returns False at the end of the body."""
        if self._connection is None:
            raise ValueError("wsgi.input is read after the end of its request")
        if self._connection.aborted:
            raise RequestAborted("the web server aborted the request")
        if self._ended:
            return False
        piece = self._connection.read_stdin()
        if not piece:
            self._ended = True
            if self._remaining:
                self._ended = False  # every later read fails as well
                raise OSError("the request's body ended %d bytes short of its CONTENT_LENGTH" % self._remaining)
            return False
        if self._remaining is not None:
            # More than CONTENT_LENGTH is not the application's to see (RFC 3875 4.2).
            piece = piece[:self._remaining]
            self._remaining -= len(piece)
            self._ended = self._remaining == 0
        self._piece, self._at = piece, 0
        return True
