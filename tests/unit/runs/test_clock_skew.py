"""Clock jumps are recorded; no due time is repeated or lost, and no flood of runs follows."""

from datetime import timedelta

import pytest

from controller.model.runs import Run, RunOutcome, RunState
from controller.runs.clock_skew import ClockMonitor
from controller.runs.outcomes import record_outcomes, skip
from controller.store import clock_readings, gates, inventory, occurrences, runs
from controller.store.clock_readings import ClockReading
from tests.conftest import NOW
from tests.unit.runs.conftest import World
from tests.unit.runs.test_queueing import account, begin, end, hourly

pytestmark = pytest.mark.parametrize("start", ["cold"])

HOUR = timedelta(hours=1)
FAR = timedelta(days=30)


def jumps(world: World) -> list[str]:
    return [event.message for event in world.events() if event.reason == "ClockJumped"]


def keeper(world: World) -> ClockMonitor:
    made = ClockMonitor(world.store, world.clock)
    made.repair()
    return made


def due(world: World) -> list[Run]:
    """Process the due times, and complete their runs at once."""
    made = account(world, "a")
    begin(world, made)
    for run in made:
        end(world, run)
    return made


def test_suspending_the_machine_is_not_a_clock_jump(world: World) -> None:
    time = keeper(world)
    world.clock.turn(8 * HOUR)
    assert time.check(is_tick=True)
    world.clock.step(timedelta(seconds=4))
    assert time.check(is_tick=False)
    assert jumps(world) == []


def test_a_clock_jump_records_an_event_with_its_size(world: World) -> None:
    time = keeper(world)
    world.clock.step(timedelta(seconds=30))
    assert time.check(is_tick=False)
    world.clock.step(-HOUR)
    assert time.check(is_tick=False)
    assert jumps(world) == [
        "The clock was set forward by 30 s, to 2026-06-01 12:00:30 UTC.",
        "The clock was set back by 3600 s, to 2026-06-01 11:00:30 UTC.",
    ]


def test_after_a_backward_clock_step_no_due_time_is_repeated_or_lost(world: World) -> None:
    world.declare(a=hourly())
    time = keeper(world)
    for hour in (1, 2):
        world.clock.turn(HOUR)
        time.check(is_tick=True)
        assert [run.scheduled_for for run in due(world)] == [NOW + hour * HOUR]
    world.clock.step(-90 * HOUR / 60)
    time.check(is_tick=False)
    world.clock.turn(HOUR)
    time.check(is_tick=False)
    assert due(world) == []
    world.clock.turn(HOUR)
    time.check(is_tick=False)
    assert due(world) == []
    world.clock.turn(HOUR)
    time.check(is_tick=False)
    assert [run.scheduled_for for run in due(world)] == [NOW + 3 * HOUR]


def test_a_jump_far_forward_and_back_causes_one_run_and_schedules_continue(world: World) -> None:
    world.declare(a=hourly())
    time = keeper(world)
    world.clock.step(FAR)
    assert not time.check(is_tick=False)
    world.clock.turn(timedelta(seconds=59))
    assert not time.check(is_tick=True)
    world.clock.turn(timedelta(seconds=1))
    assert time.check(is_tick=True)
    assert len(due(world)) == 1
    with world.store.read() as tx:
        assert len(occurrences.find_newest(tx, "a", 100_000)) == 100
    world.clock.step(-FAR)
    assert time.check(is_tick=False)
    world.clock.turn(HOUR)
    assert time.check(is_tick=True)
    assert [run.scheduled_for for run in due(world)] == [NOW + HOUR]


def test_a_jump_that_is_corrected_at_once_runs_nothing(world: World) -> None:
    world.declare(a=hourly())
    time = keeper(world)
    world.clock.step(FAR)
    assert not time.check(is_tick=True)
    world.clock.turn(timedelta(seconds=10))
    world.clock.step(-FAR)
    assert time.check(is_tick=True)
    assert due(world) == []
    world.clock.turn(HOUR)
    assert time.check(is_tick=True)
    assert [run.scheduled_for for run in due(world)] == [NOW + HOUR]


def test_cursors_ahead_of_the_clock_are_corrected_at_start(world: World) -> None:
    world.declare(a=hourly())
    with world.store.write() as tx:
        inventory.advance_cursors(tx, ["a"], NOW + FAR)
    keeper(world)
    world.clock.turn(HOUR)
    assert len(due(world)) == 1


def test_a_clock_set_back_before_the_start_records_an_event_with_its_size(world: World) -> None:
    world.declare(a=hourly())
    with world.store.write() as tx:
        inventory.advance_cursors(tx, ["a"], NOW + timedelta(days=3))
    keeper(world)
    assert jumps(world) == ["The clock was set back by 259200 s, to 2026-06-01 12:00:00 UTC."]
    keeper(world)
    assert len(jumps(world)) == 1


@pytest.mark.parametrize("is_changed", [True, False])
def test_a_controller_killed_before_it_notices_a_clock_set_back_misses_no_due_time(
    world: World, *, is_changed: bool
) -> None:
    world.declare(a=hourly())
    time = keeper(world)
    world.clock.turn(timedelta(minutes=59))
    world.clock.step(FAR)
    time.check(is_tick=False)
    assert len(due(world)) == 1
    world.clock.turn(timedelta(seconds=58))
    time.check(is_tick=True)
    due(world)
    world.clock.step(-FAR)
    if is_changed:  # a pass does not check the clock, and does not hide the jump
        with world.store.write() as tx:
            world.admission.settle_before_change(tx, ["a"], world.clock.now())
    world.clock.turn(timedelta(seconds=9))
    time = keeper(world)
    assert jumps(world)[1:] == ["The clock was set back by 2592000 s, to 2026-06-01 13:00:07 UTC."]
    assert time.check(is_tick=True)
    assert [run.scheduled_for for run in due(world)] == [NOW + HOUR]
    world.clock.turn(timedelta(minutes=10))
    keeper(world)
    assert len(jumps(world)) == 2


def test_a_clock_set_while_no_controller_runs_is_a_jump_of_exactly_that_size(world: World) -> None:
    world.declare(a=hourly())
    keeper(world)
    world.clock.turn(HOUR)
    assert len(due(world)) == 1
    world.clock.turn(8 * HOUR)
    commits = world.store.commits
    assert keeper(world).check(is_tick=True)
    assert (jumps(world), world.store.commits) == ([], commits)
    world.clock.step(timedelta(minutes=2))
    assert not keeper(world).check(is_tick=True)
    assert jumps(world) == ["The clock was set forward by 120 s, to 2026-06-01 21:02:00 UTC."]
    assert keeper(world).check(is_tick=True)
    assert len(jumps(world)) == 1


def test_after_a_reboot_with_a_clock_set_back_due_times_since_the_boot_run(world: World) -> None:
    world.declare(a=hourly("a", "overlap: queue\n"))
    wrong = ClockReading(boot_id="another", booted_at=NOW + FAR, elapsed=60.0)
    with world.store.write() as tx:
        inventory.advance_cursors(tx, ["a"], wrong.time - timedelta(minutes=10))
        clock_readings.save(tx, wrong)
    world.clock.turn(HOUR)
    time = keeper(world)
    assert jumps(world) == ["The clock was set back by 2588460 s, to 2026-06-01 13:00:00 UTC."]
    assert time.check(is_tick=True)
    assert [run.scheduled_for for run in due(world)] == [NOW + HOUR]
    keeper(world)
    assert len(jumps(world)) == 1


@pytest.mark.parametrize("is_restarted", [True, False])
@pytest.mark.parametrize("ahead", [timedelta(days=3), timedelta(days=3650)])
def test_due_times_skipped_by_a_clock_that_was_ahead_run_when_due(
    world: World, ahead: timedelta, *, is_restarted: bool
) -> None:
    world.declare(a=hourly())
    time = keeper(world)
    world.clock.step(ahead)
    time.check(is_tick=True)
    [wrong] = due(world)
    assert wrong.scheduled_for == NOW + ahead
    world.clock.step(-ahead)
    time = keeper(world) if is_restarted else time
    time.check(is_tick=True)
    for hour in range(1, 4):
        world.clock.turn(HOUR)
        time.check(is_tick=True)
        assert [run.scheduled_for for run in due(world)] == [NOW + hour * HOUR]
    with world.store.read() as tx:
        assert [one.scheduled_for for one in occurrences.find_newest(tx, "a", 10) if one.run_id == wrong.id] == [
            NOW + ahead
        ]


def test_a_backward_correction_of_a_few_seconds_repeats_nothing_and_is_not_a_jump(world: World) -> None:
    world.declare(a=hourly())
    time = keeper(world)
    world.clock.turn(HOUR + timedelta(seconds=2))
    time.check(is_tick=True)
    assert len(due(world)) == 1
    for _ in range(3):
        world.clock.step(timedelta(seconds=-4))
        assert time.check(is_tick=True)
        assert due(world) == []
        world.clock.turn(timedelta(seconds=4))
    assert jumps(world) == []
    world.clock.turn(HOUR)
    time.check(is_tick=True)
    assert [run.scheduled_for for run in due(world)] == [NOW + 2 * HOUR]


def test_a_due_time_with_an_unfinished_redo_does_not_run_again_after_the_clock_was_set_back(world: World) -> None:
    world.declare(a=hourly())
    time = keeper(world)
    world.clock.turn(HOUR)
    time.check(is_tick=True)
    [skipped] = account(world, "a")
    with world.store.write() as tx:
        skip(tx, skipped, "overlap", world.clock.now())
        redo = world.admission.create_run(tx, "a", {}, due_time=skipped.scheduled_for)
    world.clock.step(-HOUR / 2)
    time.check(is_tick=True)
    begin(world, [redo])
    with world.store.write() as tx:
        running = runs.find(tx, redo.id)
        assert running is not None
        record_outcomes(tx, [(running, RunOutcome(state=RunState.SUCCEEDED))], world.clock.now())
    world.clock.turn(HOUR / 2)
    time.check(is_tick=True)
    assert due(world) == []
    with world.store.read() as tx:
        [row] = occurrences.find_newest(tx, "a", 10)
    assert (row.run_id, row.state) == (redo.id, RunState.SUCCEEDED)


def test_a_start_deadline_set_by_a_wrong_clock_is_corrected(world: World) -> None:
    world.declare(a=hourly() + "start_deadline: 20m\n")
    time = keeper(world)
    world.clock.step(timedelta(days=3))
    [waiting] = account(world, "a")
    assert waiting.start_by is not None
    assert waiting.scheduled_for is not None
    world.clock.step(timedelta(days=-3))
    time.check(is_tick=True)
    assert world.find(waiting).start_by == NOW + (waiting.start_by - waiting.scheduled_for)


def test_a_restart_does_not_shorten_a_corrected_deadline_or_start_again(world: World) -> None:
    world.declare(
        a=hourly("a", "start_deadline: 20m\n"),
        b="name: b\ncommand: ['true']\nschedule: {interval: 1h, jitter: 30m}\nstart_deadline: 20m\n",
    )
    time = keeper(world)
    world.clock.step(FAR)
    waiting = account(world, "a", "b")
    assert [run.deployment for run in waiting] == ["a", "b"]
    world.clock.step(-FAR)
    time.check(is_tick=True)
    for run in waiting:
        assert run.start_by is not None
        assert world.find(run).start_by == run.start_by - FAR
        assert world.find(run).not_before == (run.not_before and run.not_before - FAR)
    corrected = [world.find(run) for run in waiting]
    for _ in range(3):
        world.clock.turn(timedelta(minutes=1))
        keeper(world).check(is_tick=True)
    assert [world.find(run) for run in waiting] == corrected


def test_a_clock_set_back_twice_shifts_a_deadline_by_both_jumps(world: World) -> None:
    world.declare(a=hourly("a", "start_deadline: 20m\n"))
    time = keeper(world)
    world.clock.step(FAR)
    time.check(is_tick=False)
    [waiting] = account(world, "a")
    assert waiting.start_by is not None
    for _ in range(2):
        world.clock.step(-FAR / 2)
        time.check(is_tick=False)
    assert world.find(waiting).start_by == waiting.start_by - FAR


@pytest.mark.parametrize("is_restarted", [True, False])
def test_gates_whose_deadline_a_wrong_clock_computed_are_corrected(world: World, *, is_restarted: bool) -> None:
    world.declare(
        a=hourly("a", "after: [b, c]\nstart_deadline: 20m\noverlap: queue\n"),
        b="name: b\ncommand: ['true']\n",
        c=hourly("c", "overlap: queue\n"),
    )
    time = keeper(world)
    world.clock.turn(HOUR)
    time.check(is_tick=True)
    account(world, "a", "c")
    world.clock.step(FAR)
    [waiting, _] = account(world, "a", "c")
    with world.store.write() as tx:  # as if it had to wait for a redo run
        runs.move(tx, waiting.id, expect=waiting.state, to=waiting.state, behind_backfill=True, start_by=None)
        wrong = gates.find_of_run(tx, waiting.id)
    assert [gate.since and gate.since > NOW + 2 * HOUR for gate in wrong] == [True, None]
    world.clock.step(-FAR)
    time = keeper(world) if is_restarted else time
    time.check(is_tick=True)
    with world.store.read() as tx:
        corrected = gates.find_of_run(tx, waiting.id)
    assert [gate.until for gate in corrected] == [gate.until - FAR for gate in wrong]
    assert [gate.since for gate in corrected] == [gate.since and gate.since - FAR for gate in wrong]
    assert [gate.due_time for gate in corrected] == [gate.due_time for gate in wrong]
    assert max(gate.until for gate in corrected) <= world.clock.now() + timedelta(minutes=20)


def test_a_start_time_set_by_a_wrong_clock_is_corrected(world: World) -> None:
    world.declare(
        a="name: a\ncommand: ['true']\nschedule: {interval: 1h, jitter: 30m}\n",
        b="name: b\ncommand: ['true']\nretries: {limit: 1, delay: 10m, jitter: 0}\n",
    )
    time = keeper(world)
    world.clock.step(FAR)
    [jittered] = account(world, "a")
    with world.store.write() as tx:
        retried = world.admission.create_run(tx, "b", {})
        wrong = world.clock.now() + timedelta(minutes=10)
        runs.move(tx, retried.id, expect=RunState.PENDING, to=RunState.RETRYING, attempt=1, not_before=wrong)
    world.clock.step(-FAR)
    time.check(is_tick=True)
    assert jittered.not_before is not None
    assert jittered.scheduled_for is not None
    assert world.find(jittered).not_before == NOW + (jittered.not_before - jittered.scheduled_for)
    assert world.find(retried).not_before == NOW + timedelta(minutes=10)
    keeper(world)
    assert world.find(retried).not_before == NOW + timedelta(minutes=10)
