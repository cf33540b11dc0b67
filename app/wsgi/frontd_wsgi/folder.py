"""A folder as an application: whichever .py file SCRIPT_FILENAME names.

Each file is a module of its own, loaded with the first request for it and again
when it has changed. What it imports is found from the folder's root, the working
directory, and stays as it was loaded first: only a restart loads that again.
"""

import os
import sys
import threading
import types

from .loader import DEFAULT_CALLABLES

_NOT_FOUND = b"Not Found\n"


class Page:
    """One file, loaded."""

    def __init__(self, path):
        self.lock = threading.Lock()  # held while it is loaded: two threads never do at once
        self._path = path
        self._stamp = None  # of what was loaded
        self._app = None
        self._module = None

    def application(self):
        """Returns the file's application, or None if it has none. What the file
        raises passes through: it is loaded again for the next request."""
        stamp = self._look()
        if stamp == self._stamp:
            return self._app
        with self.lock:
            stamp = self._look()
            if stamp != self._stamp:
                self._app = self._load()
                self._stamp = stamp  # looked at before it was read: never newer than what was loaded
            return self._app

    def _look(self):
        info = os.stat(self._path)
        return info.st_mtime_ns, info.st_size, info.st_ino, info.st_dev

    def _load(self):
        # Compiled here and not by importlib, whose .pyc files tell two versions
        # apart by whole seconds and size.
        with open(self._path, "rb") as f:
            code = compile(f.read(), self._path, "exec", dont_inherit=True)
        name = "page:" + os.path.splitext(os.path.relpath(self._path))[0]  # no import statement can mean it
        module = types.ModuleType(name)
        module.__file__ = self._path
        before = sys.modules.get(name)
        sys.modules[name] = module  # where pickle and dataclasses look for a class's module
        try:
            exec(code, module.__dict__)
        except BaseException as e:
            if before is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = before
            if isinstance(e, SystemExit):  # a script's sys.exit(main()) ends no worker
                raise RuntimeError("%s exits when it is loaded: it is no WSGI application" % self._path) from e
            raise
        self._module = module  # an old one lives until its requests have ended
        for attribute in DEFAULT_CALLABLES:
            app = getattr(module, attribute, None)
            if callable(app):
                return app
        return None


_pages = {}  # path -> Page


def application(environ, start_response):
    path = environ.get("SCRIPT_FILENAME", "")
    page = _pages.get(path)
    if page is None:
        if not path:
            return _refuse(environ, start_response, "the web server named no file in SCRIPT_FILENAME")
        if "\0" in path:
            return _refuse(environ, start_response, "no file has the name %r" % path)
        page = _pages.setdefault(path, Page(path))  # one operation: the first of two threads wins
    try:
        app = page.application()
    except FileNotFoundError as e:
        if e.filename != path:
            raise  # the file's own
        _pages.pop(path, None)
        return _refuse(environ, start_response, "%s is gone" % path)
    if app is None:
        return _refuse(environ, start_response, "%s has no %s" % (path, " or ".join(DEFAULT_CALLABLES)))
    script = environ.pop("frontd.script_name", None)
    if script is not None:  # no PATH_INFO was sent, which the host took for an application at the root
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = script, ""
    return app(environ, start_response)


def _refuse(environ, start_response, reason):
    environ["wsgi.errors"].write("frontd-wsgi: %s\n" % reason)
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", str(len(_NOT_FOUND)))])
    return [_NOT_FOUND]
