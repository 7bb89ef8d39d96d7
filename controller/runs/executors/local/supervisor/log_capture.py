"""The log of one run: raw bytes, and never more of them than the cap. Used by the supervisor; blocks and fails nobody.

The first half of the cap is written to `log` as it comes, so that it can be followed. What comes after goes round
in `log.tail`, which always holds the newest bytes; at the end it is joined to `log`, after one line that says how
many bytes between the two are gone. On a full disk the ring is as large as the disk lets it be.
"""

import contextlib
import os

CHUNK = 1 << 16


class LogCapture:
    """Takes what a flow prints; `close` joins head and tail, and says how many bytes were dropped."""

    def __init__(self, limit: int) -> None:
        try:
            self._log = _create("log", os.O_APPEND)
        except OSError:
            self._log = -1  # every write to it fails
        self._room = limit // 2
        self._size = limit - limit // 2
        self._ring = -1
        self._beyond = 0
        self._dropped = 0

    def take(self, data: bytes) -> None:
        """Keep these bytes, or the newest of them."""
        head = data[: self._room]
        if head:
            written = _write(self._log, head)
            # After a write that failed, the head is complete: a hole in the middle would lie about the order.
            self._room = self._room - written if written == len(head) else 0
            data = data[written:]
        if data:
            self._go_round(memoryview(data))

    def close(self) -> int:
        """Join the tail to the head. Returns how many bytes are in neither."""
        kept = min(self._beyond, self._size)
        self._dropped += self._beyond - kept
        if self._dropped:
            _write(self._log, b"\n[controller: %d bytes of output were dropped here]\n" % self._dropped)
        if kept:
            start = self._beyond % self._size if self._beyond > self._size else 0
            copied = self._copy(start, kept - start) + self._copy(0, start)
            self._dropped += kept - copied
        with contextlib.suppress(OSError):
            os.close(self._ring)
            os.unlink("log.tail")
        return self._dropped

    def _go_round(self, data: memoryview) -> None:
        if self._ring < 0:
            try:
                self._ring = _create("log.tail", 0)
            except OSError:
                self._size = 0
        while data and self._size:
            at = self._beyond % self._size
            piece = data[: self._size - at]
            written = _write(self._ring, piece, at)
            self._beyond += written
            data = data[written:]
            if written < len(piece):
                self._shrink(at + written)
        self._dropped += len(data)

    def _shrink(self, size: int) -> None:
        """The disk is full: go round in what there is. Bytes beyond it that are older than these are given up."""
        self._dropped += self._beyond - size
        self._beyond = self._size = size

    def _copy(self, at: int, count: int) -> int:
        copied = 0
        while copied < count:
            data = os.pread(self._ring, min(CHUNK, count - copied), at + copied)
            written = _write(self._log, data)
            copied += written
            if written < len(data) or not data:
                break
        return copied


def _create(name: str, more: int) -> int:
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | more, 0o600)


def _write(descriptor: int, data: bytes | memoryview, at: int | None = None) -> int:
    """Write all of it, or as much as the disk takes; returns how much that was."""
    written = 0
    try:
        while written < len(data):
            rest = data[written:]
            written += os.write(descriptor, rest) if at is None else os.pwrite(descriptor, rest, at + written)
    except OSError:
        pass
    return written
