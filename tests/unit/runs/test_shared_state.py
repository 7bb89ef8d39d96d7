"""Controllers that share a state: each recovers only the runs whose files it can read."""

import pytest

from controller.model.runs import Attempt, Run, RunState
from controller.store import run_transitions, runs
from tests.conftest import wait_until
from tests.unit.runs.conftest import World, command, gated, one_start, reap
from tests.unit.runs.test_supervisor import is_gone

pytestmark = pytest.mark.integration


def claim(world: World, state: RunState, place: str) -> Run:
    """A run as a controller at this place leaves it that was killed after claiming it."""
    with world.store.write() as tx:
        run = world.admission.create_run(tx, "a", {})
        attempt = Attempt(run_id=run.id, number=1, nonce="aa", boot_id="other", state=state, place=place)
        run_transitions.claim(tx, [attempt])
        runs.move(tx, run.id, expect=RunState.LAUNCHING, to=state)
    return run


@one_start
def test_a_run_of_another_host_is_recovered_only_there(world: World) -> None:
    gate = gated(world)
    here = f"here:{world.runs_directory}"
    world.start(place=here)
    run = world.trigger("slow")
    world.wait(run, RunState.RUNNING)
    pid = world.supervisor_pid(run)
    world.stop()
    gate.touch()
    wait_until(lambda: is_gone(pid))
    reap(pid)
    engine = world.start(place="elsewhere:/runs")
    assert len(engine._monitor) == 0
    assert world.find(run).state is RunState.RUNNING
    world.stop()
    world.start(place=here)
    assert world.wait(run).state is RunState.SUCCEEDED


@one_start
def test_a_run_of_another_state_directory_of_this_host_is_adopted(world: World) -> None:
    gate = gated(world)
    world.start(place=f"here:{world.runs_directory}")
    run = world.trigger("slow")
    world.wait(run, RunState.RUNNING)
    pid = world.supervisor_pid(run)
    world.stop()
    world.start(place=f"here:{world.state}/other")
    gate.touch()
    ended = world.wait(run)
    reap(pid)
    assert (ended.state, ended.attempt) == (RunState.SUCCEEDED, 1)


@one_start
def test_a_claimed_run_of_another_host_that_never_started_is_started(world: World) -> None:
    world.declare(a=command("a", "echo once"))
    run = claim(world, RunState.LAUNCHING, "elsewhere:/runs")
    lost = claim(world, RunState.RUNNING, "elsewhere:/runs")
    world.start(place=f"here:{world.runs_directory}")
    ended = world.wait(run)
    assert (ended.state, ended.attempt) == (RunState.SUCCEEDED, 1)
    assert world.log(run) == "once\n"
    assert world.find(lost).state is RunState.RUNNING
