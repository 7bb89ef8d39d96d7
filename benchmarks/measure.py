"""Measures a command from outside: CPU time (including its children) and wall time in seconds, and peak memory."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# The peak memory of a process is at least that of the process that started it (see getrusage(2) and execve(2)), so a
# small process starts the command, and prints its exit code, CPU time, wall time and peak memory.
_LAUNCHER = """
import json, os, sys, time
silent = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
start = time.perf_counter()
process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
_, status, usage = os.wait4(process, 0)
wall = time.perf_counter() - start
print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss]))
"""
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
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command]
    done = subprocess.run(launcher, stdout=subprocess.PIPE, check=True, env=environment)
    code, cpu, wall, memory = json.loads(done.stdout)
    if code not in codes:
        raise RuntimeError(f"{' '.join(command)} exited with {code}")
    return Cost(cpu=cpu, wall=wall, memory=memory / 1024)


def result_of(module: str, *arguments: object) -> dict[str, float]:
    """Run a module of the benchmarks in a process of its own, and return the JSON object that it prints."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parents[1])
    result: dict[str, float] = json.loads(done.stdout)
    return result


def children_cpu() -> float:
    """Return the CPU time in seconds of all children that have been waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
