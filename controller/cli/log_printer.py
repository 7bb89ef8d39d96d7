"""Prints the logs of a run, also while it is in progress. `runs logs` and `trigger --logs` call it."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.cli.log_output import LogWriter, MatchingLines

if TYPE_CHECKING:
    from controller.runs.log_times import LogTimes

FOLLOW_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """Which part of the output to print, and how.

    - `attempt`: only the output of this attempt.
    - `since`: only lines that arrived at this time or later; an aware datetime.
    - `tail`: only the last lines of all that.
    - `with_times`: each line begins with the time at which it arrived.
    """

    attempt: int | None = None
    since: datetime | None = None
    tail: int | None = None
    with_times: bool = False


class LogPrinter:
    """Prints the logs of a run in order, with a line between attempts; `attempts` is the maximum of this run."""

    def __init__(
        self,
        directory: Path,
        run_id: str,
        writer: LogWriter | MatchingLines,
        zone: tzinfo | None,
        attempts: int,
        options: LogOptions = LogOptions(),
    ) -> None:
        self._directory = directory
        self._run_id = run_id
        self._writer = writer
        self._zone = zone
        self._attempts = attempts
        self._options = options
        self._stamps = _Stamps(zone) if options.with_times else None
        self._start_offsets: dict[Path, int] = {}
        self._without_separator: set[Path] = set()
        self._offsets: dict[Path, int] = {}
        if options.since is not None:
            self._skip_earlier(options.since)
        if options.tail is not None:
            self._keep_last(options.tail)

    def _skip_earlier(self, since: datetime) -> None:
        """Restrict the output to lines that arrived at this time or later."""
        for path in self._log_files():
            self._start_offsets[path] = start = _start_since(path, since)
            if start:
                self._without_separator.add(path)

    def _keep_last(self, lines: int) -> None:
        """Restrict the output to the last `lines` lines; the separators between attempts are counted as well."""
        for path in reversed(self._log_files()):
            earliest = self._start_offsets.get(path, 0)
            with path.open("rb") as stream:
                start, count = _tail_start(stream, lines, earliest)
            self._start_offsets[path] = start
            lines -= count
            if lines <= 0:
                self._without_separator.add(path)
            lines = max(0, lines - (path not in self._without_separator))

    def _log_files(self) -> list[Path]:
        from controller.runs.log_files import attempt_of, log_files

        files = log_files(self._directory, self._run_id)
        return [path for path in files if self._options.attempt in (None, attempt_of(path))]

    def print_logs(self, is_ended: Callable[[], bool] | None) -> None:
        """Print the existing output; with `is_ended`, keep printing new output until it returns True."""
        pause = threading.Event()
        while True:
            is_last = is_ended is None or is_ended()  # checked before reading, so that no output is lost
            self._print_new()
            if is_last:
                return
            pause.wait(FOLLOW_SECONDS)

    def _print_new(self) -> None:
        previous: Path | None = None
        for path in self._log_files():
            is_new = path not in self._offsets
            if is_new and previous is not None and path not in self._without_separator:
                self._write_separator(previous, path)
            previous = path
            with path.open("rb") as stream:
                stream.seek(self._start_offsets.get(path, 0) if is_new else self._offsets[path])
                while chunk := stream.read(1 << 16):
                    self._write(path, chunk, stream.tell() - len(chunk))
                self._offsets[path] = stream.tell()

    def _write_separator(self, before: Path, path: Path) -> None:
        from controller.runs.log_files import heading, separator

        if self._writer.is_terminal:
            self._writer.write_separator(heading(before, path, self._zone, self._attempts))
        else:
            self._writer.write_separator(separator(before, path, self._zone))
        if self._stamps is not None:
            self._stamps.begin_line()

    def _write(self, path: Path, chunk: bytes, offset: int) -> None:
        self._writer.write(chunk if self._stamps is None else self._stamps.stamp(path, chunk, offset))


class _Stamps:
    """Puts the arrival time before each line."""

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone
        self._is_in_line = False
        self._blank = b" " * stamp_width(zone)

    def begin_line(self) -> None:
        """The next byte begins a line."""
        self._is_in_line = False

    def stamp(self, path: Path, chunk: bytes, offset: int) -> bytes:
        """Return these bytes of a log, which begin at `offset`, with the times of the lines that begin in them."""
        from controller.runs.log_times import LogTimes

        times = LogTimes(path)  # read again: they grow with the log
        parts: list[bytes] = []
        for line in _lines(chunk):
            if not self._is_in_line:
                parts.append(self._stamp_at(times, offset))
            parts.append(line)
            offset += len(line)
            self._is_in_line = not line.endswith(b"\n")
        return b"".join(parts)

    def _stamp_at(self, times: "LogTimes", offset: int) -> bytes:
        moment = times.time_at(offset)
        return self._blank if moment is None else _format_stamp(moment, self._zone)


def stamp_width(zone: tzinfo | None) -> int:
    """Return the number of characters that a time before a line takes."""
    return len(_format_stamp(datetime(2026, 1, 1, tzinfo=UTC), zone))


def _format_stamp(moment: datetime, zone: tzinfo | None) -> bytes:
    from controller.time_format import format_time

    return f"{format_time(moment, zone, timespec='milliseconds')}  ".encode()


def _lines(chunk: bytes) -> list[bytes]:
    """Split at line feeds only, and keep them."""
    *lines, rest = chunk.split(b"\n")
    return [line + b"\n" for line in lines] + ([rest] if rest else [])


def _start_since(path: Path, since: datetime) -> int:
    """Return the offset of the first line that arrived at `since` or later; the size of the log if there is none.

    A log without times counts as a whole, by the time of its last change.
    """
    from controller.runs.log_times import LogTimes

    times = LogTimes(path)
    with path.open("rb") as stream:
        status = os.fstat(stream.fileno())
        offset = times.offset_since(since)
        if offset is None:
            return 0 if not times and status.st_mtime >= since.timestamp() else status.st_size
        if offset > 0:
            stream.seek(offset - 1)  # a line that began before is left out
            stream.readline()
            offset = stream.tell()
        return offset


def _tail_start(stream: Any, lines: int, earliest: int = 0) -> tuple[int, int]:
    """Return the offset in bytes at which the last `lines` lines begin, and how many lines follow it.

    Nothing before the offset `earliest` is read.
    """
    end = stream.seek(0, os.SEEK_END)
    if lines == 0 or end <= earliest:
        return int(end), 0
    position, count, is_first = end, 0, True
    while position > earliest:
        step = min(1 << 16, position - earliest)
        position -= step
        stream.seek(position)
        block = stream.read(step)
        stop = len(block) - 1 if is_first and block.endswith(b"\n") else len(block)
        is_first = False
        while (index := block.rfind(b"\n", 0, stop)) >= 0:
            count += 1
            if count == lines:
                return int(position + index + 1), lines
            stop = index
    return earliest, count + 1
