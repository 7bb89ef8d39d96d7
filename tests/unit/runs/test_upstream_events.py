"""Deployments without schedules: what their upstream deployments release, exactly once."""

from collections.abc import Sequence

import pytest

from controller.errors import UsageError
from controller.model.runs import Run, RunState, Trigger
from controller.model.status import Hold
from controller.operations.retry import retry_run
from controller.operations.trigger import trigger_run
from controller.runs.retention import Sweeper
from controller.store import finished_upstreams, holds, releases, runs
from tests.conftest import NOW
from tests.unit.runs.conftest import World
from tests.unit.runs.upstreams import HOUR, deployment, due, finish, of, process, startable, waiting

pytestmark = pytest.mark.parametrize("start", ["cold"])


def event_driven(name: str, extra: str) -> str:
    return deployment(name, extra, schedule="")


def trigger(world: World, name: str, **parameters: object) -> Run:
    return trigger_run(world.operations, name, parameters, author="me")


def run_once(world: World, name: str, state: RunState = RunState.SUCCEEDED, result: object = None) -> Run:
    return finish(world, trigger(world, name), state, result)


def released_by(world: World, name: str) -> list[list[str]]:
    """Return the ids of the upstream runs of each run that was released."""
    return [[upstream.run_id for upstream in run.upstream] for run in of(world, name)]


def test_each_finish_of_an_upstream_run_releases_one_run(world: World) -> None:
    world.declare(ingest=event_driven("ingest", ""), load=event_driven("load", "after: ingest\n"))
    first = run_once(world, "ingest", result={"rows": 1})
    [run] = of(world, "load")
    assert (run.trigger, run.state, run.scheduled_for) == (Trigger.UPSTREAM, RunState.PENDING, None)
    assert run.upstream[0].result == {"rows": 1}
    assert run.idempotency_key == f"upstream: {first.id}"
    second = run_once(world, "ingest")
    assert released_by(world, "load") == [[first.id], [second.id]]
    process(world, everything=True)
    assert len(of(world, "load")) == 2


def test_a_run_that_did_not_end_as_asked_releases_nothing(world: World) -> None:
    world.declare(
        ingest=event_driven("ingest", ""),
        load=event_driven("load", "after: ingest\n"),
        alarm=event_driven("alarm", "after: {deployment: ingest, on: failed}\n"),
        log=event_driven("log", "after: {deployment: ingest, on: finished}\n"),
    )
    run_once(world, "ingest", RunState.FAILED)
    run_once(world, "ingest", RunState.SKIPPED)  # it had nothing to do
    assert [len(of(world, name)) for name in ("load", "alarm", "log")] == [0, 1, 2]


def test_all_upstreams_have_to_finish_since_the_last_release(world: World) -> None:
    world.declare(a=event_driven("a", ""), b=event_driven("b", ""), both=event_driven("both", "after: [a, b]\n"))
    first_a, first_b = run_once(world, "a"), run_once(world, "b")
    assert released_by(world, "both") == [[first_a.id, first_b.id]]
    run_once(world, "b")
    latest_b = run_once(world, "b")
    assert len(of(world, "both")) == 1
    latest_a = run_once(world, "a")
    assert released_by(world, "both")[1:] == [[latest_b.id, latest_a.id]]
    run_once(world, "a")
    assert len(of(world, "both")) == 2


def test_with_any_each_finish_releases_a_run(world: World) -> None:
    world.declare(
        a=event_driven("a", ""),
        b=event_driven("b", ""),
        one=event_driven("one", "after: {deployments: [a, b], any: true}\n"),
    )
    finished = [run_once(world, name).id for name in ("a", "b", "b")]
    assert released_by(world, "one") == [[run_id] for run_id in finished]


@pytest.mark.parametrize(("on_redo", "count"), [("ignore", 1), ("run", 2)])
def test_a_retry_releases_a_run_again_only_if_asked(world: World, on_redo: str, count: int) -> None:
    after = f"after: {{deployment: ingest, on_redo: {on_redo}}}\n"
    world.declare(ingest=deployment("ingest"), load=event_driven("load", after))
    world.clock.turn(HOUR)
    [scheduled] = due(world, "ingest")
    finish(world, scheduled)
    finish(world, trigger_run(world.operations, "ingest", {}, due_time=NOW + HOUR, author="me"))
    assert len(of(world, "load")) == count
    manual = run_once(world, "ingest")
    finish(world, retry_run(world.operations, manual.id, author="me"))
    assert len(of(world, "load")) == 2 * count


def test_a_retry_of_a_failed_run_releases_a_run(world: World) -> None:
    world.declare(ingest=event_driven("ingest", ""), load=event_driven("load", "after: ingest\n"))
    failed = run_once(world, "ingest", RunState.FAILED)
    retry = finish(world, retry_run(world.operations, failed.id, author="me"))
    assert released_by(world, "load") == [[retry.id]]


def test_the_due_time_of_the_upstream_run_is_the_nominal_time(world: World) -> None:
    parameters = "after: ingest\nparameters: {day: {from: due_time, format: date}, n: {from: ingest.result}}\n"
    world.declare(ingest=deployment("ingest"), load=event_driven("load", parameters))
    world.clock.turn(HOUR)
    due(world, "ingest")
    world.clock.turn(24 * HOUR)
    finish(world, of(world, "ingest")[0], result=[1, 2])
    [run] = of(world, "load")
    assert run.parameters == {"day": "2026-06-01", "n": [1, 2]}
    finish(world, run, RunState.FAILED)
    for latest in (False, True):
        retry = retry_run(world.operations, run.id, author="me", latest=latest)
        assert (retry.parameters, retry.upstream) == (run.parameters, run.upstream)
        finish(world, retry)


def test_the_due_time_passes_through_a_chain_of_events(world: World) -> None:
    day = "parameters: {day: {from: due_time, format: date}}\n"
    world.declare(a=deployment("a"), b=event_driven("b", f"after: a\n{day}"), c=event_driven("c", f"after: b\n{day}"))
    world.clock.turn(HOUR)
    due(world, "a")
    world.clock.turn(24 * HOUR)
    finish(world, of(world, "a")[0])
    finish(world, of(world, "b")[0], RunState.FAILED)
    world.clock.turn(24 * HOUR)
    retry = retry_run(world.operations, of(world, "b")[0].id, author="me")
    finish(world, retry)
    [run] = of(world, "c")
    assert run.parameters == {"day": "2026-06-01"}
    assert [upstream.due_time for upstream in (*retry.upstream, *run.upstream)] == [NOW + HOUR] * 2
    manual = run_once(world, "b")  # it has the latest upstream run, but its own nominal time
    again = retry_run(world.operations, manual.id, author="me", latest=True)
    assert [each.parameters for each in (manual, of(world, "c")[-1], again)] == [{"day": "2026-06-03"}] * 3


@pytest.mark.parametrize(("on_redo", "count"), [("ignore", 1), ("run", 2)])
def test_a_redo_passes_only_through_deployments_that_ask_for_it(world: World, on_redo: str, count: int) -> None:
    world.declare(
        r0=event_driven("r0", ""),
        r1=event_driven("r1", "after: {deployment: r0, on_redo: run}\n"),
        r2=event_driven("r2", f"after: {{deployment: r1, on_redo: {on_redo}}}\n"),
    )
    first = run_once(world, "r0")
    finish(world, of(world, "r1")[0])
    finish(world, retry_run(world.operations, first.id, author="me"))
    finish(world, of(world, "r1")[1])
    assert [len(of(world, name)) for name in ("r1", "r2")] == [2, count]
    run_once(world, "r0")
    finish(world, of(world, "r1")[2])
    assert len(of(world, "r2")) == count + 1


def test_the_same_due_time_of_two_deployments_releases_twice(world: World) -> None:
    world.declare(
        a=deployment("a"),
        b=deployment("b"),
        one=event_driven("one", "after: {deployments: [a, b], any: true}\n"),
        log=event_driven("log", "after: one\n"),
    )
    world.clock.turn(HOUR)
    for run in due(world, "a", "b"):
        finish(world, run)
        finish(world, of(world, "one")[-1])
    assert len(of(world, "log")) == 2


def test_a_missing_value_is_a_failed_run(world: World) -> None:
    parameters = "after: ingest\nparameters: {n: {from: ingest.result.n}}\n"
    world.declare(ingest=event_driven("ingest", ""), load=event_driven("load", parameters))
    run_once(world, "ingest", result={})
    [run] = of(world, "load")
    assert run.state is RunState.FAILED
    assert run.reason is not None
    assert run.reason.startswith("not launched: parameter n:")


def test_a_run_by_hand_gets_the_latest_upstream_run(world: World) -> None:
    parameters = "after: ingest\nparameters: {n: {from: ingest.result}}\n"
    world.declare(ingest=event_driven("ingest", ""), load=event_driven("load", parameters))
    with pytest.raises(UsageError, match=r"^Parameter n: 'ingest\.result': this run has no upstream run of ingest"):
        trigger(world, "load")
    assert trigger(world, "load", n=7).parameters == {"n": 7}
    ingest = run_once(world, "ingest", result=3)
    run_once(world, "ingest", RunState.FAILED)
    run = trigger(world, "load")
    assert (run.parameters, [upstream.run_id for upstream in run.upstream]) == ({"n": 3}, [ingest.id])


def test_a_suspended_deployment_records_a_skipped_run(world: World) -> None:
    world.declare(ingest=event_driven("ingest", ""), load=event_driven("load", "after: ingest\nsuspend: true\n"))
    run_once(world, "ingest")
    assert [(run.state, run.reason) for run in of(world, "load")] == [(RunState.SKIPPED, "suspended")]


def test_a_hold_delays_the_released_run(world: World) -> None:
    world.declare(ingest=event_driven("ingest", ""), load=event_driven("load", "after: ingest\n"))
    with world.store.write() as tx:
        holds.save(tx, Hold(deployment="load", reason="wait", author="me", since=NOW))
    run_once(world, "ingest")
    assert waiting(world) == {"load": "held: wait"}
    with world.store.write() as tx:
        holds.remove(tx, "load")
    assert startable(world) == ["load"]


@pytest.mark.parametrize(
    ("overlap", "states", "startable_runs"),
    [
        ("skip", ["running", "pending", "pending"], 0),
        ("queue", ["running", "pending", "pending"], 0),
        ("allow", ["running", "pending", "pending"], 2),
        ("replace", ["running", "skipped", "pending"], 0),
    ],
)
def test_released_runs_wait_for_each_other(world: World, overlap: str, states: list[str], startable_runs: int) -> None:
    world.declare(ingest=event_driven("ingest", ""), load=event_driven("load", f"after: ingest\noverlap: {overlap}\n"))
    run_once(world, "ingest")
    with world.store.write() as tx:
        runs.move(tx, of(world, "load")[0].id, expect=RunState.PENDING, to=RunState.RUNNING, attempt=1)
    run_once(world, "ingest")
    run_once(world, "ingest")
    assert [run.state.value for run in of(world, "load")] == states
    assert len(startable(world)) == startable_runs


def test_runs_before_the_dependency_was_declared_do_not_count(world: World) -> None:
    both = "after: [a, b]\n"
    world.declare(a=event_driven("a", ""), b=event_driven("b", ""), both=event_driven("both", ""))
    run_once(world, "a")
    world.declare(both=event_driven("both", both))
    run_once(world, "b")
    assert of(world, "both") == []
    world.declare(both=event_driven("both", "after: a\n"))  # b does not count any more
    world.declare(both=event_driven("both", both))
    run_once(world, "a")
    assert of(world, "both") == []
    run_once(world, "b")
    assert len(of(world, "both")) == 1


def test_a_renamed_upstream_keeps_what_counts(world: World) -> None:
    world.declare(a=event_driven("a", ""), b=event_driven("b", ""), both=event_driven("both", "after: [a, b]\n"))
    run_once(world, "a")
    world.declare(a=event_driven("c", "renamed_from: a\n"), both=event_driven("both", "after: [c, b]\n"))
    run_once(world, "b")
    assert len(of(world, "both")) == 1


def test_a_fault_in_one_evaluation_does_not_affect_others(world: World) -> None:
    world.declare(ingest=event_driven("ingest", ""), load=event_driven("load", "after: ingest\n"))
    [first, second] = [trigger(world, "ingest") for _ in range(2)]
    with world.store.write() as tx:  # the first run can't be read
        for run in (first, second):
            runs.move(tx, run.id, expect=RunState.PENDING, to=RunState.SUCCEEDED)
        finished_upstreams.record(tx, [first.id, second.id])
        tx.connection.exec_driver_sql(f"UPDATE runs SET scheduled_for = 'never' WHERE id = '{first.id}'")
    process(world)
    with world.store.read() as tx:
        assert list(finished_upstreams.find(tx, 10).values()) == [first.id]
    with world.store.write() as tx:
        tx.connection.exec_driver_sql("UPDATE runs SET scheduled_for = NULL")
    assert released_by(world, "load") == [[second.id]]
    process(world, everything=True)
    assert released_by(world, "load") == [[second.id], [first.id]]


@pytest.mark.parametrize("kept", ["ingest", "load"])
def test_a_release_is_remembered_until_both_runs_are_deleted(world: World, kept: str) -> None:
    documents = {"ingest": "", "load": "after: ingest\n"}
    short = {name: event_driven(name, f"retention: {{runs: 1}}\n{extra}") for name, extra in documents.items()}
    world.declare(**{**short, kept: event_driven(kept, documents[kept])})
    for _ in range(3):
        run_once(world, "ingest")
        finish(world, of(world, "load")[-1])
    chains = [run.id for run in of(world, "ingest")]
    sweep(world)
    assert {name: len(of(world, name)) for name in ("ingest", "load")} == {"ingest": 1, "load": 1} | {kept: 3}
    assert remembered(world, chains) == chains
    finish(world, retry_run(world.operations, of(world, "ingest")[0].id, author="me"))
    assert len(of(world, "load")) == (1 if kept == "ingest" else 3)
    world.declare(**short)
    sweep(world)
    assert remembered(world, chains) == chains[-1:]


def sweep(world: World) -> None:
    """Delete what is not retained, once the clock has run for long enough."""
    sweeper = Sweeper(world.store, world.clock, world.admission, world.runs_directory)
    world.clock.turn(HOUR)
    sweeper.sweep()
    sweeper.sweep()


def remembered(world: World, chains: Sequence[str]) -> list[str]:
    with world.store.read() as tx:
        found = releases.find_all(tx, [("load", "ingest", chain) for chain in chains])
    return [chain for chain in chains if ("load", "ingest", chain) in found]
