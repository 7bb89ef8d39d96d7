"""Applies the `resources` of a deployment to a run, and explains failures that they cause. Used by the supervisor.

| limit | with a control group | without |
|---|---|---|
| memory | `memory.max`: all processes together | `RLIMIT_AS`: the address space of each process |
| processes | `pids.max` | `RLIMIT_NPROC`, on top of the current processes of the user; does not apply to root |
| cpu_seconds | as without | `RLIMIT_CPU` of each process; SIGKILL follows SIGXCPU after `grace` |
"""

from __future__ import annotations

import math
import os
import resource
import signal

from controller.runs.executors.local.supervisor.cgroup import ControlGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"))


class Limits:
    """The limits of one run. `resources` has `memory` in bytes, `cpu_seconds` and `processes`; each may be None.

    `open_files` is the initial soft limit of open files, None for that of the controller.
    """

    def __init__(self, resources: dict[str, Any], grace: float, open_files: int | None = None) -> None:
        self._open_files = open_files
        self.memory: int | None = resources.get("memory")
        self.processes: int | None = resources.get("processes")
        seconds = resources.get("cpu_seconds")
        self.cpu: int | None = None if seconds is None else max(1, math.ceil(seconds))
        self._grace = math.ceil(grace)

    def cgroup_limits(self) -> dict[str, int]:
        """Return the limits for a control group, by file name."""
        values = {"memory.max": self.memory, "pids.max": self.processes}
        return {file: value for file, value in values.items() if value is not None}

    def apply(self, group: ControlGroup | None, uid: int) -> None:
        """Apply the limits that no group enforces to this process, which will become the flow. Raises OSError."""
        if self.memory is not None and not (group and group.controls("memory.max")):
            _lower(resource.RLIMIT_AS, self.memory, self.memory)
        if self.processes is not None and not (group and group.controls("pids.max")):
            _lower(resource.RLIMIT_NPROC, *[_tasks_of(uid) + self.processes] * 2)
        if self.cpu is not None:
            _lower(resource.RLIMIT_CPU, self.cpu, self.cpu + self._grace)

    def apply_open_files(self) -> None:
        """Reset the soft limit of open files, which the controller has raised for itself. Raises OSError."""
        if self._open_files is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            soft = self._open_files if hard == resource.RLIM_INFINITY else min(self._open_files, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def find_unenforced(self, group: ControlGroup | None, uid: int) -> list[str]:
        """Return the names of the limits that nothing enforces."""
        is_ineffective = self.processes is not None and uid == 0 and not (group and group.controls("pids.max"))
        return ["processes"] if is_ineffective else []

    def explain_failure(self, status: int, seconds: float, error: object, group: ControlGroup | None) -> str | None:
        """Return the reason if a limit ended the flow, based on its status, CPU time and error; otherwise None."""
        if self.cpu is not None and (-status == signal.SIGXCPU or (-status == signal.SIGKILL and seconds >= self.cpu)):
            return f"exceeded its CPU time (limit {self.cpu} s)"
        if self.memory is not None and status != 0:
            is_memory_error = isinstance(error, str) and error.partition(":")[0] == "MemoryError"
            if is_memory_error or (group is not None and group.ran_out_of_memory()):
                return f"ran out of memory (limit {format_size(self.memory)})"
        return None


def format_size(count: int) -> str:
    """Return a number of bytes in the shortest unit: `1GiB`, `1.5GiB`, `1000000 bytes`."""
    for unit, name in _UNITS:
        if count >= unit and count * 10 % unit == 0:
            return f"{count / unit:g}{name}"
    return f"{count} bytes"


def _lower(which: int, soft: int, hard: int) -> None:
    """Set a limit, but never above the current hard limit."""
    _, current = resource.getrlimit(which)
    if current != resource.RLIM_INFINITY:
        soft, hard = min(soft, current), min(hard, current)
    resource.setrlimit(which, (soft, hard))


def _tasks_of(uid: int) -> int:
    """Return the number of processes and threads of a user; RLIMIT_NPROC counts both."""
    count = 0
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == uid:
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue
    return count
