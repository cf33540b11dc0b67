"""Uncaught exceptions: how they are told to people, and to programs."""

import importlib
import json
import linecache
import os
import reprlib
import traceback

# Begins the line that tells of an exception once more, as a JSON object:
# "type", "message", "frames" from the outermost to the innermost, each with
# "file", "line", "function", "code" and, in development, "locals"; "cause" is the
# exception before it, of the same form. Parse in the package incident reads it.
LINE_PREFIX = "frontd-traceback: "
# What a line may hold. Of more frames the middle is left out.
MAX_FRAMES = 60
MAX_CAUSES = 5
MAX_TEXT = 2000
MAX_LOCALS = 40

_OWN = os.path.join(os.path.dirname(__file__), "")

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 200


class Reporter:
    """Makes the text of an exception. Immutable."""

    def __init__(self, dev=False, lines=False):
        self.dev = dev  # with the locals of each frame
        self._lines = lines

    def text(self, exc):
        """Returns what goes to the log: the traceback, and the line for programs if wanted."""
        return self.traceback(exc) + self.line(exc)

    def line(self, exc):
        """Returns the line for programs, "" if it is not wanted."""
        if not self._lines:
            return ""
        return LINE_PREFIX + json.dumps(_describe(exc, self.dev, MAX_CAUSES)) + "\n"

    def traceback(self, exc):
        """Returns the traceback without the host's own frames at its top."""
        tb = _application(exc.__traceback__)
        if self.dev:
            try:
                return "".join(traceback.TracebackException(type(exc), exc, tb, capture_locals=True).format())
            except Exception:
                pass  # of the repr() of a local variable
        return format_exception(exc, tb)


def format_exception(exc, tb=None):
    """Returns the traceback of an exception, from tb on if it is given, without
    failing: what Python reads and imports to make one cannot be had where the
    process has no descriptor left, and an exception may be made to fail."""
    tb = tb or exc.__traceback__
    try:
        return "".join(traceback.format_exception(type(exc), exc, tb))
    except Exception:
        lines = ["Traceback (most recent call last):\n"]
        lines += ['  File "%s", line %d, in %s\n' % (frame.f_code.co_filename, line, frame.f_code.co_name)
                  for frame, line in list(traceback.walk_tb(tb))[-MAX_FRAMES:]]
        return "".join(lines) + "%s: %s\n" % (type(exc).__qualname__, _safe(str, exc))


def print_import(exc):
    """Prints the traceback of a module or factory that failed, without the
    frames of the host and of Python's import at its top."""
    tb = exc.__traceback__
    while tb is not None and _imports(tb.tb_frame.f_code.co_filename):
        tb = tb.tb_next
    # Not to print_exc: it would tell of the frames above as well.
    traceback.print_exception(type(exc), exc, tb)


def _imports(file):
    return file.startswith((_OWN, "<frozen importlib")) or file == importlib.__file__


def _application(tb):
    while tb is not None and tb.tb_next is not None and tb.tb_frame.f_code.co_filename.startswith(_OWN):
        tb = tb.tb_next
    return tb


def _describe(exc, dev, causes):
    kind = type(exc)
    module = kind.__module__  # which a class made at run time may have set to anything
    module = module + "." if isinstance(module, str) and module not in ("builtins", "__main__") else ""
    frames = list(traceback.walk_tb(_application(exc.__traceback__)))
    if len(frames) > MAX_FRAMES:
        frames[MAX_FRAMES // 2:-MAX_FRAMES // 2] = []
    told = {"type": module + kind.__qualname__, "message": _safe(str, exc), "frames": [
        _frame(frame, line, dev) for frame, line in frames]}
    before = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    if before is not None and causes:
        told["cause"] = _describe(before, dev, causes - 1)
    return told


def _frame(frame, line, dev):
    code = frame.f_code
    told = {"file": code.co_filename, "line": line, "function": getattr(code, "co_qualname", code.co_name),
            "code": _source(frame, line)}
    if dev:
        told["locals"] = {name: _safe(_repr.repr, value) for name, value in list(frame.f_locals.items())[:MAX_LOCALS]}
    return told


def _source(frame, line):
    try:
        return linecache.getline(frame.f_code.co_filename, line, frame.f_globals).strip()[:MAX_TEXT]
    except Exception:
        return ""  # as in format_exception


def _safe(describe, value):
    """An exception, and a variable, may have a repr that fails itself."""
    try:
        return describe(value)[:MAX_TEXT]
    except Exception as e:
        return "<%s in repr>" % type(e).__name__
