"""Measures commands: those that need no controller, and those that ask a running one. Both include all processes."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.controllers import running, tree_cpu, wait_for_applied
from benchmarks.measure import CONTROLLER, children_cpu, cost_of
from benchmarks.repositories import make_repository
from benchmarks.rows import Goal, Row

ROUNDS = 10
_ALONE = Goal(limit=60)
_ASKING = Goal(limit=100)
_IDLE_SECONDS = 4.0
"""The command server loads all modules when nobody has used it for two seconds."""


def measure_alone() -> Iterator[Row]:
    """Measure commands that need neither a repository nor a controller."""
    for arguments in (["--help"], ["version"], ["completion", "bash"]):
        cost = cost_of([CONTROLLER, *arguments], rounds=ROUNDS)
        yield Row.of_cost(f"controller {' '.join(arguments)}", cost, _ALONE)
    os.environ.update(_CONTROLLER_COMPLETE="bash_complete", COMP_WORDS="controller sta", COMP_CWORD="1")
    try:
        cost = cost_of([CONTROLLER], rounds=ROUNDS)
    finally:
        for name in ("_CONTROLLER_COMPLETE", "COMP_WORDS", "COMP_CWORD"):
            del os.environ[name]
    yield Row.of_cost("completion of a command", cost, _ALONE)


def measure_asking(root: Path, count: int) -> Iterator[Row]:
    """Measure commands with a running controller of `count` deployments: their CPU time and what they cause in it."""
    make_repository(root, count, 'cron: "0 0 1 1 *"')
    with running(root) as process:
        wait_for_applied(root, pause_seconds=0.1)
        threading.Event().wait(_IDLE_SECONDS)
        for arguments in (["status"], ["runs", "list"], ["deployments", "show", "d00000"], ["next", "d00000"]):
            yield _asking(root, process.pid, arguments, _ASKING)
        yield _asking(root, process.pid, ["trigger", "d00000"], _ASKING, "with the run")


def _asking(root: Path, pid: int, arguments: Sequence[str], goal: Goal, note: str = "all processes") -> Row:
    command = [CONTROLLER, *arguments, "--repo", str(root)]
    subprocess.run(command, check=True, capture_output=True)
    before = tree_cpu(pid) + children_cpu()
    for _ in range(ROUNDS):
        subprocess.run(command, check=True, capture_output=True)
    used = tree_cpu(pid) + children_cpu() - before
    label = f"controller {' '.join(arguments)}, {note}"
    return Row(what=label, value=used / ROUNDS * 1000, unit="ms CPU", goal=goal)


def measure_validate(root: Path) -> Iterator[Row]:
    """Measure `validate` of all files of this repository."""
    count = len(list((root / "deployments").iterdir()))
    cost = cost_of([CONTROLLER, "validate", str(root / "deployments")])
    label = f"controller validate, {count} files"
    yield Row.of_cost(label, cost, Goal(limit=450))
    yield Row(what=f"{label}: wall time", value=cost.wall * 1000, unit="ms", goal=Goal(limit=300))


def measure_script(root: Path) -> float:
    """Return the CPU time in milliseconds of the flow's file as a script: `python flow.py`."""
    return cost_of([sys.executable, str(root / "flows/noop.py")], rounds=ROUNDS).cpu * 1000
