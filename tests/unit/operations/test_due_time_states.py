"""The ledger keeps the state of each due time, whatever becomes of its runs, and every reader asks the ledger."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from controller.errors import UsageError
from controller.model.backfills import CodeVersion, Redo
from controller.model.runs import Occurrence, Outcome, Run, RunState
from controller.operations.backfills import Backfilled, BackfillRequest, create_backfill
from controller.operations.cancel import cancel_run
from controller.operations.retry import retry_run
from controller.operations.trigger import trigger_run
from controller.queries.occurrences import list_occurrences
from controller.queries.run_selection import select_for_retry
from controller.runs import backfill_runs
from controller.runs.outcomes import skip
from controller.store import retention, runs
from controller.store.run_search import RunFilter, select_all
from tests.conftest import NOW
from tests.unit.operations.test_backfills import finish
from tests.unit.runs.conftest import World
from tests.unit.runs.test_queueing import HOUR, account, hourly

FAILED, SUCCEEDED, CANCELLED, SKIPPED = RunState.FAILED, RunState.SUCCEEDED, RunState.CANCELLED, RunState.SKIPPED


@pytest.fixture
def start() -> str:
    """No test of this module starts a supervisor, so one way to start them is enough."""
    return "cold"


def due_run(world: World, state: RunState | None = None) -> Run:
    """Let the next due time of `a` have a run that ends in this state; None: that does not end."""
    world.clock.turn(HOUR)
    [run] = account(world, "a")
    if state is not None:
        finish(world, run.id, state)
    return run


def delete(world: World, deleted: Sequence[Run]) -> None:
    """Delete these runs as retention does."""
    with world.store.write() as tx:
        retention.delete_runs(tx, [run.id for run in deleted])


def redo(world: World, which: Redo | None, *, code: CodeVersion = CodeVersion.LATEST) -> Backfilled:
    """Return which due times since NOW this redo would run."""
    since, until = NOW + timedelta(seconds=1), world.clock.now()
    request = BackfillRequest(deployment="a", since=since, until=until, redo=which, code=code, dry_run=True)
    return create_backfill(world.operations, request, author="me")


def ledger(world: World) -> list[Occurrence]:
    """Return the ledger as users see it, oldest first."""
    with world.store.read() as tx:
        return list_occurrences(tx, "a", 100)[::-1]


@pytest.mark.parametrize(("which", "state"), [(Redo.FAILED, FAILED), (Redo.FAILED, CANCELLED), (Redo.SKIPPED, SKIPPED)])
def test_a_redo_selects_due_times_whose_runs_were_deleted(world: World, which: Redo, state: RunState) -> None:
    world.declare(a=hourly())
    done, undone = due_run(world, SUCCEEDED), due_run(world, state)
    delete(world, [done, undone])
    assert redo(world, which).times == (undone.scheduled_for,)
    assert redo(world, None).times == ()
    assert [(row.outcome, row.run_id, row.state, row.runs) for row in ledger(world)] == [
        (Outcome.RUN, done.id, SUCCEEDED, ()),
        (Outcome.RUN, undone.id, state, ()),
    ]


@pytest.mark.parametrize(
    ("states", "decides"),
    [
        ((FAILED, SUCCEEDED), 1),
        ((SUCCEEDED, FAILED), 1),
        ((FAILED, CANCELLED), 0),
        ((CANCELLED, SKIPPED), 1),
        ((CANCELLED, CANCELLED), 1),
        ((FAILED, CANCELLED, SUCCEEDED, CANCELLED), 2),
    ],
)
def test_the_latest_run_that_was_not_cancelled_decides(world: World, states: Sequence[RunState], decides: int) -> None:
    world.declare(a=hourly())
    history = [due_run(world, states[0])]
    for state in states[1:]:
        history.append(retry_run(world.operations, history[-1].id, author="me"))
        [row] = ledger(world)
        assert (row.run_id, row.state) == (history[-1].id, RunState.PENDING)
        finish(world, history[-1].id, state)
    for deleted in ([], history):
        delete(world, deleted)
        [row] = ledger(world)
        assert (row.run_id, row.state) == (history[decides].id, states[decides])


def test_of_two_retries_at_once_the_later_one_decides_in_any_order_of_their_ends(world: World) -> None:
    """Older versions allowed a second retry before the first one had finished."""
    world.declare(a=hourly())
    earlier = retry_run(world.operations, due_run(world, FAILED).id, author="me")
    later = replace(earlier, id=world.operations.admission.ids.new(world.clock.now()))
    with world.store.write() as tx:
        runs.insert_all(tx, [later])
    finish(world, later.id, SUCCEEDED)
    assert ledger(world)[0].state is RunState.PENDING
    assert redo(world, Redo.ALL).times == ()
    finish(world, earlier.id, FAILED)
    assert (ledger(world)[0].run_id, ledger(world)[0].state) == (later.id, SUCCEEDED)


def test_a_retry_of_a_run_that_expired_makes_its_due_time_one_that_has_run(world: World) -> None:
    world.declare(a=hourly())
    run = due_run(world)
    with world.store.write() as tx:
        assert skip(tx, run, "deadline", world.clock.now()) is not None
    [expired] = ledger(world)
    assert (expired.outcome, expired.reason, expired.state) == (Outcome.SKIPPED, "deadline", SKIPPED)
    retried = retry_run(world.operations, run.id, author="me")
    cancel_run(world.operations, retried.id, "no", author="me")
    assert (ledger(world)[0].outcome, ledger(world)[0].run_id) == (Outcome.SKIPPED, run.id)
    assert redo(world, None).times == (run.scheduled_for,)
    retried = retry_run(world.operations, run.id, author="me")
    finish(world, retried.id, SUCCEEDED)
    [row] = ledger(world)
    assert (row.outcome, row.reason, row.run_id, row.state) == (Outcome.RUN, None, retried.id, SUCCEEDED)


def test_a_run_that_no_longer_waits_does_not_make_its_due_time_a_skipped_one(world: World) -> None:
    world.declare(a=hourly())
    run = due_run(world, SUCCEEDED)
    with world.store.write() as tx:
        assert skip(tx, run, "deadline", world.clock.now()) is None
    assert [(row.outcome, row.state) for row in ledger(world)] == [(Outcome.RUN, SUCCEEDED)]


def test_a_due_time_of_a_deployment_without_schedules_has_a_place_in_the_ledger(world: World) -> None:
    world.declare(a="name: a\ncommand: ['true']\n")
    run = trigger_run(world.operations, "a", {}, due_time=NOW, author="me")
    finish(world, run.id, FAILED)
    assert [(row.scheduled_for, row.schedule, row.state) for row in ledger(world)] == [(NOW, "", FAILED)]


def test_a_bulk_retry_does_not_repeat_a_run_whose_later_run_was_deleted(world: World) -> None:
    world.declare(a=hourly())
    failed = due_run(world, FAILED)
    retried = retry_run(world.operations, failed.id, author="me")
    finish(world, retried.id, SKIPPED)
    delete(world, [retried])
    with world.store.read() as tx:
        selection = select_for_retry(tx, select_all(tx, RunFilter(deployment="a", states=(FAILED,))))
    assert (selection.runs, [left.later_run for left in selection.left_out]) == ([], [retried.id])


def test_original_code_is_refused_for_due_times_whose_run_was_deleted(world: World) -> None:
    world.declare(a=hourly())
    delete(world, [due_run(world, FAILED)])
    with pytest.raises(UsageError, match="1 due time has a run that retention has deleted, so its commit is unknown"):
        redo(world, Redo.FAILED, code=CodeVersion.ORIGINAL)


def test_retention_keeps_the_runs_whose_code_a_backfill_will_execute(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_runs, "PAGE", 1)
    world.declare(a=hourly())
    first, *_ = [due_run(world, FAILED) for _ in range(4)]
    since = NOW + timedelta(seconds=1)
    request = BackfillRequest(deployment="a", since=since, redo=Redo.FAILED, code=CodeVersion.ORIGINAL)
    created = create_backfill(world.operations, request, author="me")
    assert (len(created.run_ids), len(created.times)) == (1, 4)
    with world.store.read() as tx:
        assert retention.find_expired(tx, "a", keep=1, before=world.clock.now(), limit=9) == [first.id]


def test_the_ledger_remembers_an_old_due_time_as_long_as_its_run_is_stored(world: World) -> None:
    world.declare(a=hourly())
    run = due_run(world, FAILED)
    for before, left in ((NOW, 1), (NOW + 2 * HOUR, 1)):
        with world.store.write() as tx:
            retention.delete_due_times(tx, "a", skipped_before=before, run_before=before, limit=9)
        assert len(ledger(world)) == left
    delete(world, [run])
    with world.store.write() as tx:
        assert retention.delete_due_times(tx, "a", skipped_before=NOW, run_before=NOW + 2 * HOUR, limit=9) == 1
