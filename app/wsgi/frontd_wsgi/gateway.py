"""One request through the application: the server side of PEP 3333."""

from . import filewrapper, forked, head
from .environ import BadRequest, complete
from .errors import Errors, RequestAborted
from .filewrapper import FileWrapper, sent_by_front
from .input import Input
from .session import Session

_FAILURE = (b"Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\nContent-Length: 22\r\n\r\n"
            b"Internal Server Error\n")
_BAD_REQUEST = (b"Status: 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\n"
                b"Bad Request\n")
# appStatus (FastCGI 5.5) of a request that the application did not answer itself.
_FAILED = 1
# A body up to this many bytes is copied to go out in one write with its head.
_JOINED = 256 << 10


class Gateway:
    """Serves requests with one application. Immutable, so any thread may use it."""

    def __init__(self, app, reporter):
        self._app = app
        self._reporter = reporter

    def serve(self, connection, environ):
        """Serves the request that connection has begun, to its end.

        Returns False if the process was interrupted. SystemExit is one request's
        failure: a URL that leads to a sys.exit(), mostly argparse's, would else
        take worker after worker from all others.
        """
        errors = Errors(connection, connection.request_id)
        answer = Answer(connection, errors)
        body = None
        try:
            length = complete(environ)
            environ["wsgi.errors"] = errors
            environ["wsgi.input"] = body = Input(connection, length)
            environ["frontd.aborted"] = body.aborted
            if "FRONTD_SESSION" in environ:
                environ["frontd.session"] = answer.session = Session(
                    environ["FRONTD_SESSION"], environ.get("FRONTD_SESSION_ID", ""))
            if environ["REQUEST_METHOD"] == "HEAD":
                answer.bodyless = answer.is_head = True
            result = self._app(environ, answer.start_response)
            kind = type(result)
            if (kind is list or kind is tuple) and not answer.sending:
                answer.send_all(result)  # all of it is here: in one piece, end included
            else:
                self._send_each(result, answer, environ.get("FRONTD_SENDFILE"))
        except BaseException as e:
            if connection.abandoned:
                forked.end(e)
            self._report(e, connection, errors)
            answer.fail(_BAD_REQUEST if isinstance(e, BadRequest) else self._failure(e))
            return not isinstance(e, KeyboardInterrupt)
        finally:
            if body is not None:
                body.detach()
        return True

    def _failure(self, exc):
        """The page of an uncaught exception: in development all of it."""
        if not self._reporter.dev:
            return _FAILURE
        page = self._reporter.traceback(exc).encode("utf-8", "backslashreplace")
        return (b"Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n"
                b"X-Content-Type-Options: nosniff\r\nContent-Length: %d\r\n\r\n" % len(page)) + page

    def _send_each(self, result, answer, folders):
        try:
            if type(result) is not FileWrapper:
                answer.send_each(result)
            elif not folders or not answer.hand_over(result, folders):
                answer.may_exceed = True  # a file may well be longer than the part of it that is wanted
                answer.tell_length(filewrapper.length(result.filelike))
                answer.send_each(result)
        finally:
            self._close(result, answer)
        answer.finish()

    def _close(self, result, answer):
        """Calls close() of the iterable. What it raises is logged; the answer stands."""
        close = getattr(result, "close", None)
        if close is None:
            return
        try:
            close()
        except (Exception, SystemExit) as e:
            if answer.connection.abandoned:
                raise  # it forked: serve ends this process
            self._report(e, answer.connection, answer.errors)

    def _report(self, exc, connection, errors):
        if isinstance(exc, RequestAborted) and connection.aborted:
            return  # the web server's doing, and it knows
        if isinstance(exc, BadRequest):
            errors.write("frontd-wsgi: bad request: %s\n" % exc)
            return
        errors.flush_all()
        errors.write(self._reporter.text(exc))


class Answer:
    """The answer to one request, from start_response to END_REQUEST."""

    is_head = False
    bodyless = False  # HEAD, 204 and 304 have no body (RFC 9110 6.4.1)
    may_exceed = False  # silently: what is over Content-Length is not sent
    sending = False  # the head has been sent
    session = None  # where the route has sessions
    _head = None  # each header line with its end, not the empty line after them
    _length = None  # the Content-Length that was announced
    _code = 0
    _headers = ()
    _sent = 0
    _over = False

    def __init__(self, connection, errors):
        self.connection = connection
        self.errors = errors

    def start_response(self, status, headers, exc_info=None):
        if self._over:
            raise RuntimeError("start_response called after the end of the request")
        if exc_info:
            try:
                if self.sending:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # no cycle through this frame (PEP 3333)
        elif self._head is not None:
            raise RuntimeError("start_response called a second time without exc_info")
        self._head, self._length, code = head.encode(status, headers)
        self._code, self._headers = code, headers
        self.bodyless = self.is_head or code == 204 or code == 304  # of the last call, not of an earlier one
        return self.write

    def write(self, data):
        """The callable that start_response returns: sends data before it returns."""
        if self._over:
            raise RuntimeError("write called after the end of the request")
        if not isinstance(data, bytes):
            raise TypeError("write takes bytes, not %s" % type(data).__name__)
        if data:
            self._put(data)

    def send_all(self, items):
        """Answers with all of items, and ends the request."""
        if len(items) == 1 and type(items[0]) is bytes:
            data = items[0]
        else:
            for item in items:
                self._check(item)
            data = b"".join(items)
        if self._head is None:
            raise RuntimeError("the application did not call start_response")
        if (len(data) == self._length and not self.bodyless and self.session is None and len(data) <= _JOINED
                and not self.errors._partial and not self.connection.aborted):
            self.sending = self._over = True  # nearly always: what follows does the same
            self.connection.finish(self.errors, self._head + b"\r\n" + data)
            return
        if data:
            self._announce(len(data))
            data = self._fitting(data)
        self._end(data)

    def send_each(self, iterable):
        """Sends each item before it asks for the next (PEP 3333, "Buffering and Streaming")."""
        one = False
        if not self.sending and hasattr(iterable, "__len__"):
            try:
                one = len(iterable) == 1
            except (TypeError, AttributeError, NotImplementedError):  # of a wrapper around a generator
                pass
        for item in iterable:
            self._check(item)
            if not item:
                continue
            if one and not self.sending and self._head is not None:
                self._announce(len(item))
            if not self._put(item):
                return

    def hand_over(self, wrapper, folders):
        """Names the file of a wrapper to the front, which sends it, where that
        is possible. Returns whether it was."""
        if self._head is None or self.sending:
            return False
        path = sent_by_front(wrapper, folders, self._code, self._headers)
        if path is None:
            return False
        # Its length is the front's to say. What the application set stays its word otherwise.
        self._head = head.encode("200 OK", [h for h in self._headers if h[0].lower() != "content-length"])[0]
        self._head += b"X-Sendfile: %s\r\n" % path.encode("ascii")
        self._length, self.bodyless = None, True
        return True

    def tell_length(self, length):
        """Announces the length of what follows, if it is known and nobody has: the
        front takes such an answer off the worker, whose place no slow client holds."""
        if length is not None and self._head is not None and not self.sending:
            self._announce(length)

    def finish(self):
        """Ends the answer when the application has nothing more to say."""
        if self._head is None:
            raise RuntimeError("the application did not call start_response")
        self._end(b"")

    def fail(self, page):
        """Ends a request that the application failed: with page, or with a
        broken answer if some of it has gone out."""
        self._over = True
        connection = self.connection
        if connection.request_id == 0:
            return  # it had ended before the exception came
        if connection.lost:
            connection.cut(self.errors)
        elif connection.aborted:
            connection.finish_failed(self.errors, b"", _FAILED)
        elif self.sending:
            connection.cut(self.errors)
        else:
            self.errors.flush_all()
            connection.finish_failed(self.errors, page, _FAILED)

    def _whole_head(self):
        if self.session is None:
            return self._head + b"\r\n"
        return self._head + self.session.head() + b"\r\n"

    def _check(self, item):
        if not isinstance(item, bytes):
            raise TypeError("the application's iterable gave %s, must be bytes" % type(item).__name__)

    def _announce(self, length):
        """Adds a Content-Length where the application set none and length is known."""
        if self._length is None and not (self.bodyless and self._head[8:11] in (b"204", b"304")):
            self._length = length
            self._head += b"Content-Length: %d\r\n" % length

    def _fitting(self, data):
        """Drops what goes over Content-Length, and says so."""
        if self.bodyless:
            return b""
        length = self._length
        if length is not None and self._sent + len(data) > length:
            if not self.may_exceed:
                self.errors.write("frontd-wsgi: the answer is longer than its Content-Length of %d: "
                                  "the rest is dropped\n" % length)
            data = data[:length - self._sent]
        self._sent += len(data)
        return data

    def _put(self, data):
        """Sends data now, with the head if it is the first. Returns False if
        some of it, and so all that may follow, is not wanted."""
        if self._head is None:
            raise RuntimeError("the application gave data before it called start_response")
        size = len(data)
        data = self._fitting(data)
        whole = len(data) == size
        if not self.sending:
            data = self._whole_head() + data
            self.sending = True
        elif self.connection.check_aborted():
            raise RequestAborted("the web server aborted the request")
        if data:
            self.connection.send_stdout(data)
        return whole

    def _end(self, data):
        """Sends data, the rest of the answer, and its end."""
        connection = self.connection
        if self.errors._partial:
            self.errors.flush_all()
        if connection.aborted:
            raise RequestAborted("the web server aborted the request")
        if not self.sending:
            if self._length is None and not data and not self.bodyless:
                self._announce(0)
            head = self._whole_head()
            self.sending = True
            if len(data) <= _JOINED:
                data = head + data
            else:
                connection.send_stdout(head)
        if self._length is not None and self._sent < self._length and not self.bodyless:
            self.errors.write("frontd-wsgi: the answer is %d bytes short of its Content-Length of %d: it is cut\n"
                              % (self._length - self._sent, self._length))
            if data:
                connection.send_stdout(data)
            self._over = True
            connection.cut(self.errors)
            return
        self._over = True
        connection.finish(self.errors, data)
