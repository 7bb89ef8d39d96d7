"""Due times and runs that follow an upstream run that was retried or run again."""

from datetime import datetime

import pytest

from controller.model.runs import Run, RunState
from controller.operations.retry import retry_run
from controller.operations.trigger import trigger_run
from tests.conftest import NOW
from tests.unit.runs.conftest import World
from tests.unit.runs.test_queueing import begin
from tests.unit.runs.upstreams import HOUR, deployment, due, finish, ledger, of, process, startable

pytestmark = pytest.mark.parametrize("start", ["cold"])


def test_a_retry_releases_a_due_time_that_still_waits_for_another_deployment(world: World) -> None:
    after = "after: {deployments: [up, other], any: true}\n"
    world.declare(up=deployment("up"), other=deployment("other"), report=deployment("report", after))
    world.clock.turn(HOUR)
    due(world, "up", "report")
    failed = finish(world, of(world, "up")[0], RunState.FAILED)
    retry = finish(world, retry_run(world.operations, failed.id, author="me"), result={"n": 7})
    [run] = of(world, "report")
    assert startable(world) == ["report"]
    assert [(upstream.run_id, upstream.result) for upstream in run.upstream] == [(retry.id, {"n": 7})]
    process(world, everything=True)
    assert len(of(world, "report")) == 1


def reopened(world: World, schedule: str, after: float) -> Run:
    """Let an upstream run fail, and its retry succeed `after` hours later; return the run that this opens."""
    world.declare(
        up=deployment("up"),
        report=deployment("report", "after: up\nstart_deadline: 20h\n", schedule=f"schedules: [{schedule}]\n"),
    )
    world.clock.turn(HOUR)
    due(world, "up", "report")
    failed = finish(world, of(world, "up")[0], RunState.FAILED)
    world.clock.turn(after * HOUR)
    process(world)
    finish(world, retry_run(world.operations, failed.id, author="me"))
    [skipped, again] = of(world, "report")
    assert skipped.state is RunState.SKIPPED
    return again


def test_a_due_time_that_opens_again_keeps_its_jitter(world: World) -> None:
    schedule = "{cron: '0 13 * * *', jitter: 5h}"
    again = reopened(world, schedule, 0)
    assert again.not_before == of(world, "report")[0].not_before
    assert again.not_before is not None
    assert startable(world) == []


@pytest.mark.parametrize(("after", "not_before"), [(0.5, None), (2, NOW + 19 * HOUR)])
def test_a_due_time_that_opens_again_waits_for_a_window(
    world: World, after: float, not_before: datetime | None
) -> None:
    schedule = "{cron: '0 13 * * *', windows: [{from: '07:00', to: '14:00'}], outside: wait}"
    assert reopened(world, schedule, after).not_before == not_before
    assert startable(world) == ([] if not_before else ["report"])


def test_a_due_time_that_opens_again_and_waits_for_a_redo_makes_no_other_due_time_skip(world: World) -> None:
    world.declare(up=deployment("up"), report=deployment("report", "after: up\n"))
    world.clock.turn(HOUR)
    due(world, "up", "report")
    failed = finish(world, of(world, "up")[0], RunState.FAILED)
    with world.store.write() as tx:
        redo = world.admission.create_run(tx, "report", {}, due_time=NOW)
    begin(world, [redo])
    finish(world, retry_run(world.operations, failed.id, author="me"))
    again = of(world, "report")[-1]
    assert (again.state, again.scheduled_for) == (RunState.PENDING, NOW + HOUR)
    assert startable(world) == []
    world.clock.turn(HOUR)
    due(world, "up", "report")
    assert [row.reason for row in ledger(world, "report") if row.scheduled_for == NOW + 2 * HOUR] == [None]


@pytest.mark.parametrize(("on_redo", "count"), [("ignore", 1), ("run", 2)])
def test_a_redo_passes_through_an_event_to_a_due_time(world: World, on_redo: str, count: int) -> None:
    world.declare(
        r0=deployment("r0"),
        r1=deployment("r1", "after: {deployment: r0, on_redo: run}\n", schedule=""),
        report=deployment("report", f"after: {{deployment: r1, on_redo: {on_redo}}}\n"),
    )
    world.clock.turn(HOUR)
    [first] = due(world, "r0")
    due(world, "report")
    finish(world, first)
    finish(world, of(world, "r1")[0])
    finish(world, of(world, "report")[0])
    finish(world, retry_run(world.operations, first.id, author="me"))
    finish(world, of(world, "r1")[1])
    assert [len(of(world, name)) for name in ("r1", "report")] == [2, count]


def test_each_retry_of_the_same_run_repeats_the_due_time(world: World) -> None:
    world.declare(
        r0=deployment("r0", schedule=""),
        r1=deployment("r1", "after: {deployment: r0, on_redo: run}\n", schedule=""),
        direct=deployment("direct", "after: {deployment: r0, on_redo: run}\n"),
        report=deployment("report", "after: {deployment: r1, on_redo: run}\n"),
    )
    world.clock.turn(HOUR)
    due(world, "direct", "report")
    world.clock.turn(HOUR / 4)
    first = trigger_run(world.operations, "r0", {}, author="me")
    finish(world, first)
    for number in range(3):
        if number:
            finish(world, retry_run(world.operations, first.id, author="me"))
        for name in ("r1", "direct", "report"):
            assert len(of(world, name)) == number + 1
            finish(world, of(world, name)[-1])
    assert [run.upstream[0].run_id for run in of(world, "direct")] == [run.id for run in of(world, "r0")]
    assert [run.upstream[0].run_id for run in of(world, "report")] == [run.id for run in of(world, "r1")]
