"""Due times of a schedule that a later commit has changed can still be repeated."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from controller.errors import UsageError
from controller.model.backfills import Redo
from controller.model.runs import RunState
from controller.operations.backfills import Backfilled, BackfillRequest, create_backfill
from controller.operations.retry import retry_run
from controller.operations.trigger import trigger_run
from controller.runs.outcomes import skip
from tests.conftest import NOW
from tests.unit.operations.test_backfills import finish, run_of
from tests.unit.runs.conftest import World
from tests.unit.runs.test_queueing import HOUR, account

DAY = timedelta(days=1)
SIX = NOW.replace(hour=4) + DAY  # 06:00 in Berlin
HEADER = "name: a\ncommand: ['true']\nparameters: {day: {from: due_time, format: date}}\n"


@pytest.fixture
def start() -> str:
    """No test of this module starts a supervisor, so one way to start them is enough."""
    return "cold"


def daily(hour: int, extra: str = "") -> str:
    return f"{HEADER}schedules: [{{cron: '0 {hour} * * *', timezone: Europe/Berlin{extra}}}]\n"


def changed(world: World, before: str, after: str) -> Mapping[RunState | None, datetime]:
    """Let due times of one schedule end in all ways, then declare another. None: it was skipped without a run."""
    world.declare(a=before)
    times: dict[RunState | None, datetime] = {}
    for day, state in enumerate((RunState.FAILED, RunState.SUCCEEDED, RunState.SKIPPED, RunState.CANCELLED, None)):
        world.clock.turn(SIX + day * DAY - world.clock.now())
        [run] = account(world, "a")
        assert run.scheduled_for is not None
        times[state] = run.scheduled_for
        if state is not None:
            finish(world, run.id, state)
            continue
        with world.store.write() as tx:
            skip(tx, run, "deadline", world.clock.now())
    world.declare(a=after)
    return times


def redo(world: World, which: Redo | None, *, dry_run: bool = True) -> Backfilled:
    request = BackfillRequest(deployment="a", since=NOW, redo=which, dry_run=dry_run)
    return create_backfill(world.operations, request, author="me")


@pytest.mark.parametrize(
    ("which", "states"),
    [
        (Redo.FAILED, {RunState.FAILED, RunState.CANCELLED}),
        (Redo.SKIPPED, {RunState.SKIPPED, None}),
        (Redo.ALL, {RunState.FAILED, RunState.CANCELLED, RunState.SUCCEEDED, RunState.SKIPPED, None}),
    ],
)
@pytest.mark.parametrize("after", [daily(7), HEADER], ids=["later", "none"])
def test_a_redo_includes_the_due_times_of_an_older_schedule_and_none_that_were_not_due(
    world: World, which: Redo, states: set[RunState | None], after: str
) -> None:
    times = changed(world, daily(6), after)
    world.clock.turn(2 * HOUR)
    dry = redo(world, which)
    assert dry.older_schedule == tuple(sorted(times[state] for state in states))
    assert dry.times == dry.older_schedule
    done = redo(world, which, dry_run=False)
    assert (done.times, done.older_schedule) == (dry.times, dry.older_schedule)
    runs = [run_of(world, run_id) for run_id in done.run_ids]
    assert [run.scheduled_for for run in runs] == list(dry.times)
    assert [run.parameters["day"] for run in runs] == [time.date().isoformat() for time in dry.times]


def test_a_backfill_without_a_redo_runs_only_due_times_of_the_active_schedules(world: World) -> None:
    changed(world, daily(6), daily(7))
    world.clock.turn(2 * DAY)
    dry = redo(world, None)
    assert {time.hour for time in dry.times} == {5}
    assert (dry.older_schedule, dry.have_run) == ((), 0)


def test_a_run_can_be_triggered_for_a_due_time_of_an_older_schedule(world: World) -> None:
    times = changed(world, daily(6), daily(7))
    run = trigger_run(world.operations, "a", {}, due_time=times[RunState.FAILED], author="me")
    assert (run.scheduled_for, run.parameters) == (SIX, {"day": "2026-06-02"})
    error = "2026-06-02 06:30:00\\+02:00 is not a due time of a, and was none under an older schedule"
    with pytest.raises(UsageError, match=error) as refusal:
        trigger_run(world.operations, "a", {}, due_time=SIX + HOUR / 2, author="me")
    assert refusal.value.hint == "The next due time after it is 2026-06-02 07:00:00+02:00."


def test_a_schedule_that_keeps_its_id_keeps_its_due_times_and_their_parameters(world: World) -> None:
    before, after = (daily(hour, f", id: early, parameters: {{n: {hour}}}") for hour in (6, 7))
    times = changed(world, before, after)
    failed = trigger_run(world.operations, "a", {}, due_time=times[RunState.FAILED], author="me")
    assert failed.parameters == {"day": "2026-06-02", "n": 7}
    finish(world, failed.id, RunState.FAILED)
    retried = retry_run(world.operations, failed.id, latest=True, author="me")
    assert retried.parameters == failed.parameters
    finish(world, retried.id, RunState.FAILED)
    [first, *_] = [run_of(world, run_id) for run_id in redo(world, Redo.FAILED, dry_run=False).run_ids]
    assert (first.scheduled_for, first.parameters) == (SIX, failed.parameters)
