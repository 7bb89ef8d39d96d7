"""Reads the output of a run by line numbers: the logs of all its attempts, with a line between each two of them.

A line ends with a line feed. The numbers are those of `controller runs logs ID` in a pipe, from 1, and do not change
when more output follows. `LogIndexes` remembers the number of lines before each block of a log, so that any line of a
long log is read with few bytes. Called by `controller.api.http.routes.run_logs` and `controller.runs.log_search`.
"""

import os
import threading
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from controller.records import dataclass
from controller.runs.log_files import attempt_of, log_files, read_outcome, read_start, separator
from controller.runs.log_scan import Section, level_of, plain_text
from controller.runs.log_times import LogTimes
from controller.text import whole_characters

MAX_TEXT_BYTES = 1 << 12
BLOCK_BYTES = 1 << 14
_READ_BYTES = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of the output of a run.

    - `text`: its first 4 KiB, without the line ending; `left_out` is the number of bytes after that.
    - `level`: DEBUG, INFO, WARNING, ERROR or CRITICAL, if the line names one in a common format.
    - `time`: when the line arrived, in UTC; None if it was not recorded, and for the line between two attempts.
    """

    number: int
    text: str
    left_out: int
    level: str | None
    time: datetime | None
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAttempt:
    """The part of the output that one attempt printed: `lines` lines from number `first_line` on.

    The line before introduces the attempt, except for the first one. `state` is `running` until the end is recorded.
    """

    number: int
    state: str
    started_at: datetime | None
    first_line: int
    lines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLines:
    """Lines of the output of a run, out of `total_lines` so far. `complete`: the run has finished."""

    lines: list[LogLine]
    total_lines: int
    complete: bool
    attempts: list[LogAttempt]


class LogIndex:
    """The number of line feeds before each block of one log, extended as the log grows."""

    def __init__(self) -> None:
        self._counts = array("Q", [0])
        self._inode = -1
        self._lock = threading.Lock()

    def count_lines(self, stream: int, size: int, inode: int) -> int:
        """Return the number of lines in the first `size` bytes of an open file, counting an unfinished last one."""
        with self._lock:
            if inode != self._inode or size < (len(self._counts) - 1) * BLOCK_BYTES:
                self._counts, self._inode = array("Q", [0]), inode
            while (begin := (len(self._counts) - 1) * BLOCK_BYTES) + BLOCK_BYTES <= size:
                data = os.pread(stream, min(_READ_BYTES, size // BLOCK_BYTES * BLOCK_BYTES - begin), begin)
                blocks = range(0, len(data) - BLOCK_BYTES + 1, BLOCK_BYTES)
                for start in blocks:
                    self._counts.append(self._counts[-1] + data.count(b"\n", start, start + BLOCK_BYTES))
                if not blocks:  # the file is shorter now
                    break
            rest = os.pread(stream, size - begin, begin) if begin < size else b""
            end = os.pread(stream, 1, size - 1) if size else b"\n"
            return self._counts[-1] + rest.count(b"\n") + (end != b"\n")

    def offset_of(self, stream: int, line: int) -> int:
        """Return the offset of this line, counted from 0, of which `count_lines` must have counted more."""
        if line <= 0:
            return 0
        with self._lock:
            block = bisect_left(self._counts, line) - 1
            position, remaining = block * BLOCK_BYTES, line - self._counts[block]
        data = os.pread(stream, BLOCK_BYTES, position)
        end = -1
        while remaining and (end := data.find(b"\n", end + 1)) >= 0:
            remaining -= 1
        return position + (end + 1 if end >= 0 else len(data))


class LogIndexes:
    """The indexes of the logs that were read last. An index of a log of 64 MiB has 32 KiB."""

    MAX = 64

    def __init__(self) -> None:
        self._indexes: OrderedDict[Path, LogIndex] = OrderedDict()
        self._lock = threading.Lock()

    def index(self, path: Path) -> LogIndex:
        """Return the index of this log, an empty one if it is new."""
        with self._lock:
            index = self._indexes.pop(path, None) or LogIndex()
            self._indexes[path] = index
            while len(self._indexes) > self.MAX:
                self._indexes.popitem(last=False)
            return index


@dataclass(frozen=True, slots=True)
class _Part:
    """Lines of one log; or, without a path, the line before an attempt."""

    first: int
    lines: int
    attempt: int
    path: Path | None
    size: int
    text: str


class RunLog:
    """The output of a run as it was when this was created. Later output is ignored."""

    def __init__(self, indexes: LogIndexes, runs_directory: Path, run_id: str, *, complete: bool) -> None:
        self._indexes = indexes
        self._complete = complete
        self._parts: list[_Part] = []
        before: Path | None = None
        for path in log_files(runs_directory, run_id):
            attempt = attempt_of(path)
            if before is not None:
                line = separator(before, path, UTC)
                self._parts.append(_Part(self.total_lines + 1, 1, attempt, None, len(line), line.decode().strip("\n")))
            size, lines = self._measure(path)
            self._parts.append(_Part(self.total_lines + 1, lines, attempt, path, size, ""))
            before = path

    @property
    def total_lines(self) -> int:
        """The number of lines of all attempts, with the lines between them."""
        return self._parts[-1].first + self._parts[-1].lines - 1 if self._parts else 0

    @property
    def size(self) -> int:
        """The number of bytes of all attempts, with the lines between them."""
        return sum(part.size for part in self._parts)

    def attempts(self) -> list[LogAttempt]:
        """Return the attempts with output, oldest first."""
        logs = [part for part in self._parts if part.path is not None]
        return [
            LogAttempt(
                number=part.attempt,
                state=read_outcome(part.path) or ("running" if part is logs[-1] and not self._complete else "crashed"),
                started_at=read_start(part.path),
                first_line=part.first,
                lines=part.lines,
            )
            for part in logs
            if part.path is not None
        ]

    def window(self, first: int, count: int, attempt: int | None = None) -> LogLines:
        """Return up to `count` lines from number `first` on; a negative one counts from the end."""
        parts = self._parts_of(attempt)
        begin, end = (parts[0].first, parts[-1].first + parts[-1].lines) if parts else (1, 1)
        start = max(begin, end + first if first < 0 else first)
        return self.select(range(start, min(end, start + count)))

    def select(self, numbers: Sequence[int]) -> LogLines:
        """Return the lines with these ascending numbers; those that do not exist are left out."""
        return LogLines(
            lines=[line for part in self._parts for line in self._read(part, numbers)],
            total_lines=self.total_lines,
            complete=self._complete,
            attempts=self.attempts(),
        )

    def sections(self, attempt: int | None = None) -> list[Section]:
        """Return what `log_scan` searches."""
        return [
            Section(part.first, None if part.path is None else str(part.path), part.size, part.text)
            for part in self._parts_of(attempt)
        ]

    def _parts_of(self, attempt: int | None) -> list[_Part]:
        return [part for part in self._parts if attempt is None or (attempt == part.attempt and part.path is not None)]

    def _measure(self, path: Path) -> tuple[int, int]:
        """Return the size of a log in bytes, and the number of its lines; 0 if it was deleted."""
        with suppress(OSError), path.open("rb", buffering=0) as stream:
            status = os.fstat(stream.fileno())
            return status.st_size, self._indexes.index(path).count_lines(stream.fileno(), status.st_size, status.st_ino)
        return 0, 0

    def _read(self, part: _Part, numbers: Sequence[int]) -> Iterable[LogLine]:
        inside = [number for number in numbers if part.first <= number < part.first + part.lines]
        if not inside:
            return
        if part.path is None:
            yield LogLine(number=part.first, text=part.text, left_out=0, level=None, time=None, attempt=part.attempt)
            return
        times = LogTimes(part.path)
        with suppress(OSError), part.path.open("rb", buffering=0) as stream:
            index = self._indexes.index(part.path)
            for _, consecutive in groupby(enumerate(inside), key=lambda item: item[1] - item[0]):
                block = [number for _, number in consecutive]
                offset = index.offset_of(stream.fileno(), block[0] - part.first)
                reader = _LineReader(stream.fileno(), offset, part.size)
                for number in block:
                    yield reader.next_line(number, part.attempt, times)


class _LineReader:
    """Reads consecutive lines of a log, and keeps only the beginning of a long one."""

    def __init__(self, stream: int, offset: int, size: int) -> None:
        self._stream = stream
        self._size = size
        self._buffer = b""
        self._buffer_offset = self._next = offset

    def next_line(self, number: int, attempt: int, times: LogTimes) -> LogLine:
        begin = self._next
        kept, last, end, length = b"", b"", -1, 0
        while end < 0 and (data := self._rest()):
            end = data.find(b"\n")
            piece = data if end < 0 else data[:end]
            kept += piece[: max(0, MAX_TEXT_BYTES + 1 - len(kept))]
            last = piece[-1:] or last
            length += len(piece)
            self._next += len(piece) + (end >= 0)
        if last == b"\r":
            length -= 1
            kept = kept[:length]
        if length > MAX_TEXT_BYTES:
            kept = whole_characters(kept[:MAX_TEXT_BYTES])
        text = kept.decode("utf-8", "replace")
        return LogLine(
            number=number,
            text=text,
            left_out=length - len(kept),
            level=level_of(plain_text(text)),
            time=times.time_at(begin),
            attempt=attempt,
        )

    def _rest(self) -> bytes:
        """Return the bytes from the next one on that are in memory, or read more; empty at the end."""
        used = self._next - self._buffer_offset
        if used >= len(self._buffer):
            limit = min(BLOCK_BYTES, self._size - self._next)
            self._buffer, self._buffer_offset, used = os.pread(self._stream, max(0, limit), self._next), self._next, 0
        return self._buffer[used:]
