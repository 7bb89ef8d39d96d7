"""Records when the output of a flow arrived, in the file `log.times` beside `log`. Used by `log_capture`.

The file is `MAGIC`, followed by records of two unsigned 64-bit integers, little-endian: an offset in `log`, and when
the bytes from there on arrived, in milliseconds since 1970. Offsets increase; times follow the wall clock, which can be
set back. Readers ignore a file with another beginning, and an incomplete last record.

The size is bounded: the interval between two records is at least `INTERVAL_MS`, and doubles after every `STAGE`
records. A flow that prints all the time has 4 MiB of them after four months.
"""

import os
import struct
import time

NAME = "log.times"
MAGIC = b"controller-lt 1\n"
RECORD = struct.Struct("<QQ")
INTERVAL_MS = 10
STAGE = 1 << 14
LATE_RECORDS = 1 << 12


class LogTimes:
    """Call `stamp` before each write to the log with the number of bytes that arrived before.

    Bytes above half of the cap are first written to a ring buffer, so their offset in the log is known only at the end:
    `stamp_late` keeps their times in memory, the newer the denser, until `write_late` moves them to the file.
    Never raises: after an error, no further times are recorded.
    """

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._count = 0
        self._last = 0
        self._late: list[tuple[int, int]] = []

    def stamp(self, offset: int) -> None:
        """Record that the bytes of the log from `offset` on arrive now, unless the last record is recent enough."""
        now = self._new_time()
        if now is not None:
            self._count += 1
            self._write(RECORD.pack(offset, now))

    def stamp_late(self, position: int) -> None:
        """Remember that the bytes of the output from `position` on arrive now."""
        now = self._new_time()
        if now is not None:
            self._late.append((position, now))
            if len(self._late) >= LATE_RECORDS:
                del self._late[1::2]

    def write_late(self, start: int, shift: int) -> None:
        """Record the remembered times of the output from `start` on; `shift` converts positions to offsets."""
        before = [moment for position, moment in self._late if position <= start][-1:]
        rest = [(position, moment) for position, moment in self._late if position > start]
        records = [(start, moment) for moment in before] + rest
        self._write(b"".join(RECORD.pack(position + shift, moment) for position, moment in records))

    def _new_time(self) -> int | None:
        now = time.time_ns() // 1_000_000
        if abs(now - self._last) < INTERVAL_MS << self._count // STAGE:
            return None
        self._last = now
        return now

    def _write(self, data: bytes) -> None:
        if self._descriptor == -1 or not data:
            return
        try:
            if self._descriptor is None:
                self._descriptor = -1  # if the file cannot be created
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
                self._descriptor = os.open(NAME, flags, 0o600)
                data = MAGIC + data
            is_complete = os.write(self._descriptor, data) == len(data)
        except OSError:
            is_complete = False
        if not is_complete:  # later records would not be aligned
            self._descriptor = -1
