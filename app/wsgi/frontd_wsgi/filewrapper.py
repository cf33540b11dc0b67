"""wsgi.file_wrapper (PEP 3333, "Optional Platform-Specific File Handling")."""

import os
import stat

from .record import MAX_CONTENT


class FileWrapper:
    """Iterates a file from where it stands, in blocks. A regular file is read
    in blocks that fill a record, whatever blksize was suggested: nobody
    waits for its bytes, as may be with a pipe."""

    def __init__(self, filelike, blksize=8192):
        self.filelike = filelike
        self._blksize = MAX_CONTENT if blksize < MAX_CONTENT and _is_regular(filelike) else blksize
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self):
        return self

    def __next__(self):
        block = self.filelike.read(self._blksize)
        if not block:
            raise StopIteration
        return block


def _is_regular(filelike):
    try:
        return stat.S_ISREG(os.fstat(filelike.fileno()).st_mode)
    except (AttributeError, OSError, ValueError, TypeError):
        return False  # not a file of the operating system's
