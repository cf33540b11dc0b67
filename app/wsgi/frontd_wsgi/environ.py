"""environ: from FastCGI params to what PEP 3333 "environ Variables" asks for."""

import posixpath
from urllib.parse import unquote_to_bytes, urlsplit

from .filewrapper import FileWrapper


class BadRequest(Exception):
    """The web server passed on something that no application can be asked with."""


def constants(threads, settings=None):
    """Returns what is the same for every request of this process, and what
    PEP 3333 wants to be there if the web server does not say it."""
    return {
        "REQUEST_METHOD": "GET",
        "SERVER_NAME": "localhost",
        "SERVER_PROTOCOL": "HTTP/1.0",
        "wsgi.version": (1, 0),
        "wsgi.multithread": threads > 1,
        "wsgi.multiprocess": True,  # the supervisor may run any number beside this one
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "frontd.config": settings or {},  # one dict for all requests: it is for reading
        # wsgi.input ends where the body does, so that a body without
        # CONTENT_LENGTH can be read to its end.
        "wsgi.input_terminated": True,
    }


def complete(environ):
    """Makes params fit for an application, in place. Returns CONTENT_LENGTH or None."""
    get = environ.get
    length = None
    # A server that has none to say passes some of these empty.
    if "CONTENT_LENGTH" in environ:
        length = _length(environ)
    if "CONTENT_TYPE" in environ and not environ["CONTENT_TYPE"]:
        del environ["CONTENT_TYPE"]
    # HTTP_PROXY: a client's header that libraries take for a setting (httpoxy).
    if "HTTP_PROXY" in environ or "HTTP_CONTENT_LENGTH" in environ or "HTTP_CONTENT_TYPE" in environ:
        for name in ("HTTP_PROXY", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"):
            environ.pop(name, None)
    scheme = get("REQUEST_SCHEME")
    https = get("HTTPS")
    if https:
        scheme = "http" if https.lower() in ("off", "0", "no") else "https"
    elif scheme != "https":
        scheme = "http"
    environ["wsgi.url_scheme"] = scheme
    if "SERVER_PORT" not in environ:
        environ["SERVER_PORT"] = "443" if scheme == "https" else "80"
    if "QUERY_STRING" not in environ:
        environ["QUERY_STRING"] = get("REQUEST_URI", "").partition("?")[2]
    environ["frontd.request_id"] = get("REQUEST_ID", "")
    script = get("SCRIPT_NAME", "")
    info = get("PATH_INFO")
    # Nearly always: what frontd and the snippets for other servers send.
    if info is None or script or info[:1] != "/":
        if info is None:
            environ["frontd.script_name"] = script  # for who finds files by it: folder.py
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = split_path(script, info, get("REQUEST_URI", ""))
    elif "SCRIPT_NAME" not in environ:
        environ["SCRIPT_NAME"] = ""
    return length


def _length(environ):
    length = environ["CONTENT_LENGTH"]
    if length == "" or length == "-1":  # -1: Caddy, for a chunked body
        del environ["CONTENT_LENGTH"]
        return None
    if length.isdigit() and length.isascii() and len(length) <= 18:
        return int(length)
    raise BadRequest("CONTENT_LENGTH is %r" % length)


def split_path(script, info, uri):
    """Returns SCRIPT_NAME and PATH_INFO as an application expects them: where
    it is mounted and what follows, together the path of the URL, decoded.

    FastCGI servers were made for scripts in files and differ in what they
    send. The rule, first match wins; a given PATH_INFO is believed, for it is
    the path that the server's own access rules have seen:

    1. PATH_INFO given and SCRIPT_NAME + PATH_INFO the path of REQUEST_URI, or
       both there and different: as given. (For a mount at "/" lighttpd needs
       "fix-root-scriptname": without it SCRIPT_NAME is the first segment.)
    2. PATH_INFO given and equal to SCRIPT_NAME (nginx with PATH_INFO set to
       $fastcgi_script_name): mounted at the root, PATH_INFO as given.
    3. No PATH_INFO, SCRIPT_NAME the start of REQUEST_URI's path up to a "/"
       (nginx with SCRIPT_NAME set to a mount point): what follows it.
    4. No PATH_INFO (nginx's fastcgi_params, Apache's ProxyPass), or both
       empty: mounted at the root, PATH_INFO the path of REQUEST_URI, with its
       dots and double slashes resolved where SCRIPT_NAME shows that the server
       did so; SCRIPT_NAME where there is no REQUEST_URI.
    """
    path = uri_path(uri)
    if info is not None and (script or info):
        script = script.rstrip("/")
        if info and not info.startswith("/"):  # lighttpd: SCRIPT_NAME "/", PATH_INFO "a/b"
            info = "/" + info
        if script == info and script + info != path:
            return "", info
        return script, info
    if script and path.startswith(script + "/"):
        return script, path[len(script):]
    if not path or path == script:
        return "", script or path
    if script:
        path = _normalized(path)
    return "", path


def uri_path(uri):
    """Returns the decoded path of REQUEST_URI, "" if it has none ("*")."""
    if not uri.startswith("/"):
        try:
            uri = urlsplit(uri).path if "://" in uri else ""
        except ValueError:
            uri = ""
    path = uri.partition("?")[0]
    if "%" in path:
        path = unquote_to_bytes(path.encode("latin-1", "replace")).decode("latin-1")
    return path


def _normalized(path):
    tail = "/" if path.endswith(("/", "/.", "/..")) else ""
    path = posixpath.normpath("/" + path.lstrip("/"))
    return path if path == "/" else path + tail
