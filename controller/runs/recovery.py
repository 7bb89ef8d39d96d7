"""Determines whether an attempt is still running, or how it ended, from the files in its directory alone.

This is the decision table of docs/runs.md. `monitor` calls it when a supervisor ends, every 10 seconds, and for every
unfinished run at start.
"""

import contextlib
import errno
import fcntl
import json
import os
import signal
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controller.errors import ResourceError, shortage
from controller.model.runs import RunOutcome, RunState
from controller.text import visible_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """A supervisor holds the lock. `started`: its flow has been, or is about to be, started."""

    pid: int | None
    started: bool


@dataclass(frozen=True, slots=True)
class NotStarted:
    """Proven: no code of this attempt has run."""


AttemptStatus = Alive | RunOutcome | NotStarted


def _lost(reason: str) -> RunOutcome:
    """Return the outcome of a flow that was started and whose end was not recorded."""
    return RunOutcome(state=RunState.CRASHED, reason=reason)


_MAX_PID = 1 << 22
_HOLDER_BYTES = 16
"""The id of the supervisor, at the start of the lock. The record of its temporary directory follows."""
_OUTCOMES = frozenset({"succeeded", "failed", "timed_out", "cancelled", "skipped"})
MAX_MARK_BYTES = 1 << 20
MAX_SPECIFICATION_BYTES = 1 << 24
COPIED = "outcome unknown: this state directory is a copy, and the flow was started from the original"
_NOT_A_FILE = "not a regular file"


def recover(directory: Path, nonce: str, *, same_boot: bool) -> AttemptStatus:
    """Read the directory of one attempt. The lock comes first: while a supervisor holds it, nothing else is final.

    Any content of the directory gives a result. Raises only ResourceError: this process lacks what it needs to read.
    """
    try:
        lock = _lock_holder(directory / "lock")
        if lock is not None:
            # A copy made with hard links shares the lock file, so the holder belongs to the original.
            if _is_copy(directory):
                return _lost(COPIED)
            return Alive(pid=lock.pid, started=_may_have_started(directory, nonce))
        started = _mark(directory / "started", nonce)
        ending = _mark(directory / "exit", nonce)
    except (OSError, ValueError) as error:
        return _lost(f"outcome unknown: {_unreadable(error)}")
    if ending is not None:
        # A flow of the same user can write there, but it can only falsify its own outcome.
        try:
            _check(ending)
            return _outcome(ending)
        except (TypeError, ValueError, OverflowError, OSError, RecursionError):
            return _lost("outcome unknown: the exit file in the run directory is not valid")
    if _is_copy(directory):
        return _lost(COPIED)
    if started is not None:
        reason = "the supervisor was killed" if same_boot else "the machine was restarted"
        return _lost(f"outcome unknown: {reason} while the flow was running")
    return NotStarted()


def _is_copy(directory: Path) -> bool:
    """Whether the attempt was launched in another state directory, of which this is a copy.

    A copied directory has another inode. A moved directory keeps its inode, also when device numbers change.
    """
    with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError):
        with os.fdopen(_open_regular(directory / "run.json"), "rb") as stream:
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
        descriptor = _open_regular(path)
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
        return _mark(directory / "started", nonce) is not None
    except OSError:
        return True


def read_mark(path: Path, nonce: str) -> dict[str, Any] | None:
    """Read `started` or `exit`; None if it is missing, unreadable, or of another attempt."""
    with contextlib.suppress(OSError, ValueError):
        return _mark(path, nonce)
    return None


def _mark(path: Path, nonce: str) -> dict[str, Any] | None:
    """Read `started` or `exit` of this attempt; None if it is missing or incomplete. Raises OSError otherwise."""
    try:
        descriptor = _open_regular(path)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        content = stream.read(MAX_MARK_BYTES)
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(content)
        if isinstance(said, dict) and said.get("nonce") == nonce:
            return said
    return None


def _open_regular(path: Path) -> int:
    """Open a regular file; a flow could have put a FIFO or a device there. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise OSError(error.errno, _NOT_A_FILE, str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, _NOT_A_FILE, str(path))
    return descriptor


def _unreadable(error: OSError | ValueError) -> str:
    """Return which file of a run can't be read, and why. Raises ResourceError if this process lacks a resource."""
    if (want := shortage(error, with_disk=False)) is not None:
        raise ResourceError(want) from error
    if not isinstance(error, OSError):
        return f"the run directory can't be read: {error}"
    name = "" if error.filename is None else f"{Path(os.fsdecode(error.filename)).name} in "
    return f"{name}the run directory can't be read: {error.strerror}"


def _check(ending: dict[str, Any]) -> None:
    """Raise ValueError for an `exit` that no supervisor can have written."""
    numbers = (ending.get(name, 0) for name in ("left_behind", "dropped_bytes"))
    codes = (ending.get(name) or 0 for name in ("exit_code", "signal"))
    if ending.get("outcome") not in _OUTCOMES or any(
        not isinstance(number, int) or abs(number) >= 1 << 62 for number in (*numbers, *codes)
    ):
        raise ValueError("no supervisor wrote this")


def _outcome(ending: dict[str, Any]) -> RunOutcome:
    state = RunState(ending["outcome"])
    return RunOutcome(
        state=state,
        reason=_reason(state, ending),
        exit_code=ending.get("exit_code"),
        signal=ending.get("signal"),
        finished_at=_instant(ending.get("finished_at")),
        result=ending.get("result") if state is RunState.SUCCEEDED else None,
        left_behind=ending.get("left_behind", 0),
        dropped_bytes=ending.get("dropped_bytes", 0),
        unenforced=tuple(ending.get("unenforced", ())),
        seconds=_duration(ending.get("seconds")),
    )


def _reason(state: RunState, ending: dict[str, Any]) -> str | None:
    if state is RunState.TIMED_OUT:
        return "it ran longer than its timeout"
    if state is RunState.CANCELLED:
        return "its supervisor received SIGTERM"
    if state is RunState.SKIPPED:
        # A flow has given its reason or none; a command has only its exit code.
        exit_code = ending.get("exit_code")
        return _text(ending.get("skipped")) or (f"exit code {exit_code}" if exit_code else None)
    if state is not RunState.FAILED:
        return None
    if (reason := _text(ending.get("reason")) or _text(ending.get("error"))) is not None:
        return reason
    if ending.get("signal") is not None:
        return f"ended by {_name(ending['signal'])} (signal {ending['signal']})"
    return f"exit code {ending.get('exit_code')}"


def _text(message: Any) -> str | None:
    """Return a message of a flow without unprintable characters: the database rejects some, and others reorder text.

    None if it is empty.
    """
    return visible_lines(str(message)) if message else None


def _name(number: int) -> str:
    """Return the name of a signal: `SIGSEGV`, or `SIGRTMIN+3`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def _instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _duration(seconds: float | None) -> float | None:
    """Return a duration that a timedelta can hold; raises ValueError otherwise."""
    if seconds is None:
        return None
    if not 0 <= seconds <= timedelta.max.total_seconds():
        raise ValueError("no supervisor wrote this")
    return float(seconds)
