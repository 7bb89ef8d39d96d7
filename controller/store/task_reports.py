"""The file in which a supervisor keeps what a flow tells of its tasks. Read when its run ends, and by views before."""

import os
import stat
from dataclasses import replace
from pathlib import Path

from controller.model.artifacts import replay_artifacts, replay_name
from controller.model.task_runs import TaskTree, replay

FILE = "events.jsonl"
"""In the directory of an attempt; `runs.executors.local.supervisor.flow_events` writes it."""
MAX_BYTES = 16 << 20


def read_tree(directory: Path) -> TaskTree | None:
    """What the file in this directory of an attempt comes to; None where there is none.

    A flow of the same user could put anything in its place: what is no regular file is not waited for.
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
