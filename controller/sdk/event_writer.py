"""Writes events for the supervisor as JSON lines: states of task runs, artifacts, and the name of the run.

Called by `run_context`, `artifacts` and `run_name`. Without a supervisor, it does nothing. Each line is one write of at
most PIPE_BUF bytes, so that lines of several threads don't mix. Errors are ignored: a supervisor that has exited must
not make the flow fail.
"""

import os
import sys
from typing import Any

MARK = "_controller_run"
"""The module that the flow's process puts into `sys.modules`; its `EVENTS_FD` is the descriptor to write to."""
MAX_LINE = 4096
_MAX_TEXT = 300
_MAX_TAGS = 10


def is_enabled() -> bool:
    """Return whether this process is a run of the controller, whose events are recorded."""
    return MARK in sys.modules


def is_stopped() -> bool:
    """Return whether the run of this process is being cancelled, or has exceeded its timeout."""
    return getattr(sys.modules.get(MARK), "is_stopped", False) is True


def write_task_event(event: dict[str, Any]) -> None:
    """Write a change of state of one flow or task run. Long values are shortened so that the line fits."""
    if not is_enabled():
        return
    line = _line(event)
    if len(line) > MAX_LINE:
        line = _line({key: _short(value, _MAX_TEXT // 6) for key, value in event.items()})
    _write_line(line)


def write_event(event: dict[str, Any]) -> None:
    """Write any other event. The caller makes sure that it can be encoded as UTF-8 and fits into one line."""
    import json

    _write_line(json.dumps(event, ensure_ascii=False).encode() + b"\n")


def _write_line(line: bytes) -> None:
    run = sys.modules.get(MARK)
    if run is None:
        return
    try:
        os.write(run.EVENTS_FD, line)
    except OSError:
        return


def _line(event: dict[str, Any]) -> bytes:
    import json

    return json.dumps({"task": {key: _short(value, _MAX_TEXT) for key, value in event.items()}}).encode() + b"\n"


def _short(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= limit else value[:limit] + "…"
    if not isinstance(value, list) or all(isinstance(item, int) for item in value):
        return value
    return [_short(tag, limit // 6) for tag in value[:_MAX_TAGS]]


# A forked child must not write events: its ids would collide with those of its parent's tasks.
os.register_at_fork(after_in_child=lambda: sys.modules.pop(MARK, None))
