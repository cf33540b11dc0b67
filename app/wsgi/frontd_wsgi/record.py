"""The FastCGI 1.0 wire format: records out, name-value pairs in."""

import struct

VERSION = 1  # FCGI_VERSION_1 (FastCGI 8)

# Record types (FastCGI 8).
BEGIN_REQUEST = 1
ABORT_REQUEST = 2
END_REQUEST = 3
PARAMS = 4
STDIN = 5
STDOUT = 6
STDERR = 7
GET_VALUES = 9
GET_VALUES_RESULT = 10
UNKNOWN_TYPE = 11
WINDOW = 64  # FRONTD_WINDOW, an extension: see FRONTD_HOLD in the package fcgi

RESPONDER = 1  # FCGI_RESPONDER, the only role here (FastCGI 6.2)
KEEP_CONN = 1  # flag in BEGIN_REQUEST (FastCGI 5.1)
HOLD = 2  # FRONTD_HOLD: FCGI_STDIN waits until it is asked for

# protocolStatus in END_REQUEST (FastCGI 5.5).
REQUEST_COMPLETE = 0
CANT_MPX_CONN = 1
UNKNOWN_ROLE = 3

HEADER_LENGTH = 8
# The most content a record of ours has: the largest multiple of eight that
# contentLength can say, so that a full record needs no padding (FastCGI 3.3).
MAX_CONTENT = 65528
# The most bytes one PARAMS stream may have. What is over it closes the connection.
MAX_PARAMS = 1 << 20

_header = struct.Struct(">BBHHBB")
pack_header = _header.pack
unpack_header = _header.unpack_from
_begin = struct.Struct(">HB5x").unpack_from
_end = struct.Struct(">BBHHBBIB3x").pack
_PADDING = [b"\0" * n for n in range(8)]


class ProtocolError(Exception):
    """A breach of the specification by the peer: it ends the connection."""


def record(kind, request_id, content):
    """Returns one record. len(content) is at most MAX_CONTENT."""
    n = len(content)
    padding = -n & 7
    return pack_header(VERSION, kind, request_id, n, padding, 0) + content + _PADDING[padding]


def stream(kind, request_id, content):
    """Returns content as as many records as it takes, none of them empty."""
    if 0 < len(content) <= MAX_CONTENT:
        return record(kind, request_id, content)
    return b"".join(stream_parts(kind, request_id, content))


def stream_parts(kind, request_id, content):
    """Returns the same as a list of buffers, in which content is not copied."""
    view = memoryview(content)
    parts = []
    for start in range(0, len(view), MAX_CONTENT):
        piece = view[start:start + MAX_CONTENT]
        padding = -len(piece) & 7
        parts.append(pack_header(VERSION, kind, request_id, len(piece), padding, 0))
        parts.append(piece)
        if padding:
            parts.append(_PADDING[padding])
    return parts


def stream_end(kind, request_id):
    """Returns the empty record that ends a stream (FastCGI 3.3)."""
    return pack_header(VERSION, kind, request_id, 0, 0, 0)


def end_request(request_id, app_status, protocol_status=REQUEST_COMPLETE):
    return _end(VERSION, END_REQUEST, request_id, 8, 0, 0, app_status, protocol_status)


def unknown_type(kind):
    return pack_header(VERSION, UNKNOWN_TYPE, 0, 8, 0, 0) + bytes((kind, 0, 0, 0, 0, 0, 0, 0))


def input_wanted(request_id):
    """Returns the record that asks for FCGI_STDIN."""
    return pack_header(VERSION, WINDOW, request_id, 8, 0, 0) + bytes((STDIN, 0, 0, 0, 0, 1, 0, 0))


def begin_body(buf, start, length):
    """Reads the body of BEGIN_REQUEST: (role, flags)."""
    if length != 8:
        raise ProtocolError("BEGIN_REQUEST of %d bytes, want 8 (FastCGI 5.1)" % length)
    return _begin(buf, start)


def values_result(query, known):
    """Answers the body of GET_VALUES: the names asked for that known has (FastCGI 4.1)."""
    asked = {}
    PairsDecoder(len(query) + 8).add(query, asked)
    content = b"".join(
        bytes((len(name), len(known[name]))) + name.encode() + known[name].encode()
        for name in asked if name in known
    )
    return record(GET_VALUES_RESULT, 0, content)


class Opening:
    """The first 20 bytes of a request as web servers mostly send them, up to the
    length of PARAMS, and what of its other records is known with them."""

    __slots__ = ("request_id", "keep", "held", "params_end", "no_body", "answer_end")

    def __init__(self, request_id, flags):
        self.request_id = request_id
        self.keep = flags & KEEP_CONN != 0
        self.held = flags & HOLD != 0
        self.params_end = stream_end(PARAMS, request_id)
        self.no_body = self.params_end + stream_end(STDIN, request_id)
        self.answer_end = stream_end(STDOUT, request_id) + end_request(request_id, 0)


# 20 bytes -> Opening. Web servers use few ids again and again.
_openings = {}
_MAX_OPENINGS = 1024


def opening(data):
    """Returns the Opening of what begins with the bytes data, or None if that is
    not BEGIN_REQUEST of a responder and the start of its PARAMS, both unpadded."""
    key = data[:20]
    known = _openings.get(key)
    if known is None and len(key) == 20 and key[2:4] == key[18:20] != b"\0\0":
        request_id, flags = key[2] << 8 | key[3], key[10]
        if key == pack_header(VERSION, BEGIN_REQUEST, request_id, 8, 0, 0) + bytes(
                (0, RESPONDER, flags, 0, 0, 0, 0, 0, VERSION, PARAMS)) + key[2:4]:
            if len(_openings) >= _MAX_OPENINGS:
                _openings.clear()
            known = _openings[key] = Opening(request_id, flags)
    return known


class PairsDecoder:
    """Gathers a stream of name-value pairs (FastCGI 3.4), however it is divided
    into records, within a bound. Lengths are believed only up to that bound."""

    __slots__ = ("limit", "size", "partial", "need")

    def __init__(self, limit=MAX_PARAMS):
        self.limit = limit
        self.reset()

    def reset(self):
        self.size = 0
        self.partial = None  # the bytes of an incomplete pair
        self.need = 0  # how many bytes of it there must be before another look is worth it

    def add(self, piece, pairs):
        """Takes a piece of the stream; puts the pairs it completes into pairs."""
        self.size += len(piece)
        if self.size > self.limit:
            raise ProtocolError("PARAMS over %d bytes" % self.limit)
        if self.partial is not None:
            self.partial += piece
            if len(self.partial) < self.need:
                return
            piece = self.partial
        used = decode_pairs(piece, pairs)
        if used == len(piece):
            self.partial = None
            return
        self.partial = bytearray(piece[used:])
        self.need = _pair_size(self.partial)
        if self.need > self.limit:
            raise ProtocolError("a pair of %d bytes in PARAMS, at most %d allowed" % (self.need, self.limit))

    def end(self):
        if self.partial is not None:
            raise ProtocolError("PARAMS ended within a pair (FastCGI 3.4)")


def decode_pairs(data, pairs, i=0):
    """Puts the whole pairs in data from i on into pairs, as latin-1 text
    (PEP 3333, "Unicode Issues"). Returns where they end."""
    text = data.decode("latin-1")
    size = len(data)
    last = size - 1
    while i < last:
        name = data[i]
        value = data[i + 1]
        if name < 128 > value:
            start = i + 2
        else:
            start, name, value = _long_lengths(data, i)
        middle = start + name
        end = middle + value
        if end > size:
            break
        pairs[text[start:middle]] = text[middle:end]
        i = end
    return i


def _long_lengths(data, i):
    """Reads two lengths at i of which at least one has four bytes. Returns
    where they end, which is beyond data if they are not all there."""
    name, i = _length(data, i)
    value, i = _length(data, i)
    return i, name, value


def _length(data, i):
    if i >= len(data):
        return 0, len(data) + 1
    if data[i] < 128:
        return data[i], i + 1
    if i + 4 > len(data):
        return 0, len(data) + 1
    return int.from_bytes(data[i:i + 4], "big") & 0x7FFFFFFF, i + 4


def _pair_size(data):
    """Returns the size that the pair at the start of data declares, as far as
    its lengths are there."""
    name, i = _length(data, 0)
    value, i = _length(data, i)
    return max(min(i, len(data)) + name + value, len(data) + 1)
