"""One FastCGI connection: takes its records apart, one request at a time."""

import collections
import select
import socket
import struct
import time

from . import record
from .environs import Environs
from .errors import RequestAborted, log
from .output import LOST, Output
from .record import ProtocolError, pack_header, unpack_header

# Bytes that a recv may take where a request is expected, which mostly comes in
# one, and where the rest of a body is.
RECEIVE = 16384
RECEIVE_BODY = 65536
# Bytes that are read past the end of a request to reach the next one, when
# the application left its body unread. More than that closes the connection.
MAX_DRAIN = 256 << 10
# Bytes of the body that are taken in to see whether an ABORT_REQUEST stands behind them.
MAX_READ_AHEAD = 256 << 10
# Seconds that a peer may neither send the body it owes nor take the answer.
# The web server has the finer clocks; this one frees the thread if it has none.
STALL_TIMEOUT = 600

_STALL = struct.pack("ll", STALL_TIMEOUT, 0)  # struct timeval
_ABORTED = "the web server aborted the request"


class Connection(Output):
    """Owned by one thread at a time; only lock and what it guards is for all.

    next_request reads heads and never waits; read_stdin reads a body and
    does. Between them lies one request, from request_id != 0 to finish.
    """

    __slots__ = ("fd", "values", "accepted", "registered", "keep", "stdin_done", "_environs", "_buf", "_pos",
                 "_content", "_skip", "_ignored", "_pieces", "_params", "_environ", "_closing", "_held", "_answer_end")

    def __init__(self, sock, values, environs=None):
        super().__init__(sock)
        self.fd = sock.fileno()
        self.values = values  # what GET_VALUES is answered with
        self.accepted = time.monotonic()  # when
        self.registered = False  # the poller's: it knows this descriptor
        self.keep = False
        self.stdin_done = True
        self._environs = environs or Environs()
        self._buf = b""  # received, not taken apart from _pos on
        self._pos = 0
        self._content = 0  # bytes of the current STDIN record still to come
        self._skip = 0  # bytes of padding or ignored content still to come
        self._ignored = 0  # bytes ignored since the last request
        self._pieces = collections.deque()  # of the body, received and not read
        self._params = record.PairsDecoder()
        self._environ = None  # the head being read
        self._held = False  # FCGI_STDIN comes when it is asked for
        self._closing = False  # answered; waits only for the peer's end
        self._answer_end = b""  # the records that end a good answer to the current request
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _STALL)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _STALL)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # Receiving.

    def receive(self):
        """Takes what has arrived. Returns False if the peer is gone."""
        try:
            data = self.sock.recv(RECEIVE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if data and not self._buf:
            self._buf = data
            self._pos = 0
            return True
        return self._received(data)

    def is_empty(self):
        """Reports whether all that was received has been taken apart."""
        return not self._buf and not self._skip

    def _received(self, data):
        if not data:
            self.lost = self.aborted = True
            return False
        if self._pos >= len(self._buf):
            self._buf = data
        else:
            # A bytearray grows in place: many small arrivals cost no more than one.
            rest = self._buf if isinstance(self._buf, bytearray) else bytearray(self._buf)
            del rest[:self._pos]
            rest += data
            self._buf = rest
        self._pos = 0
        return True

    def partial(self):
        """Reports whether a request has begun to arrive."""
        return self.request_id != 0 or not self.is_empty()

    def is_new(self):
        """Reports whether no request has come yet: one is on its way."""
        return not self._answer_end

    def next_request(self):
        """Returns the params of the next request, or None if more must be
        received first. Its body is then for read_stdin."""
        if not self._pos and not self.request_id and not self._skip and not self._closing:
            environ = self._whole_head()
            if environ is not None:
                return environ
        while not self.lost and self._next_header():
            _, kind, request_id, length, padding, _ = unpack_header(self._buf, self._pos)
            start = self._pos + record.HEADER_LENGTH
            if request_id and kind != record.BEGIN_REQUEST and request_id != self.request_id:
                self._ignore(kind, length, padding)
                continue
            if start + length > len(self._buf):
                return None  # what matters below is small, or bounded by _params
            self._consume(start + length, padding)
            if request_id == 0:
                self._management(kind, start, length)
            elif kind == record.PARAMS:
                if length:
                    self._params.add(self._buf[start:start + length], self._environ)
                    continue
                self._params.end()
                self._begin_body()
                environ, self._environ = self._environ, None
                return environ
            elif kind == record.BEGIN_REQUEST:
                self._begin(request_id, start, length)
            elif kind == record.ABORT_REQUEST:
                self.request_id = 0
                self.send(record.end_request(request_id, 1))
                self._closing = not self.keep
            elif kind == record.STDIN:
                raise ProtocolError("STDIN before the end of PARAMS")
        return None

    def _whole_head(self):
        """Returns the params of a request whose head is all that is there, or
        all but for its body, as nearly always. Everything else, a fault
        included, is left to next_request: then this returns None."""
        buf = self._buf
        if len(buf) < 40 or type(buf) is not bytes:
            return None
        opening = record.opening(buf)
        if opening is None:
            return None
        params_end = 24 + (buf[20] << 8 | buf[21])
        rest = params_end + buf[22]
        if params_end == 24 or not buf.startswith(opening.params_end, rest):
            return None
        environ = self._environs.of(buf[24:params_end])
        if environ is None:
            return None  # a pair goes on in the next record, or never ends
        self.stdin_done = buf.startswith(opening.no_body, rest)
        if self.stdin_done and rest + 16 == len(buf):
            self._buf = b""  # an idle connection holds no memory
        else:
            self._pos = rest + (16 if self.stdin_done else 8)
        self.request_id = opening.request_id
        self.keep = opening.keep
        self._held = opening.held
        self._answer_end = opening.answer_end
        self.aborted = self._stderr_used = False
        self._ignored = 0
        return environ

    def _next_header(self):
        """Skips what is to be skipped. Returns whether a whole header is there."""
        left = len(self._buf) - self._pos
        if self._skip:
            n = min(self._skip, left)
            self._pos += n
            self._skip -= n
            left -= n
            if self._skip:
                return False
        if left < record.HEADER_LENGTH:
            if left == 0:
                self._buf, self._pos = b"", 0  # an idle connection holds no memory
            return False
        if self._buf[self._pos] != record.VERSION:
            raise ProtocolError("record of version %d, want 1 (FastCGI 3.3)" % self._buf[self._pos])
        return True

    def _consume(self, end, padding):
        self._pos = end
        if padding:
            left = len(self._buf) - end
            self._pos += min(padding, left)
            self._skip = max(0, padding - left)

    def _ignore(self, kind, length, padding):
        """Passes over a record of an inactive request (FastCGI 3.3). Mostly it
        is the rest of a body that the application did not read."""
        if kind == record.STDIN and length == 0:
            self.stdin_done = True
        self._ignored += record.HEADER_LENGTH + length
        if self._ignored > MAX_DRAIN:
            self.lost = self.aborted = True  # nothing wrong with it, but it costs too much
        self._pos += record.HEADER_LENGTH
        self._skip = length + padding

    def _management(self, kind, start, length):
        if kind == record.GET_VALUES:
            self.send(record.values_result(bytes(self._buf[start:start + length]), self.values))
        else:
            self.send(record.unknown_type(kind))

    def _begin(self, request_id, start, length):
        role, flags = record.begin_body(self._buf, start, length)
        if self.request_id:
            self._refuse_multiplexing(request_id)
            return
        if self._closing:
            raise ProtocolError("BEGIN_REQUEST after the last request of a connection")
        self.keep = flags & record.KEEP_CONN != 0
        self._held = flags & record.HOLD != 0
        if role != record.RESPONDER:
            self.send(record.end_request(request_id, 0, record.UNKNOWN_ROLE))
            self._closing = not self.keep
            return
        self.request_id = request_id
        self._environ = self._environs.new()
        self._answer_end = record.stream_end(record.STDOUT, request_id) + record.end_request(request_id, 0)
        self._params.reset()

    def _refuse_multiplexing(self, request_id):
        if request_id == self.request_id:
            raise ProtocolError("BEGIN_REQUEST with the id of an active request")
        self.send(record.end_request(request_id, 0, record.CANT_MPX_CONN))

    # The body of the current request.

    def _begin_body(self):
        self.aborted = self.stdin_done = self._stderr_used = False
        self._ignored = 0
        buf, pos = self._buf, self._pos
        # Nearly every request has no body, and its empty STDIN came along.
        if len(buf) - pos >= 8 and not self._skip and buf[pos + 1] == record.STDIN:
            version, _, request_id, length, padding, _ = unpack_header(buf, pos)
            if request_id == self.request_id and length == 0 and version == record.VERSION:
                self.stdin_done = True
                self._consume(pos + record.HEADER_LENGTH, padding)

    def read_stdin(self):
        """Waits for a piece of the body. Returns b"" at the end of FCGI_STDIN."""
        while not self._pieces:
            if self.aborted:
                raise RequestAborted(LOST if self.lost else _ABORTED)
            if self.stdin_done:
                return b""
            if self._held:
                self._held = False
                self.send(record.input_wanted(self.request_id))
            try:
                if not self._parse_body():
                    self._received(self.sock.recv(RECEIVE_BODY))
            except ProtocolError as e:
                log("connection closed: %s" % e)
                self.lost = self.aborted = True
            except OSError as e:
                if e.errno is None:
                    raise  # TimeoutError, by a signal's handler
                self.lost = self.aborted = True
        return self._pieces.popleft()

    def check_aborted(self):
        """Reports whether the request is aborted or its connection gone,
        from what has arrived: it does not wait. The end of the peer's stream
        counts as gone: no web server closes one half of a connection."""
        while not self.aborted:
            try:
                while self._parse_body():
                    pass
                if self.aborted or sum(map(len, self._pieces)) >= MAX_READ_AHEAD:
                    break
                data = self.sock.recv(RECEIVE_BODY, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            except (OSError, ProtocolError) as e:
                if type(e) is TimeoutError and e.errno is None:
                    raise  # a signal's handler has: it is the application's
                data = b""
            self._received(data)
        return self.aborted or self._hung_up()

    def _hung_up(self):
        """Reports whether the peer is gone although its bytes still wait here."""
        poll = select.poll()
        poll.register(self.fd, 0)  # POLLHUP and POLLERR come unasked
        if poll.poll(0):
            self.lost = self.aborted = True
        return self.aborted

    def _parse_body(self):
        """Takes one record, or a piece of one, apart. Returns False if none is there."""
        if self._content:
            piece = bytes(self._buf[self._pos:self._pos + self._content])
            if not piece:
                return False
            self._pieces.append(piece)
            self._pos += len(piece)
            self._content -= len(piece)
            return True
        if not self._next_header():
            return False
        _, kind, request_id, length, padding, _ = unpack_header(self._buf, self._pos)
        start = self._pos + record.HEADER_LENGTH
        if request_id == self.request_id and kind == record.STDIN and not self.stdin_done:
            self._pos, self._content, self._skip = start, length, padding
            self.stdin_done = length == 0
        elif request_id == 0 or kind == record.BEGIN_REQUEST:
            if start + length > len(self._buf):
                return False
            self._consume(start + length, padding)
            if request_id == 0:
                self._management(kind, start, length)
            else:
                record.begin_body(self._buf, start, length)
                self._refuse_multiplexing(request_id)
        else:
            self.aborted = request_id == self.request_id and kind == record.ABORT_REQUEST
            self._pos, self._skip = start, length + padding
        return True

    # The end of the current request.

    def finish(self, errors, content):
        """Ends a request that was answered: sends content, which is the rest of
        FCGI_STDOUT, and END_REQUEST."""
        with self.lock:
            errors.detach()
            end = self._answer_end
            if self._stderr_used:
                end = record.stream_end(record.STDERR, self.request_id) + end
            size = len(content)
            try:
                if 0 < size <= record.MAX_CONTENT:
                    self._send(record.record(record.STDOUT, self.request_id, content) + end)
                elif content:
                    self._send_parts(record.stream_parts(record.STDOUT, self.request_id, content) + [end])
                else:
                    self._send(end)
            except RequestAborted:
                pass  # nobody is left to tell
        self._leave()

    def finish_failed(self, errors, content, app_status):
        """Ends a request that was not answered: as finish, with another appStatus
        (FastCGI 5.5), and without FCGI_STDOUT if there is no content."""
        self._answer_end = b""
        if content:
            self._answer_end = record.stream_end(record.STDOUT, self.request_id)
        self._answer_end += record.end_request(self.request_id, app_status)
        self.finish(errors, content)

    def cut(self, errors):
        """Ends the request without END_REQUEST, so that what was sent of its
        answer cannot be taken for the whole."""
        with self.lock:
            errors.detach()
        self.keep = False
        self._leave()

    def _leave(self):
        self.request_id = 0
        if not self.keep or self.lost:
            self._closing = True
        if self._pieces:
            self._pieces.clear()
        if self._content:
            # The rest of a half-read STDIN record belongs to nobody now.
            self._skip += self._content
            self._ignored = self._content
            self._content = 0

    def wants_close(self):
        """Reports whether the connection has done its last request and nothing
        of the peer's is on the way: closing over unread bytes would reset the
        connection and could take the answer with it. Until then it lingers,
        and the peer is told that there is no more to come."""
        if self._closing and not self.lost and not self.stdin_done:
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                self.lost = True
        return self.lost or (self._closing and self.stdin_done)
