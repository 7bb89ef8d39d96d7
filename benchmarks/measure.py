"""One command, measured from outside: seconds of CPU (it and all its children) and of wall time, peak memory."""

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
    """What one execution took: seconds, and mebibytes of the largest process."""

    cpu: float
    wall: float
    memory: float


def cost_of(command: Sequence[str], *, rounds: int = 3, codes: Sequence[int] = (0,)) -> Cost:
    """The cheapest of some executions: noise only ever adds."""
    found = [_once(command, codes) for _ in range(rounds)]
    return min(found, key=lambda cost: cost.cpu)


def _once(command: Sequence[str], codes: Sequence[int]) -> Cost:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode not in codes:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return Cost(cpu=usage.ru_utime + usage.ru_stime, wall=wall, memory=usage.ru_maxrss / 1024)


def children_cpu() -> float:
    """Seconds of CPU of all children that have been waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
