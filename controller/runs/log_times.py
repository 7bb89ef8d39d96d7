"""Reads when the lines of a log arrived, from the file that the supervisor wrote beside the log.

Called by `controller.runs.log_lines` and by `runs logs`. The file may be missing, because an older version wrote the
log, or end in the middle of a record: bytes without a record have no time.
"""

import os
from bisect import bisect_right
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG

from controller.runs.executors.local.supervisor.log_times import MAGIC, NAME, RECORD

_MAX_BYTES = 1 << 24
"""A few times the size of the longest file that the supervisor writes."""


class LogTimes:
    """The arrival times of the bytes of one log, as recorded so far."""

    def __init__(self, log: Path) -> None:
        self._data = _read(log.with_name(NAME))
        self._offsets = _Offsets(self._data)

    def time_at(self, offset: int) -> datetime | None:
        """Return when the byte at `offset` arrived, in UTC with milliseconds; None if it is unknown."""
        index = bisect_right(self._offsets, offset) - 1
        return None if index < 0 else _datetime(_record(self._data, index)[1])

    def offset_since(self, moment: datetime) -> int | None:
        """Return the offset of the first byte that arrived at `moment` or later; None if there is none."""
        earliest = moment.timestamp() * 1000
        records = RECORD.iter_unpack(memoryview(self._data)[: len(self._offsets) * RECORD.size])
        return next((offset for offset, milliseconds in records if milliseconds >= earliest), None)

    def __bool__(self) -> bool:
        """Whether any time is known."""
        return len(self._offsets) > 0


class _Offsets:
    """The offsets of the records as a sequence that `bisect` can search."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data) // RECORD.size

    def __getitem__(self, index: int) -> int:
        return _record(self._data, index)[0]


def _record(data: bytes, index: int) -> tuple[int, int]:
    offset, milliseconds = RECORD.unpack_from(data, index * RECORD.size)
    return offset, milliseconds


def _read(path: Path) -> bytes:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            if S_ISREG(os.fstat(descriptor).st_mode) and stream.read(len(MAGIC)) == MAGIC:
                return stream.read(_MAX_BYTES)
    return b""


def _datetime(milliseconds: int) -> datetime | None:
    with suppress(OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    return None
