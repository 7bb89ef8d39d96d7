"""Deadlines are missed, met and withdrawn truthfully, whatever happens to the deployment, the runs and the clock."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from controller.model.notifications import DeadlineKind, Trouble
from controller.model.runs import RunState
from controller.model.status import EventSeverity
from controller.notify.deadlines import DeadlineChange
from controller.store import Store, deadlines, inventory, inventory_changes
from tests.conftest import NOW, ManualClock
from tests.executed_lines import count_lines
from tests.unit.notify.deadline_world import DeadlineWorld

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LATE, OVERDUE = ("a", Trouble.LATE), ("a", Trouble.OVERDUE)
HOURLY = "0 * * * *"
NOTHING = DeadlineChange()


@pytest.fixture
def world(tmp_path: Path, store: Store, clock: ManualClock) -> DeadlineWorld:
    return DeadlineWorld(tmp_path / "repo", store, clock)


def declare(world: DeadlineWorld, *, cron: str | None = HOURLY, more: object = None, **expect: str) -> None:
    extra = dict(more) if isinstance(more, dict) else {}
    if cron is not None:
        extra["schedules"] = [{"cron": cron}]
    world.declare(expect=expect, **extra)
    assert world.check() == NOTHING


def test_a_run_that_starts_in_time_is_not_late(world: DeadlineWorld) -> None:
    declare(world, start_within="10m")
    world.pass_time(HOUR, world.admit)
    world.pass_time(10 * MINUTE, world.start)
    assert world.pass_time(MINUTE) == NOTHING
    assert world.missed() == []
    assert world.events() == []


def test_a_run_that_waits_in_the_queue_is_late_and_then_on_time(world: DeadlineWorld) -> None:
    declare(world, start_within="10m")
    assert world.pass_time(HOUR, world.admit) == NOTHING
    assert world.monitor.next_time() == NOW + HOUR + 10 * MINUTE
    change = world.pass_time(10 * MINUTE)
    [miss] = change.missed
    [run] = world.find_runs()
    assert (miss.deployment, miss.trouble, miss.kind) == (*LATE, DeadlineKind.START_WITHIN)
    assert (miss.due_time, miss.deadline, miss.since) == (
        NOW + HOUR,
        NOW + HOUR + 10 * MINUTE,
        NOW + HOUR + 10 * MINUTE,
    )
    assert (miss.run_id, miss.count, miss.reason) == (run.id, 1, "it waits in the queue default")
    assert world.missed() == [miss]
    assert world.pass_time(MINUTE) == NOTHING
    assert world.pass_time(MINUTE, world.start).met == [LATE]
    assert world.missed() == []
    late, on_time = world.events()
    assert (late.reason, late.severity, late.deployment, late.run_id) == ("Late", EventSeverity.WARNING, "a", run.id)
    assert late.message == (
        "The run due at 2026-06-01 13:00:00 UTC did not start by 2026-06-01 13:10:00 UTC: "
        "it waits in the queue default."
    )
    assert (on_time.reason, on_time.deployment) == ("OnTime", "a")


def test_a_late_run_that_waits_for_an_upstream_deployment_says_so(world: DeadlineWorld) -> None:
    world.write("b", schedules=[{"cron": "0 12 * * *"}])
    declare(world, start_within="10m", more={"after": "b"})
    world.pass_time(HOUR, lambda: world.admit("a"))
    [miss] = world.pass_time(10 * MINUTE).missed
    assert miss.reason == "it waits for a run of b created after 2026-06-01 12:00:00 UTC"


def test_a_due_time_that_the_engine_never_processes_is_late(world: DeadlineWorld) -> None:
    declare(world, cron="0 2 * * *", start_within="10m")
    due = NOW.replace(hour=2) + timedelta(days=1)
    assert world.monitor.next_time() == due + 10 * MINUTE
    world.clock.turn(due + 10 * MINUTE - NOW)
    [miss] = world.check().missed
    assert (miss.due_time, miss.run_id, miss.reason) == (due, None, "the controller has not created a run for it")
    [again] = world.pass_time(timedelta(days=1)).missed
    assert (again.due_time, again.since, again.count) == (due + timedelta(days=1), due + 10 * MINUTE, 2)
    assert world.pass_time(MINUTE, lambda: (world.admit(), world.start())).met == [LATE]
    assert [found.reason for found in world.events()] == ["Late", "OnTime"]


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_restart_repeats_nothing_and_loses_no_recovery(world: DeadlineWorld, is_restarted: bool) -> None:
    declare(world, start_within="10m")
    world.pass_time(HOUR, world.admit)
    assert len(world.pass_time(10 * MINUTE).missed) == 1
    if is_restarted:
        world.restart()
    assert world.pass_time(MINUTE) == NOTHING
    world.start()
    if is_restarted:
        world.restart()
    assert world.check().met == [LATE]
    world.restart()
    assert world.check() == NOTHING


def test_a_deadline_that_passed_while_the_controller_was_down_is_reported_once(world: DeadlineWorld) -> None:
    declare(world, start_within="10m", more={"catchup": {"policy": "latest", "window": "1d"}})
    world.clock.turn(HOUR + 30 * MINUTE)
    world.restart()
    [miss] = world.check().missed
    assert (miss.due_time, miss.reason) == (NOW + HOUR, "the controller was not running then")
    change = world.pass_time(timedelta(seconds=1), lambda: (world.admit(), world.start()))
    assert (change.missed, change.met) == ([], [LATE])
    world.restart()
    assert world.check() == NOTHING


def test_a_run_that_caught_up_before_the_first_check_was_late_too(world: DeadlineWorld) -> None:
    declare(world, start_within="10m", more={"catchup": {"policy": "latest", "window": "1d"}})
    world.clock.turn(HOUR + 30 * MINUTE)
    world.admit()
    world.start()
    world.restart()
    change = world.check()
    assert [miss.due_time for miss in change.missed] == [NOW + HOUR]
    assert change.met == [LATE]


def test_a_due_time_that_catch_up_skips_is_late_until_the_next_one_starts(world: DeadlineWorld) -> None:
    declare(world, start_within="10m", more={"catchup": {"policy": "none"}})
    world.clock.turn(HOUR + 30 * MINUTE)
    world.admit()
    world.restart()
    change = world.check()
    assert len(change.missed) == 1
    assert change.met == change.withdrawn == []
    world.clock.turn(30 * MINUTE)
    world.admit()
    world.start()
    assert world.check().met == [LATE]


def test_a_run_that_is_skipped_after_its_start_deadline_is_late(world: DeadlineWorld) -> None:
    declare(world, start_within="30m")
    [run] = (world.clock.turn(HOUR), world.admit())[1]
    world.skip(run, "deadline")
    [miss] = world.pass_time(30 * MINUTE).missed
    assert miss.reason == "its run was skipped, because it could not start within its start_deadline"


def test_a_due_time_that_overlaps_is_not_late(world: DeadlineWorld) -> None:
    declare(world, start_within="10m")
    world.clock.turn(HOUR)
    world.admit()
    world.start()
    world.clock.turn(HOUR)
    world.admit()
    assert world.pass_time(HOUR) == NOTHING  # the due time of 15:00 is not processed yet, and not late yet


def test_a_held_deployment_is_not_late_and_its_miss_is_withdrawn(world: DeadlineWorld) -> None:
    declare(world, start_within="10m")
    world.pass_time(HOUR, world.admit)
    assert len(world.pass_time(10 * MINUTE).missed) == 1
    world.hold()
    assert world.check().withdrawn == [LATE]
    assert world.missed() == []
    assert world.pass_time(5 * HOUR) == NOTHING
    world.resume()
    assert world.check() == NOTHING
    assert world.pass_time(9 * MINUTE) == NOTHING  # the due times of the hold have no deadline
    world.clock.turn(51 * MINUTE)
    assert len(world.pass_time(10 * MINUTE).missed) == 1


def test_deadlines_count_again_from_the_end_of_a_hold_that_expired_unnoticed(world: DeadlineWorld) -> None:
    declare(world, success_every="2h")
    world.hold(until=NOW + HOUR)
    assert world.check() == NOTHING
    world.clock.turn(3 * HOUR)
    world.restart()
    [miss] = world.check().missed
    assert miss.deadline == NOW + 3 * HOUR


def test_a_suspended_deployment_is_not_late(world: DeadlineWorld) -> None:
    declare(world, start_within="10m", success_every="90m")
    world.pass_time(HOUR)
    assert len(world.pass_time(30 * MINUTE).missed) == 2
    world.declare(suspend=True, schedules=[{"cron": HOURLY}], expect={"start_within": "10m", "success_every": "90m"})
    assert sorted(world.check().withdrawn) == [LATE, OVERDUE]
    assert world.pass_time(9 * HOUR) == NOTHING
    world.declare(schedules=[{"cron": HOURLY}], expect={"start_within": "10m", "success_every": "90m"})
    assert world.check() == NOTHING
    assert world.pass_time(30 * MINUTE) == NOTHING
    assert len(world.pass_time(10 * MINUTE).missed) == 1


def test_a_deleted_deployment_is_withdrawn_and_a_new_one_of_the_name_starts_afresh(world: DeadlineWorld) -> None:
    world.write("b")
    declare(world, start_within="10m")
    world.pass_time(HOUR)
    assert len(world.pass_time(10 * MINUTE).missed) == 1
    world.delete()
    assert world.check().withdrawn == [LATE]
    assert world.records() == []
    declare(world, start_within="10m")
    assert world.pass_time(45 * MINUTE) == NOTHING


def test_a_renamed_deployment_keeps_its_miss(world: DeadlineWorld) -> None:
    declare(world, start_within="10m")
    world.pass_time(HOUR, world.admit)
    assert len(world.pass_time(10 * MINUTE).missed) == 1
    (world.root / "deployments" / "a.yaml").unlink()
    world.write("z", renamed_from="a", schedules=[{"cron": HOURLY}], expect={"start_within": "10m"})
    world.apply()
    assert world.check() == NOTHING
    assert [miss.deployment for miss in world.missed()] == ["z"]
    world.start(name="z")
    assert world.check().met == [("z", Trouble.LATE)]


def test_a_deployment_renamed_more_often_than_old_names_are_kept_keeps_its_miss(
    world: DeadlineWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory_changes, "OLD_NAMES", 1)
    declare(world, start_within="10m")
    world.pass_time(HOUR, world.admit)
    assert len(world.pass_time(10 * MINUTE).missed) == 1
    for old, new in (("a", "b"), ("b", "c")):
        (world.root / "deployments" / f"{old}.yaml").unlink()
        world.write(new, renamed_from=old, schedules=[{"cron": HOURLY}], expect={"start_within": "10m"})
        world.apply()
    assert world.check() == NOTHING
    assert [miss.deployment for miss in world.missed()] == ["c"]
    assert [record.deployment for record in world.records()] == ["c"]


def test_a_new_deadline_does_not_apply_to_earlier_due_times(world: DeadlineWorld) -> None:
    world.declare(schedules=[{"cron": HOURLY}])
    world.check()
    world.pass_time(HOUR, world.admit)
    world.clock.turn(20 * MINUTE)
    declare(world, start_within="10m")
    assert world.pass_time(MINUTE) == NOTHING


def test_a_longer_deadline_withdraws_a_miss_and_applies_to_its_run(world: DeadlineWorld) -> None:
    declare(world, start_within="10m")
    world.pass_time(HOUR, world.admit)
    assert len(world.pass_time(10 * MINUTE).missed) == 1
    world.declare(schedules=[{"cron": HOURLY}], expect={"start_within": "30m"})
    assert world.check().withdrawn == [LATE]
    [miss] = world.pass_time(20 * MINUTE).missed
    assert miss.deadline == NOW + HOUR + 30 * MINUTE


def test_a_run_of_an_earlier_schedule_keeps_its_deadline(world: DeadlineWorld) -> None:
    declare(world, start_within="10m")
    world.pass_time(HOUR, world.admit)
    world.declare(schedules=[{"cron": "0 3 1 1 *"}], expect={"start_within": "10m"})
    assert world.check() == NOTHING
    assert [miss.due_time for miss in world.pass_time(10 * MINUTE).missed] == [NOW + HOUR]


def test_a_cancelled_run_is_withdrawn(world: DeadlineWorld) -> None:
    declare(world, start_within="10m")
    [run] = (world.clock.turn(HOUR), world.admit())[1]
    assert len(world.pass_time(10 * MINUTE).missed) == 1
    world.cancel(run)
    assert world.check().withdrawn == [LATE]


def test_every_schedule_has_due_times_and_a_shared_one_counts_once(world: DeadlineWorld) -> None:
    schedules = [{"cron": HOURLY}, {"cron": "30 * * * *"}, {"cron": "0 13 * * *"}]
    world.declare(schedules=schedules, expect={"start_within": "10m"})
    world.check()
    missed = [miss for _ in range(12) for miss in world.pass_time(10 * MINUTE).missed]
    assert [(miss.due_time, miss.count) for miss in missed] == [
        (NOW + 30 * MINUTE, 1),
        (NOW + HOUR, 2),
        (NOW + HOUR + 30 * MINUTE, 3),
    ]


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])  # Europe/Berlin skips 02:30, and repeats it
def test_due_times_follow_clock_changes(tmp_path: Path, store: Store, day: str) -> None:
    clock = ManualClock(datetime.fromisoformat(f"{day}T00:00:00+00:00") - timedelta(hours=2))
    world = DeadlineWorld(tmp_path / "repo", store, clock)
    world.declare(schedules=[{"cron": "30 2 * * *", "timezone": "Europe/Berlin"}], expect={"start_within": "10m"})
    world.check()
    missed = [miss for _ in range(24) for miss in world.pass_time(10 * MINUTE).missed]
    [due] = [miss.due_time for miss in missed]
    expected = {"2026-03-29": "2026-03-29T01:00:00+00:00", "2026-10-25": "2026-10-25T00:30:00+00:00"}
    assert due == datetime.fromisoformat(expected[day])


def test_a_run_that_does_not_finish_in_time_is_overdue(world: DeadlineWorld) -> None:
    declare(world, finish_within="2h", more={"overlap": "skip"})
    world.clock.turn(HOUR)
    world.admit()
    world.pass_time(MINUTE, world.start)
    world.pass_time(HOUR, world.admit)
    [miss] = world.pass_time(HOUR, world.admit).missed
    assert (miss.trouble, miss.due_time, miss.reason) == (Trouble.OVERDUE, NOW + HOUR, "it is still running")
    assert world.pass_time(HOUR, world.admit) == NOTHING  # further due times overlap
    assert world.pass_time(MINUTE, world.end).met == [OVERDUE]


def test_a_failed_run_has_finished(world: DeadlineWorld) -> None:
    declare(world, finish_within="30m")
    world.clock.turn(HOUR)
    world.admit()
    world.start()
    world.pass_time(MINUTE, lambda: world.end(state=RunState.FAILED))
    assert world.pass_time(30 * MINUTE) == NOTHING


def test_a_retry_that_starts_in_time_but_finishes_late_is_overdue(world: DeadlineWorld) -> None:
    declare(world, start_within="10m", finish_within="30m", more={"retries": {"limit": 1, "delay": "5m"}})
    world.clock.turn(HOUR)
    world.admit()
    world.start()
    world.pass_time(MINUTE, lambda: world.end(state=RunState.FAILED))
    world.pass_time(5 * MINUTE, world.start)
    [miss] = world.pass_time(24 * MINUTE).missed
    assert (miss.trouble, miss.reason) == (Trouble.OVERDUE, "it is still running")
    assert world.pass_time(MINUTE, world.end).met == [OVERDUE]


def test_a_manual_run_has_to_finish_in_time_from_its_creation(world: DeadlineWorld) -> None:
    declare(world, cron=None, start_within="10m", finish_within="30m")
    world.pass_time(HOUR)
    run = world.trigger()
    assert world.check() == NOTHING
    assert world.monitor.next_time() == world.clock.now() + 30 * MINUTE
    [miss] = world.pass_time(30 * MINUTE).missed
    assert (miss.trouble, miss.due_time, miss.run_id) == (Trouble.OVERDUE, None, run.id)
    world.restart()
    world.start(run)
    assert world.check() == NOTHING
    assert world.pass_time(MINUTE, lambda: world.end(run)).met == [OVERDUE]


def test_runs_for_earlier_due_times_have_no_deadline(world: DeadlineWorld) -> None:
    declare(world, start_within="10m", finish_within="30m")
    for _ in range(2):
        world.clock.turn(HOUR)
        world.admit()
        world.start()
        world.end()
        world.check()
    world.trigger(due_time=NOW + HOUR)
    world.trigger(due_time=NOW - 100 * HOUR)
    assert world.pass_time(45 * MINUTE) == NOTHING


def test_a_run_that_a_user_requests_for_a_due_time_meets_its_deadline(world: DeadlineWorld) -> None:
    declare(world, start_within="30m")
    world.clock.turn(HOUR)
    world.admit()
    world.start(world.trigger(due_time=NOW + HOUR))
    assert world.pass_time(30 * MINUTE) == NOTHING


def test_success_every_counts_from_the_last_success(world: DeadlineWorld) -> None:
    declare(world, cron=None, success_every="2h")
    assert world.monitor.next_time() == NOW + 2 * HOUR
    world.clock.turn(HOUR)
    run = world.trigger()
    world.start(run)
    world.end(run)
    assert world.pass_time(HOUR) == NOTHING
    assert world.monitor.next_time() == NOW + 3 * HOUR
    failed = world.trigger()
    world.start(failed)
    world.end(failed, RunState.FAILED)
    [miss] = world.pass_time(HOUR).missed
    assert (miss.trouble, miss.due_time, miss.deadline, miss.run_id) == (*OVERDUE[1:], None, NOW + 3 * HOUR, failed.id)
    assert miss.reason == "its last run was failed"
    run = world.trigger()
    world.start(run)
    assert world.check() == NOTHING
    assert world.pass_time(MINUTE, lambda: world.end(run)).met == [OVERDUE]
    assert world.monitor.next_time() == world.clock.now() + 2 * HOUR


def test_overdue_is_met_when_neither_deadline_is_missed(world: DeadlineWorld) -> None:
    declare(world, finish_within="30m", success_every="90m")
    world.clock.turn(HOUR)
    world.admit()
    world.start()
    assert len(world.pass_time(30 * MINUTE).missed) == 2
    assert world.pass_time(MINUTE, lambda: world.end(state=RunState.FAILED)) == NOTHING
    run = world.trigger()
    world.start(run)
    assert world.pass_time(MINUTE, lambda: world.end(run)).met == [OVERDUE]


def test_a_clock_that_is_set_back_loses_and_repeats_nothing(world: DeadlineWorld) -> None:
    declare(world, start_within="10m")
    world.pass_time(HOUR, world.admit)
    world.start()
    world.pass_time(10 * MINUTE)
    world.clock.step(-HOUR)
    assert world.check() == NOTHING
    for _ in range(12):
        assert world.pass_time(5 * MINUTE) == NOTHING
    world.clock.step(timedelta(days=365))
    world.check()
    world.clock.step(-timedelta(days=365))
    world.check()
    world.clock.turn(HOUR)
    assert len(world.pass_time(20 * MINUTE).missed) == 1


def test_a_rolled_back_check_is_repeated(world: DeadlineWorld) -> None:
    declare(world, start_within="10m")
    world.pass_time(HOUR, world.admit)
    world.clock.turn(10 * MINUTE)
    with contextlib.suppress(ZeroDivisionError), world.store.write() as tx:
        assert len(world.monitor.check(tx, world.clock.now()).missed) == 1
        raise ZeroDivisionError
    assert len(world.check().missed) == 1
    assert world.check() == NOTHING


@pytest.fixture
def statements(world: DeadlineWorld) -> Iterator[list[str]]:
    recorded: list[str] = []
    with world.store.write() as tx:
        engine = tx.connection.engine

    def record(*arguments: object) -> None:
        recorded.append(str(arguments[2]))

    event.listen(engine, "before_cursor_execute", record)
    yield recorded
    event.remove(engine, "before_cursor_execute", record)


def test_a_check_reads_only_what_is_due(world: DeadlineWorld, statements: list[str]) -> None:
    declare(world, start_within="10m", finish_within="1h", success_every="1d")
    with world.store.write() as tx:
        [entry] = inventory.find_many(tx, ["a"])
        copies = []
        for number in range(3000):
            name = f"other-{number}"
            document = {**entry.document, "name": name}
            if number >= 9:
                del document["expect"]
            copies.append(replace(entry, name=name, document=document, spec_digest=f"sha256:{number}"))
        inventory.save(tx, copies)
    world.restart()
    statements.clear()
    world.check()
    assert len(world.records()) == 30
    assert (
        sum("FROM inventory" in statement for statement in statements) == 3
    )  # the last change, the digests, and the new documents
    statements.clear()
    world.check()
    assert len(statements) <= 6
    world.clock.turn(HOUR)
    names = ["a", *(f"other-{number}" for number in range(9))]
    world.admit(*names)
    for name in names[:9]:
        world.start(name=name)
    world.clock.turn(10 * MINUTE)
    statements.clear()
    [miss] = world.check().missed
    assert miss.deployment == "other-8"
    assert len(statements) <= 6 + 10 * 4 + 8
    with world.store.read() as tx:
        assert len(deadlines.find_missed(tx)) == 1
    statements.clear()
    world.check()
    assert len(statements) <= 7


def test_a_commit_of_one_deployment_visits_no_other(world: DeadlineWorld) -> None:
    """Only two loops visit the records of all deadlines, and call nothing."""
    daily = {"schedules": [{"cron": "0 0 * * *"}]}

    def check() -> None:
        with world.store.write() as tx:
            world.monitor.check(tx, world.clock.now())

    counts, sizes = [], (10, 300)
    for size in sizes:
        for number in range(size):
            world.write(f"d{number}", expect={"start_within": "10m", "success_every": "1d"}, **daily)
        world.apply()
        check()
        world.write("d7", expect={"start_within": "20m", "success_every": "1d"}, **daily)
        world.apply()
        counts.append(count_lines(check))
        assert len(world.records()) == 2 * size
        [changed] = [each for each in world.records() if each.length == 20 * MINUTE]
        assert changed.deployment == "d7"
    assert counts[1] - counts[0] < 3 * 2 * (sizes[1] - sizes[0])
