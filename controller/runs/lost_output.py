"""Marks logs that are incomplete because the machine lost power before all output was on disk.

The `exit` file is synced and records the length of the log. The log itself is not synced, because that would cost every
run another flush of the disk. `app` calls this at startup. The mark is a line in the log, so that every interface shows
it.
"""

import json
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

_RECENT_SECONDS = 600.0
"""The kernel writes back data that is older than half a minute, so only the attempts that ended last are affected."""
_MAX_MARK_BYTES = 1 << 20
_END = b"were lost when the machine lost power]\n"


def mark_lost_output(runs_directory: Path) -> int:
    """Append a line to each log of a recently ended attempt that is too short. Return the number of those logs."""
    marked = 0
    for attempt in _recent_attempts(runs_directory):
        expected = _log_bytes(attempt)
        if expected and (lost := _mark(attempt / "log", expected)):
            marked += 1
            fields = {"run": attempt.parent.name, "bytes": lost}
            log.warning("Output of a run was lost when the machine lost power", extra=fields)
    return marked


def _recent_attempts(runs_directory: Path) -> Iterator[Path]:
    """Yield the attempt directories of the runs that changed last."""
    changed: dict[str, float] = {}
    with suppress(OSError), os.scandir(runs_directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                changed[entry.path] = entry.stat(follow_symlinks=False).st_mtime
    newest = max(changed.values(), default=0.0)
    for path, at in changed.items():
        if at >= newest - _RECENT_SECONDS:
            with suppress(OSError):
                yield from [child for child in Path(path).iterdir() if child.is_dir() and not child.is_symlink()]


def _log_bytes(attempt: Path) -> int:
    """Return the length of the log when the attempt ended; 0 if it is unknown."""
    with suppress(OSError, ValueError, RecursionError):
        descriptor = os.open(attempt / "exit", os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            mark: Any = json.loads(stream.read(_MAX_MARK_BYTES))
        length = mark.get("log_bytes") if isinstance(mark, dict) else None
        if isinstance(length, int) and 0 < length < 1 << 62:
            return length
    return 0


def _mark(path: Path, expected: int) -> int:
    """Append the mark to an incomplete log. Return the number of lost bytes; 0 if none, or if it is already marked."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(OSError):
        descriptor = os.open(path, flags, 0o600)
        try:
            status = os.fstat(descriptor)
            lost = expected - status.st_size
            if not stat.S_ISREG(status.st_mode) or lost <= 0:
                return 0
            end = os.pread(descriptor, 200, max(0, status.st_size - 200))
            if end.endswith(_END):
                return 0
            separator = b"" if end == b"" or end.endswith(b"\n") else b"\n"
            os.write(descriptor, b"%s[controller: %d bytes of output %s" % (separator, lost, _END))
            return lost
        finally:
            os.close(descriptor)
    return 0
