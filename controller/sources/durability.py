"""What must be on disk before something else is: a whole file system, or the entries of one directory.

Used by whatever writes a tree and then renames it into place: a rename that is on disk before the files that it names
shows empty files after a power cut.
"""

import ctypes
import os
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)


def sync_file_system(place: Path) -> None:
    """Write everything that the file system of `place` has in memory to its disk. Raises OSError if that failed.

    One syncfs(2) costs as much as a few fsync(2); one of each file would cost that for each of them.
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
    """Write one file, or the names in one directory, to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def exchange(one: Path, other: Path) -> bool:
    """Swap what two names of one file system stand for, at once; False where the system can't do that."""
    if not hasattr(_LIBC, "renameat2"):
        return False
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of renameat2(2)
    return bool(_LIBC.renameat2(here, os.fsencode(one), here, os.fsencode(other), swap) == 0)
