"""Hosts a WSGI application on the listening socket at descriptor 0.

Run as: python3 PATH/TO/frontd_wsgi MODULE[:CALLABLE] [--directory DIR] [--threads N] [--dev]

With --template descriptor 0 is no listening socket but one of orders to fork
workers that have theirs: see template.py.
"""

import os
import sys

if sys.version_info < (3, 9):
    sys.exit("frontd-wsgi: Python 3.9 or later is needed, %s is %s" % (sys.executable, sys.version.split()[0]))

if not __package__:
    # Started by path: Python has put this folder first in sys.path, where its
    # files would pass for modules. The folder above has one name, taken away
    # again when it is loaded.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import argparse  # noqa: E402
import faulthandler  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import signal  # noqa: E402

from frontd_wsgi import environ, frameworks, fresh, gateway, host, loader, report, template  # noqa: E402
from frontd_wsgi.errors import log  # noqa: E402

# Exit status of a host whose application could not be loaded.
LOAD_FAILED = 3


def main():
    options = parse_arguments()
    # A stuck process can say where: kill -QUIT. A crash in C code says it itself.
    faulthandler.enable()
    faulthandler.register(signal.SIGQUIT, all_threads=True, chain=False)
    os.chdir(options.directory)
    sys.path[0] = os.getcwd()
    sys.argv = sys.argv[:1]  # the arguments are not the application's

    settings = json.loads(os.environ.pop("FRONTD_SETTINGS", "{}"))

    if options.template:
        mould, listener = template.Template(), None
    else:
        mould, listener = None, host.take_listener()
    peers = host.allowed_peers()
    if options.dev:
        fresh.watch(sys.path[0])
    try:
        app = loader.load(options.target, options.middleware)
    except loader.LoadError as e:
        log("cannot load the application: %s" % e)
        return LOAD_FAILED
    settle()
    if mould is not None:
        if not mould.fork_workers():
            return 0
        listener = host.take_listener()

    reporter = report.Reporter(options.dev, options.tracebacks)
    frameworks.listen(reporter)
    handler = gateway.Gateway(app, reporter)
    server = host.Host(listener, handler, environ.constants(options.threads, settings), options.threads, peers)
    server.take_signals()  # one that still loads the application dies of them
    return server.run()


def settle():
    """Has the garbage collector leave alone what was loaded, for it stays, and
    look at the rest after 10,000 more containers instead of 700 (2,000 from
    Python 3.12): a request makes a few hundred, and most collections would find
    nothing but what requests in hand use. An application that has set a
    threshold of its own keeps it."""
    gc.collect()
    gc.freeze()
    if gc.isenabled() and gc.get_threshold()[0] in (700, 2000):
        gc.set_threshold(10000, *gc.get_threshold()[1:])


def parse_arguments():
    parser = argparse.ArgumentParser(prog="frontd_wsgi")
    parser.add_argument("target", metavar="MODULE[:CALLABLE]")
    parser.add_argument("--directory", default=".", help="the application's folder: working directory and import path")
    parser.add_argument("--threads", type=int, default=1, help="requests served at once")
    parser.add_argument("--middleware", action="append", default=[], metavar="MODULE:CALLABLE",
                        help="wraps the application; the first one given is the outermost")
    parser.add_argument("--tracebacks", action="store_true", help="tell exceptions in a line of JSON as well")
    parser.add_argument("--template", action="store_true", help="fork workers by the orders that come on descriptor 0")
    parser.add_argument("--dev", action="store_true", help="show tracebacks, with local variables, to the client")
    options = parser.parse_args()
    if not 1 <= options.threads <= 1024:
        parser.error("--threads must be from 1 to 1024")
    return options


if __name__ == "__main__":
    sys.exit(main())
