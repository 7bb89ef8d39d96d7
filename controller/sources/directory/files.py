"""Reads the files below a directory, and reads them again only when their stat has changed. Called by `source`.

A file whose times are less than two seconds old is always read again, because two writes within one tick of the clock
leave the same times. A file that changes while it is being read is rejected.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from controller.clock import Clock
from controller.records import dataclass
from controller.sources.safe_open import Folder, open_inside

_SETTLED_AFTER = timedelta(seconds=2)

Stamp = tuple[int, int, int, int, int]


class UnstableError(Exception):
    """The file was being written while it was read."""


class TooLargeError(Exception):
    """The file has `size` bytes, which is more than the limit. `stamp` changes when the file changes."""

    def __init__(self, size: int, stamp: Stamp) -> None:
        super().__init__(size)
        self.size = size
        self.stamp = stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class FileVersion:
    """The SHA-256 and the size in bytes of a file, and its content if the file had to be read."""

    digest: str
    size: int
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class _CacheEntry:
    stamp: Stamp
    is_settled: bool
    version: FileVersion


class Files:
    """The files below `root`, up to `limit` bytes each. Links are followed inside `root`, or not at all."""

    def __init__(self, root: Path, clock: Clock, *, limit: int, follow_links: bool = True) -> None:
        self._root = root
        self._clock = clock
        self._limit = limit
        self._follow_links = follow_links
        self._folder: Folder | None = None
        self._cache: dict[str, _CacheEntry] = {}
        self.reads = 0

    @contextmanager
    def scan(self) -> Iterator[None]:
        """Keep the folder of the last file open meanwhile, so that the next file in it is opened with fewer steps."""
        self._folder = Folder(self._root, follow_links=self._follow_links)
        try:
            yield
        finally:
            self._folder.close()
            self._folder = None

    def check(self, path: str) -> FileVersion:
        """Return the current version of the file at `path`; its content is set if the file had to be read.

        Raises OSError like `open_inside`, UnstableError and TooLargeError.
        """
        descriptor = self._open(path)
        try:
            stamp = _stamp(descriptor)
            entry = self._cache.get(path)
            if entry is not None and entry.stamp == stamp and entry.is_settled:
                return entry.version
            content = self._content(descriptor, stamp)
        finally:
            os.close(descriptor)
        digest, size = hashlib.sha256(content).hexdigest(), len(content)
        version = FileVersion(digest=digest, size=size)
        self._cache[path] = _CacheEntry(stamp, self._is_settled(stamp), version)
        return FileVersion(digest=digest, size=size, content=content)

    def read(self, path: str) -> bytes:
        """Return the current content of the file at `path`. Raises the same errors as `check`."""
        descriptor = self._open(path)
        try:
            return self._content(descriptor, _stamp(descriptor))
        finally:
            os.close(descriptor)

    def last_version(self, path: str) -> FileVersion | None:
        """Return the version that `check` returned last for this file, without its content."""
        entry = self._cache.get(path)
        return None if entry is None else entry.version

    def invalidate(self, path: str) -> None:
        """Remove this file from the cache, so that `check` reads it again."""
        self._cache.pop(path, None)

    def retain(self, paths: set[str]) -> None:
        """Remove all files except these from the cache."""
        for path in set(self._cache) - paths:
            self.invalidate(path)

    def _open(self, path: str) -> int:
        if self._folder is not None:
            return self._folder.open(path)
        return open_inside(self._root, path, follow_links=self._follow_links)

    def _content(self, descriptor: int, stamp: Stamp) -> bytes:
        size = stamp[0]
        if size > self._limit:
            raise TooLargeError(size, stamp)
        self.reads += 1
        content = os.read(descriptor, size + 1)
        while len(content) < size and (more := os.read(descriptor, size + 1 - len(content))):
            content += more
        if len(content) != size or _stamp(descriptor) != stamp:
            raise UnstableError
        return content

    def _is_settled(self, stamp: Stamp) -> bool:
        changed = max(stamp[1], stamp[2]) / 1e9
        return changed < self._clock.now().timestamp() - _SETTLED_AFTER.total_seconds()


def _stamp(descriptor: int) -> Stamp:
    status = os.fstat(descriptor)
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
