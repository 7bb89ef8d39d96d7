"""Measures the total cost of one no-op run: the engine and its store in this process, and supervisors and flows.

`python -m benchmarks.runs KIND COUNT DIRECTORY` makes COUNT runs and prints one line of JSON: the CPU time of all
processes and of this one in milliseconds per run, and the rate in runs per second. `benchmarks.quick` starts it as a
subprocess. The kinds differ in what is forked and what is started:

| kind | supervisor | flow |
|---|---|---|
| `warm` | a fork of the fork server | a fork of the supervisor |
| `cold` | a fork of the fork server | a new interpreter, because `env` sets `PYTHONHASHSEED` |
| `alone` | a new interpreter, because there is no fork server | a new interpreter |
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from benchmarks.applied import apply
from benchmarks.controllers import cpu_with_children, wait_for
from benchmarks.measure import children_cpu
from benchmarks.repositories import DOING_NOTHING, make_repository
from controller.clock import SystemClock
from controller.model.runs import RunState
from controller.runs.admission import Admission
from controller.runs.engine import Engine
from controller.runs.executors.executor_set import ExecutorSet
from controller.runs.executors.local.executor import LocalExecutor
from controller.runs.executors.local.fork_server_client import ForkServer
from controller.runs.executors.local.launcher import Launcher
from controller.runs.pinned_deployments import PinnedDeployments
from controller.settings import DEFAULT_MAX_RUNNING, flow_environment
from controller.sources.git import GitSource
from controller.store import Store, runs
from controller.store.run_search import RunFilter, select_all

COLD = {"PYTHONHASHSEED": "0"}
"""A variable of a deployment that only a new interpreter can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """An engine that executes the deployment `d00000`, whose flow does nothing. No scheduler runs beside it."""

    engine: Engine
    server: ForkServer | None
    store: Store
    source: GitSource
    clock: SystemClock
    admission: Admission


def main(kind: str, count: int, work: Path) -> None:
    """Measure, and print the result."""
    world = start_world(kind, work)
    finish(world, 20)
    before = time.process_time()
    cpu, wall = measure(world, lambda: finish(world, count))
    own = time.process_time() - before
    world.engine.stop()
    print(json.dumps({"cpu": cpu / count * 1000, "own": own / count * 1000, "rate": count / wall}))


def measure(world: World, action: Callable[[], None]) -> tuple[float, float]:
    """Return the CPU time of all processes and the wall time of an action, in seconds."""
    before, since = cpu_used(world.server), time.perf_counter()
    action()
    return cpu_used(world.server) - before, time.perf_counter() - since


def start_world(
    kind: str,
    work: Path,
    schedule: str = 'cron: "0 0 1 1 *"',
    *,
    flow: str = DOING_NOTHING,
    places: int = DEFAULT_MAX_RUNNING,
) -> World:
    """Create a repository with one deployment and this schedule, apply it, and start an engine.

    `flow` is the source of the flow, and `places` is how many of them may run at once.
    """
    root = make_repository(work / "code", 1, schedule, flow, COLD if kind == "cold" else {})
    (work / "runs").mkdir()
    clock, store = SystemClock(), Store.open(work / "state.db")
    applied = apply(root, work, store, clock)
    environment = flow_environment()
    server = ForkServer(environment, clock) if kind != "alone" else None
    launcher = Launcher(directory=work / "runs", environment=environment, grace=timedelta(seconds=10), server=server)
    engine = Engine(
        store=store.with_own_readers(2),  # as a controller does
        pinned_deployments=PinnedDeployments(applied.source, store, None, applied.deployments),
        clock=clock,
        admission=applied.admission,
        executors=ExecutorSet([LocalExecutor(launcher)]),
        max_running=places,
        on_tick=lambda: None,
        on_failure=lambda: os._exit(1),
    )
    engine.start()
    return World(
        engine=engine, server=server, store=store, source=applied.source, clock=clock, admission=applied.admission
    )


def finish(world: World, count: int) -> None:
    """Request `count` runs, and wait until all have succeeded."""
    with world.store.write() as tx:
        requested = {world.admission.create_run(tx, "d00000", {}).id for _ in range(count)}
    world.engine.wake()

    def is_idle() -> bool:
        with world.store.read() as tx:
            return not sum(runs.counts(tx).values())

    wait_for(is_idle, 0.05)
    with world.store.read() as tx:
        matches = select_all(tx, RunFilter(states=[RunState.SUCCEEDED]))
    succeeded = [run for run in matches if run.id in requested]
    if len(succeeded) != count:
        raise RuntimeError(f"{count - len(succeeded)} runs did not succeed")


def cpu_used(server: ForkServer | None) -> float:
    """Return the CPU time in seconds of this process, the fork server, and all of their reaped children."""
    seconds = time.process_time() + children_cpu()
    return seconds if server is None or server.pid is None else seconds + cpu_with_children(server.pid)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
