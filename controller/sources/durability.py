"""Flushes files to disk in the order that a power cut requires: a whole file system, one file or one directory.

Called before and after a tree of files is renamed into place. If the rename reached the disk before the contents of the
files, the files would be empty after a power cut.
"""

import ctypes
import os
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)


def sync_file_system(place: Path) -> None:
    """Flush the file system that contains `place` to its disk, with syncfs(2). Raises OSError.

    This takes as long as a few calls of fsync(2), and a tree would need one of these for each file.
    """
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not hasattr(_LIBC, "syncfs"):
            os.sync()
        elif _LIBC.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), os.fspath(place))
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Flush one file, or the entries of one directory, to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def exchange(first: Path, second: Path) -> bool:
    """Swap two paths of one file system atomically, with renameat2(2). Return False if the system can't do that."""
    if not hasattr(_LIBC, "renameat2"):
        return False
    at_fdcwd, rename_exchange = -100, 2
    return bool(_LIBC.renameat2(at_fdcwd, os.fsencode(first), at_fdcwd, os.fsencode(second), rename_exchange) == 0)
