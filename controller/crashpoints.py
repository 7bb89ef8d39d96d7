"""Named points at which a test can have the controller die as by a power cut. Does nothing else, and nothing unasked.

`CONTROLLER_CRASHPOINT=running` ends it once `running` is committed, `pass:plan` after that stage of a pass;
`supervisor:go` ends a supervisor at its point of that name; with a comma, both. Driven by
tests/unit/runs/test_crashpoints.py and tests/acceptance/test_killed_passes.py.
"""

import os
import signal
from collections.abc import Collection

from controller.settings import crashpoints

CONTROLLER = ("claimed", "prepared", "launched", "heard", "running", "gone", "judged", "settled")
PASS = ("observe", "read", "parse", "plan", "applying", "apply", "project", "garbage")
SUPERVISOR = ("locked", "ready", "go", "started", "forked", "ended", "exited")


def reach(point: str, about: Collection[object] = (None,)) -> None:
    """Die here, if asked to, and if there is something that this is about."""
    if about and point in crashpoints():
        os.kill(os.getpid(), signal.SIGKILL)


def of_supervisor() -> str | None:
    """The point at which supervisors are to die."""
    return next((name.partition(":")[2] for name in crashpoints() if name.startswith("supervisor:")), None)
