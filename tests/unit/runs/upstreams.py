"""Lets due times come and runs end, as the engine does, for tests of upstream deployments."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from controller.model.queues import schedule_queue
from controller.model.runs import Occurrence, Run, RunOutcome, RunState
from controller.runs.outcomes import record_outcomes
from controller.runs.queue import Queue
from controller.runs.upstreams import Upstreams
from controller.store import occurrences, queues, runs
from tests.unit.runs.conftest import World

HOUR = timedelta(hours=1)
HOURLY = "schedules: [{cron: '0 * * * *'}]\n"


def deployment(name: str, extra: str = "", *, schedule: str = HOURLY) -> str:
    return f"name: {name}\ncommand: ['true']\n{schedule}{extra}"


def due(world: World, *names: str) -> list[Run]:
    with world.store.write() as tx:
        created = world.admission.process_due(tx, names, world.clock.now())
    return [world.find(run) for run in created]


def process(world: World, *, everything: bool = False) -> None:
    """Do the same as the engine in a turn."""
    Queue(world.store, world.clock, 10).process_timers()
    Upstreams(world.store, world.clock, world.admission).process(everything=everything)


def end(world: World, run: Run, state: RunState = RunState.SUCCEEDED, result: Any = None) -> Run:
    """Let a run start, and end like this."""
    end_all(world, [run], state, result)
    return world.find(run)


def end_all(world: World, waiting: Sequence[Run], state: RunState = RunState.SUCCEEDED, result: Any = None) -> None:
    """Let runs start, and end like this."""
    started = {"attempt": 1, "started_at": world.clock.now()}
    outcome = RunOutcome(state=state, result=result, reason=None if state is RunState.SUCCEEDED else "no")
    with world.store.write() as tx:
        for run in waiting:
            runs.move(tx, run.id, expect=RunState.PENDING, to=RunState.RUNNING, **started)
        running = runs.find_all(tx, [run.id for run in waiting])
        record_outcomes(tx, [(run, outcome) for run in running.values()], world.clock.now())


def finish(world: World, run: Run, state: RunState = RunState.SUCCEEDED, result: Any = None) -> Run:
    """Let a run start and end like this, and evaluate that."""
    ended = end(world, run, state, result)
    process(world)
    return ended


def waiting(world: World) -> dict[str, str | None]:
    """Return the reason why each unfinished run waits, by deployment."""
    now = world.clock.now()
    with world.store.read() as tx:
        queue = list(schedule_queue(queues.find_waiting(tx), queues.read_load(tx, now), now))
    return {run.deployment: None if reason is None else reason.text for run, reason in queue}


def startable(world: World) -> list[str]:
    ready = Queue(world.store, world.clock, 10).take_ready(10)
    return [run.deployment for run in ready]


def ledger(world: World, name: str) -> list[Occurrence]:
    with world.store.read() as tx:
        return occurrences.find_newest(tx, name, 100)[::-1]


def of(world: World, name: str) -> list[Run]:
    return [run for run in world.all_runs() if run.deployment == name]
