"""Named points at which tests kill the controller, as a power cut would. Without the variable this module does nothing.

`CONTROLLER_CRASHPOINT=running` kills it once `running` is committed, `pass:plan` after that stage of a pass,
`notify:send` before a message is sent, `files:creating` before the runs of new files are committed, and `supervisor:go`
kills a supervisor at its point `go`. In the variables of a job, `runner:started` kills its runner. Several points are
separated by commas. Used by tests/unit/runs/test_crashpoints.py and test_remote_crashpoints.py, and by the tests of
killed passes, notifications and file triggers in tests/acceptance.
"""

import os
import signal
from collections.abc import Collection

from controller.settings import crashpoints

CONTROLLER = ("claimed", "prepared", "launched", "heard", "running", "gone", "judged", "settled")
PASS = ("observe", "read", "parse", "plan", "applying", "apply", "project", "garbage")
NOTIFY = ("send", "sent")
FILES = ("creating", "created")
RUNNER = ("prepared", "started", "running", "ended", "reported")
SUPERVISOR = ("locked", "ready", "go", "started", "forked", "ended", "exited")


def reach(point: str, about: Collection[object] = (None,)) -> None:
    """Kill this process with SIGKILL if `point` is one of the crash points, and `about` is not empty."""
    if about and point in crashpoints():
        os.kill(os.getpid(), signal.SIGKILL)


def of_supervisor() -> str | None:
    """Return the point at which supervisors must die, without its prefix, or None."""
    return next((name.partition(":")[2] for name in crashpoints() if name.startswith("supervisor:")), None)
