"""Finds the output of a run: raw bytes in the directory of each attempt. Used by the CLI, the API and the dashboard."""

import os
import re
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from stat import S_ISREG

from controller.runs.executors.attempt_files import read_mark
from controller.time_format import format_time

_OUTCOMES = ("succeeded", "failed", "timed_out", "cancelled", "skipped")
_ATTEMPT = re.compile(r"([0-9]+)-.*")


def log_files(runs_directory: Path, run_id: str) -> list[Path]:
    """Return the logs of a run's attempts, oldest first. Launches that never started a flow have none.

    Deleted logs are not included, and a log may be deleted before the caller reads it.
    """
    logs: list[tuple[int, int, Path]] = []
    with suppress(OSError):
        for directory in list((runs_directory / run_id).iterdir()):
            attempt = _ATTEMPT.fullmatch(directory.name)
            if attempt is not None:
                with suppress(OSError):
                    status = (directory / "log").stat()
                    if S_ISREG(status.st_mode):
                        logs.append((int(attempt[1]), status.st_ctime_ns, directory / "log"))
    return [path for _, _, path in sorted(logs)]


def log_pieces(runs_directory: Path, run_id: str, zone: tzinfo | None = UTC) -> list[Path | bytes]:
    """Return the logs of a run's attempts, with a line between each two that introduces the next attempt.

    The offset of existing output does not change when another attempt follows. `zone` is the time zone of the times in
    these lines. Callers that count bytes must use the default, because the length of a line depends on the zone.
    """
    pieces: list[Path | bytes] = []
    before: Path | None = None
    for path in log_files(runs_directory, run_id):
        if before is not None:
            pieces.append(separator(before, path, zone))
        pieces.append(path)
        before = path
    return pieces


def separator(before: Path, path: Path, zone: tzinfo | None) -> bytes:
    """Return the line between the logs of two attempts, with the time in `zone`."""
    parts = [f"attempt {attempt_of(path)}"]
    started = read_start(path)
    if started is not None:
        parts.append(f"started {format_time(started, zone)}")
    state = read_outcome(before) or "crashed"
    parts.append(f"after attempt {attempt_of(before)} {state.replace('_', ' ')}")
    line = f"[controller: {', '.join(parts)}]\n".encode()
    return line if _ends_a_line(before) else b"\n" + line


def heading(before: Path, path: Path, zone: tzinfo | None, attempts: int) -> bytes:
    """Return the line between the logs of two attempts for a terminal, with the time of day in `zone`."""
    parts = [f"attempt {attempt_of(path)} of {attempts}"]
    started = read_start(path)
    if started is not None:
        parts.append(format_time(started, zone)[11:19])
    state = read_outcome(before) or "crashed"
    parts.append(f"after attempt {attempt_of(before)} {state.replace('_', ' ')}")
    line = f"──── {', '.join(parts)} ────\n".encode()
    return line if _ends_a_line(before) else b"\n" + line


def attempt_of(path: Path) -> int:
    """Return the number of the attempt that wrote this log."""
    return int(path.parent.name.partition("-")[0])


def read_start(path: Path) -> datetime | None:
    """Return when the flow that wrote this log was started, in UTC; None if it is unknown."""
    started = (read_mark(path.parent / "started", _nonce(path)) or {}).get("at")
    if isinstance(started, int | float):
        with suppress(ValueError, OverflowError, OSError):
            return datetime.fromtimestamp(started, UTC)
    return None


def read_outcome(path: Path) -> str | None:
    """Return the final state of the attempt that wrote this log; None if it is not recorded."""
    outcome = (read_mark(path.parent / "exit", _nonce(path)) or {}).get("outcome")
    return outcome if outcome in _OUTCOMES else None


def _nonce(path: Path) -> str:
    return path.parent.name.partition("-")[2]


def _ends_a_line(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as stream:
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) == b"\n"
    return True
