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


def encode(status, headers):
    """Returns (head, length, code): the CGI header block without the empty line
    that ends it, Content-Length or None, and the status code.

    Raises TypeError or ValueError on what PEP 3333 "The start_response()
    Callable" does not allow.
    """
    if not isinstance(status, str):
        raise TypeError("status is %s, must be str" % type(status).__name__)
    if _STATUS(status) is None or _CONTROL(status):
        raise ValueError("status is %r, must be like '200 OK' from 200 to 599" % status)
    if type(headers) is not list:
        raise TypeError("headers is %s, must be a list" % type(headers).__name__)
    length = None
    lines = ["Status: " + status]
    for header in headers:
        if type(header) is not tuple or len(header) != 2:
            raise TypeError("header is %r, must be a tuple of two" % (header,))
        name, value = header
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("header is %r, must be two str" % (header,))
        if _TOKEN(name) is None:
            raise ValueError("header name %r is not a token" % name)
        if _CONTROL(value):
            raise ValueError("value of header %s has a control character: %r" % (name, value))
        lower = name.lower()
        if lower in _FORBIDDEN:
            raise ValueError("header %s is not for applications to set" % name)
        if lower == "content-length":
            if length is not None:
                raise ValueError("Content-Length is set twice")
            length = _length(value)
        lines.append(name + ": " + value)
    lines.append("")
    try:
        return "\r\n".join(lines).encode("latin-1"), length, int(status[:3])
    except UnicodeEncodeError as e:
        raise ValueError("status and headers must be latin-1: %s" % e) from None


def _length(value):
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise ValueError("Content-Length is %r, must be a number" % value)
    return int(value)
