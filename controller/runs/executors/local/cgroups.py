"""Where the control groups of runs can be made: below the controller's own, if that is cgroup v2 and may be written to.

Asked once, at start. Moves no process and changes no limit of the controller; at most it lets groups below have limits
of memory and processes, which the kernel refuses to a group that holds processes itself (cgroups(7)).
"""

import os
from contextlib import suppress
from pathlib import Path

from controller.runs.executors.local.supervisor.cgroup import ControlGroup

# `DelegateSubgroup=` of a systemd unit: the controller is put into this one, so that the group above holds no process.
SUBGROUP = "controller"


def own_group() -> Path | None:
    """The directory below which runs have groups: this process's own, or the one above if its own is `controller`."""
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


def name_of(attempt_id: str) -> str:
    """What the group of an attempt is called."""
    return f"controller-{attempt_id}"


def remove(base: Path | None, attempt_id: str) -> None:
    """End and remove the group of an attempt whose supervisor can't do it any more."""
    if base is not None:
        group = ControlGroup(str(base), name_of(attempt_id))
        group.kill()
        group.remove()


def _delegate(group: Path) -> None:
    for controller in ("memory", "pids"):
        with suppress(OSError):
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
