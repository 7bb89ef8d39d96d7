"""Determines whether a local attempt is still running, or how it ended, from the files in its directory alone.

This is the decision table of docs/runs.md. The handle calls it when a supervisor ends, every 10 seconds, and for every
unfinished run at start.
"""

import contextlib
import fcntl
import json
import os
import stat
from pathlib import Path

from controller.errors import ResourceError, shortage
from controller.model.runs import RunOutcome, RunState
from controller.records import dataclass
from controller.runs.executors.attempt_files import exit_outcome, find_mark, open_regular
from controller.runs.executors.executor import NotStarted


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSupervisor:
    """A supervisor holds the lock. `started`: its flow has been, or is about to be, started."""

    pid: int | None
    started: bool


_MAX_PID = 1 << 22
_HOLDER_BYTES = 16
"""The id of the supervisor, at the start of the lock. The record of its temporary directory follows."""
MAX_SPECIFICATION_BYTES = 1 << 24
COPIED = "outcome unknown: this state directory is a copy, and the flow was started from the original"


def recover(directory: Path, nonce: str, *, same_boot: bool) -> LiveSupervisor | RunOutcome | NotStarted:
    """Read the directory of one attempt. The lock comes first: while a supervisor holds it, nothing else is final.

    Any content of the directory gives a result. Raises only ResourceError: this process lacks what it needs to read.
    """
    try:
        lock = _lock_holder(directory / "lock")
        if lock is not None:
            # A copy made with hard links shares the lock file, so the holder belongs to the original.
            if _is_copy(directory):
                return _lost(COPIED)
            return LiveSupervisor(pid=lock.pid, started=_may_have_started(directory, nonce))
        started = find_mark(directory / "started", nonce)
        ending = find_mark(directory / "exit", nonce)
    except (OSError, ValueError) as error:
        return _lost(f"outcome unknown: {_unreadable(error)}")
    if ending is not None:
        try:
            return exit_outcome(ending)
        except ValueError:
            return _lost("outcome unknown: the exit file in the run directory is not valid")
    if _is_copy(directory):
        return _lost(COPIED)
    if started is not None:
        reason = "the supervisor was killed" if same_boot else "the machine was restarted"
        return _lost(f"outcome unknown: {reason} while the flow was running")
    return NotStarted()


def _lost(reason: str) -> RunOutcome:
    """Return the outcome of a flow that was started and whose end was not recorded."""
    return RunOutcome(state=RunState.CRASHED, reason=reason)


def _is_copy(directory: Path) -> bool:
    """Whether the attempt was launched in another state directory, of which this is a copy.

    A copied directory has another inode. A moved directory keeps its inode, also when device numbers change.
    """
    with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError):
        with os.fdopen(open_regular(directory / "run.json"), "rb") as stream:
            said = json.loads(stream.read(MAX_SPECIFICATION_BYTES)).get("state")
        here = f"{directory.parents[1].stat().st_ino:x}"
        return isinstance(said, str) and said.rpartition("-")[2] != here
    return False


def why_unprepared(directory: Path) -> str | None:
    """Return why this directory does not prove that nothing ran; None if its prepared files still exist.

    Raises ResourceError.
    """
    try:
        found = os.lstat(directory / "run.json")
    except (FileNotFoundError, NotADirectoryError):
        return "the run directory is missing"
    except (OSError, ValueError) as error:
        return _unreadable(error)
    return None if stat.S_ISREG(found.st_mode) else "run.json in the run directory is not a regular file"


@dataclass(frozen=True, slots=True)
class _Holder:
    pid: int | None


def _lock_holder(path: Path) -> _Holder | None:
    """Return the holder of the lock. Raises OSError if the lock is not a file or cannot be opened."""
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, _HOLDER_BYTES).rstrip(b" ")
        pid = int(text) if text.isdigit() else 0
        return _Holder(pid if 0 < pid <= _MAX_PID else None)
    finally:
        os.close(descriptor)
    return None


def _may_have_started(directory: Path, nonce: str) -> bool:
    """Whether `started` exists or cannot be read."""
    try:
        return find_mark(directory / "started", nonce) is not None
    except OSError:
        return True


def _unreadable(error: OSError | ValueError) -> str:
    """Return which file of a run can't be read, and why. Raises ResourceError if this process lacks a resource."""
    if (want := shortage(error, with_disk=False)) is not None:
        raise ResourceError(want) from error
    if not isinstance(error, OSError):
        return f"the run directory can't be read: {error}"
    name = "" if error.filename is None else f"{Path(os.fsdecode(error.filename)).name} in "
    return f"{name}the run directory can't be read: {error.strerror}"
