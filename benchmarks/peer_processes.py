"""Starts other tools for the benchmarks, and measures a herd of their runs. Used by `dagu` and `prefect` only."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.controllers import descendants, tree_cpu, wait_for
from benchmarks.rows import Row

STOP_SECONDS = 20.0
RECORDING = """\
import os, sys, time
descriptor = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(descriptor, f"{time.time()}\\n".encode())
"""
"""A script that appends the time to a file: one line per start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Herd:
    """Runs of a tool that are due at the same instant.

    - `count`: how many.
    - `due`: the instant, in seconds since 1970.
    - `started`: the file in which each run records its start.
    - `states`: returns the number of runs that have ended, and of those that have succeeded.
    - `within`: seconds after the instant, when the measurement ends.
    """

    count: int
    due: float
    started: Path
    states: Callable[[], tuple[int, int]]
    within: float


@contextmanager
def process(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[int]:
    """Run a command of a tool in the background, and yield its process id. Then stop it with its descendants."""
    with log.open("wb") as stream:
        started = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        yield started.pid
    finally:
        below = descendants(started.pid)
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
        for pid in below:
            _kill_if_of_session(pid, started.pid)


def measure_herd(tool: str, herd: Herd, pids: Sequence[int]) -> Iterator[Row]:
    """Measure a herd of runs: the CPU time of these processes and all below, the rate, and the first run's delay."""
    threading.Event().wait(max(herd.due - time.time() - 0.5, 0))
    before = sum(map(tree_cpu, pids))
    try:
        wait_for(lambda: herd.states()[0] >= herd.count, 0.2, within=herd.within)
    except TimeoutError:
        print(f"{tool}: not all runs ended within {herd.within:.0f} seconds", file=sys.stderr)
    seconds = time.time() - herd.due
    used = sum(map(tree_cpu, pids)) - before
    succeeded = herd.states()[1]
    starts = [float(line) for line in herd.started.read_text().split()] if herd.started.exists() else []
    yield Row(what=f"{tool}: runs due at once", value=herd.count, unit="runs")
    if succeeded:
        yield Row(what=f"{tool}: each, all processes", value=used / succeeded * 1000, unit="ms CPU")
        yield Row(what=f"{tool}: rate", value=succeeded / seconds, unit="runs/s")
    if starts:
        yield Row(what=f"{tool}: first one late by", value=(min(starts) - herd.due) * 1000, unit="ms")
    yield Row(what=f"{tool}: not succeeded", value=herd.count - succeeded, unit="runs")


def _kill_if_of_session(pid: int, session: int) -> None:
    """Kill a process that was left running, if it still is one of the tool that was started."""
    try:
        if os.getsid(pid) == session:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
