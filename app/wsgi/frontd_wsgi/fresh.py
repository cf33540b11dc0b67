"""In development: no bytecode of a source that was changed a moment ago.

Python takes a cached bytecode file for the source's if it names the source's
time of change, in whole seconds, and its size. A source that is saved twice within a
second, with as many bytes, would run as it was before.
"""

import importlib.machinery
import os
import time

# How much older than its bytecode, in seconds, a source must be for the
# bytecode to be used: the second that both may fall into, and the time
# that reading and compiling takes.
SETTLED = 2.0

_FOREIGN = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)


def watch(folder):
    """Has the modules below folder, a path as it is in sys.path, compiled anew
    while they are fresh. Those that were installed there, in a virtual
    environment, are left alone."""
    inside = os.path.join(folder, "")
    loader = importlib.machinery.SourceFileLoader
    read, write = loader.get_data, loader.set_data

    def get_data(self, path):
        if path != self.path and _own(self.path, inside) and not _settled(self.path, os.stat(path).st_mtime):
            raise OSError("%s may be of an earlier %s" % (path, self.path))  # then it is compiled
        return read(self, path)

    def set_data(self, path, data, **options):
        if not _own(self.path, inside) or _settled(self.path, time.time()):
            write(self, path, data, **options)

    loader.get_data, loader.set_data = get_data, set_data


def _own(path, inside):
    return path.startswith(inside) and not any(part in path for part in _FOREIGN)


def _settled(source, then):
    """Whether a source had its content, and its name, for a while at a time.
    One that is moved into the place of another keeps the time of its content:
    what tells of that is the time of its name's change."""
    try:
        status = os.stat(source)
    except OSError:
        return False  # it is being replaced
    return then >= max(status.st_mtime, status.st_ctime) + SETTLED
