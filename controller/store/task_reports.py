"""Reads the file in which a supervisor records what a flow reports about its tasks.

It is read when a run finishes, and by queries while it is running.
"""

import os
import stat
from dataclasses import replace
from pathlib import Path

from controller.model.artifacts import replay_artifacts, replay_name
from controller.model.task_runs import TaskTree, replay

FILE = "events.jsonl"
"""The name of the file in an attempt's directory. `runs.executors.local.supervisor.flow_events` writes it."""
MAX_BYTES = 16 << 20


def read_tree(directory: Path) -> TaskTree | None:
    """Return the tasks, artifacts and name reported in this attempt's directory; None if there is no report.

    A flow that runs as our user could replace the file, so anything but a regular file is ignored (a FIFO would block).
    """
    try:
        descriptor = os.open(directory / FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        lines = stream.read(MAX_BYTES).split(b"\n")
    return replace(replay(lines), artifacts=replay_artifacts(lines), name=replay_name(lines))
