"""What this process has open and has started, to see what is left behind.

Other tests of the same process leave things that are collected, or end, at any time: take what is there before, and
look only at what is new.
"""

import gc
import os
from contextlib import suppress
from pathlib import Path


def open_files() -> set[tuple[str, str]]:
    """By number and by what is behind it: two pipes have two names."""
    gc.collect()
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add((path.name, os.readlink(path)))  # noqa: PTH115
    return found


def children() -> set[str]:
    """The processes that this one has started and that are there."""
    return {task for path in Path("/proc/self/task").glob("*/children") for task in path.read_text().split()}
