"""Finds the directory of an attempt, and reads its files `started` and `exit`, which its supervisor writes there.

Called by the handles of executors, and by `log_files` for the times of an attempt. Any content of the files is valid
input: a flow of the same user can write there, but it can only falsify its own outcome.
"""

import contextlib
import errno
import json
import os
import signal
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controller.model.runs import Attempt, RunOutcome, RunState
from controller.text import visible_lines

MAX_MARK_BYTES = 1 << 20
MAX_REASON = 8192
"""More characters than a supervisor writes."""
_OUTCOMES = frozenset({"succeeded", "failed", "timed_out", "cancelled", "skipped"})
_NOT_A_FILE = "not a regular file"


def attempt_directory(runs: Path, attempt: Attempt) -> Path:
    """Return the directory of an attempt below that of all runs."""
    return runs / attempt.run_id / f"{attempt.number}-{attempt.nonce}"


def read_mark(path: Path, nonce: str) -> dict[str, Any] | None:
    """Read `started` or `exit`; None if it is missing, unreadable, or of another attempt."""
    with contextlib.suppress(OSError, ValueError):
        return find_mark(path, nonce)
    return None


def find_mark(path: Path, nonce: str) -> dict[str, Any] | None:
    """Read `started` or `exit` of this attempt; None if it is missing or incomplete. Raises OSError otherwise."""
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        content = stream.read(MAX_MARK_BYTES)
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(content)
        if isinstance(said, dict) and said.get("nonce") == nonce:
            return said
    return None


def open_regular(path: Path) -> int:
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


def exit_outcome(ending: dict[str, Any]) -> RunOutcome:
    """Return the outcome that `exit` states. Raises ValueError if no supervisor can have written it."""
    try:
        _check(ending)
        return _outcome(ending)
    except (TypeError, ValueError, OverflowError, OSError, RecursionError) as error:
        raise ValueError("no supervisor wrote this") from error


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
        return _text(ending.get("reason")) or "its supervisor received SIGTERM"
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
    return visible_lines(str(message)[:MAX_REASON]) if message else None


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
