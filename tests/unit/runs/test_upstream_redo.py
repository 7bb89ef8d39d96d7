"""Due times and runs that follow an upstream run that was retried or run again."""

import pytest

from controller.model.runs import RunState
from controller.operations.retry import retry_run
from tests.unit.runs.conftest import World
from tests.unit.runs.upstreams import HOUR, deployment, due, finish, of, process, startable

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
