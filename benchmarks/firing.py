"""Measures due times: how late runs start, at which rate, and what they cost in all processes."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.controllers import instant, log_of, query, running, states, tree_cpu, wait_for
from benchmarks.repositories import COUNTING, make_repository, started
from benchmarks.rows import Goal, Row

HERDS = 3
LEAD_SECONDS = 6
"""Time for the controller to start and to apply the deployments, before the first due time."""
SPREAD_SECONDS = 60
_ENDED = ("succeeded", "failed", "crashed", "timed_out", "cancelled", "skipped")


def measure_herds(root: Path, count: int) -> Iterator[Row]:
    """Measure several herds, and return the median of each value; of what must be 0, the largest value."""
    herds = [list(measure_herd(root / str(number), count)) for number in range(HERDS)]
    for rows in zip(*herds, strict=True):
        in_order = sorted(rows, key=lambda row: row.value)
        yield in_order[-1] if in_order[0].goal == _NONE else in_order[len(rows) // 2]


def measure_herd(root: Path, count: int) -> Iterator[Row]:
    """Measure `count` no-op flows that are due at the same instant, until the last one has finished.

    Each flow records its own start, so that missing and repeated starts are counted.
    """
    due = int(time.time()) + LEAD_SECONDS
    make_repository(root, count, f'at: "{at(due)}"', COUNTING)
    with running(root) as process:
        wait_until_ready(root, due)
        before = tree_cpu(process.pid)
        wait_for(lambda: ended(root) == count, 0.1)
        threading.Event().wait(0.5)  # until the fork server has waited for the last supervisors
        cpu = tree_cpu(process.pid) - before
    last = max(instant(time) for (time,) in query(root, "SELECT finished_at FROM runs"))
    lines = [line.split("=") for line in started(root).read_text().split()]
    rate = count / (last - due)
    first = (min(float(time) for _, time in lines) - due) * 1000
    title = f"{count} no-op runs due at once"
    yield Row(what=f"{title}: each, all processes", value=cpu / count * 1000, unit="ms CPU", goal=_RATIO_TO_PYTHON)
    yield Row(what=f"{title}: rate", value=rate, unit="runs/s", goal=Goal(limit=0.75, is_ratio=True, is_least=True))
    yield Row(what=f"{title}: first one late by", value=first, unit="ms", goal=Goal(limit=50))
    failed = count - states(root).get("succeeded", 0)
    yield Row(what=f"{title}: not succeeded", value=failed, unit="runs", goal=_NONE)
    wrong = abs(count - len(lines)) + len(lines) - len({run_id for run_id, _ in lines})
    yield Row(what=f"{title}: missing or repeated starts", value=wrong, unit="starts", goal=_NONE)


_RATIO_TO_PYTHON = Goal(limit=1.0, is_ratio=True)
_NONE = Goal(limit=0)


def measure_spread(root: Path, count: int) -> Iterator[Row]:
    """Measure how late `count` schedules start that are spread over a minute."""
    due = int(time.time()) + LEAD_SECONDS
    make_repository(root, count, lambda index: f'at: "{at(due + index * SPREAD_SECONDS / count)}"', COUNTING)
    with running(root):
        wait_until_ready(root, due)
        wait_for(lambda: ended(root) == count, 0.5)
    recorded, printed = start_delays(root)
    title = f"{count} schedules spread over a minute"
    for end, delays, limit in (("record", recorded, 20), ("flow's first line", printed, 50)):
        ordered = sorted(delays)
        middle, late = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
        yield Row(what=f"{title}: due time to {end}, median", value=middle * 1000, unit="ms")
        yield Row(what=f"{title}: due time to {end}, p99", value=late * 1000, unit="ms", goal=Goal(limit=limit))
    failed = count - states(root).get("succeeded", 0)
    yield Row(what=f"{title}: not succeeded", value=failed, unit="runs", goal=_NONE)


def start_delays(root: Path) -> tuple[list[float], list[float]]:
    """Return the seconds from the due time of each successful run to its record, and to its flow's first line."""
    runs = query(root, "SELECT id, scheduled_for, created_at FROM runs WHERE state = 'succeeded' ORDER BY id")
    first = dict(line.split("=") for line in started(root).read_text().split())
    recorded = [instant(created) - instant(due) for _, due, created in runs]
    return recorded, [float(first[str(run_id)]) - instant(due) for run_id, due, _ in runs]


def at(instant: float) -> str:
    """Return an instant as text, to the millisecond."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(instant))}.{int(instant % 1 * 1000):03}Z"


def ended(root: Path) -> int:
    """Return the number of runs that have ended."""
    counts = states(root)
    return sum(counts.get(state, 0) for state in _ENDED)


def wait_until_ready(root: Path, due: float) -> None:
    """Wait until shortly before the first due time. The deployments must have been applied until then."""
    threading.Event().wait(max(due - time.time() - 0.5, 0))
    if "Applied" not in log_of(root):
        raise RuntimeError("the controller was not ready before the first due time: is the machine busy?")
