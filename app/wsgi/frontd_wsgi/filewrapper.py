"""wsgi.file_wrapper (PEP 3333, "Optional Platform-Specific File Handling")."""

import io
import os
import stat
import sys

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


# What the front keeps of an answer in whose place it sends a file, or makes
# itself. With any other header the file is copied: none is to be lost.
_KEPT = frozenset((
    "content-type", "content-disposition", "content-language", "cache-control", "expires", "set-cookie", "vary",
    "content-security-policy", "cross-origin-opener-policy", "cross-origin-resource-policy", "permissions-policy",
    "referrer-policy", "strict-transport-security", "x-content-type-options", "x-frame-options", "x-robots-tag",
    "access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers",
    "content-length", "last-modified", "etag", "accept-ranges",
))


def sent_by_front(wrapper, folders, status, headers):
    """Returns the path of the file that an answer is, or None if it has to be
    copied.

    The front may send a file itself, with ranges and conditions, if it lies in
    one of folders ("/a:/b") and is all of the answer: a regular file under
    the name that it was opened by, from its beginning to its end.
    """
    if status != 200 or any(name.lower() not in _KEPT for name, _ in headers):
        return None
    name = getattr(wrapper.filelike, "name", None)
    if not isinstance(name, str) or not name.isascii() or not name.isprintable() or os.path.normpath(name) != name:
        return None
    if not any(name.startswith(folder.rstrip("/") + "/") for folder in folders.split(":")):
        return None
    if _is_temporary(wrapper.filelike) or _is_temporary(getattr(wrapper.filelike, "file", None)):  # Django's File has it
        return None
    try:
        now, opened = os.stat(name), os.fstat(wrapper.filelike.fileno())
        if not stat.S_ISREG(opened.st_mode) or not os.path.samestat(now, opened) or wrapper.filelike.tell() != 0:
            return None
    except (AttributeError, OSError, ValueError):
        return None
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    return name if not lengths or lengths == [str(opened.st_size)] else None


# Bytes below which a file's size is not told: nobody waits for so few, and files of
# the kernel's own (/proc, /sys) claim sizes that are not theirs.
_MIN_TOLD = 64 << 10


def length(filelike):
    """Returns how many bytes are to come of a file as open() gives it, or None: of
    another object, as of gzip.open(), what is read is not what lies on the disk."""
    raw = filelike.raw if type(filelike) is io.BufferedReader else filelike
    if type(raw) is not io.FileIO:
        return None
    try:
        info = os.fstat(raw.fileno())
        left = info.st_size - filelike.tell()
    except (OSError, ValueError):
        return None
    return left if stat.S_ISREG(info.st_mode) and left >= _MIN_TOLD else None


def _is_temporary(filelike):
    """Reports whether close(), which comes before the front has the name, may remove the file."""
    wrapper = getattr(sys.modules.get("tempfile"), "_TemporaryFileWrapper", None)
    return wrapper is not None and isinstance(filelike, wrapper)


def _is_regular(filelike):
    try:
        return stat.S_ISREG(os.fstat(filelike.fileno()).st_mode)
    except (AttributeError, OSError, ValueError, TypeError):
        return False  # not a file of the operating system's
