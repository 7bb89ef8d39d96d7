"""Measures a command from outside: CPU time (including its children) and wall time in seconds, and peak memory."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CONTROLLER = str(Path(sys.executable).parent / "controller")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of one execution: CPU and wall time in seconds, and the memory of the largest process in MiB."""

    cpu: float
    wall: float
    memory: float


def cost_of(command: Sequence[str], *, rounds: int = 3, codes: Sequence[int] = (0,)) -> Cost:
    """Return the lowest cost of several executions, since noise only adds. `codes` are the expected exit codes."""
    costs = [_measure_once(command, codes) for _ in range(rounds)]
    return min(costs, key=lambda cost: cost.cpu)


def _measure_once(command: Sequence[str], codes: Sequence[int]) -> Cost:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode not in codes:
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}")
    return Cost(cpu=usage.ru_utime + usage.ru_stime, wall=wall, memory=usage.ru_maxrss / 1024)


def children_cpu() -> float:
    """Return the CPU time in seconds of all children that have been waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
