"""Cancelling and retrying the runs that match filters, page by page, in a real store and without processes."""

from datetime import timedelta
from typing import Any

import pytest

from controller.errors import UsageError
from controller.model.backfills import BackfillState
from controller.model.runs import Run, RunState
from controller.operations.bulk import BulkMatches, BulkResult
from controller.operations.bulk_filters import BulkFilter, cancel_matching, retry_matching
from controller.operations.cancel import cancel_run
from controller.operations.trigger import trigger_run
from controller.store import backfills, runs
from controller.store.run_search import RunFilter
from tests.unit.operations.conftest import BACKFILL_PAGE, BULK_PAGE
from tests.unit.operations.test_backfills import advance, backfill, finish, run_of, stored
from tests.unit.runs.conftest import World
from tests.unit.runs.test_queueing import hourly


def cancel(world: World, criteria: RunFilter, **request: Any) -> BulkResult:
    return cancel_matching(world.operations, BulkFilter(criteria=criteria, **request), "not needed", author="me")


def retry(world: World, criteria: RunFilter, *, key: str | None = None, **request: Any) -> BulkResult:
    return retry_matching(world.operations, BulkFilter(criteria=criteria, **request), key=key, author="me")


def make(world: World, count: int, name: str = "a", state: RunState | None = None) -> list[Run]:
    """Create runs, and end them in this state."""
    with world.store.write() as tx:
        created = [world.admission.create_run(tx, name, {}) for _ in range(count)]
        for run in created if state is not None else ():
            runs.move(tx, run.id, expect=run.state, to=state or run.state)
    return created


def test_all_matching_runs_are_cancelled_page_by_page_and_no_newer_ones(world: World) -> None:
    world.declare(a=hourly(), b=hourly("b"))
    first, other = make(world, BULK_PAGE + 3), make(world, 2, "b")
    dry = cancel(world, RunFilter(deployment="a"), dry_run=True)
    assert (dry.count, dry.runs) == (BULK_PAGE + 3, ())
    assert dry.matches == (BulkMatches(deployment="a", state=RunState.PENDING, count=BULK_PAGE + 3, reason=None),)
    [newer] = make(world, 1)
    page = cancel(world, RunFilter(deployment="a"), cursor=dry.next)
    assert [result.run_id for result in page.runs] == [run.id for run in first[:BULK_PAGE]]
    last = cancel(world, RunFilter(deployment="a"), cursor=page.next)
    assert [result.run_id for result in last.runs] == [run.id for run in first[BULK_PAGE:]]
    assert (page.count, last.count, last.next) == (BULK_PAGE, 3, None)
    assert run_of(world, first[0].id).reason == "not needed"
    assert {run_of(world, run.id).state for run in (newer, *other)} == {RunState.PENDING}
    assert cancel(world, RunFilter(deployment="a"), cursor=dry.next).count == 0


def test_failed_runs_are_retried_once_whatever_is_repeated(world: World) -> None:
    world.declare(a=hourly())
    failed = make(world, BULK_PAGE + 1, state=RunState.FAILED)
    make(world, 1, state=RunState.SUCCEEDED)
    dry = retry(world, RunFilter(deployment="a"), dry_run=True)
    assert (dry.count, [match.count for match in dry.matches]) == (BULK_PAGE + 1, [BULK_PAGE + 1])
    first = retry(world, RunFilter(deployment="a"), key="k", cursor=dry.next)
    assert [result.retry_of for result in first.runs] == [run.id for run in failed[:BULK_PAGE]]
    finish(world, first.runs[0].run_id, RunState.FAILED)
    repeated = retry(world, RunFilter(deployment="a"), key="k")
    assert (repeated.count, len(repeated.left_out), repeated.next is None) == (0, BULK_PAGE, False)
    last = retry(world, RunFilter(deployment="a"), key="k", cursor=repeated.next)
    assert [result.retry_of for result in last.runs] == [failed[-1].id]
    assert [(run.run_id, run.reason) for run in last.left_out] == [(first.runs[0].run_id, "this request created it")]
    assert retry(world, RunFilter(deployment="a"), key="k").count == 0
    counts = {match.reason: match.count for match in retry(world, RunFilter(deployment="a"), dry_run=True).matches}
    assert counts == {None: 1, "a later run is retried instead": 1, "a later run has not finished": BULK_PAGE}


def test_a_backfill_is_cancelled_with_its_runs_if_it_is_the_only_filter(world: World) -> None:
    world.declare(a="name: a\ncommand: ['true']\nschedules: [{cron: '* * * * *'}]\n")
    created = backfill(world, hours=1)
    backfill_id, total = str(created.backfill_id), len(created.times)
    narrow = RunFilter(backfill=backfill_id, since=world.clock.now() + timedelta(hours=1))
    assert (cancel(world, narrow).count, stored(world, backfill_id)[0].state) == (0, BackfillState.RUNNING)
    dry = cancel(world, RunFilter(backfill=backfill_id), dry_run=True)
    assert (dry.count, dry.due_times) == (BACKFILL_PAGE, total - BACKFILL_PAGE)
    assert stored(world, backfill_id)[0].state is BackfillState.RUNNING
    done = cancel(world, RunFilter(backfill=backfill_id), cursor=dry.next)
    assert (done.count, done.due_times, done.next) == (BACKFILL_PAGE, total - BACKFILL_PAGE, None)
    ended, progress = stored(world, backfill_id)
    assert (ended.state, progress.cancelled) == (BackfillState.CANCELLED, total)
    assert run_of(world, created.run_ids[0]).reason == "not needed"
    again = cancel(world, RunFilter(backfill=backfill_id), cursor=dry.next)
    assert (again.count, again.due_times) == (0, 0)


def test_a_filter_that_cannot_apply_is_refused(world: World) -> None:
    world.declare(a=hourly())
    run = trigger_run(world.operations, "a", {}, author="me")
    with pytest.raises(UsageError, match="unfinished runs only, not to those in state failed"):
        cancel(world, RunFilter(states=[RunState.FAILED]))
    with pytest.raises(UsageError, match="finished runs only, not to those in state pending"):
        retry(world, RunFilter(states=[RunState.PENDING]))
    with pytest.raises(UsageError, match="The cursor is invalid"):
        cancel(world, RunFilter(deployment="a"), cursor=run.id)
    assert cancel(world, RunFilter(deployment="b"), dry_run=True) == BulkResult(count=0, runs=())


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_failed_run_that_a_backfill_adopted_is_retried_with_it(world: World, *, is_cancelled: bool) -> None:
    """If the retry is cancelled, the due time counts as failed again."""
    world.declare(a=hourly())
    created = backfill(world)
    backfill_id, due_time = str(created.backfill_id), created.times[-1]
    for run_id in created.run_ids[:-1]:
        finish(world, run_id)
    cancel_run(world.operations, created.run_ids[-1], "no", author="me")
    adopted = trigger_run(world.operations, "a", {}, due_time=due_time, author="me").id
    with world.store.write() as tx:
        backfills.adopt_runs(tx, backfill_id, {due_time: adopted})
    finish(world, adopted, RunState.FAILED)
    advance(world, created)
    assert stored(world, backfill_id)[0].state is BackfillState.FAILED
    assert retry(world, RunFilter(backfill=backfill_id), dry_run=True).count == 1
    [retried] = retry(world, RunFilter(backfill=backfill_id)).runs
    assert retried.retry_of == adopted
    reopened, progress = stored(world, backfill_id)
    assert (reopened.state, progress.done, progress.waiting) == (BackfillState.RUNNING, 2, 1)
    assert cancel(world, RunFilter(backfill=backfill_id, trigger="manual"), dry_run=True).count == 0
    if is_cancelled:
        cancel_run(world.operations, retried.run_id, "no", author="me")
        advance(world, created)  # adopts the failed run again
    else:
        finish(world, retried.run_id)
    advance(world, created)
    ended, progress = stored(world, backfill_id)
    assert (ended.state, progress.failed) == (
        (BackfillState.FAILED, 1) if is_cancelled else (BackfillState.SUCCEEDED, 0)
    )
