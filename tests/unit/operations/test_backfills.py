"""Backfills as objects, runs for a due time, and retries with new code, in a real store and without processes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine as SqlEngine
from sqlalchemy import event

from controller.errors import ConflictError, NotFoundError, UsageError
from controller.model.backfills import Backfill, BackfillState, CodeVersion, Progress, Redo
from controller.model.runs import Outcome, Run, RunOutcome, RunState, Trigger
from controller.operations.backfills import (
    Backfilled,
    BackfillRequest,
    cancel_whole_backfill,
    create_backfill,
    pause_backfill,
    resume_backfill,
)
from controller.operations.bulk import retry_runs
from controller.operations.cancel import cancel_run
from controller.operations.retry import retry_run
from controller.operations.trigger import trigger_run
from controller.queries.backfills import show_backfill
from controller.queries.occurrences import list_occurrences
from controller.runs.backfill_runs import BackfillRuns
from controller.runs.due_times import MAX_BEHIND
from controller.store import backfills, retention, run_transitions, runs
from tests.conftest import NOW
from tests.unit.operations.conftest import BACKFILL_PAGE, REFILL
from tests.unit.runs.conftest import World
from tests.unit.runs.test_queueing import account, begin, hourly, ledger, queue, waits

HOUR = timedelta(hours=1)


def backfill(world: World, hours: float = 3, **fields: Any) -> Backfilled:
    """Backfill the due times of the deployment `a` in the last hours."""
    now = world.clock.now()
    request = BackfillRequest(deployment="a", since=now - hours * HOUR + timedelta(seconds=1), until=now, **fields)
    return create_backfill(world.operations, request, author="somebody")


def finish(world: World, run_id: str, state: RunState = RunState.SUCCEEDED) -> None:
    """End a run that has started, and let its backfill continue, as the engine does."""
    finish_all(world, [run_id], state)


def finish_all(world: World, run_ids: Iterable[str], state: RunState = RunState.SUCCEEDED) -> None:
    """End runs one after the other in one transaction, which is much faster."""
    with world.store.write() as tx:
        for run_id in run_ids:
            run = runs.find(tx, run_id)
            assert run is not None
            assert runs.move(tx, run.id, expect=run.state, to=RunState.RUNNING)
            assert run_transitions.end(tx, [(replace(run, state=RunState.RUNNING), RunOutcome(state=state))])
            if run.backfill_id is not None:
                BackfillRuns(world.admission).advance(tx, run.backfill_id, world.clock.now())


def advance(world: World, created: Backfilled) -> list[Run]:
    with world.store.write() as tx:
        return BackfillRuns(world.admission).advance(tx, str(created.backfill_id), world.clock.now())


def stored(world: World, backfill_id: str | None) -> tuple[Backfill, Progress]:
    assert backfill_id is not None
    with world.store.read() as tx:
        found = backfills.find(tx, backfill_id)
        assert found is not None
        return found, backfills.count(tx, [backfill_id])[backfill_id]


def run_of(world: World, run_id: str) -> Run:
    with world.store.read() as tx:
        run = runs.find(tx, run_id)
    assert run is not None
    return run


def test_a_due_time_during_a_backfill_waits_for_its_run_and_goes_first(world: World) -> None:
    world.declare(a=hourly())
    first, second, third = backfill(world).run_ids
    line = queue(world)
    assert begin(world, line.take_ready(9)) == ["a"]
    world.clock.turn(HOUR)
    [due] = account(world, "a")
    assert waits(world)[-1] == f"run {first[-12:]} of this deployment has not finished"
    finish(world, first)
    [started] = line.take_ready(9)
    assert started.id == due.id
    begin(world, [started])
    assert line.take_ready(9) == []
    finish(world, due.id)
    assert [run.id for run in line.take_ready(9)] == [second]
    assert third in {run.id for run in world.all_runs()}
    assert ledger(world)[-1] == ("run", None)


def test_the_due_times_during_a_long_backfill_run_are_all_run(world: World) -> None:
    world.declare(a=hourly())
    begin(world, [run_of(world, backfill(world).run_ids[0])])
    for _ in range(3):
        world.clock.turn(HOUR)
        account(world, "a")
    assert ledger(world)[-3:] == [("run", None)] * 3


def test_due_times_wait_without_a_skip_until_the_runs_behind_a_backfill_have_ended(world: World) -> None:
    world.declare(a=hourly())
    first = backfill(world).run_ids[0]
    begin(world, [run_of(world, first)])
    world.clock.turn(HOUR)
    [delayed] = account(world, "a")
    finish(world, first)
    begin(world, [delayed])
    world.clock.turn(HOUR)
    [waiting] = account(world, "a")
    world.clock.turn(HOUR)
    [later] = account(world, "a")
    assert [run.behind_backfill for run in (waiting, later)] == [True, True]
    for run in (delayed, waiting, later):
        finish(world, run.id)
    world.clock.turn(HOUR)
    [due] = account(world, "a")
    world.clock.turn(HOUR)
    assert account(world, "a") == []
    assert (due.behind_backfill, ledger(world)[-1]) == (False, ("skipped", "overlap"))


def with_jitter(minutes: int, extra: str = "") -> str:
    return f"name: a\ncommand: ['true']\nschedules: [{{cron: '0 * * * *', jitter: {minutes}m}}]\n{extra}"


def test_a_due_time_whose_jitter_ends_during_a_run_of_a_backfill_skips_no_later_one(world: World) -> None:
    world.declare(a=with_jitter(50))
    created = backfill(world).run_ids
    world.clock.turn(HOUR)
    [jittered] = account(world, "a")
    assert jittered.not_before is not None
    line = queue(world)
    begin(world, line.take_ready(9))
    world.clock.turn(HOUR)
    [second] = account(world, "a")
    finish(world, created[0])
    for run in (jittered, second):
        assert [taken.id for taken in line.take_ready(9)] == [run.id]
        begin(world, [run])
        world.clock.turn(HOUR)
        assert len(account(world, "a")) == 1
        finish(world, run.id)


def test_a_waiting_due_time_goes_before_the_next_parallel_run_of_a_backfill(world: World) -> None:
    world.declare(a=hourly())
    created = backfill(world, parallel=2).run_ids
    line = queue(world, places=9)
    begin(world, line.take_ready(9))
    world.clock.turn(HOUR)
    [due] = account(world, "a")
    finish(world, created[0])
    assert line.take_ready(9) == []
    assert waits(world)[2:] == [
        f"run {due.id[-12:]} of this deployment goes first",
        f"run {created[1][-12:]} of this deployment has not finished",
    ]
    finish(world, created[1])
    assert [run.id for run in line.take_ready(9)] == [due.id]


def test_the_start_deadline_does_not_skip_a_due_time_that_waited_for_a_backfill(world: World) -> None:
    world.declare(a=with_jitter(50, "start_deadline: 10m\n"))
    created = backfill(world, hours=1).run_ids
    world.clock.turn(HOUR)
    [jittered] = account(world, "a")
    line = queue(world)
    begin(world, line.take_ready(9))
    world.clock.turn(HOUR)
    [later] = account(world, "a")
    world.clock.turn(HOUR)
    line.process_timers()
    assert jittered.start_by is not None
    assert [run_of(world, run.id).state for run in (jittered, later)] == [RunState.PENDING] * 2
    finish(world, created[0])
    assert [run.id for run in line.take_ready(9)] == [jittered.id]


def failed(world: World, count: int) -> list[Run]:
    """Let the schedule of `a` run this many due times, which fail."""
    scheduled = []
    for _ in range(count):
        world.clock.turn(HOUR)
        scheduled += account(world, "a")
        finish(world, scheduled[-1].id, RunState.FAILED)
    return scheduled


@pytest.mark.parametrize("overlap", ["skip", "replace", "queue"])
def test_a_due_time_waits_for_a_retry_of_an_earlier_one_and_goes_before_the_next_retry(
    world: World, overlap: str
) -> None:
    world.declare(a=hourly(extra=f"overlap: {overlap}\n"))
    first, second = [retry_run(world.operations, run.id, author="me") for run in failed(world, 2)]
    line = queue(world)
    [started] = line.take_ready(9)
    assert started.id == first.id
    begin(world, [started])
    live = []
    for _ in range(2):
        world.clock.turn(HOUR)
        live += account(world, "a")
    assert [run.behind_backfill for run in live] == [True, True]
    assert run_of(world, first.id).cancel_reason is None
    finish(world, first.id)
    for run in (*live, second):
        assert [taken.id for taken in line.take_ready(9)] == [run.id]
        begin(world, [run])
        finish(world, run.id)


def test_a_due_time_is_not_retried_while_one_of_its_runs_has_not_finished(world: World) -> None:
    world.declare(a=hourly())
    [run] = failed(world, 1)
    retry = retry_run(world.operations, run.id, key="k", author="me")
    finish(world, retry.id, RunState.FAILED)
    again = retry_run(world.operations, retry.id, author="me")
    for other in (run.id, retry.id):
        with pytest.raises(ConflictError, match=f"Run {again.id} of this due time has not finished: pending"):
            retry_run(world.operations, other, author="me")
    assert retry_run(world.operations, run.id, key="k", author="me").id == retry.id
    finish(world, again.id, RunState.CANCELLED)
    assert retry_run(world.operations, run.id, author="me").retry_of == run.id


def test_a_run_without_a_due_time_is_not_retried_while_a_retry_of_it_has_not_finished(world: World) -> None:
    world.declare(a=hourly())
    run, other = (trigger_run(world.operations, "a", {}, author="me") for _ in range(2))
    for ended in (run, other):
        finish(world, ended.id, RunState.FAILED)
    retry = retry_run(world.operations, run.id, author="me")
    finish(world, retry.id, RunState.FAILED)
    again = retry_run(world.operations, retry.id, author="me")
    with pytest.raises(ConflictError, match=f"Run {again.id}, a retry of this run, has not finished: pending"):
        retry_run(world.operations, run.id, author="me")
    assert retry_run(world.operations, other.id, author="me").retry_of == other.id


def test_of_two_bulk_retries_only_the_first_creates_runs(world: World) -> None:
    world.declare(a=hourly())
    ids = [run.id for run in failed(world, 3)]
    first, second = (retry_runs(world.operations, ids, author="me") for _ in range(2))
    assert (first.count, second.count) == (3, 0)
    assert {run.retry_of for run in first.runs} == set(ids)
    assert all("has not finished" in str(run.reason) for run in second.runs)


def test_a_due_time_does_not_wait_for_a_retry_between_two_attempts(world: World) -> None:
    world.declare(a=hourly())
    [run] = failed(world, 1)
    retry = retry_run(world.operations, run.id, author="me")
    begin(world, [retry])
    with world.store.write() as tx:
        runs.move(tx, retry.id, expect=RunState.RUNNING, to=RunState.RETRYING, not_before=NOW + 9 * HOUR)
    world.clock.turn(HOUR)
    [due] = account(world, "a")
    assert [taken.id for taken in queue(world).take_ready(9)] == [due.id]


def test_at_most_a_hundred_runs_wait_behind_a_backfill(world: World) -> None:
    world.declare(a=hourly())
    begin(world, [run_of(world, backfill(world).run_ids[0])])
    for _ in range(MAX_BEHIND + 2):
        world.clock.turn(HOUR)
        account(world, "a")
    assert ledger(world)[-3:] == [("run", None), ("run", None), ("skipped", "overlap")]


def test_a_replacing_deployment_does_not_replace_the_run_of_a_backfill(world: World) -> None:
    world.declare(a=hourly(extra="overlap: replace\n"))
    first, second, _ = backfill(world).run_ids
    begin(world, [run_of(world, first)])
    for _ in range(2):
        world.clock.turn(HOUR)
        assert len(account(world, "a")) == 1
    assert ledger(world)[-2:] == [("run", None)] * 2
    assert run_of(world, first).cancel_reason is None
    assert run_of(world, second).state is RunState.PENDING


@pytest.mark.parametrize(("overlap", "parallel", "started"), [("skip", None, 1), ("skip", 2, 2), ("allow", None, 3)])
def test_a_backfill_has_as_many_runs_in_progress_as_it_may(
    world: World, overlap: str, parallel: int | None, started: int
) -> None:
    world.declare(a=hourly(extra=f"overlap: {overlap}\n"))
    created = backfill(world, parallel=parallel).run_ids
    line = queue(world, places=9)
    taken = line.take_ready(9)
    assert [run.id for run in taken] == list(created[:started])
    begin(world, taken)
    assert line.take_ready(9) == []
    if started < len(created):
        in_progress = "another run" if started == 1 else f"{started} runs"
        assert (waits(world)[-1] or "").startswith(f"{in_progress} of its backfill")


def test_a_backfill_leaves_the_last_slot_to_schedules(world: World) -> None:
    world.write("controller.yaml", "queues: {etl: {limit: 2}}\n")
    world.declare(a=hourly(extra="overlap: allow\nqueue: etl\n"), b=hourly("b", "queue: etl\n"))
    backfill(world)
    line = queue(world, places=9)
    assert begin(world, line.take_ready(9)) == ["a"]
    assert waits(world)[1] == "the last slot of queue etl is kept for schedules (1 of 2 in use)"
    world.clock.turn(HOUR)
    account(world, "b")
    assert begin(world, line.take_ready(9)) == ["b"]


def test_a_paused_backfill_starts_nothing_until_it_is_resumed(world: World) -> None:
    world.declare(a=hourly())
    backfill_id = str(backfill(world).backfill_id)
    assert pause_backfill(world.operations, backfill_id, author="me").state is BackfillState.PAUSED
    line = queue(world)
    assert line.take_ready(9) == []
    assert waits(world) == ["its backfill is paused"] * 3
    assert resume_backfill(world.operations, backfill_id, author="me").state is BackfillState.RUNNING
    assert len(line.take_ready(9)) == 1
    reasons = [event.reason for event in world.events()]
    assert reasons[-2:] == ["BackfillPaused", "BackfillResumed"]


def test_a_cancelled_backfill_ends_its_runs_and_creates_no_more(world: World) -> None:
    world.declare(a="name: a\ncommand: ['true']\nschedule: {interval: 1m}\n")
    created = backfill(world, hours=1)
    assert (len(created.run_ids), len(created.times)) == (BACKFILL_PAGE, 60)
    begin(world, [run_of(world, created.run_ids[0])])
    for _ in range(2):
        cancelled = cancel_whole_backfill(world.operations, str(created.backfill_id), author="me")
    assert cancelled.state is BackfillState.CANCELLED
    assert run_of(world, created.run_ids[0]).cancel_reason == "me cancelled its backfill"
    assert run_of(world, created.run_ids[1]).state is RunState.CANCELLED
    _, progress = stored(world, created.backfill_id)
    assert progress == Progress(total=60, running=1, cancelled=59)
    with pytest.raises(ConflictError, match="has already ended: cancelled"):
        resume_backfill(world.operations, str(created.backfill_id), author="me")
    with pytest.raises(NotFoundError):
        pause_backfill(world.operations, "nonexistent", author="me")


def test_a_long_backfill_creates_its_runs_in_pages(world: World) -> None:
    world.declare(a="name: a\ncommand: ['true']\nschedule: {interval: 1m}\n")
    created = backfill(world, hours=1)
    assert (len(created.run_ids), len(created.times)) == (50, 60)
    finish_all(world, created.run_ids[: BACKFILL_PAGE // 2 - 1])
    assert len(world.all_runs()) == 50
    finish(world, created.run_ids[BACKFILL_PAGE // 2 - 1])
    assert [run.scheduled_for for run in world.all_runs()] == list(created.times)
    assert stored(world, created.backfill_id)[1] == Progress(total=60, done=25, waiting=35)


def test_a_backfill_adopts_the_run_of_a_due_time_that_a_user_has_run_meanwhile(world: World) -> None:
    world.declare(a="name: a\ncommand: ['true']\nschedule: {interval: 1m}\n")
    created = backfill(world, hours=0.9)
    manual, cancelled, waiting, stopped = [
        trigger_run(world.operations, "a", {}, due_time=created.times[BACKFILL_PAGE + n], author="me") for n in range(4)
    ]
    finish(world, manual.id)
    cancel_run(world.operations, cancelled.id, "no", author="me")
    finish_all(world, created.run_ids[:REFILL])
    assert len(world.all_runs()) == len(created.times) + 1  # the cancelled one is not adopted
    assert stored(world, created.backfill_id)[1] == Progress(total=54, done=REFILL + 1, waiting=54 - REFILL - 1)
    finish_all(world, [run.id for run in world.all_runs() if run.backfill_id and not run.state.is_terminal])
    assert stored(world, created.backfill_id)[0].state is BackfillState.RUNNING
    finish(world, waiting.id)
    cancel_run(world.operations, stopped.id, "no", author="me")
    [last] = advance(world, created)
    assert last.scheduled_for == stopped.scheduled_for
    finish(world, last.id)
    assert stored(world, created.backfill_id)[0].state is BackfillState.SUCCEEDED


def test_cancelling_a_backfill_leaves_the_runs_that_it_adopted(world: World) -> None:
    world.declare(a="name: a\ncommand: ['true']\nschedule: {interval: 1m}\n")
    created = backfill(world, hours=0.9)
    manual = trigger_run(world.operations, "a", {}, due_time=created.times[-1], author="me")
    finish_all(world, created.run_ids[:REFILL])
    cancel_whole_backfill(world.operations, str(created.backfill_id), author="me")
    assert run_of(world, manual.id).state is RunState.PENDING


def test_a_tick_only_reads_one_statement_while_no_backfill_can_be_advanced(world: World) -> None:
    world.declare(a=hourly())
    ids = [str(backfill(world, hours=1).backfill_id)]
    world.clock.turn(HOUR)
    ids.append(str(backfill(world, hours=1).backfill_id))
    pause_backfill(world.operations, ids[1], author="me")
    statements: list[str] = []

    def record(*arguments: Any) -> None:
        statements.extend([arguments[2]] if arguments[2] != "BEGIN" else [])

    event.listen(SqlEngine, "before_cursor_execute", record)
    try:
        with world.store.read() as tx:
            assert backfills.find_ready(tx, REFILL) == []
    finally:
        event.remove(SqlEngine, "before_cursor_execute", record)
    assert len(statements) == 1
    [run] = [run for run in world.all_runs() if run.backfill_id == ids[0]]
    with world.store.write() as tx:
        assert runs.move(tx, run.id, expect=RunState.PENDING, to=RunState.SUCCEEDED)
        assert backfills.find_ready(tx, REFILL) == [ids[0]]


def test_two_backfills_of_one_range_do_not_run_a_due_time_twice(world: World) -> None:
    world.declare(a="name: a\ncommand: ['true']\nschedule: {interval: 1m}\n")
    first = backfill(world, hours=1)
    second = backfill(world, hours=1, redo=Redo.ALL)
    assert (second.backfill_id, second.run_ids, second.already_run) == (None, (), len(first.times))
    assert second.planned == len(first.times) - len(first.run_ids) == 10


@pytest.mark.parametrize(
    ("states", "end", "reason"),
    [
        ((RunState.SUCCEEDED, RunState.SKIPPED, RunState.SUCCEEDED), BackfillState.SUCCEEDED, "BackfillSucceeded"),
        ((RunState.SUCCEEDED, RunState.CRASHED, RunState.SUCCEEDED), BackfillState.FAILED, "BackfillFailed"),
        ((RunState.SUCCEEDED, RunState.SUCCEEDED, RunState.CANCELLED), BackfillState.FAILED, "BackfillFailed"),
    ],
)
def test_a_backfill_ends_with_its_last_run(
    world: World, states: tuple[RunState, ...], end: BackfillState, reason: str
) -> None:
    world.declare(a=hourly())
    created = backfill(world)
    for run_id, state in zip(created.run_ids, states, strict=True):
        assert stored(world, created.backfill_id)[0].state is BackfillState.RUNNING
        finish(world, run_id, state)
    ended, _ = stored(world, created.backfill_id)
    assert (ended.state, ended.finished_at) == (end, world.clock.now())
    assert world.events()[-1].reason == reason


def test_a_retry_continues_a_backfill_that_has_failed(world: World) -> None:
    world.declare(a=hourly())
    created = backfill(world)
    for run_id in created.run_ids:
        finish(world, run_id, RunState.FAILED)
    retried = [retry_run(world.operations, run_id, author="me").id for run_id in created.run_ids]
    assert stored(world, created.backfill_id)[1] == Progress(total=3, waiting=3)
    finish_all(world, retried)
    ended, progress = stored(world, created.backfill_id)
    assert (ended.state, progress.done) == (BackfillState.SUCCEEDED, 3)


def test_a_cancelled_retry_leaves_the_due_time_of_a_backfill_failed(world: World) -> None:
    world.declare(a=hourly())
    created = backfill(world, hours=1)
    [run_id] = created.run_ids
    finish(world, run_id, RunState.FAILED)
    for _ in range(2):
        run_id = retry_run(world.operations, run_id, author="me").id
        finish(world, run_id, RunState.CANCELLED)
    assert stored(world, created.backfill_id)[1] == Progress(total=1, failed=1)


def with_history(world: World) -> Mapping[RunState | None, datetime]:
    """Give due times of `a` all kinds of outcomes. Return one of them for each state; None has had no run."""
    world.declare(a=hourly())
    times: dict[RunState | None, datetime] = {}
    final = (RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT, RunState.CRASHED, RunState.CANCELLED)
    for state in (*final, RunState.SKIPPED):
        world.clock.turn(HOUR)
        [run] = account(world, "a")
        finish(world, run.id, state)
        times[state] = world.clock.now()
    world.clock.turn(HOUR)
    [unfinished] = account(world, "a")
    times[RunState.PENDING] = world.clock.now()
    world.clock.turn(HOUR)
    assert account(world, "a") == []
    times[None] = world.clock.now()
    assert unfinished.state is RunState.PENDING
    return times


@pytest.mark.parametrize(
    ("redo", "states"),
    [
        (None, {None}),
        (Redo.FAILED, {None, RunState.FAILED, RunState.TIMED_OUT, RunState.CRASHED, RunState.CANCELLED}),
        (Redo.SKIPPED, {None, RunState.SKIPPED}),
        (
            Redo.ALL,
            {
                *(None, RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT),
                *(RunState.CRASHED, RunState.CANCELLED, RunState.SKIPPED),
            },
        ),
    ],
)
def test_a_redo_selects_due_times_by_the_state_of_their_latest_run(
    world: World, redo: Redo | None, states: set[RunState | None]
) -> None:
    times = with_history(world)
    dry = backfill(world, hours=8, redo=redo, dry_run=True)
    done = backfill(world, hours=8, redo=redo)
    assert dry.times == done.times == tuple(sorted(times[state] for state in states))
    assert (dry.backfill_id, dry.already_run) == (None, 8 - len(states))
    assert (len(done.run_ids), done.already_run) == (len(states), 8 - len(states))


def test_a_cancelled_redo_leaves_the_due_time_as_it_was(world: World) -> None:
    times = with_history(world)
    [run_id] = backfill(world, hours=8, redo=Redo.SKIPPED, most=1).run_ids
    cancel_run(world.operations, run_id, "no", author="me")
    redo = retry_run(world.operations, run_id, author="me")
    cancel_run(world.operations, redo.id, "no", author="me")
    assert redo.scheduled_for == times[None]
    assert times[None] in backfill(world, hours=8, redo=Redo.FAILED, dry_run=True).times
    failed = trigger_run(world.operations, "a", {}, due_time=times[RunState.FAILED], author="me")
    cancel_run(world.operations, failed.id, "no", author="me")
    assert times[RunState.FAILED] in backfill(world, hours=8, redo=Redo.FAILED, dry_run=True).times


DAY = "{from: due_time, format: date}"


def test_a_redo_executes_the_latest_or_the_original_code_with_the_same_due_time(world: World) -> None:
    world.declare(a=hourly(extra=f"parameters: {{day: {DAY}, n: 1}}\n"))
    world.clock.turn(HOUR)
    [run] = account(world, "a")
    finish(world, run.id, RunState.FAILED)
    world.declare(a=hourly(extra=f"parameters: {{day: {DAY}, n: 2, m: 3}}\n"))
    world.clock.turn(24 * HOUR)
    original = backfill(world, hours=25, redo=Redo.FAILED, code=CodeVersion.ORIGINAL, parameters={"x": 9})
    repeated = run_of(world, original.run_ids[0])
    assert repeated.scheduled_for == run.scheduled_for
    assert (repeated.revision, repeated.spec_digest) == (run.revision, run.spec_digest)
    assert repeated.parameters == {"day": "2026-06-01", "n": 1, "x": 9}
    finish(world, repeated.id, RunState.FAILED)
    latest = run_of(world, backfill(world, hours=25, redo=Redo.FAILED).run_ids[0])
    assert latest.spec_digest != run.spec_digest
    assert latest.parameters == {"day": "2026-06-01", "n": 2, "m": 3}


def test_the_parameters_of_a_backfill_with_original_code_are_checked_at_each_commit(world: World) -> None:
    text = "name: a\nflow: flows/{0}.py:main\nschedule: {{cron: '0 * * * *', parameters: {{day: {1}}}}}\n"
    world.write("flows/old.py", "def main(day: str, days: int = 1): ...\n")
    world.write("flows/new.py", "def main(day: str, hours: int = 1): ...\n")
    world.declare(a=text.format("new", DAY))
    world.clock.turn(HOUR)
    [run] = account(world, "a")
    finish(world, run.id, RunState.FAILED)

    def original(**fields: Any) -> Backfilled:
        return backfill(world, hours=1, redo=Redo.FAILED, code=CodeVersion.ORIGINAL, **fields)

    for parameters, message in (
        (
            {"days": 3},
            f"At commit {run.revision.rpartition(':')[2][:12]}, of run {run.id}: main has no parameter days.",
        ),
        (
            {"hours": "x"},
            f"At commit {run.revision.rpartition(':')[2][:12]}, of run {run.id}: hours: expected int, got the string",
        ),
        ({"day": {"from": "due_time", "shift": "1d"}}, "day.shift: '1d' is not a shift"),
    ):
        for is_dry in (True, False):
            with pytest.raises(UsageError, match=re.escape(message)):
                original(parameters=parameters, dry_run=is_dry)
    assert [stored.id for stored in world.all_runs()] == [run.id]
    shifted = {"from": "due_time", "format": "date", "shift": "-1d"}
    repeated = run_of(world, original(parameters={"hours": 2, "day": shifted}).run_ids[0])
    assert repeated.parameters == {"day": "2026-05-31", "hours": 2}


def test_a_repeated_due_time_has_the_parameters_of_its_schedule(world: World) -> None:
    world.write("flows/new.py", "def main(day: str, hours: int = 1): ...\n")
    world.declare(a=f"name: a\nflow: flows/new.py:main\nschedule: {{cron: '0 * * * *', parameters: {{day: {DAY}}}}}\n")
    world.clock.turn(HOUR)
    [run] = account(world, "a")
    finish(world, run.id, RunState.FAILED)
    retried = retry_run(world.operations, run.id, latest=True, author="me")
    finish(world, retried.id, RunState.FAILED)
    triggered = trigger_run(world.operations, "a", {"hours": 2}, due_time=run.scheduled_for, author="me")
    assert retried.parameters == {"day": "2026-06-01"}
    assert triggered.parameters == {"day": "2026-06-01", "hours": 2}
    with pytest.raises(UsageError, match="parameter day"):
        trigger_run(world.operations, "a", {"hours": 2}, author="me")


def test_due_times_without_a_run_are_checked_against_the_active_deployment(world: World) -> None:
    world.write("flows/new.py", "def main(day: str, hours: int = 1): ...\n")
    world.declare(a=f"name: a\nflow: flows/new.py:main\nschedule: {{cron: '0 * * * *', parameters: {{day: {DAY}}}}}\n")
    for code in CodeVersion:
        with pytest.raises(UsageError, match=r"^hours: expected int"):
            backfill(world, code=code, parameters={"hours": "x"})
        assert len(backfill(world, code=code, parameters={"hours": 2}, dry_run=True).times) == 3


def test_all_runs_of_a_backfill_execute_what_was_active_when_it_was_created(world: World) -> None:
    text = "name: a\ncommand: ['true']\nschedule: {interval: 1m}\n"
    world.declare(a=text)
    created = backfill(world, hours=1)
    world.declare(a=f"{text}parameters: {{n: 2}}\n")
    finish_all(world, created.run_ids[: BACKFILL_PAGE // 2])
    assert len(world.all_runs()) == 60
    assert len({(run.revision, run.spec_digest) for run in world.all_runs()}) == 1


def test_a_pruned_deployment_cancels_its_backfills(world: World) -> None:
    world.declare(a=hourly(), b=hourly("b"))
    created = backfill(world)
    (world.root / "deployments/a.yaml").unlink()
    world.declare()
    assert stored(world, created.backfill_id)[0].state is BackfillState.CANCELLED
    assert {run_of(world, run_id).reason for run_id in created.run_ids} == {"pruned"}


def test_a_deployment_without_a_schedule_has_no_due_times_to_backfill(world: World) -> None:
    world.declare(a="name: a\ncommand: ['true']\n")
    with pytest.raises(UsageError, match="a has no schedule"):
        backfill(world)


def test_a_renamed_deployment_keeps_its_backfills(world: World) -> None:
    world.declare(a="name: a\ncommand: ['true']\nschedule: {interval: 1m}\n")
    created = backfill(world, hours=1)
    world.declare(a="name: b\nrenamed_from: a\ncommand: ['true']\nschedule: {interval: 1m}\n")
    finish_all(world, created.run_ids[: BACKFILL_PAGE // 2])
    assert stored(world, created.backfill_id)[0].deployment == "b"
    assert [run.deployment for run in world.all_runs()] == ["b"] * 60


def test_a_backfill_is_deleted_ninety_days_after_its_end(world: World) -> None:
    world.declare(a=hourly())
    ended, unfinished = backfill(world, hours=1), backfill(world, hours=3)
    finish(world, ended.run_ids[0])
    with world.store.write() as tx:
        assert retention.delete_backfills(tx, before=NOW, limit=9) == 0
        assert retention.delete_backfills(tx, before=NOW + HOUR, limit=9) == 1
        assert [left.id for left in backfills.find_newest(tx, 9)] == [unfinished.backfill_id]


def test_deleting_old_runs_keeps_the_counts_of_their_backfill(world: World) -> None:
    world.declare(a=hourly(extra="retention: {runs: 1}\n"))
    created = backfill(world)
    finish(world, created.run_ids[0], RunState.FAILED)
    finish(world, created.run_ids[1])
    with world.store.write() as tx:
        retention.delete_runs(tx, [run_of(world, created.run_ids[0]).id])
    finish(world, created.run_ids[2])
    ended, progress = stored(world, created.backfill_id)
    assert (ended.state, progress) == (BackfillState.FAILED, Progress(total=3, done=2, failed=1))
    with world.store.read() as tx:
        [failure] = show_backfill(tx, ended.id).failures
    assert (failure.run_id, failure.state) == (created.run_ids[0], RunState.FAILED)


def test_the_due_times_of_a_long_backfill_are_shown_up_to_a_limit_with_whole_counts(world: World) -> None:
    world.declare(a=hourly())
    created = backfill(world, hours=120)
    for run_id in created.run_ids[:5]:
        finish(world, run_id, RunState.FAILED)
    with world.store.read() as tx:
        running = show_backfill(tx, str(created.backfill_id))
    assert (len(running.failures), running.more_failures) == (5, 0)
    assert (len(running.unfinished), running.more_unfinished) == (10, 105)
    cancel_whole_backfill(world.operations, running.id, author="me")
    with world.store.read() as tx:
        cancelled = show_backfill(tx, running.id)
    assert (cancelled.failed, cancelled.cancelled, cancelled.unfinished, cancelled.more_unfinished) == (5, 115, (), 0)
    assert [time.due_time for time in cancelled.failures] == list(created.times[:100])
    assert cancelled.more_failures == 20


def test_a_run_can_be_triggered_for_a_due_time(world: World) -> None:
    world.declare(
        a="name: a\ncommand: ['true']\nparameters: {x: 1}\n"
        f"schedules: [{{cron: '0 * * * *', parameters: {{y: 2, day: {DAY}}}}}]\n"
    )
    world.clock.turn(HOUR)
    [scheduled] = account(world, "a")
    with pytest.raises(ConflictError, match=f"Run {scheduled.id} of this due time has not finished: pending"):
        trigger_run(world.operations, "a", {}, due_time=NOW + HOUR, author="me")
    finish(world, scheduled.id, RunState.FAILED)
    redo = trigger_run(world.operations, "a", {"x": 3}, due_time=NOW + HOUR, key="k", author="me")
    assert (redo.trigger, redo.scheduled_for) == (Trigger.MANUAL, NOW + HOUR)
    assert redo.parameters == {"x": 3, "y": 2, "day": "2026-06-01"}
    assert trigger_run(world.operations, "a", {"x": 3}, due_time=NOW + HOUR, key="k", author="me") == redo
    with pytest.raises(UsageError, match="already used by run"):
        trigger_run(world.operations, "a", {"x": 3}, key="k", author="me")
    with world.store.read() as tx:
        [entry] = list_occurrences(tx, "a", 9)
    assert (entry.outcome, entry.run_id) == (Outcome.RUN, redo.id)
    assert [run.run_id for run in entry.runs] == [scheduled.id, redo.id]


def test_a_due_time_that_is_not_one_or_not_yet_is_refused(world: World) -> None:
    world.declare(a=hourly(), b="name: b\ncommand: ['true']\n")
    with pytest.raises(UsageError, match="2026-06-01 11:30:00 UTC is not a due time of a, and was") as refusal:
        trigger_run(world.operations, "a", {}, due_time=NOW - HOUR / 2, author="me")
    assert refusal.value.hint == "The next due time after it is 2026-06-01 12:00:00 UTC."
    world.clock.turn(HOUR / 2)
    with pytest.raises(UsageError, match="is not a due time of a, and was") as refusal:
        trigger_run(world.operations, "a", {}, due_time=NOW + HOUR / 4, author="me")
    assert refusal.value.hint == "The last due time before it is 2026-06-01 12:00:00 UTC."
    world.clock.turn(-HOUR / 2)
    with pytest.raises(UsageError, match="in the future"):
        trigger_run(world.operations, "a", {}, due_time=NOW + HOUR, author="me")
    run = trigger_run(world.operations, "b", {}, due_time=NOW - HOUR / 2, author="me")
    assert run.scheduled_for == NOW - HOUR / 2
    assert world.all_runs() == [run]


def test_a_retry_with_the_latest_code_keeps_what_was_requested(world: World) -> None:
    world.declare(a=hourly(extra=f"parameters: {{day: {DAY}, n: 1}}\nretries: {{limit: 2}}\n"))
    run = trigger_run(world.operations, "a", {"x": 5}, author="me")
    finish(world, run.id, RunState.FAILED)
    world.declare(a=hourly(extra=f"parameters: {{day: {DAY}, n: 2}}\n"))
    world.clock.turn(24 * HOUR)
    same = retry_run(world.operations, run.id, author="me")
    finish(world, same.id, RunState.FAILED)
    latest = retry_run(world.operations, same.id, latest=True, key="k", author="me")
    assert (same.parameters, same.spec_digest) == (run.parameters, run.spec_digest)
    assert latest.parameters == {"day": "2026-06-01", "n": 2, "x": 5}
    assert (latest.spec_digest == run.spec_digest, latest.attempts, latest.retry_of) == (False, 1, same.id)
    assert retry_run(world.operations, same.id, latest=True, key="k", author="me") == latest


def test_a_run_of_a_deleted_deployment_can_only_be_retried_as_it_was(world: World) -> None:
    world.declare(a=hourly(), b=hourly("b"))
    run = trigger_run(world.operations, "a", {}, author="me")
    finish(world, run.id, RunState.FAILED)
    (world.root / "deployments/a.yaml").unlink()
    world.declare()
    with pytest.raises(NotFoundError, match="a"):
        retry_run(world.operations, run.id, latest=True, author="me")
    assert retry_run(world.operations, run.id, author="me").spec_digest == run.spec_digest


def test_a_run_of_an_older_version_keeps_the_parameters_of_its_request(world: World) -> None:
    world.declare(a=hourly(extra="parameters: {n: 2}\n"))
    run = trigger_run(world.operations, "a", {"x": 5}, author="me")
    old = replace(run, id=world.ids.new(NOW), overrides=None, state=RunState.FAILED)
    with world.store.write() as tx:
        runs.insert_all(tx, [old])
    assert retry_run(world.operations, old.id, latest=True, author="me").parameters == {"n": 2, "x": 5}
