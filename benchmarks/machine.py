"""Measures the speed of this machine at this moment: bare Python, a fork and a flush to disk.

Each row of the benchmarks has it, because a ratio to it means the same on a fast, a slow and a loaded machine.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 9
CORES = os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Milliseconds: CPU of `python -c pass`, wall time of a fork with its wait, wall time of 4 kB with fsync."""

    python: float
    fork: float
    fsync: float

    def between(self, other: "Speed") -> "Speed":
        """Return the mean of two speeds: one before a measurement, and one after it."""
        return Speed(
            python=(self.python + other.python) / 2,
            fork=(self.fork + other.fork) / 2,
            fsync=(self.fsync + other.fsync) / 2,
        )


def measure_speed(directory: Path | None = None) -> Speed:
    """Measure it, in about half a second. `directory` is on the disk whose flushes are measured."""
    return Speed(python=_median(_python_cpu), fork=_median(_fork), fsync=_fsync(directory))


def _median(measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(ROUNDS)) * 1000


def _python_cpu() -> float:
    process = os.posix_spawn(sys.executable, [sys.executable, "-c", "pass"], os.environ)
    usage = os.wait4(process, 0)[2]
    return usage.ru_utime + usage.ru_stime


def _fork() -> float:
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return time.perf_counter() - start


def _fsync(directory: Path | None) -> float:
    with tempfile.TemporaryFile(dir=directory) as file:

        def write() -> float:
            start = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            return time.perf_counter() - start

        return _median(write)
