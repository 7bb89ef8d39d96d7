"""Logs that are shorter than what their run printed: the machine lost power before all of it was on disk.

`exit` is synced and says how many bytes the log had; the log itself is not synced, which would cost every run one more
flush of the disk. `app` calls this at start. A line in the log says what is missing, so that every surface shows it.
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
"""The kernel writes to the disk what is older than half a minute: only what ended last can be affected."""
_MAX_MARK_BYTES = 1 << 20
_END = b"were lost when the machine lost power]\n"


def mark_lost_output(runs_directory: Path) -> int:
    """Append a line to each log of a recently ended attempt that is too short; how many logs that were."""
    marked = 0
    for attempt in _recent_attempts(runs_directory):
        expected = _log_bytes(attempt)
        if expected and (lost := _mark(attempt / "log", expected)):
            marked += 1
            fields = {"run": attempt.parent.name, "bytes": lost}
            log.warning("Output of a run was lost when the machine lost power", extra=fields)
    return marked


def _recent_attempts(runs_directory: Path) -> Iterator[Path]:
    """The directories of attempts of the runs in which something changed last."""
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
    """How many bytes the log had when the attempt ended; 0 if that is not known."""
    with suppress(OSError, ValueError, RecursionError):
        descriptor = os.open(attempt / "exit", os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            ending: Any = json.loads(stream.read(_MAX_MARK_BYTES))
        said = ending.get("log_bytes") if isinstance(ending, dict) else None
        if isinstance(said, int) and 0 < said < 1 << 62:
            return said
    return 0


def _mark(path: Path, expected: int) -> int:
    """Say in the log what is missing from it; how many bytes that are, 0 if nothing is or it was said already."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(OSError):
        descriptor = os.open(path, flags, 0o600)
        try:
            found = os.fstat(descriptor)
            lost = expected - found.st_size
            if not stat.S_ISREG(found.st_mode) or lost <= 0:
                return 0
            end = os.pread(descriptor, 200, max(0, found.st_size - 200))
            if end.endswith(_END):
                return 0
            separator = b"" if end == b"" or end.endswith(b"\n") else b"\n"
            os.write(descriptor, b"%s[controller: %d bytes of output %s" % (separator, lost, _END))
            return lost
        finally:
            os.close(descriptor)
    return 0
