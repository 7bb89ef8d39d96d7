"""Finds the parent of the control groups of runs: the controller's own group, if it is a writable cgroup v2.

Called once, at start. It moves no process and changes no limit of the controller. At most it enables the memory and
process limits of child groups, which the kernel does not allow if the parent group contains processes (cgroups(7)).
"""

import os
from contextlib import suppress
from pathlib import Path

from controller.runs.executors.local.supervisor.cgroup import ControlGroup

# `DelegateSubgroup=` of a systemd unit puts the controller into this group, so that its parent contains no processes.
SUBGROUP = "controller"


def own_group() -> Path | None:
    """Return the parent directory of run groups: this process's own, or its parent if the name is `controller`."""
    try:
        paths = [line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")]
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return None
    for fields in mounts:
        if fields[fields.index("-") + 1] == "cgroup2" and paths:
            below = os.path.relpath(paths[0], fields[3])
            group = Path(os.path.normpath(f"{fields[4]}/{below}"))
            if group.name == SUBGROUP:
                group = group.parent
            if not below.startswith("..") and os.access(group, os.W_OK) and os.access(group / "cgroup.procs", os.W_OK):
                _delegate(group)
                return group
    return None


def group_name(attempt_id: str) -> str:
    """Return the name of the control group of an attempt."""
    return f"controller-{attempt_id}"


def remove(base: Path | None, attempt_id: str) -> None:
    """Kill and remove the group of an attempt whose supervisor no longer can."""
    if base is not None:
        group = ControlGroup(str(base), group_name(attempt_id))
        group.kill()
        group.remove()


def _delegate(group: Path) -> None:
    for controller in ("memory", "pids"):
        with suppress(OSError):
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
