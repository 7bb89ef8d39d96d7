"""A gate that opens when no window of the schedule is open: the run waits for a window, or is skipped."""

from datetime import timedelta

import pytest

from controller.model.runs import Run, RunState
from controller.operations.retry import retry_run
from controller.operations.trigger import trigger_run
from tests.conftest import NOW
from tests.unit.runs.conftest import World
from tests.unit.runs.upstreams import HOUR, deployment, due, finish, ledger, of, process, startable

pytestmark = pytest.mark.parametrize("start", ["cold"])

SECOND = timedelta(seconds=1)
CLOSED = "window: outside 07:00-14:00"


def schedule(outside: str, hours: str = "from: '07:00', to: '14:00'", jitter: str = "") -> str:
    return f"schedules: [{{cron: '0 13 * * *', windows: [{{{hours}}}], outside: {outside}{jitter}}}]\n"


def gated(world: World, outside: str, extra: str = "", **options: str) -> Run:
    """Declare a deployment with a gate and a window, and let it become due with its upstream deployment."""
    world.declare(
        up=deployment("up"),
        report=deployment("report", f"after: up\n{extra}", schedule=schedule(outside, **options)),
    )
    world.clock.turn(HOUR)
    due(world, "up", "report")
    return of(world, "report")[0]


def test_a_gate_that_opens_in_the_window_starts_the_run(world: World) -> None:
    run = gated(world, "skip")
    world.clock.turn(HOUR - SECOND)
    finish(world, of(world, "up")[0])
    assert world.find(run).not_before is None
    assert startable(world) == ["report"]


def test_a_gate_that_opens_after_the_window_waits_for_the_next_one(world: World) -> None:
    run = gated(world, "wait", "start_deadline: 20h\n")
    world.clock.turn(2 * HOUR)
    finish(world, of(world, "up")[0], result=7)
    waiting = world.find(run)
    assert startable(world) == []
    assert (waiting.not_before, waiting.upstream[0].result) == (NOW + 19 * HOUR, 7)
    assert waiting.start_by == NOW + 39 * HOUR  # the deadline counts from the opening of the window
    world.clock.turn(16 * HOUR)
    process(world, everything=True)
    assert startable(world) == ["report"]
    world.clock.turn(20 * HOUR)
    process(world)
    assert (world.find(run).state, world.find(run).reason) == (RunState.SKIPPED, "deadline")


def test_a_gate_that_opens_after_the_window_skips_the_due_time_if_nothing_waits(world: World) -> None:
    run = gated(world, "skip")
    world.clock.turn(2 * HOUR)
    finish(world, of(world, "up")[0])
    assert (world.find(run).state, world.find(run).reason) == (RunState.SKIPPED, CLOSED)
    assert [row.reason for row in ledger(world, "report")] == [CLOSED]
    assert [event.reason for event in world.events()].count("RunSkipped") == 1
    process(world, everything=True)
    assert len(of(world, "report")) == 1


def test_a_gate_that_opens_with_the_tick_obeys_the_window(world: World) -> None:
    run = gated(world, "skip")
    world.declare(report=deployment("report", schedule=schedule("skip")))
    world.clock.turn(2 * HOUR)
    finish(world, of(world, "up")[0])
    process(world, everything=True)
    assert world.find(run).reason == CLOSED


@pytest.mark.parametrize(("late", "state"), [(30, RunState.PENDING), (31, RunState.SKIPPED)])
def test_a_gate_that_opens_30_seconds_after_the_due_time_is_on_time(world: World, late: int, state: RunState) -> None:
    """A due time at the end of the window starts a run although it is processed a little late, as without a gate."""
    daily = "schedules: [{interval: 1d, anchor_date: '2026-06-01T12:59:50', windows: [{to: '13:00'}], outside: skip}]\n"
    world.declare(up=deployment("up", schedule=daily), report=deployment("report", "after: up\n", schedule=daily))
    world.clock.turn(HOUR - 10 * SECOND)
    due(world, "up", "report")
    world.clock.turn(late * SECOND)
    finish(world, of(world, "up")[0])
    assert of(world, "report")[0].state is state


def test_jitter_and_a_window_together_keep_the_later_start(world: World) -> None:
    run = gated(world, "wait", jitter=", jitter: 50m")
    start = run.not_before
    finish(world, of(world, "up")[0])
    assert start is not None
    assert NOW + HOUR < start < NOW + 2 * HOUR
    assert world.find(run).not_before == start


@pytest.mark.parametrize(("after", "state"), [(0.5, RunState.PENDING), (2, RunState.SKIPPED)])
def test_a_due_time_that_opens_again_outside_of_the_window_stays_skipped(
    world: World, after: float, state: RunState
) -> None:
    gated(world, "skip")
    failed = finish(world, of(world, "up")[0], RunState.FAILED)
    world.clock.turn(after * HOUR)
    finish(world, retry_run(world.operations, failed.id, author="me"))
    [skipped, again] = of(world, "report")
    assert (skipped.reason, again.state) == ("upstream: up failed", state)
    assert again.reason == (CLOSED if state is RunState.SKIPPED else None)
    process(world, everything=True)
    assert len(of(world, "report")) == 2


@pytest.mark.parametrize("outside", ["wait", "skip"])
def test_a_redo_that_is_asked_for_waits_for_the_window(world: World, outside: str) -> None:
    """Its due time has had its run, so a skip would replace that outcome in the ledger."""
    world.declare(
        up=deployment("up"),
        report=deployment(
            "report", "after: {deployment: up, on_redo: run}\nstart_deadline: 2h\n", schedule=schedule(outside)
        ),
    )
    world.clock.turn(HOUR)
    due(world, "up", "report")
    finish(world, of(world, "up")[0])
    finish(world, of(world, "report")[0])
    world.clock.turn(2 * HOUR)
    finish(world, trigger_run(world.operations, "up", {}, due_time=NOW + HOUR, author="me"))
    [_, again] = of(world, "report")
    assert (again.state, again.not_before, again.start_by) == (RunState.PENDING, NOW + 19 * HOUR, None)
    assert startable(world) == []
