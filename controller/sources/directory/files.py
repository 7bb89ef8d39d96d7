"""Files below a directory as they are now, read again only when their stat changed. `source` looks through it.

A stat is trusted once it is older than any clock's tick: what is written twice within one keeps its times. A file that
changes while it is read is not trusted at all.
"""

import hashlib
import os
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from controller.clock import Clock
from controller.sources.safe_open import open_inside

_SETTLED_AFTER = timedelta(seconds=2)

Stamp = tuple[int, int, int, int, int]


class UnstableError(Exception):
    """The file was being written while it was read."""


class TooLargeError(Exception):
    """The file has `size` bytes, more than are read. `stamp` changes when it does."""

    def __init__(self, size: int, stamp: Stamp) -> None:
        super().__init__(size)
        self.size = size
        self.stamp = stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A file's SHA-256 and size in bytes; its content if it had to be read for that."""

    digest: str
    size: int
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    stamp: Stamp
    is_settled: bool
    seen: Seen


class Files:
    """The files below `root`, up to `limit` bytes each. Links are followed inside of it, or not at all."""

    def __init__(self, root: Path, clock: Clock, *, limit: int, follow_links: bool = True) -> None:
        self._root = root
        self._clock = clock
        self._limit = limit
        self._follow_links = follow_links
        self._known: dict[str, _Known] = {}
        self.reads = 0

    def look(self, path: str) -> Seen:
        """The file at `path`. Raises OSError as `open_inside` does, UnstableError, TooLargeError."""
        with self._open(path) as stream:
            stamp = _stamp(stream)
            known = self._known.get(path)
            if known is not None and known.stamp == stamp and known.is_settled:
                return known.seen
            content = self._content(stream, stamp)
        seen = Seen(digest=hashlib.sha256(content).hexdigest(), size=len(content))
        self._known[path] = _Known(stamp, self._is_settled(stamp), seen)
        return replace(seen, content=content)

    def read(self, path: str) -> bytes:
        """The content of the file at `path` as it is now. Raises like `look`."""
        with self._open(path) as stream:
            return self._content(stream, _stamp(stream))

    def last(self, path: str) -> Seen | None:
        """What the last look at this file saw."""
        known = self._known.get(path)
        return None if known is None else known.seen

    def forget(self, path: str) -> None:
        """Read this file again at the next look."""
        self._known.pop(path, None)

    def keep(self, paths: set[str]) -> None:
        """Forget all others."""
        for path in set(self._known) - paths:
            self.forget(path)

    def _open(self, path: str) -> BinaryIO:
        return os.fdopen(open_inside(self._root, path, follow_links=self._follow_links), "rb")

    def _content(self, stream: BinaryIO, stamp: Stamp) -> bytes:
        size = stamp[0]
        if size > self._limit:
            raise TooLargeError(size, stamp)
        self.reads += 1
        content = stream.read(self._limit + 1)
        if len(content) != size or _stamp(stream) != stamp:
            raise UnstableError
        return content

    def _is_settled(self, stamp: Stamp) -> bool:
        changed = max(stamp[1], stamp[2]) / 1e9
        return changed < self._clock.now().timestamp() - _SETTLED_AFTER.total_seconds()


def _stamp(stream: BinaryIO) -> Stamp:
    found = os.fstat(stream.fileno())
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)
