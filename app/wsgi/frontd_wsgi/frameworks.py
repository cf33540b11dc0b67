"""Frameworks that answer an exception of the application themselves.

Flask and Bottle tell wsgi.errors of it. Django tells nobody unless DEBUG is on or
LOGGING says so: its page of 500 would be all that is left.
"""

import sys


def listen(reporter):
    """Has exceptions that a loaded framework answers told to the web server, in the
    form for programs alone: what the project's own logging makes of them stays as it is."""
    signals = sys.modules.get("django.core.signals")
    if signals is None:
        return

    def told(request=None, **_):
        from django.conf import settings

        exc = sys.exc_info()[1]
        errors = getattr(request, "environ", {}).get("wsgi.errors")
        if exc is not None and errors is not None and not settings.DEBUG:  # whose own page has more to show
            errors.write(reporter.line(exc))

    signals.got_request_exception.connect(told, weak=False, dispatch_uid="frontd")
