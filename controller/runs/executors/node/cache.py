"""The node's cache: code packages, Python environments and runners by their digest, for all runners of one user.

An entry has a lock file beside it. A runner holds a shared lock on the entries that it uses, for its life. To make or
remove an entry, a runner locks it exclusively, so that an entry in use never disappears.
"""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable
from typing import NamedTuple

CODE, PYTHON, RUNNER = "code", "python", "runner"
_LOCK = ".lock"
_REMOVED = ".removed"
_NEW = "new-"
_VARIANTS = 100
_TRIES, _TRY_SECONDS = 20, 0.05


class Limit(NamedTuple):
    """How long unused entries of a kind stay, in seconds, and how many at most."""

    seconds: float
    entries: int


LIMITS = {CODE: Limit(7 * 86400, 50), PYTHON: Limit(14 * 86400, 20), RUNNER: Limit(7 * 86400, 5)}


class Cache:
    """The cache below `directory`, which belongs to this user alone."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def find_or_make(
        self, kind: str, digest: str, is_usable: Callable[[str], bool], make: Callable[[str], None]
    ) -> str:
        """Return the folder of an entry, locked for the life of this process. Raises what `make` raises.

        `make` creates the folder; `is_usable` checks one. If others use a folder that is not usable, another is made
        beside it.
        """
        os.makedirs(f"{self.directory}/{kind}", 0o700, exist_ok=True)
        for number in range(_VARIANTS):
            folder = f"{self.directory}/{kind}/{digest}" + (f".{number}" if number else "")
            while (lock := _lock(folder, fcntl.LOCK_SH)) is not None:
                if is_usable(folder):
                    os.utime(f"{folder}{_LOCK}")
                    return folder
                os.close(lock)
                if not _make(folder, is_usable, make):
                    break
        raise OSError(f"{self.directory}/{kind}/{digest} is in use and damaged")

    def prune(self) -> None:
        """Remove what nobody has used for long, and what interrupted work has left behind. Ignores errors."""
        for kind, limit in LIMITS.items():
            with contextlib.suppress(OSError):
                self._prune(f"{self.directory}/{kind}", limit)

    def _prune(self, parent: str, limit: Limit) -> None:
        names = os.listdir(parent)
        folders = [f"{parent}/{name}" for name in names if not name.endswith(_LOCK) and not name.startswith(_NEW)]
        used = sorted(((_used_at(folder), folder) for folder in folders), reverse=True)
        oldest = time.time() - limit.seconds
        for number, (moment, folder) in enumerate(used):
            if number >= limit.entries or moment < oldest or folder.endswith(_REMOVED):
                remove_unused(folder)
        for name in names:
            if name.startswith(_NEW) and os.stat(f"{parent}/{name}").st_mtime < time.time() - 86400:
                delete(f"{parent}/{name}")


def remove_unused(folder: str) -> None:
    """Remove an entry unless a runner uses it."""
    lock = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if lock is None:
        return
    try:
        _remove(folder)
        os.unlink(f"{folder}{_LOCK}")
    finally:
        os.close(lock)


def delete(folder: str) -> None:
    """Delete a folder, even one whose folders are read-only. Ignores errors."""
    for path, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _make(folder: str, is_usable: Callable[[str], bool], make: Callable[[str], None]) -> bool:
    """Make an entry, unless another runner makes it now. Return False if its folder is damaged and in use."""
    for _ in range(_TRIES):
        if (lock := _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)) is not None:
            try:
                if not is_usable(folder):
                    _remove(folder)
                    make(folder)
            finally:
                os.close(lock)
            return True
        if (lock := _lock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)) is None:
            return True  # another runner holds it exclusively: the caller waits for it
        os.close(lock)
        time.sleep(_TRY_SECONDS)  # other runners hold it shortly while they check the folder, or use it
    return False


def _remove(folder: str) -> None:
    """Remove a folder. It is renamed first, so that no half of it is ever used."""
    aside = folder if folder.endswith(_REMOVED) else f"{folder}{_REMOVED}"
    if aside != folder:
        delete(aside)
        with contextlib.suppress(FileNotFoundError):
            os.rename(folder, aside)
    delete(aside)


def _lock(folder: str, operation: int) -> "int | None":
    """Lock an entry; return None if that would block. The lock file may be removed at any time before."""
    while True:
        descriptor = os.open(f"{folder}{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, operation)
            if _is_same(descriptor, f"{folder}{_LOCK}"):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_same(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _used_at(folder: str) -> float:
    try:
        return os.stat(f"{folder}{_LOCK}").st_mtime
    except OSError:
        return 0.0
