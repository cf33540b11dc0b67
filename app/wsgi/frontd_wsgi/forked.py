"""A process that the application forks without starting a program in it.

It is a copy of the worker, with its sockets and its handlers of signals. What it
sent would stand amid the worker's answers, what it changed of the descriptors that
wait would change the worker's, and TERM would have it finish requests. So
Host lets go of all of it there, and the process ends here where the application
has it come back to the host.
"""

import os
import sys

from .errors import RequestAborted, log
from .report import format_exception


def end(exc=None):
    """Ends the process with which the application is done: by exc, or by
    answering, which is the worker's to do. As in multiprocessing, what was
    registered with atexit is the worker's as well, and does not run."""
    status = 1
    try:
        if isinstance(exc, SystemExit):
            status = _status(exc.code)
        elif exc is None or isinstance(exc, RequestAborted):
            log("a process that the application forked came back with an answer: it has no client, and ends here; "
                "have it end with os._exit()")
        else:
            sys.stderr.write(format_exception(exc))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)  # whatever has become of the streams


def _status(code):
    """The exit status of sys.exit(code)."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1
