"""Counts the executed lines of the controller, which shows whether a call does something for each deployment."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def count_lines(call: Callable[[], object]) -> int:
    """Return how many lines of the controller a call executes. Each iteration of a loop or comprehension is one."""
    count = 0

    def add(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        count += event == "line"
        return add if frame.f_globals.get("__name__", "").startswith("controller.") else None

    before = sys.gettrace()
    sys.settrace(add)
    try:
        call()
    finally:
        sys.settrace(before)
    return count
