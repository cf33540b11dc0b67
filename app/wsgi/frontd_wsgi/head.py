"""The head of an answer: the status and headers of start_response, checked and encoded."""

import re

# RFC 9110 5.6.2: a token.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z").match
# RFC 9110 5.5: a field value has no control characters but the tab. One that
# carried CR or LF would start a header of the attacker's.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
_STATUS = re.compile(r"[2-5][0-9][0-9] ").match

# PEP 3333, "Other HTTP Features": a connection is the server's. "Status" would
# be taken for the CGI field (RFC 3875 6.3.3).
_FORBIDDEN = frozenset((
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
    "te", "trailer", "trailers", "transfer-encoding", "upgrade", "status",
))
# What one user is given is not kept beyond the answer.
_PERSONAL = frozenset(("set-cookie", "location", "authorization", "www-authenticate"))


# Header lines that passed, and what comes of them: an application says much
# the same in every answer. Both are emptied when they are full, so what an
# application makes up anew for each answer costs no more than its check.
_known_lines = {}
_known_statuses = {}
_MAX_KNOWN = 512
# A longer value is not worth keeping.
_MAX_KEPT_VALUE = 256


def encode(status, headers):
    """Returns (head, length, code): the CGI header block without the empty line
    that ends it, Content-Length or None, and the status code.

    Raises TypeError or ValueError on what PEP 3333 "The start_response()
    Callable" does not allow.
    """
    try:
        text, code = _known_statuses.get(status) or _status(status)
    except TypeError:  # not hashable, and therefore wrong
        text, code = _status(status)
    if type(headers) is not list:
        raise TypeError("headers is %s, must be a list" % type(headers).__name__)
    length = None
    for header in headers:
        if type(header) is not tuple:
            raise TypeError("header is %r, must be a tuple of two" % (header,))
        try:
            line = _known_lines.get(header)
        except TypeError:  # as above
            line = None
        if line is None:
            line, value = _line(header)
            if value is not None:
                if length is not None:
                    raise ValueError("Content-Length is set twice")
                length = value
        text += line
    try:
        return text.encode("latin-1"), length, code
    except UnicodeEncodeError as e:
        raise ValueError("status and headers must be latin-1: %s" % e) from None


def _status(status):
    if not isinstance(status, str):
        raise TypeError("status is %s, must be str" % type(status).__name__)
    if _STATUS(status) is None or _CONTROL(status):
        raise ValueError("status is %r, must be like '200 OK' from 200 to 599" % status)
    known = ("Status: " + status + "\r\n", int(status[:3]))
    if type(status) is str and len(status) <= _MAX_KEPT_VALUE:
        _keep(_known_statuses, status, known)
    return known


def _line(header):
    """Checks one header. Returns its line and, of a Content-Length, its value."""
    if len(header) != 2:
        raise TypeError("header is %r, must be a tuple of two" % (header,))
    name, value = header
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError("header is %r, must be two str" % (header,))
    if name == "Content-Length":
        return "Content-Length: " + value + "\r\n", _length(value)  # never kept: it differs
    if _TOKEN(name) is None:
        raise ValueError("header name %r is not a token" % name)
    if _CONTROL(value):
        raise ValueError("value of header %s has a control character: %r" % (name, value))
    line = name + ": " + value + "\r\n"
    lower = name.lower()
    if lower in _FORBIDDEN:
        raise ValueError("header %s is not for applications to set" % name)
    if lower == "content-length":
        return line, _length(value)
    if lower not in _PERSONAL and len(value) <= _MAX_KEPT_VALUE and type(name) is type(value) is str:
        _keep(_known_lines, header, line)
    return line, None


def _keep(known, key, value):
    if len(known) >= _MAX_KNOWN:
        known.clear()
    known[key] = value


def _length(value):
    if len(value) > 18 or not (value.isascii() and value.isdigit()):
        raise ValueError("Content-Length is %r, must be a number" % value)
    return int(value)
