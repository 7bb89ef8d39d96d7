"""Lists open files and child processes of this process, so that tests can check that nothing is left behind.

Compare only what is new since the beginning of the test: leftovers of other tests in this process may go away at any
time.
"""

import gc
import os
from contextlib import suppress
from pathlib import Path


def open_files() -> set[tuple[str, str]]:
    """Return the open file descriptors: number and link target, which differs between two pipes."""
    gc.collect()
    files = set()
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            files.add((path.name, os.readlink(path)))  # noqa: PTH115
    return files


def children() -> set[str]:
    """Return the process ids of all children of this process."""
    return {task for path in Path("/proc/self/task").glob("*/children") for task in path.read_text().split()}
