"""Renamed deployments: what has released a run does not count again, and what waits keeps waiting."""

import pytest

from controller.model.runs import Run, RunState
from controller.operations.retry import retry_run
from controller.operations.trigger import trigger_run
from controller.runs.retention import Sweeper
from controller.store import releases
from tests.conftest import NOW
from tests.unit.runs.conftest import World
from tests.unit.runs.upstreams import HOUR, deployment, due, finish, of, process, startable, waiting

pytestmark = pytest.mark.parametrize("start", ["cold"])


def event(name: str, extra: str = "") -> str:
    return deployment(name, extra, schedule="")


def renamed(name: str, extra: str = "", *, old: str, schedule: str = "") -> str:
    return deployment(name, f"renamed_from: {old}\n{extra}", schedule=schedule)


def run_once(world: World, name: str, state: RunState = RunState.SUCCEEDED) -> Run:
    return finish(world, trigger_run(world.operations, name, {}, author="me"), state)


def redo(world: World, run: Run) -> Run:
    return finish(world, retry_run(world.operations, run.id, author="me"))


REDO = "after: {{deployment: {}, on_redo: run}}\n".format


@pytest.mark.parametrize("name", ["r0", "r1", "r2"])
def test_a_redo_after_a_rename_releases_no_further_run(world: World, name: str) -> None:
    """The redo passes through r1, which asks for it, and ends at r2, which does not."""
    world.declare(r0=event("r0"), r1=event("r1", REDO("r0")), r2=event("r2", "after: r1\n"))
    first = run_once(world, "r0")
    finish(world, of(world, "r1")[0])
    finish(world, of(world, "r2")[0])
    names = {each: "new" if each == name else each for each in ("r0", "r1", "r2")}
    extras = {"r0": "", "r1": REDO(names["r0"]), "r2": f"after: {names['r1']}\n"}
    world.declare(
        **{old: renamed("new", extras[old], old=old) if old == name else event(old, extras[old]) for old in names}
    )
    redo(world, first)
    finish(world, of(world, names["r1"])[1])
    process(world, everything=True)
    assert [len(of(world, names[each])) for each in ("r0", "r1", "r2")] == [2, 2, 1]


@pytest.mark.parametrize("is_renamed_first", [True, False])
def test_a_redo_of_a_due_time_after_a_rename_releases_no_further_run(world: World, *, is_renamed_first: bool) -> None:
    world.declare(up=deployment("up"), load=event("load", "after: up\n"))
    world.clock.turn(HOUR)
    [scheduled] = due(world, "up")
    if not is_renamed_first:
        finish(world, scheduled)
    world.declare(up=renamed("new", old="up", schedule=HOURLY), load=event("load", "after: new\n"))
    if is_renamed_first:
        finish(world, world.find(scheduled))
    finish(world, trigger_run(world.operations, "new", {}, due_time=NOW + HOUR, author="me"))
    redo(world, world.find(scheduled))
    assert len(of(world, "load")) == 1


HOURLY = "schedules: [{cron: '0 * * * *'}]\n"


def test_the_redo_of_a_due_time_passes_a_renamed_gate_once(world: World) -> None:
    world.declare(up=deployment("up"), clean=deployment("clean", REDO("up")), mail=event("mail", "after: clean\n"))
    world.clock.turn(HOUR)
    due(world, "up", "clean")
    finish(world, of(world, "up")[0])
    finish(world, of(world, "clean")[0])
    world.declare(
        up=renamed("source", old="up", schedule=HOURLY),
        clean=renamed("tidy", REDO("source"), old="clean", schedule=HOURLY),
        mail=event("mail", "after: tidy\n"),
    )
    finish(world, trigger_run(world.operations, "source", {}, due_time=NOW + HOUR, author="me"))
    assert len(of(world, "tidy")) == 2
    finish(world, of(world, "tidy")[1])
    process(world, everything=True)
    assert [len(of(world, name)) for name in ("tidy", "mail")] == [2, 1]


def test_a_rename_there_and_back_releases_no_further_run(world: World) -> None:
    world.declare(r0=event("r0"), r1=event("r1", REDO("r0")), r2=event("r2", "after: r1\n"))
    first = run_once(world, "r0")
    finish(world, of(world, "r1")[0])
    world.declare(r0=renamed("new", old="r0"), r1=event("r1", REDO("new")))
    world.declare(r0=renamed("r0", old="new"), r1=event("r1", REDO("r0")))
    redo(world, first)
    finish(world, of(world, "r1")[1])
    assert [len(of(world, name)) for name in ("r1", "r2")] == [2, 1]


@pytest.mark.parametrize("is_retry", [True, False])
def test_a_redo_releases_no_further_run_although_the_first_run_was_deleted(world: World, *, is_retry: bool) -> None:
    world.declare(
        r0=event("r0", "retention: {runs: 1}\n"), r1=event("r1", "after: r0\n"), r2=event("r2", "after: r1\n")
    )
    first = run_once(world, "r0")
    finish(world, of(world, "r1")[0])
    again = redo(world, first) if is_retry else run_once(world, "r0")
    sweeper = Sweeper(world.store, world.clock, world.admission, world.runs_directory)
    world.clock.turn(HOUR)
    sweeper.sweep()
    assert [run.id for run in of(world, "r0")] == [again.id]
    if is_retry:
        redo(world, again)
        assert len(of(world, "r1")) == 1
    else:
        finish(world, of(world, "r1")[1])
        assert len(of(world, "r2")) == 2
        redo(world, of(world, "r1")[0])
        assert len(of(world, "r2")) == 2


def test_a_run_that_waits_for_a_renamed_deployment_gets_its_result_by_the_old_name(world: World) -> None:
    """The run is pinned to the commit of its due time, whose code and parameters have the old name."""
    parameters = "parameters: {{n: {{from: {}.result}}}}\n".format
    world.declare(up=deployment("up"), report=deployment("report", "after: up\n" + parameters("up")))
    world.clock.turn(HOUR)
    due(world, "up", "report")
    world.declare(
        up=renamed("new", old="up", schedule=HOURLY), report=deployment("report", "after: new\n" + parameters("new"))
    )
    assert waiting(world)["report"] == "for new (due 2026-06-01 13:00:00 UTC)"
    finish(world, of(world, "new")[0], result=7)
    [run] = of(world, "report")
    assert startable(world) == ["report"]
    assert (run.parameters, run.upstream[0].deployment) == ({"n": 7}, "up")
    finish(world, run, RunState.FAILED)
    latest = retry_run(world.operations, run.id, author="me", latest=True)
    assert (latest.parameters, latest.upstream[0].deployment) == ({"n": 7}, "new")


def test_a_run_that_waits_for_both_names_waits_for_the_renamed_deployment(world: World) -> None:
    after = "after: {deployments: [a, b], any: true}\n"
    world.declare(a=deployment("a"), b=deployment("b"), report=deployment("report", after))
    world.clock.turn(HOUR)
    due(world, "a", "report")
    world.declare(b=None, report=deployment("report", "after: a\n"))
    world.declare(a=renamed("b", old="a", schedule=HOURLY), report=deployment("report", "after: b\n"))
    assert waiting(world)["report"] == "for b (due 2026-06-01 13:00:00 UTC)"
    finish(world, of(world, "b")[0])
    assert startable(world) == ["report"]


def test_a_deployment_gets_the_name_of_a_deleted_one_that_had_the_same_upstream_runs(world: World) -> None:
    """The runs of both have the same idempotency keys."""
    world.declare(up=event("up"), one=event("one", "after: up\n"), two=event("two", "after: up\n"))
    first = run_once(world, "up")
    finish(world, of(world, "one")[0])
    finish(world, of(world, "two")[0])
    world.declare(one=None)
    world.declare(two=renamed("one", "after: up\n", old="two"))
    redo(world, first)
    assert [run.idempotency_key for run in of(world, "one")] == [None, f"upstream: {first.id}"]
    with world.store.read() as tx:
        [release] = releases.find_all(tx, [("one", "up", first.id)]).values()
    assert release.run_id == of(world, "one")[1].id
