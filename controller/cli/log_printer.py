"""Prints the logs of a run, also while it is in progress. `runs logs` and `trigger --logs` call it."""

import os
import threading
from collections.abc import Callable
from datetime import tzinfo
from pathlib import Path
from typing import Any

from controller.cli.log_output import LogWriter, MatchingLines

FOLLOW_SECONDS = 0.2


class LogPrinter:
    """Prints the logs of a run in order, with a separator line between attempts: those of all attempts, or of one."""

    def __init__(
        self,
        directory: Path,
        run_id: str,
        tail: int | None,
        writer: LogWriter | MatchingLines,
        zone: tzinfo | None,
        *,
        attempt: int | None = None,
    ) -> None:
        self._attempt = attempt
        self._directory = directory
        self._run_id = run_id
        self._start_offsets: dict[Path, int] = {}
        self._without_separator: set[Path] = set()
        self._offsets: dict[Path, int] = {}
        self._writer = writer
        self._zone = zone
        if tail is not None:
            self._keep_last(tail)

    def _keep_last(self, lines: int) -> None:
        """Restrict the output to the last `lines` lines; the separators between attempts are counted as well."""
        for path in reversed(self._log_files()):
            with path.open("rb") as stream:
                self._start_offsets[path], count = _tail_start(stream, lines)
            lines -= count
            if lines <= 0:
                self._without_separator.add(path)
            lines = max(0, lines - 1)

    def _log_files(self) -> list[Path]:
        from controller.runs.log_files import log_files

        files = log_files(self._directory, self._run_id)
        number = None if self._attempt is None else str(self._attempt)
        return [path for path in files if number in (None, path.parent.name.partition("-")[0])]

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
        from controller.runs.log_files import separator

        previous: Path | None = None
        for path in self._log_files():
            is_new = path not in self._offsets
            if is_new and previous is not None and path not in self._without_separator:
                self._writer.write(separator(previous, path, self._zone))
            previous = path
            with path.open("rb") as stream:
                stream.seek(self._start_offsets.get(path, 0) if is_new else self._offsets[path])
                while chunk := stream.read(1 << 16):
                    self._writer.write(chunk)
                self._offsets[path] = stream.tell()


def _tail_start(stream: Any, lines: int) -> tuple[int, int]:
    """Return the offset in bytes at which the last `lines` lines begin, and how many lines follow it."""
    end = stream.seek(0, os.SEEK_END)
    if lines == 0 or end == 0:
        return int(end), 0
    position, count, is_first = end, 0, True
    while position > 0:
        step = min(1 << 16, position)
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
    return 0, count + 1
