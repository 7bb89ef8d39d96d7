"""Stores what the runner of a remote attempt sends, under the names that a supervisor uses in the attempt's directory.

So logs, tasks and results of remote attempts are read like those of local ones.
"""

import errno
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from controller.runs.executors.flow_specification import LOG_BYTES
from controller.runs.executors.local.supervisor.flow_events import FILE as EVENTS
from controller.runs.executors.local.supervisor.flow_events import MAX_FILE_BYTES
from controller.runs.executors.local.supervisor.log_times import MAGIC, RECORD
from controller.runs.executors.local.supervisor.log_times import NAME as LOG_TIMES

LOG = "log"
_NOTE_BYTES = 4096
"""The supervisor adds a line to the log about the output that it has dropped."""
_LIMITS = {LOG: LOG_BYTES + _NOTE_BYTES, EVENTS: MAX_FILE_BYTES}


def make_directory(directory: Path) -> None:
    """Create the directory of an attempt, which may be on the host of an earlier controller only. Raises OSError."""
    if not directory.exists():
        directory.parent.mkdir(exist_ok=True, mode=0o700)
        directory.mkdir(exist_ok=True, mode=0o700)


def append(directory: Path, name: str, offset: int, data: bytes, now: datetime) -> int:
    """Append to the log or the events if they have this size now. Return their size. Raises OSError."""
    descriptor = os.open(directory / name, _APPENDING, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size != offset or not data:
            return size
        if size + len(data) > _LIMITS[name]:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), name)
        if name == LOG:
            _stamp(directory, offset, now)
        return size + os.write(descriptor, data)
    finally:
        os.close(descriptor)


def write_mark(directory: Path, name: str, content: Mapping[str, Any], *, is_durable: bool = True) -> None:
    """Write `started` or `exit` atomically; with `is_durable`, sync the file and its directory. Raises OSError."""
    new = directory / f"{name}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(json.dumps(content).encode())
        stream.flush()
        if is_durable:
            os.fsync(stream.fileno())
    new.rename(directory / name)
    if not is_durable:
        return
    folder = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _stamp(directory: Path, offset: int, now: datetime) -> None:
    """Record that the log from `offset` on has arrived now (see `log_times`)."""
    descriptor = os.open(directory / LOG_TIMES, _APPENDING, 0o600)
    try:
        header = b"" if os.fstat(descriptor).st_size else MAGIC
        os.write(descriptor, header + RECORD.pack(offset, int(now.timestamp() * 1000)))
    finally:
        os.close(descriptor)


_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
