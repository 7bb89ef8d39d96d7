"""What became of a run that was being launched or running, from what stands in its directory alone.

The decision table of docs/runs.md. Called by the engine when a supervisor ended, and for every such run at start-up.
"""

import contextlib
import fcntl
import json
import os
import signal
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controller.model.runs import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """A supervisor holds the lock. `started`: its flow has been, or is about to be, started."""

    pid: int | None
    started: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The flow ended and its supervisor wrote down how.

    `left_behind`: processes that were killed after the main one had ended. `dropped_bytes`: of output, above the cap.
    `unenforced`: limits that nothing on this machine sees to. `seconds`: how long it took, whatever was done to the
    clock meanwhile; None if an earlier version supervised it.
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
    """The flow was started, and nobody knows how it ended."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotStarted:
    """Proven: no code of this attempt has run."""


Verdict = Alive | Ended | Lost | NotStarted


_MAX_PID = 1 << 22
_OUTCOMES = [state.value for state in (RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT, RunState.CANCELLED)]
MAX_MARK_BYTES = 1 << 20


def judge(directory: Path, nonce: str, *, same_boot: bool) -> Verdict:
    """Read the directory of one attempt. The lock is asked first: while it is held, nothing else is final."""
    lock = _lock_holder(directory / "lock")
    started = _mark(directory / "started", nonce)
    if lock is not None:
        return Alive(pid=lock.pid, started=started is not None)
    ending = _mark(directory / "exit", nonce)
    if ending is not None:
        # A flow of the same user can write there. It spoils its own outcome, and nothing else.
        try:
            _check(ending)
            return _ended(ending)
        except (TypeError, ValueError, OverflowError, OSError, RecursionError):
            return Lost(reason="outcome unknown: what stands in its directory was not written by its supervisor")
    if started is not None:
        reason = "the supervisor was killed" if same_boot else "the machine was restarted"
        return Lost(reason=f"outcome unknown: {reason} while the flow ran")
    return NotStarted()


@dataclass(frozen=True, slots=True)
class _Holder:
    pid: int | None


def _lock_holder(path: Path) -> _Holder | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
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


def _mark(path: Path, nonce: str) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        content = json.loads(_content(path))
        if isinstance(content, dict) and content.get("nonce") == nonce:
            return content
    return None


def _content(path: Path) -> bytes:
    """What a regular file holds; a flow could have put something there that blocks, or has no end. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a regular file")
        return stream.read(MAX_MARK_BYTES)


def _check(ending: dict[str, Any]) -> None:
    """Raise ValueError for what no supervisor writes."""
    numbers = (ending.get(name, 0) for name in ("left_behind", "dropped_bytes"))
    codes = (ending.get(name) or 0 for name in ("exit_code", "signal"))
    if ending.get("outcome") not in _OUTCOMES or any(
        not isinstance(number, int) or abs(number) >= 1 << 62 for number in (*numbers, *codes)
    ):
        raise ValueError("no supervisor wrote this")


def _ended(ending: dict[str, Any]) -> Ended:
    state = RunState(ending["outcome"])
    return Ended(
        state=state,
        reason=_reason(state, ending),
        exit_code=ending.get("exit_code"),
        signal=ending.get("signal"),
        started_at=_instant(ending.get("started_at")),
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
        return "its supervisor was asked to end it"
    if state is not RunState.FAILED:
        return None
    if ending.get("reason"):
        return str(ending["reason"]).encode("utf-8", "backslashreplace").decode()
    if ending.get("error"):
        # A flow's message may hold lone surrogates, which no database takes.
        return str(ending["error"]).encode("utf-8", "backslashreplace").decode()
    if ending.get("signal") is not None:
        return f"ended by {_name(ending['signal'])} (signal {ending['signal']})"
    return f"exit code {ending.get('exit_code')}"


def _name(number: int) -> str:
    """What a signal is called: `SIGSEGV`, or `SIGRTMIN+3`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def _instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _duration(seconds: float | None) -> float | None:
    """A length of time that a calendar can hold; raises ValueError for anything else."""
    if seconds is None:
        return None
    if not 0 <= seconds <= timedelta.max.total_seconds():
        raise ValueError("no supervisor wrote this")
    return float(seconds)
