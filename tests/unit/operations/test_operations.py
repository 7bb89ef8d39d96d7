"""Trigger, cancel, retry and backfill, in a real store and without processes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from controller.errors import NotFoundError, UsageError
from controller.model.runs import Occurrence, Outcome, Run, RunId, RunState, Trigger
from controller.operations.backfills import Backfilled, BackfillRequest, create_backfill
from controller.operations.cancel import cancel_run
from controller.operations.retry import retry_run
from controller.operations.trigger import trigger_run
from controller.store import events, occurrences
from controller.time_format import format_time
from tests.conftest import NOW, PATIENCE_SECONDS
from tests.unit.runs.conftest import World
from tests.unit.runs.test_queueing import account, ask, begin, end, hourly, queue

HOUR = timedelta(hours=1)


def backfill(world: World, hours: int = 5, **more: object) -> Backfilled:
    now = world.clock.now()
    return create_backfill(
        world.operations,
        BackfillRequest(deployment="a", since=now - hours * HOUR, until=now, **more),  # type: ignore[arg-type]
        author="somebody",
    )


def trigger(world: World, key: str, name: str = "a", author: str = "somebody") -> Run:
    return trigger_run(world.operations, name, {}, key=key, author=author)


def ended(world: World, run: Run) -> Run:
    if not run.state.is_terminal:
        begin(world, [run])
        end(world, run)
    return run


def outcomes(world: World) -> list[Outcome]:
    with world.store.read() as tx:
        return [row.outcome for row in occurrences.find_newest(tx, "a", 100)[::-1]]


def test_cancelling_a_waiting_run_is_final_and_idempotent(world: World) -> None:
    world.declare(a=hourly())
    run = ask(world)
    assert cancel_run(world.operations, run.id, "no", author="somebody").state is RunState.CANCELLED
    assert cancel_run(world.operations, run.id, "still no", author="somebody").reason == "no"


def test_cancelling_records_a_request_for_running_runs_and_fails_for_finished_ones(world: World) -> None:
    world.declare(a=hourly())
    run = ask(world)
    begin(world, [run])
    found = cancel_run(world.operations, run.id, "no", author="somebody")
    assert (found.state, found.cancel_reason) == (RunState.RUNNING, "no")
    end(world, run)
    with pytest.raises(UsageError, match="already finished: succeeded"):
        cancel_run(world.operations, run.id, "no", author="somebody")
    with pytest.raises(NotFoundError):
        cancel_run(world.operations, "nobody", "no", author="somebody")


def test_a_retry_is_a_new_run_of_the_same_version(world: World) -> None:
    world.declare(a=hourly(extra="parameters: {x: 1}\nretries: {limit: 2}\n"))
    world.clock.turn(HOUR)
    [old] = account(world, "a")
    with pytest.raises(UsageError, match="has not finished"):
        retry_run(world.operations, old.id, author="somebody")
    begin(world, [old])
    end(world, old)
    world.declare(a=hourly(extra="parameters: {x: 2}\n"))
    new = retry_run(world.operations, old.id, key="key", author="somebody")
    assert retry_run(world.operations, old.id, key="key", author="somebody").id == new.id
    same = ("deployment", "revision", "file", "spec_digest", "parameters", "scheduled_for", "retries", "attempts")
    assert [getattr(new, name) for name in same] == [getattr(old, name) for name in same]
    assert (new.trigger, new.retry_of, new.state, new.attempt) == (Trigger.RETRY, old.id, RunState.PENDING, 0)
    assert len(outcomes(world)) == 1


def test_the_same_idempotency_key_returns_the_same_run(world: World) -> None:
    world.declare(a=hourly(), b=hourly("b"))

    def ask(name: str, key: str | None) -> RunId:
        return trigger_run(world.operations, name, {}, key=key, author="somebody").id

    assert ask("a", "k") == ask("a", "k")
    assert len({ask("a", "k"), ask("b", "k"), ask("a", "other"), ask("a", None), ask("a", None)}) == 5


def test_an_idempotency_key_cannot_be_reused_with_other_parameters(world: World) -> None:
    world.declare(a=hourly())

    def ask(parameters: dict[str, int]) -> RunId:
        return trigger_run(world.operations, "a", parameters, key="k", author="somebody").id

    first = ask({"x": 1})
    assert ask({"x": 1}) == first
    with pytest.raises(UsageError, match=first):
        ask({"x": 2})


def test_an_idempotency_key_cannot_be_shared_by_a_trigger_and_a_retry(world: World) -> None:
    world.declare(a=hourly(), b=hourly("b"))
    one, other = (ended(world, trigger(world, key)) for key in ("one", "other"))
    again = retry_run(world.operations, one.id, key="again", author="somebody")
    for run, key, owner in ((one, "one", one), (one, "other", other), (other, "again", again)):
        with pytest.raises(UsageError, match=f"The idempotency key {key} is already used by run {owner.id}"):
            retry_run(world.operations, run.id, key=key, author="somebody")
    with pytest.raises(UsageError, match=f"The idempotency key again is already used by run {again.id}"):
        trigger(world, "again")
    assert retry_run(world.operations, one.id, key="again", author="somebody").id == again.id
    assert trigger(world, "one").id == one.id
    assert trigger(world, "one", name="b").deployment == "b"


def test_a_repeated_request_records_no_second_event(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.declare(a=hourly())
    caplog.set_level("INFO", "controller.operations")
    for _ in range(2):
        run = ended(world, trigger(world, "one"))
    for _ in range(2):
        retry_run(world.operations, run.id, key="again", author="somebody")
    assert [record.message for record in caplog.records] == ["Run requested", "Run retried"]


def test_a_backfill_runs_skipped_and_unrecorded_due_times_once(world: World) -> None:
    world.declare(a=hourly())
    world.clock.turn(3 * HOUR)
    account(world, "a")
    assert outcomes(world) == [Outcome.SKIPPED, Outcome.SKIPPED, Outcome.RUN]
    done = backfill(world)
    assert list(done.times) == [NOW + hours * HOUR for hours in (-2, -1, 0, 1, 2)]
    assert (done.already_run, done.left_out) == (1, 0)
    assert outcomes(world) == [Outcome.RUN] * 6
    assert {run.trigger for run in world.all_runs() if run.id in done.run_ids} == {Trigger.BACKFILL}
    again = backfill(world)
    assert (again.run_ids, again.already_run) == ((), 6)


def test_a_backfill_has_a_limit_and_a_dry_run(world: World) -> None:
    world.declare(a=hourly())
    with world.store.write():
        dry = backfill(world, most=2, dry_run=True)
    assert (dry.run_ids, dry.times, dry.left_out) == ((), (NOW - HOUR, NOW), 4)
    assert world.all_runs() == []
    assert len(backfill(world, most=2).run_ids) == 2


def test_a_backfill_has_the_lowest_priority_and_does_not_delay_due_times(world: World) -> None:
    world.declare(a=hourly(), b=hourly("b"))
    made = backfill(world).run_ids
    other = ask(world, "b")
    world.clock.turn(HOUR)
    [due] = account(world, "a")
    line = queue(world, places=1)
    order: list[Run] = []
    while taken := line.take_ready(1):
        begin(world, taken)
        end(world, taken[0])
        order += taken
    assert [run.id for run in order] == [other.id, due.id, *made]


@pytest.mark.parametrize(
    ("since", "until", "message", "hint"),
    [
        (
            HOUR,
            None,
            "starts in the future: {+1} is after now, {0}.",
            "Pass an earlier start, such as --from yesterday.",
        ),
        (2 * HOUR, HOUR, "starts in the future: {+2} is after", "Pass an earlier start, such as --from yesterday."),
        (-HOUR, HOUR, "ends in the future: {+1} is after now, {0}.", "Leave out --to: the range then ends now."),
        (-HOUR, -2 * HOUR, "starts after its end: {-1} is after {-2}.", "Swap them: --from '{-2}' --to '{-1}'."),
    ],
)
def test_an_invalid_range_of_a_backfill_is_reported_with_its_times(
    world: World, since: timedelta, until: timedelta | None, message: str, hint: str
) -> None:
    world.declare(a="name: a\ncommand: ['true']\nschedule: {cron: '0 * * * *', timezone: Europe/Berlin}\n")
    zone = ZoneInfo("Europe/Berlin")
    times = {f"{{{hours:+d}}}".replace("+0", "0"): format_time(NOW + hours * HOUR, zone) for hours in range(-2, 3)}
    request = BackfillRequest(deployment="a", since=NOW + since, until=None if until is None else NOW + until)
    with pytest.raises(UsageError) as refused:
        create_backfill(world.operations, request, author="somebody")
    for key, time in times.items():
        message, hint = message.replace(key, time), hint.replace(key, time)
    assert message in refused.value.message
    assert refused.value.hint == hint


def test_a_backfill_of_an_unknown_deployment_is_refused(world: World) -> None:
    with pytest.raises(NotFoundError, match="nobody"):
        create_backfill(world.operations, BackfillRequest(deployment="nobody", since=NOW, until=NOW), author="somebody")


def test_a_range_with_too_many_times_is_refused(world: World) -> None:
    world.declare(a="name: a\ncommand: ['true']\nschedule: {interval: 1s}\n")
    with pytest.raises(UsageError, match="more than 50000 due times"):
        backfill(world, hours=24)
    assert world.all_runs() == []


@pytest.mark.parametrize("schedule", ["{cron: '* * * * *'}", "{interval: 1s}", "{rrule: 'FREQ=MINUTELY'}"])
def test_a_range_of_millennia_does_not_block_other_writers(world: World, schedule: str) -> None:
    world.declare(a=f"name: a\ncommand: ['true']\nschedule: {schedule}\n")
    wanted = BackfillRequest(deployment="a", since=datetime.min.replace(tzinfo=UTC), until=NOW)
    with ThreadPoolExecutor() as pool, world.store.write():
        asked = pool.submit(create_backfill, world.operations, wanted, author="somebody")
        with pytest.raises(UsageError, match="more than 50000 due times"):
            asked.result(PATIENCE_SECONDS)


def test_due_times_that_ran_while_a_backfill_waited_are_not_repeated(world: World) -> None:
    world.declare(a=hourly())
    world.clock.turn(HOUR)
    with ThreadPoolExecutor() as pool, world.store.write() as tx:
        asked = pool.submit(backfill, world)
        [due] = world.admission.process_due(tx, ["a"], world.clock.now())
    done = asked.result(PATIENCE_SECONDS)
    assert (len(done.run_ids), done.already_run) == (5, 1)
    assert due.scheduled_for not in done.times
    assert [run.scheduled_for for run in world.all_runs() if run.id in done.run_ids] == list(done.times)
    assert outcomes(world) == [Outcome.RUN] * 6


def test_runs_of_another_schedule_do_not_hide_those_of_this_one(world: World) -> None:
    world.declare(a=hourly())
    assert len(backfill(world, hours=2).run_ids) == 3
    others = [
        Occurrence(
            deployment="a", scheduled_for=NOW - timedelta(milliseconds=10 * n), schedule="{}", outcome=Outcome.RUN
        )
        for n in range(1, 10_100)
    ]
    with world.store.write() as tx:
        occurrences.append(tx, others)
    again = backfill(world, hours=2)
    assert (again.run_ids, again.already_run) == ((), 3)


def test_a_backfilled_due_time_is_not_repeated_when_it_becomes_due(world: World) -> None:
    world.declare(a=hourly())
    world.clock.turn(HOUR)
    assert len(backfill(world, hours=0).run_ids) == 1
    assert account(world, "a") == []
    assert datetime.fromisoformat("2026-06-01T13:00:00Z") == world.all_runs()[0].scheduled_for


def test_each_change_records_one_event_with_its_author(world: World) -> None:
    world.declare(a=hourly())
    world.clock.turn(5 * HOUR)
    run = trigger(world, "k", author="ann")
    trigger(world, "k", author="bob")
    cancel_run(world.operations, run.id, "no", author="cem")
    cancel_run(world.operations, run.id, "no", author="dan")
    again = retry_run(world.operations, run.id, key="l", author="eve")
    retry_run(world.operations, run.id, key="l", author="fay")
    backfill(world, dry_run=True)
    backfill(world, hours=2)
    backfill(world, hours=2)
    with world.store.read() as tx:
        told = [(event.reason, event.message) for event in events.latest(tx, 100)[::-1] if event.about == "a"][1:]
    told = [(reason, message) for reason, message in told if not reason.startswith("Run")]
    assert told[:3] == [
        ("Triggered", f"ann triggered run {run.id}."),
        ("CancelRequested", f"cem cancelled run {run.id}: no"),
        ("Retried", f"eve retried run {run.id} as run {again.id}."),
    ]
    assert [reason for reason, _ in told[3:]] == ["Backfill"]
    assert told[3][1].startswith("somebody backfilled 3 due times from ")
