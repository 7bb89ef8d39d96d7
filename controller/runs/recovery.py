"""Determines the status of a launching or running attempt from the files in its directory alone.

This is the decision table of docs/runs.md. Called by `monitor` when a supervisor has exited, every 10 seconds, and at
startup for every run that was in progress.
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
from controller.model.runs import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """A supervisor holds the lock. `started`: its flow was started, or is about to be started."""

    pid: int | None
    started: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The flow ended, and its supervisor recorded the outcome.

    - `left_behind`: the number of processes that were killed after the main process had exited.
    - `dropped_bytes`: output beyond the limit of the log.
    - `unenforced`: limits that can't be enforced on this machine.
    - `seconds`: the duration on a monotonic clock; None if an earlier version supervised the run.
    """

    state: RunState
    reason: str | None
    exit_code: int | None
    signal: int | None
    started_at: datetime | None
    finished_at: datetime | None
    result: Any
    left_behind: int = 0
    dropped_bytes: int = 0
    unenforced: tuple[str, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The flow was started, and its outcome is unknown."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotStarted:
    """It is proven that no code of this attempt has run."""


AttemptStatus = Alive | Finished | Lost | NotStarted


_MAX_PID = 1 << 22
_OUTCOMES = [state.value for state in (RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT, RunState.CANCELLED)]
MAX_MARK_BYTES = 1 << 20
MAX_SPECIFICATION_BYTES = 1 << 24
COPIED = "outcome unknown: this state directory is a copy, and the flow was started from the original"
_NOT_A_FILE = "not a regular file"


def recover(directory: Path, nonce: str, *, same_boot: bool) -> AttemptStatus:
    """Return the status of the attempt in this directory.

    The lock is checked first: while it is held, nothing else is final. Every content of the directory leads to a
    status. Raises only ResourceError, if this process lacks a resource to read the directory now.
    """
    try:
        lock = _lock_holder(directory / "lock")
        if lock is not None:
            # A copy made of hard links shares the lock file, which the original's supervisor holds.
            if _is_copy(directory):
                return Lost(reason=COPIED)
            return Alive(pid=lock.pid, started=_may_have_started(directory, nonce))
        started = _read_mark(directory / "started", nonce)
        exit_mark = _read_mark(directory / "exit", nonce)
    except (OSError, ValueError) as error:
        return Lost(reason=f"outcome unknown: {_unreadable(error)}")
    if exit_mark is not None:
        # A flow of the same user can write to the file. That affects only its own outcome.
        try:
            _check_exit_mark(exit_mark)
            return _finished(exit_mark)
        except (TypeError, ValueError, OverflowError, OSError, RecursionError):
            return Lost(reason="outcome unknown: the exit file in the run directory is not valid")
    if _is_copy(directory):
        return Lost(reason=COPIED)
    if started is not None:
        reason = "the supervisor was killed" if same_boot else "the machine was restarted"
        return Lost(reason=f"outcome unknown: {reason} while the flow was running")
    return NotStarted()


def _is_copy(directory: Path) -> bool:
    """Whether the attempt was launched in another state directory, of which this is a copy.

    A copied directory has another inode. A moved directory keeps its inode, even if the device numbers change after a
    restart.
    """
    with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError):
        with os.fdopen(_open_regular(directory / "run.json"), "rb") as stream:
            identity = json.loads(stream.read(MAX_SPECIFICATION_BYTES)).get("state")
        inode = f"{directory.parents[1].stat().st_ino:x}"
        return isinstance(identity, str) and identity.rpartition("-")[2] != inode
    return False


def why_unprepared(directory: Path) -> str | None:
    """Return why this directory does not prove that nothing ran; None if the files of the launch are still there.

    Raises ResourceError.
    """
    try:
        status = os.lstat(directory / "run.json")
    except (FileNotFoundError, NotADirectoryError):
        return "the run directory is missing"
    except (OSError, ValueError) as error:
        return _unreadable(error)
    return None if stat.S_ISREG(status.st_mode) else "run.json in the run directory is not a regular file"


@dataclass(frozen=True, slots=True)
class _Holder:
    pid: int | None


def _lock_holder(path: Path) -> _Holder | None:
    """Return the holder of the lock, or None. Raises OSError if the lock is not a regular file or can't be opened."""
    try:
        descriptor = _open_regular(path)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32)
        pid = int(text) if text.isdigit() else 0
        return _Holder(pid if 0 < pid <= _MAX_PID else None)
    finally:
        os.close(descriptor)
    return None


def _may_have_started(directory: Path, nonce: str) -> bool:
    """Whether the mark `started` exists or can't be read."""
    try:
        return _read_mark(directory / "started", nonce) is not None
    except OSError:
        return True


def read_mark(path: Path, nonce: str) -> dict[str, Any] | None:
    """Return the content of a mark; None if it is missing, can't be read, or belongs to another attempt."""
    with contextlib.suppress(OSError, ValueError):
        return _read_mark(path, nonce)
    return None


def _read_mark(path: Path, nonce: str) -> dict[str, Any] | None:
    """Return the content of a mark; None if it is missing, incomplete, or belongs to another attempt.

    Raises OSError if it can't be read.
    """
    try:
        descriptor = _open_regular(path)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        content = stream.read(MAX_MARK_BYTES)
    with contextlib.suppress(ValueError, RecursionError):
        document = json.loads(content)
        if isinstance(document, dict) and document.get("nonce") == nonce:
            return document
    return None


def _open_regular(path: Path) -> int:
    """Open a regular file for reading. A flow could have replaced it by a file that blocks or never ends.

    Raises OSError.
    """
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
    """Return which file in the run directory can't be read, and why. Raises ResourceError in case of a shortage."""
    if (resource := shortage(error, with_disk=False)) is not None:
        raise ResourceError(resource) from error
    if not isinstance(error, OSError):
        return f"the run directory can't be read: {error}"
    name = "" if error.filename is None else f"{Path(os.fsdecode(error.filename)).name} in "
    return f"{name}the run directory can't be read: {error.strerror}"


def _check_exit_mark(mark: dict[str, Any]) -> None:
    """Raise ValueError for values that no supervisor writes."""
    numbers = (mark.get(name, 0) for name in ("left_behind", "dropped_bytes"))
    codes = (mark.get(name) or 0 for name in ("exit_code", "signal"))
    if mark.get("outcome") not in _OUTCOMES or any(
        not isinstance(number, int) or abs(number) >= 1 << 62 for number in (*numbers, *codes)
    ):
        raise ValueError("no supervisor wrote this")


def _finished(mark: dict[str, Any]) -> Finished:
    state = RunState(mark["outcome"])
    return Finished(
        state=state,
        reason=_reason(state, mark),
        exit_code=mark.get("exit_code"),
        signal=mark.get("signal"),
        started_at=_instant(mark.get("started_at")),
        finished_at=_instant(mark.get("finished_at")),
        result=mark.get("result") if state is RunState.SUCCEEDED else None,
        left_behind=mark.get("left_behind", 0),
        dropped_bytes=mark.get("dropped_bytes", 0),
        unenforced=tuple(mark.get("unenforced", ())),
        seconds=_duration(mark.get("seconds")),
    )


def _reason(state: RunState, mark: dict[str, Any]) -> str | None:
    if state is RunState.TIMED_OUT:
        return "it ran longer than its timeout"
    if state is RunState.CANCELLED:
        return "its supervisor received SIGTERM"
    if state is not RunState.FAILED:
        return None
    if mark.get("reason"):
        return str(mark["reason"]).encode("utf-8", "backslashreplace").decode()
    if mark.get("error"):
        # The message of a flow may contain lone surrogates, which databases reject.
        return str(mark["error"]).encode("utf-8", "backslashreplace").decode()
    if mark.get("signal") is not None:
        return f"ended by {_signal_name(mark['signal'])} (signal {mark['signal']})"
    return f"exit code {mark.get('exit_code')}"


def _signal_name(number: int) -> str:
    """Return the name of a signal, such as `SIGSEGV` or `SIGRTMIN+3`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def _instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _duration(seconds: float | None) -> float | None:
    """Return a duration that a timedelta can represent. Raises ValueError for any other number."""
    if seconds is None:
        return None
    if not 0 <= seconds <= timedelta.max.total_seconds():
        raise ValueError("no supervisor wrote this")
    return float(seconds)
