"""Controllers that share a state: each recovers only the runs whose files it can read."""

import pytest
from sqlalchemy import insert

from controller.model.runs import Attempt, Run, RunOutcome, RunState
from controller.state_url import StateUrl
from controller.store import run_transitions, runs, task_trees
from controller.store.databases.postgresql import connect
from controller.store.hosts import find_reports, outcome_to_json
from controller.store.leadership_tables import attempt_reports
from tests.conftest import NOW, wait_until
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
    engine = world.start(place=f"elsewhere:{world.state}/elsewhere")
    assert len(engine._monitor) == 0
    away = world.find(run)
    assert (away.state, away.uncertain_reason) == (RunState.RUNNING, "host here is away")
    world.stop()
    world.start(place=here)
    ended = world.wait(run)
    assert (ended.state, ended.uncertain_reason) == (RunState.SUCCEEDED, None)


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


def test_a_run_whose_directory_is_missing_on_this_host_is_uncertain(world: World) -> None:
    world.declare(a=command("a", "echo once"))
    run = claim(world, RunState.RUNNING, "here:/missing/runs")
    world.start(place=f"here:{world.runs_directory}")
    assert world.find(run).uncertain_reason == "the directory /missing/runs is missing"


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_run_is_certain_while_a_standby_on_its_host_is_seen(world: World, postgresql_url: StateUrl) -> None:
    world.declare(a=command("a", "echo once"))
    run = claim(world, RunState.RUNNING, "there:/runs")
    engine = world.start(place=f"here:{world.runs_directory}")
    world.stop()
    assert world.find(run).uncertain_reason == "host there is away"
    with connect(postgresql_url) as connection:
        connection.execute("INSERT INTO hosts VALUES ('default', 'there:/runs', 7, '1', clock_timestamp())")
    engine = world.start(place=f"here:{world.runs_directory}")
    assert world.find(run).uncertain_reason is None
    commits = world.store.commits
    engine._monitor.recover()
    assert world.store.commits == commits


def report(world: World, run: Run, outcome: RunOutcome | None, doubt: str | None = None) -> None:
    events = '{"run": {"name": "reported"}}\n'
    row = {"run_id": run.id, "number": 1, "nonce": "aa", "outcome": outcome and outcome_to_json(outcome)}
    with world.store.write() as tx:
        tx.connection.execute(insert(attempt_reports).values(**row, doubt=doubt, events=events))


def test_the_outcome_that_a_standby_reports_is_recorded_once(world: World) -> None:
    world.declare(a=command("a", "echo once"))
    run = claim(world, RunState.RUNNING, "there:/runs")
    unknown = claim(world, RunState.RUNNING, "there:/runs")
    outcome = RunOutcome(state=RunState.SUCCEEDED, exit_code=0, finished_at=NOW, result={"a": 1}, seconds=1.0)
    report(world, run, outcome)
    report(world, unknown, None, "its files are gone")
    engine = world.start(place=f"here:{world.runs_directory}")
    ended = world.wait(run)
    with world.store.read() as tx:
        assert task_trees.find_names(tx, [run.id]) == {run.id: "reported"}
    assert (ended.state, ended.result, ended.exit_code) == (RunState.SUCCEEDED, {"a": 1}, 0)
    assert world.find(unknown).reason == "outcome unknown: its files are gone"
    assert len(engine._monitor) == 0
    engine._monitor.recover()
    with world.store.read() as tx:
        assert find_reports(tx) == []
