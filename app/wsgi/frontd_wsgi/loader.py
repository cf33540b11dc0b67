"""Finds the application that a target names, or says what it looked for."""

import importlib
import re
import sys

from .report import print_import

DEFAULT_CALLABLES = ("application", "app")
_TARGET = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*)"
                     r"(:(?P<callable>[^\W\d]\w*(\.[^\W\d]\w*)*)(?P<factory>\(\))?)?\Z").match


class LoadError(Exception):
    """The application cannot be loaded. Its text is one line that says why."""


def load(target, middleware=()):
    """Returns the application of MODULE[:CALLABLE[()]], wrapped in middleware
    of which each is MODULE:CALLABLE, the outermost first. On an error that the
    module raised, its traceback has been printed."""
    app = _load(target)
    for wrapper in reversed(middleware):
        app = _wrap(_load(wrapper), app, wrapper)
    return app


def _wrap(wrapper, app, target):
    try:
        app = wrapper(app)
    except BaseException as e:
        print_import(e)
        raise LoadError("the middleware %s failed with %s" % (target, _summary(e))) from None
    if not callable(app):
        raise LoadError("the middleware %s gave %s, which cannot be called" % (target, type(app).__name__))
    return app


def _load(target):
    match = _TARGET(target)
    if match is None:
        raise LoadError("target %r is not MODULE[:CALLABLE], as in mysite.wsgi:application or shop:create_app()"
                        % target)
    module = _import(match["module"])
    app = _find(module, match["callable"])
    if match["factory"]:
        try:
            app = app()
        except BaseException as e:
            print_import(e)
            raise LoadError("the factory %s failed with %s" % (target, _summary(e))) from None
    if not callable(app):
        raise LoadError("%s is %s, which cannot be called" % (target, type(app).__name__))
    return app


def _import(name):
    try:
        return importlib.import_module(name)
    except BaseException as e:
        print_import(e)
        missing = e.name if isinstance(e, ModuleNotFoundError) else None
        if missing and (name == missing or name.startswith(missing + ".")):
            raise LoadError("no module named %r; looked in %s" % (missing, ", ".join(sys.path))) from None
        if missing:
            raise LoadError("module %r needs %r, which this Python (%s) does not have; looked in %s"
                            % (name, missing, sys.executable, ", ".join(sys.path))) from None
        raise LoadError("module %r failed to import with %s" % (name, _summary(e))) from None


def _find(module, path):
    if path is None:
        for name in DEFAULT_CALLABLES:
            if hasattr(module, name):
                return getattr(module, name)
        raise LoadError(_not_found(module, " or ".join(DEFAULT_CALLABLES)))
    found = module
    for name in path.split("."):
        if not hasattr(found, name):
            raise LoadError(_not_found(module, path))
        found = getattr(found, name)
    return found


def _not_found(module, wanted):
    names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
    text = "module %r (%s) has no %s; " % (module.__name__, getattr(module, "__file__", "built in"), wanted)
    text += "callable there: %s" % (", ".join(sorted(names)) or "nothing")
    if "create_app" in names:
        text += "; for a factory say %s:create_app()" % module.__name__
    return text


def _summary(exc):
    text = str(exc).split("\n", 1)[0]
    return "%s: %s" % (type(exc).__name__, text) if text else type(exc).__name__
