"""Measures a backfill of no-op runs: the cost of planning it, and its rate compared with that of other runs.

`python -m benchmarks.backfills DUE_TIMES COUNT DIRECTORY` executes COUNT runs, then backfills DUE_TIMES due times until
COUNT of their runs have succeeded, and prints one line of JSON. `benchmarks.__main__` starts it as a subprocess.
"""

import json
import sys
import threading
import time
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine as DatabaseEngine

from benchmarks.controllers import wait_for
from benchmarks.runs import World, finish, measure, start_world
from controller.model.notifications import Message
from controller.operations.backfills import Backfilled, BackfillRequest, create_backfill
from controller.operations.context import OperationContext
from controller.operations.parameter_check import Parameters
from controller.queries.parameter_form import Forms
from controller.reconcile.reconciler import PassResult
from controller.store import backfills

PARALLEL = 1000
"""More runs than the engine executes at the same time."""


def main(due_times: int, count: int, work: Path) -> None:
    """Measure, and print the result."""
    world = start_world("warm", work, 'cron: "* * * * *"')
    finish(world, 20)
    _, wall = measure(world, lambda: finish(world, count))
    statements: list[str] = []
    own = threading.get_ident()

    def record(*arguments: object) -> None:
        if threading.get_ident() == own:  # the engine starts runs at the same time
            statements.append(str(arguments[2]))

    event.listen(DatabaseEngine, "before_cursor_execute", record)
    since = time.thread_time()
    begin = time.perf_counter()
    backfill = plan(world, due_times)
    planning = time.thread_time() - since
    event.remove(DatabaseEngine, "before_cursor_execute", record)
    wait_for_done(world, str(backfill.backfill_id), count)
    rate = count / (time.perf_counter() - begin)
    world.engine.stop()
    result = {"cpu": planning * 1000, "statements": len(statements), "rate": rate, "ratio": rate / (count / wall)}
    print(json.dumps(result))


def plan(world: World, count: int) -> Backfilled:
    """Create a backfill of the last `count` due times."""
    now = world.clock.now()
    context = OperationContext(
        store=world.store,
        clock=world.clock,
        admission=world.admission,
        parameters=Parameters(world.store, Forms(world.source)),
        wake=world.engine.wake,
        notify_due=world.engine.notify_due,
        request_pass=Future[PassResult],
        test_channel=lambda _: Future[Message](),
    )
    since = now - timedelta(minutes=count + 1)
    request = BackfillRequest(deployment="d00000", since=since, until=now, parallel=PARALLEL, most=count)
    return create_backfill(context, request, author="bench")


def wait_for_done(world: World, backfill_id: str, count: int) -> None:
    """Wait until `count` due times of the backfill are done."""

    def is_done() -> bool:
        with world.store.read() as tx:
            progress = backfills.count(tx, [backfill_id])[backfill_id]
        if progress.failed:
            raise RuntimeError(f"{progress.failed} runs of the backfill failed, {progress.done} are done")
        return progress.done >= count

    wait_for(is_done, 0.05)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
