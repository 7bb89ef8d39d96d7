"""Measures a controller by the number of its deployments: the first pass, a change, a restart, and the memory."""

import math
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.controllers import busy_percent, cpu_of, instant, memory_of, query, running, wait_for, wait_for_applied
from benchmarks.measure import CONTROLLER, cost_of
from benchmarks.repositories import add_deployment, commit, make_repository
from benchmarks.rows import Goal, Row
from benchmarks.web import Server

CHANGES = 5
IDLE_SECONDS = 6.0
RESTART_SECONDS = 3
OFTEN = """\
name: often
flow: flows/noop.py:main
parameters: {region: eu}
schedules: [{interval: 1s}]
overlap: allow
catchup: {policy: all, window: 1h}
"""
_PAGES = ("/", "/deployments", "/runs", "/source", "/events", "/api/v1/deployments", "/api/v1/status", "/api/v1/runs")
_GOALS: dict[int, dict[str, float]] = {
    100: {"memory": 55, "asked": 75},
    10_000: {
        "first pass": 5000,
        "commit": 100,
        "idle": 0.1,
        "memory": 130,
        "looked at": 180,
        "overview": 50,
        "restart": 1000,
    },
}


def measure_sizes(work: Path, sizes: list[int]) -> Iterator[Row]:
    """Measure each of these numbers of deployments."""
    for size in sizes:
        yield from measure_size(work / str(size), size)


def measure_size(root: Path, size: int) -> Iterator[Row]:
    """Measure a repository of this size."""
    make_repository(root, size, 'cron: "{minute} {hour} 1 1 *"')
    cost = cost_of([CONTROLLER, "run", "--once", "--repo", str(root)], rounds=1)
    yield _row(size, "first pass", "first pass, with the start", cost.cpu * 1000, "ms CPU", memory=cost.memory)
    with running(root) as process:
        wait_for_applied(root)
        threading.Event().wait(2)
        yield _row(size, "memory", "memory before the first request", memory_of(process.pid), "MiB")
        yield _row(size, "idle", "idle", busy_percent(process.pid, IDLE_SECONDS), "% core")
        yield from _changes(root, size, process.pid)
        yield from _requests(root, size, process.pid)
        add_deployment(root, OFTEN)
        wait_for(
            lambda: bool(query(root, "SELECT 1 FROM runs WHERE deployment = 'often' AND state = 'succeeded'")), 0.1
        )
    yield from _restart(root, size)


def _row(size: int, key: str, label: str, value: float, unit: str, memory: float | None = None) -> Row:
    limit = _GOALS.get(size, {}).get(key)
    goal = None if limit is None else Goal(limit=limit)
    return Row(what=f"{size} deployments: {label}", value=value, unit=unit, goal=goal, memory=memory)


def _change_file(root: Path, number: int) -> float:
    """Commit a change of one file. Return the milliseconds until it is applied, as the change of this number."""
    changed = root / "deployments/d00000.yaml"
    before = "made-up" if number == 1 else f"changed-{number - 1}"
    changed.write_text(changed.read_text().replace(before, f"changed-{number}", 1))
    commit(root)
    start = time.perf_counter()
    wait_for_applied(root, number + 1)
    return (time.perf_counter() - start) * 1000


def _changes(root: Path, size: int, pid: int) -> Iterator[Row]:
    """Measure commits that change one file each, until they are applied."""
    before = cpu_of(pid)
    durations = [_change_file(root, number) for number in range(1, CHANGES + 1)]
    used = (cpu_of(pid) - before) / CHANGES * 1000
    yield _row(size, "commit", "commit of one file until applied, median", statistics.median(durations), "ms")
    yield _row(size, "pass", "commit of one file: CPU of the controller", used, "ms CPU")


def _requests(root: Path, size: int, pid: int) -> Iterator[Row]:
    """Measure the first page, the overview after each of several changes, and the memory after all pages were read."""
    server = Server.following(root)
    connection = server.connect()
    yield _row(size, "first page", "first page", server.get(connection, "/")[0], "ms")
    yield _row(size, "asked", "memory after the first page", memory_of(pid), "MiB")
    durations = []
    for number in range(CHANGES + 1, 2 * CHANGES + 1):
        _change_file(root, number)
        durations.append(server.get(connection, "/")[0])
    yield _row(size, "overview", "overview after a change, worst of 5", max(durations), "ms")
    for page in _PAGES:
        server.get(connection, page)
    yield _row(size, "looked at", "memory after all pages", memory_of(pid), "MiB")


def _restart(root: Path, size: int) -> Iterator[Row]:
    """Measure how long after the start of the process the first due time is recorded, and which ones are lost.

    A deployment is due each second. The process starts just before a due time.
    """
    begin = math.ceil(time.time() + 0.5) - 0.05
    threading.Event().wait(begin - time.time())
    recorded = "SELECT scheduled_for, created_at FROM runs WHERE deployment = 'often'"

    def new_runs() -> list[tuple[float, float]]:
        runs = ((instant(scheduled), instant(created)) for scheduled, created in query(root, recorded))
        return sorted(run for run in runs if run[0] >= begin)

    with running(root):
        wait_for(lambda: len(new_runs()) >= RESTART_SECONDS, 0.1)
    runs = new_runs()
    first = (min(created for _, created in runs) - begin) * 1000
    due = round(runs[-1][0] - math.ceil(begin)) + 1
    yield _row(size, "restart", "restart until the first due time is recorded", first, "ms")
    lost = Row(what=f"{size} deployments: due times lost by the restart", value=due - len(runs), unit="due times")
    yield lost if size not in _GOALS else Row(what=lost.what, value=lost.value, unit=lost.unit, goal=Goal(limit=0))
