"""Every due time becomes one run or one skip with a reason, in one transaction, and never again."""

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from controller.errors import NotFoundError
from controller.model.runs import Occurrence, Outcome, Run, RunState, Trigger
from controller.model.status import Hold
from controller.operations.trigger import trigger_run
from controller.schedules import jitter_offset
from controller.store import holds, inventory, occurrences, runs
from tests.conftest import NOW
from tests.postgresql import BOTH_DATABASES
from tests.unit.runs.conftest import World

pytestmark = [BOTH_DATABASES, pytest.mark.parametrize("start", ["cold"])]

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def hourly(name: str = "a", extra: str = "") -> str:
    return f"name: {name}\ncommand: ['true']\nschedules: [{{cron: '0 * * * *'}}]\n{extra}"


def account(world: World, *names: str) -> list[Run]:
    with world.store.write() as tx:
        return world.admission.process_due(tx, names, world.clock.now())


def settle(world: World, *names: str, pruned: bool = False) -> list[Run]:
    with world.store.write() as tx:
        return world.admission.settle_before_change(tx, names, world.clock.now(), pruned=pruned)


def hold(world: World, name: str = "a", until: datetime | None = None) -> None:
    said = Hold(deployment=name, reason="no", author="me", since=world.clock.now(), until=until)
    with world.store.write() as tx:
        holds.save(tx, said)


def ledger(world: World, name: str = "a") -> list[Occurrence]:
    """Oldest first."""
    with world.store.read() as tx:
        return occurrences.find_newest(tx, name, 10_000)[::-1]


def end(world: World, run: Run) -> None:
    with world.store.write() as tx:
        assert runs.move(tx, run.id, expect=RunState.PENDING, to=RunState.SUCCEEDED)


def reasons(world: World) -> list[str | None]:
    return [found.reason for found in ledger(world)]


def test_a_due_time_creates_a_run_pinned_to_its_declaration(world: World) -> None:
    world.declare(a=hourly(extra="tags: [x]\nversion: '2'\nparameters: {n: 1}\n"))
    world.clock.turn(HOUR)
    [run] = account(world, "a")
    with world.store.read() as tx:
        entry = inventory.entries(tx)["a"]
        assert runs.find(tx, run.id) == run
    assert (run.scheduled_for, run.created_at, run.state) == (NOW + HOUR, NOW + HOUR, RunState.PENDING)
    assert (run.revision, run.file, run.spec_digest) == (entry.revision, "deployments/a.yaml", entry.spec_digest)
    assert (run.trigger, run.tags, run.version, run.parameters) == (Trigger.SCHEDULE, ("x",), "2", {"n": 1})
    assert ledger(world) == [
        Occurrence(
            deployment="a",
            scheduled_for=NOW + HOUR,
            schedule=ledger(world)[0].schedule,
            outcome=Outcome.RUN,
            run_id=run.id,
        )
    ]
    assert entry.cursor == NOW + HOUR


def test_jitter_delays_the_start_and_keeps_the_due_time(world: World) -> None:
    schedule = "schedules: [{id: x, cron: '0 * * * *', jitter: 30m}]\n"
    world.declare(a=f"name: a\ncommand: ['true']\n{schedule}", b=f"name: b\ncommand: ['true']\n{schedule}")
    world.clock.turn(HOUR)
    made = account(world, "a", "b")
    delays = [jitter_offset(name, "x", 30 * MINUTE) for name in "ab"]
    assert delays[0] != delays[1]
    assert [run.scheduled_for for run in made] == [NOW + HOUR] * 2
    assert [run.not_before for run in made] == [NOW + HOUR + delay for delay in delays]
    assert [found.scheduled_for for found in ledger(world)] == [NOW + HOUR]
    world.clock.turn(HOUR)
    end(world, made[0])
    [again] = account(world, "a", "b")
    assert again.not_before == NOW + 2 * HOUR + delays[0]
    assert [found.reason for found in ledger(world, "b")] == [None, "overlap"]


def test_runs_without_jitter_and_manual_runs_start_at_once(world: World) -> None:
    world.declare(a=hourly(), b="name: b\ncommand: ['true']\nschedule: {interval: 1d, jitter: 1h}\n")
    world.clock.turn(HOUR)
    [run] = account(world, "a")
    with world.store.write() as tx:
        asked = world.admission.create_run(tx, "b", {})
    assert run.not_before is asked.not_before is None


def test_a_due_time_is_admitted_once_and_not_before_its_time(world: World) -> None:
    world.declare(a=hourly())
    assert account(world, "a") == []
    world.clock.turn(HOUR - timedelta(microseconds=1))
    assert account(world, "a") == []
    world.clock.turn(timedelta(microseconds=1))
    assert len(account(world, "a")) == 1
    assert account(world, "a") == []
    assert account(world, "nobody") == []


def test_a_backward_clock_step_repeats_no_due_time(world: World) -> None:
    world.declare(a=hourly())
    world.clock.turn(HOUR)
    [run] = account(world, "a")
    end(world, run)
    world.clock.turn(-HOUR)
    assert account(world, "a") == []
    world.clock.turn(HOUR)
    assert account(world, "a") == []
    world.clock.turn(HOUR)
    assert [made.scheduled_for for made in account(world, "a")] == [NOW + 2 * HOUR]


def test_an_instant_has_one_record_although_counting_restarts(world: World) -> None:
    world.declare(a=hourly())
    world.clock.turn(HOUR)
    [run] = account(world, "a")
    end(world, run)
    with world.store.write() as tx:
        inventory.save(tx, [replace(inventory.entries(tx)["a"], cursor=NOW)])
    assert account(world, "a") == []
    assert [found.run_id for found in ledger(world)] == [run.id]


def test_a_due_time_is_skipped_while_a_run_is_in_progress(world: World) -> None:
    world.declare(a=hourly(), b=hourly("b"))
    world.clock.turn(HOUR)
    [run, _] = account(world, "a", "b")
    world.clock.turn(HOUR)
    assert account(world, "a") == []
    assert reasons(world) == [None, "overlap"]
    end(world, run)
    world.clock.turn(HOUR)
    assert len(account(world, "a")) == 1


@pytest.mark.parametrize("state", [RunState.PENDING, RunState.LAUNCHING, RunState.RUNNING, RunState.RETRYING])
def test_a_run_in_any_unfinished_state_overlaps(world: World, state: RunState) -> None:
    world.declare(a=hourly())
    with world.store.write() as tx:
        manual = world.admission.create_run(tx, "a", {})
        runs.move(tx, manual.id, expect=RunState.PENDING, to=state)
    world.clock.turn(HOUR)
    assert account(world, "a") == []
    assert reasons(world) == ["overlap"]


def test_after_a_pause_only_the_latest_due_time_runs_and_others_are_skipped(world: World) -> None:
    world.declare(a=hourly())
    world.clock.turn(5 * HOUR + 20 * MINUTE)
    [run] = account(world, "a")
    assert run.scheduled_for == NOW + 5 * HOUR
    assert reasons(world) == ["catch-up"] * 4 + [None]
    [event] = [event for event in world.events() if event.reason == "MissedTimes"]
    assert event.message.startswith("4 due times missed since 2026-06-01 13:00:00 UTC")


@pytest.mark.parametrize(("late", "is_run"), [(60 * MINUTE, True), (60 * MINUTE + timedelta(microseconds=1), False)])
def test_a_due_time_missed_by_more_than_an_hour_is_skipped(world: World, late: timedelta, is_run: bool) -> None:
    world.declare(a="name: a\ncommand: ['true']\nschedules: [{cron: '0 18 * * *'}]\n")
    world.clock.turn(6 * HOUR + late)
    assert bool(account(world, "a")) is is_run
    assert reasons(world) == [None if is_run else "catch-up"]


def test_a_long_absence_records_at_most_a_hundred_skips_and_one_event(world: World) -> None:
    world.declare(a="name: a\ncommand: ['true']\nschedules: [{interval: 1s}]\n")
    world.clock.turn(timedelta(days=1))
    assert len(account(world, "a")) == 1
    assert len(ledger(world)) == 100
    [event] = [event for event in world.events() if event.reason == "MissedTimes"]
    assert event.message.startswith("86399 due times missed since 2026-06-01 12:00:01 UTC")


def test_due_times_of_a_suspended_deployment_never_run(world: World) -> None:
    world.declare(a=hourly(extra="suspend: true\n"))
    world.clock.turn(3 * HOUR)
    assert account(world, "a") == []
    world.declare(a=hourly())
    assert account(world, "a") == []
    world.clock.turn(HOUR)
    assert [made.scheduled_for for made in account(world, "a")] == [NOW + 4 * HOUR]


def test_a_time_due_before_suspension_is_decided_by_the_old_declaration(world: World) -> None:
    world.declare(a=hourly())
    world.clock.turn(HOUR)
    world.declare(a=hourly(extra="suspend: true\n"))
    assert [run.scheduled_for for run in world.all_runs()] == [NOW + HOUR]


def test_a_suspended_schedule_does_not_fire_while_others_do(world: World) -> None:
    world.declare(
        a="name: a\ncommand: ['true']\nschedules:\n"
        "- {id: x, cron: '0 * * * *', suspend: true}\n- {id: y, cron: '30 * * * *'}\n"
    )
    world.clock.turn(HOUR)
    account(world, "a")
    assert [(found.schedule, found.scheduled_for) for found in ledger(world)] == [("y", NOW + 30 * MINUTE)]


def test_due_times_of_a_deployment_being_pruned_are_recorded_as_skipped(world: World) -> None:
    world.declare(a=hourly())
    world.clock.turn(3 * HOUR)
    assert settle(world, "a", pruned=True) == []
    assert reasons(world) == ["pruned"] * 3


def test_due_times_during_a_hold_are_decided_when_it_ends(world: World) -> None:
    world.declare(a=hourly(), b=hourly("b"))
    hold(world)
    world.clock.turn(3 * HOUR)
    assert [run.deployment for run in account(world, "a", "b")] == ["b"]
    assert ledger(world) == []
    with world.store.write() as tx:
        assert holds.remove(tx, "a")
    [run] = account(world, "a")
    assert run.scheduled_for == NOW + 3 * HOUR
    assert reasons(world) == ["catch-up", "catch-up", None]


def test_a_hold_expires_at_its_end_time(world: World) -> None:
    world.declare(a=hourly())
    hold(world, until=NOW + 90 * MINUTE)
    world.clock.turn(HOUR)
    assert account(world, "a") == []
    world.clock.turn(HOUR)
    assert len(account(world, "a")) == 1


def test_a_change_during_a_hold_runs_nothing_and_leaves_no_gap(world: World) -> None:
    world.declare(a=hourly())
    hold(world)
    world.clock.turn(2 * HOUR)
    assert settle(world, "a") == []
    assert reasons(world) == ["held", "held"]


def test_two_schedules_at_one_instant_create_one_run_of_the_more_specific(world: World) -> None:
    world.declare(
        a="name: a\ncommand: ['true']\nparameters: {n: 0, keep: true}\nschedules:\n"
        "- {id: y, interval: 30m, parameters: {n: 2}}\n- {id: x, cron: '0 * * * *', parameters: {n: 1}}\n"
    )
    world.clock.turn(HOUR)
    [run] = account(world, "a")
    assert run.parameters == {"n": 1, "keep": True}
    assert [(found.schedule, found.outcome) for found in ledger(world)] == [("y", Outcome.SKIPPED), ("x", Outcome.RUN)]


def test_each_of_many_due_deployments_gets_a_run(world: World) -> None:
    names = [f"d{number}" for number in range(550)]  # the store reads at most 500 at once
    world.declare(many="---\n".join(hourly(name) for name in names))
    world.clock.turn(HOUR)
    made = account(world, *names)
    assert [run.deployment for run in made] == names
    assert len({run.id for run in made}) == 550


def test_a_manual_run_merges_parameters_and_has_no_due_time(world: World) -> None:
    world.declare(a=hourly(extra="parameters: {x: 1, y: 2}\n"))
    with world.store.write() as tx:
        run = world.admission.create_run(tx, "a", {"y": 3})
    assert (run.trigger, run.scheduled_for, run.parameters) == (Trigger.MANUAL, None, {"x": 1, "y": 3})
    assert ledger(world) == []


def test_references_are_resolved_with_the_due_time_or_the_creation_time(world: World) -> None:
    day = "{from: due_time, format: date, shift: -1d}"
    world.declare(
        a=f"name: a\ncommand: ['true']\nparameters: {{day: {day}, at: {{from: due_time, format: time}}}}\n"
        "schedule: {cron: '30 0 * * *', timezone: Asia/Tokyo}\n"
    )
    world.clock.turn(4 * HOUR)  # 01:00 in Tokyo on 2 June
    [scheduled] = account(world, "a")
    manual = trigger_run(world.operations, "a", {}, author="somebody")
    assert scheduled.parameters == {"day": "2026-06-01", "at": "00:30:00"}
    assert manual.parameters == {"day": "2026-06-01", "at": "01:00:00"}


def test_repeating_a_request_with_a_reference_returns_the_same_run(world: World) -> None:
    world.declare(a=hourly())
    parameters = {"at": {"from": "due_time"}}
    first = trigger_run(world.operations, "a", parameters, key="k", author="somebody")
    world.clock.turn(HOUR)
    assert trigger_run(world.operations, "a", parameters, key="k", author="somebody").id == first.id


def test_a_request_for_an_unknown_name_suggests_the_nearest(world: World) -> None:
    world.declare(a=hourly("nightly-report"))
    with world.store.write() as tx, pytest.raises(NotFoundError, match="nightly-reprot") as caught:
        world.admission.create_run(tx, "nightly-reprot", {})
    assert caught.value.hint == "Did you mean nightly-report?"
    assert world.all_runs() == []


def test_a_deployment_with_a_broken_file_runs_its_last_valid_revision(world: World) -> None:
    world.declare(a=hourly())
    with world.store.write() as tx:
        entry = inventory.entries(tx)["a"]
        inventory.update_keeping_cursor(tx, [replace(entry, pinned="dir@sha256:good", conditions=())])
    world.clock.turn(HOUR)
    assert [run.revision for run in account(world, "a")] == ["dir@sha256:good"]


def test_due_times_are_recorded_as_instants(world: World) -> None:
    world.declare(a="name: a\ncommand: ['true']\nschedules: [{cron: '0 9 * * *', timezone: Asia/Tokyo}]\n")
    world.clock.turn(timedelta(days=1))
    account(world, "a")
    assert [found.scheduled_for for found in ledger(world)] == [datetime.fromisoformat("2026-06-02T00:00:00Z")]


def test_replace_ends_the_earliest_runs_beyond_its_limit(world: World) -> None:
    world.declare(a=hourly(extra="overlap: {policy: replace, limit: 3}\n"))
    made = []
    for _ in range(5):
        world.clock.turn(HOUR)
        made += account(world, "a")
    with world.store.read() as tx:
        states = [runs.find(tx, run.id) for run in made]
    assert [(run.state, run.reason) for run in states if run is not None] == [
        (RunState.SKIPPED, "overlap"),
        (RunState.SKIPPED, "overlap"),
        *[(RunState.PENDING, None)] * 3,
    ]
    assert {run.overlap_limit for run in made} == {3}


def test_a_redo_run_delays_a_due_time_only_if_the_limit_is_reached(world: World) -> None:
    world.declare(a=hourly(extra="overlap: {policy: skip, limit: 2}\n"))
    world.clock.turn(HOUR)
    [first] = account(world, "a")
    end(world, first)
    with world.store.write() as tx:
        redo = world.admission.create_run(tx, "a", {}, due_time=NOW + HOUR)
        assert runs.move(tx, redo.id, expect=RunState.PENDING, to=RunState.RUNNING)
    world.clock.turn(HOUR)
    [beside] = account(world, "a")
    world.clock.turn(HOUR)
    [behind] = account(world, "a")
    assert (beside.behind_backfill, behind.behind_backfill) == (False, True)


def test_a_run_gets_its_name_when_it_is_created(world: World) -> None:
    extra = "timezone: Asia/Tokyo\nrun_name: '{kind}-{region}-{due_time:date}'\nparameters: {region: eu}\n"
    extra += "matrix: {kind: [load]}\n"
    world.declare(a=hourly(extra=extra))
    world.clock.turn(HOUR)
    [run] = account(world, "a")
    local = (NOW + HOUR).astimezone(ZoneInfo("Asia/Tokyo"))
    assert run.name == f"load-eu-{local.date()}"
    with world.store.write() as tx:
        asked = world.admission.create_run(tx, "a", {"region": "us"})
        assert asked.name == f"load-us-{local.date()}"
        assert runs.find(tx, asked.id) == asked


def test_a_record_that_cannot_be_read_keeps_its_due_times_and_does_not_affect_others(world: World) -> None:
    world.declare(a=hourly("a"), b=hourly("b"))
    with world.store.write() as tx:
        entry = inventory.entries(tx)["a"]
        inventory.save(tx, [replace(entry, document={"name": "a"}, spec_digest="sha256:0")])
    world.clock.turn(HOUR)
    assert [run.deployment for run in account(world, "a", "b")] == ["b"]
    with world.store.write() as tx:
        inventory.save(tx, [replace(entry, cursor=inventory.entries(tx)["a"].cursor)])
    assert [run.deployment for run in account(world, "a", "b")] == ["a"]
