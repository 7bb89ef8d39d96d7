"""What one run may use, and whether it ended because of that. Used by the supervisor; `resources` of a deployment.

| limit | by the run's control group | else |
|---|---|---|
| memory | `memory.max`: all processes together | `RLIMIT_AS`: addresses, each process for itself |
| processes | `pids.max` | `RLIMIT_NPROC`, counted from what its user has now; root is not bound by it |
| cpu_seconds | | `RLIMIT_CPU`, each process for itself; SIGKILL `grace` after SIGXCPU |
"""

import math
import os
import resource
import signal
from typing import Any

from controller.runs.executors.local.supervisor.cgroup import ControlGroup

_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"))


class Limits:
    """The limits of one run. `said`: `memory` in bytes, `cpu_seconds`, `processes`; each may be None.

    `open_files`: the soft limit of open files that the flow begins with, None for that of the controller.
    """

    def __init__(self, said: dict[str, Any], grace: float, open_files: int | None = None) -> None:
        self._open_files = open_files
        self.memory: int | None = said.get("memory")
        self.processes: int | None = said.get("processes")
        seconds = said.get("cpu_seconds")
        self.cpu: int | None = None if seconds is None else max(1, math.ceil(seconds))
        self._grace = math.ceil(grace)

    def of_group(self) -> dict[str, int]:
        """What a control group is asked to see to."""
        asked = {"memory.max": self.memory, "pids.max": self.processes}
        return {file: value for file, value in asked.items() if value is not None}

    def apply(self, group: ControlGroup | None, uid: int) -> None:
        """Bind the calling process, which is about to become the flow, to what no group sees to. Raises OSError."""
        if self.memory is not None and not (group and group.controls("memory.max")):
            _lower(resource.RLIMIT_AS, self.memory, self.memory)
        if self.processes is not None and not (group and group.controls("pids.max")):
            _lower(resource.RLIMIT_NPROC, *[_tasks_of(uid) + self.processes] * 2)
        if self.cpu is not None:
            _lower(resource.RLIMIT_CPU, self.cpu, self.cpu + self._grace)

    def apply_open_files(self) -> None:
        """Lower the soft limit of open files, which the controller has raised for itself. Raises OSError."""
        if self._open_files is not None:
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            soft = self._open_files if most == resource.RLIM_INFINITY else min(self._open_files, most)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))

    def unenforced(self, group: ControlGroup | None, uid: int) -> list[str]:
        """The limits that nothing sees to."""
        is_idle = self.processes is not None and uid == 0 and not (group and group.controls("pids.max"))
        return ["processes"] if is_idle else []

    def broken(self, status: int, seconds: float, error: object, group: ControlGroup | None) -> str | None:
        """Why the flow ended, if it was a limit: from its status, its processor time and what it said."""
        if self.cpu is not None and (-status == signal.SIGXCPU or (-status == signal.SIGKILL and seconds >= self.cpu)):
            return f"used up its processor time (limit {self.cpu} s)"
        if self.memory is not None and status != 0:
            is_told = isinstance(error, str) and error.partition(":")[0] == "MemoryError"
            if is_told or (group is not None and group.ran_out_of_memory()):
                return f"ran out of memory (limit {size(self.memory)})"
        return None


def size(count: int) -> str:
    """So many bytes, in the unit that makes it short: `1GiB`, `1.5GiB`, `1000000 bytes`."""
    for unit, name in _UNITS:
        if count >= unit and count * 10 % unit == 0:
            return f"{count / unit:g}{name}"
    return f"{count} bytes"


def _lower(which: int, soft: int, hard: int) -> None:
    """Set a limit, but never above the one that is there."""
    _, most = resource.getrlimit(which)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(which, (soft, hard))


def _tasks_of(uid: int) -> int:
    """How many processes and threads a user has now: RLIMIT_NPROC counts them all."""
    count = 0
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == uid:
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue
    return count
