"""Tells the supervisor what becomes of task runs, and what else a flow says, in lines of JSON on its descriptor.

`run_context`, `artifacts` and `run_name` call it. Without a supervisor it does nothing. A line is one write of at most
PIPE_BUF bytes, so that lines of several threads don't mix, and no report ever fails a flow: whoever is told may be
gone.
"""

import os
import sys
from typing import Any

MARK = "_controller_run"
"""The module that the flow's process puts into `sys.modules`; its `EVENTS_FD` is where reports go."""
MAX_LINE = 4096
_MAX_TEXT = 300
_MAX_TAGS = 10


def is_on() -> bool:
    """Whether anybody is told."""
    return MARK in sys.modules


def is_stopped() -> bool:
    """Whether the run of this process is being cancelled, or has run out of time."""
    return getattr(sys.modules.get(MARK), "is_stopped", False) is True


def send(event: dict[str, Any]) -> None:
    """Report a change of one task run."""
    if not is_on():
        return
    line = _line(event)
    if len(line) > MAX_LINE:
        line = _line({key: _short(value, _MAX_TEXT // 6) for key, value in event.items()})
    _put(line)


def write(event: dict[str, Any]) -> None:
    """Report something else. What it says is short enough, and can be encoded."""
    import json

    _put(json.dumps(event, ensure_ascii=False).encode() + b"\n")


def _put(line: bytes) -> None:
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


# What a forked child does is not this run's: its ids would be those of its parent's tasks.
os.register_at_fork(after_in_child=lambda: sys.modules.pop(MARK, None))
