"""Writes the log of one run as raw bytes, up to a maximum size. Used by the supervisor; it never blocks or raises.

The first half of the maximum goes to `log` immediately, so that it can be followed. Later bytes go to the ring buffer
`log.tail`, which always holds the newest ones. At the end, the ring is appended to `log`, after one line with the
number of bytes dropped in between. On a full disk, the ring is as large as the disk allows.
"""

import contextlib
import os

from controller.runs.executors.local.supervisor.log_times import LogTimes

CHUNK = 1 << 16


class LogCapture:
    """Call `write` with the output of a flow. `close` joins head and tail and returns the number of dropped bytes."""

    def __init__(self, limit: int) -> None:
        try:
            self._log = _create("log", os.O_APPEND)
        except OSError:
            self._log = -1  # every write fails
        self._room = limit // 2
        self._size = limit - limit // 2
        self._ring = -1
        self._beyond = 0
        self._dropped = 0
        self._times = LogTimes()
        self._received = 0

    def write(self, data: bytes) -> None:
        """Keep these bytes, or the newest of them if there are too many."""
        head = data[: self._room]
        if head:
            self._times.stamp(self._received)
            written = _write(self._log, head)
            # After a failed write the head is complete, because a later write would leave an unmarked gap.
            self._room = self._room - written if written == len(head) else 0
            data = data[written:]
            self._received += written
        if data:
            self._times.stamp_late(self._received)
            self._received += len(data)
            self._write_ring(memoryview(data))

    def close(self) -> int:
        """Append the tail to the head. Return the number of bytes that are in neither."""
        tail = min(self._beyond, self._size)
        self._dropped += self._beyond - tail
        if self._dropped:
            _write(self._log, b"\n[controller: %d bytes of output were dropped here]\n" % self._dropped)
        if tail:
            with contextlib.suppress(OSError):
                begin = self._received - tail
                self._times.write_late(begin, os.fstat(self._log).st_size - begin)
            start = self._beyond % self._size if self._beyond > self._size else 0
            copied = self._copy(start, tail - start) + self._copy(0, start)
            self._dropped += tail - copied
        with contextlib.suppress(OSError):
            os.close(self._ring)
            os.unlink("log.tail")
        return self._dropped

    def _write_ring(self, data: memoryview) -> None:
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
        """Limit the ring to the space that a full disk has left. Older bytes beyond that are dropped."""
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
    """Write as much as the disk accepts; return the number of bytes written."""
    written = 0
    try:
        while written < len(data):
            rest = data[written:]
            written += os.write(descriptor, rest) if at is None else os.pwrite(descriptor, rest, at + written)
    except OSError:
        pass
    return written
