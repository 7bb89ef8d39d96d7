"""Parameters that refer to the id of the run, its revision and the operator's environment variables."""

from typing import Any

import pytest

from controller.errors import UsageError
from controller.manifests.run_references import NO_VARIABLES, Variables
from controller.model.backfills import CodeVersion, Redo
from controller.model.runs import Run, RunState, Trigger
from controller.operations.backfills import BackfillRequest, create_backfill
from controller.operations.retry import retry_run
from controller.operations.trigger import trigger_run
from controller.store import gates, inventory
from tests.conftest import NOW
from tests.unit.runs.conftest import World
from tests.unit.runs.upstreams import HOUR, deployment, due, finish, ledger, of, process, startable

pytestmark = pytest.mark.parametrize("start", ["cold"])

REFERENCES = "{id: {from: run.id}, of: [{from: revision}, {from: env.REGION}]}"
NAMED = f"run_name: 'load-{{region}}'\nparameters: {{region: {{from: env.REGION}}, all: {REFERENCES}}}\n"
ALLOWED = Variables({"REGION": "eu"}, ("REGION",))
NOT_ALLOWED = (
    "not launched: parameter region: 'env.REGION': the operator does not allow this variable; "
    "start the controller with --parameter-env REGION"
)
NOT_SET = (
    "not launched: parameter region: 'env.REGION': this variable is not set; "
    "set REGION in the environment of the controller"
)


def values_of(run: Run) -> dict[str, Any]:
    return {"region": "eu", "all": {"id": run.id, "of": [run.revision, "eu"]}}


def trigger(world: World, name: str, **parameters: object) -> Run:
    return trigger_run(world.operations, name, parameters, author="me")


def is_failed(run: Run, reason: str = NOT_ALLOWED) -> bool:
    return (run.state, run.reason, run.attempt) == (RunState.FAILED, reason, 0)


def test_each_run_records_its_own_values(world: World) -> None:
    world.variables = ALLOWED
    world.declare(a=deployment("a", NAMED))
    world.clock.turn(HOUR)
    [scheduled] = due(world, "a")
    requested = trigger(world, "a")
    with world.store.write() as tx:
        [event] = world.admission.event_runs(tx, inventory.entries(tx)["a"], Trigger.WEBHOOK, [({"n": 1}, None)])
    for run in (scheduled, requested):
        assert (run.parameters, run.name) == (values_of(run), "load-eu")
    assert event.parameters == {**values_of(event), "n": 1}
    assert len({scheduled.id, requested.id, event.id}) == 3


@pytest.mark.parametrize(
    ("variables", "reason"), [(NO_VARIABLES, NOT_ALLOWED), (Variables({"X": "1"}, ("REGION",)), NOT_SET)]
)
def test_a_run_without_the_value_of_a_variable_fails_with_the_reason(
    world: World, variables: Variables, reason: str
) -> None:
    world.variables = variables
    world.declare(a=deployment("a", f"retries: 2\n{NAMED}"))
    world.clock.turn(HOUR)
    due(world, "a")
    with world.store.write() as tx:
        world.admission.event_runs(tx, inventory.entries(tx)["a"], Trigger.WEBHOOK, [({}, None)])
        both = world.admission.event_runs(
            tx, inventory.entries(tx)["a"], Trigger.WEBHOOK, [({"region": "us", "all": 1}, None), ({}, None)]
        )
    assert [is_failed(run, reason) for run in of(world, "a")] == [True, True, False, True]
    assert startable(world) == ["a"]
    assert both[0].parameters == {"region": "us", "all": 1}
    assert [row.run_id for row in ledger(world, "a")] == [of(world, "a")[0].id]
    world.variables = ALLOWED
    world.clock.turn(HOUR)
    finish(world, both[0])
    [later] = due(world, "a")
    assert later.parameters == values_of(later)


def test_a_request_for_a_run_without_the_value_of_a_variable_is_refused(world: World) -> None:
    world.declare(a=deployment("a", NAMED))
    with pytest.raises(UsageError, match=r"^Parameter region: 'env\.REGION': the operator does not allow") as caught:
        trigger(world, "a")
    assert caught.value.hint == "Start the controller with --parameter-env REGION, or pass a value for it."
    assert of(world, "a") == []
    assert trigger(world, "a", region="us", all=None).parameters == {"region": "us", "all": None}
    with pytest.raises(UsageError, match=r"^Parameter x: 'env\.HOME': the operator does not allow"):
        trigger(world, "a", region="us", all=None, x={"from": "env.HOME"})


def test_a_retry_uses_the_recorded_values_and_one_with_the_latest_code_new_ones(world: World) -> None:
    world.variables = ALLOWED
    world.declare(a=deployment("a", NAMED))
    first = finish(world, trigger(world, "a"), RunState.FAILED)
    retry = retry_run(world.operations, first.id, author="me")
    assert (retry.parameters, retry.name) == (first.parameters, "load-eu")
    finish(world, retry, RunState.FAILED)
    latest = retry_run(world.operations, retry.id, latest=True, author="me")
    assert latest.parameters == values_of(latest)


@pytest.mark.parametrize("latest", [False, True])
def test_a_retry_of_a_run_without_a_value_gets_it_when_there_is_one(world: World, latest: bool) -> None:
    world.declare(a=deployment("a", NAMED))
    world.clock.turn(HOUR)
    due(world, "a")
    [failed] = of(world, "a")
    with pytest.raises(UsageError, match="the operator does not allow"):
        retry_run(world.operations, failed.id, latest=latest, author="me")
    world.variables = ALLOWED
    retry = retry_run(world.operations, failed.id, latest=latest, author="me")
    assert retry.parameters == values_of(retry if latest else failed)
    assert retry.name == "load-eu"


@pytest.mark.parametrize("code", [CodeVersion.LATEST, CodeVersion.ORIGINAL])
def test_a_backfill_records_the_values_of_each_run(world: World, code: CodeVersion) -> None:
    world.variables = ALLOWED
    world.declare(a=deployment("a", NAMED))
    world.clock.turn(HOUR)
    first = finish(world, due(world, "a")[0], RunState.FAILED)
    world.declare(a=deployment("a", f"{NAMED}tags: [new]\n"))
    own = {"own": {"from": "run.id"}, "commit": {"from": "revision"}}
    request = BackfillRequest(deployment="a", since=NOW, until=NOW + HOUR, redo=Redo.FAILED, code=code, parameters=own)
    create_backfill(world.operations, request, author="me")
    run = of(world, "a")[-1]
    assert run.id != first.id
    recorded = first if code is CodeVersion.ORIGINAL else run
    assert run.revision == recorded.revision
    assert run.parameters == {**values_of(recorded), "own": run.id, "commit": run.revision}


def test_a_backfill_without_the_value_of_a_variable_has_failed_runs(world: World) -> None:
    world.declare(a=deployment("a", NAMED))
    world.clock.turn(2 * HOUR)
    request = BackfillRequest(deployment="a", since=NOW, until=NOW + 2 * HOUR)
    create_backfill(world.operations, request, author="me")
    made = of(world, "a")
    assert len(made) > 0
    assert all(is_failed(run) for run in made)


def test_a_gated_run_without_the_value_of_a_variable_fails_and_waits_for_nothing(world: World) -> None:
    world.declare(up=deployment("up"), a=deployment("a", f"after: up\n{NAMED}"))
    world.clock.turn(HOUR)
    due(world, "up", "a")
    [run] = of(world, "a")
    assert is_failed(run)
    with world.store.read() as tx:
        assert gates.find_waiting(tx) == []
    finish(world, of(world, "up")[0])
    process(world, everything=True)
    assert of(world, "a") == [run]
    world.variables = ALLOWED
    retry = retry_run(world.operations, run.id, author="me")
    assert (retry.parameters, len(retry.upstream)) == (values_of(run), 1)


def test_a_due_time_that_is_run_again_without_the_value_of_a_variable_fails(world: World) -> None:
    world.variables = ALLOWED
    world.declare(up=deployment("up"), a=deployment("a", f"after: {{deployment: up, on_redo: run}}\n{NAMED}"))
    world.clock.turn(HOUR)
    due(world, "up", "a")
    finish(world, of(world, "up")[0])
    finish(world, of(world, "a")[0])
    world.variables = NO_VARIABLES
    finish(world, trigger_run(world.operations, "up", {}, due_time=NOW + HOUR, author="me"))
    process(world, everything=True)
    assert [run.state for run in of(world, "a")] == [RunState.SUCCEEDED, RunState.FAILED]
    assert is_failed(of(world, "a")[-1])


@pytest.mark.parametrize("variables", [ALLOWED, NO_VARIABLES])
def test_a_run_that_an_upstream_run_releases_gets_the_values(world: World, variables: Variables) -> None:
    world.variables = variables
    more = "after: up\n" + NAMED.replace("region:", "n: {from: up.result}, region:", 1)
    world.declare(up=deployment("up", schedule=""), a=deployment("a", more, schedule=""))
    data = {"from": "env.REGION"}
    finish(world, trigger(world, "up"), result=data)
    [run] = of(world, "a")
    if variables is NO_VARIABLES:
        assert is_failed(run)
    else:
        assert run.parameters == {**values_of(run), "n": data}, "a result is data, also if it looks like a reference"


def test_the_deployments_of_a_matrix_get_the_values(world: World) -> None:
    matrix = "matrix: {tier: [x, y]}\nparameters: {id: {from: run.id}, tier: {from: matrix.tier}}\n"
    world.declare(a=deployment("a-{tier}", matrix))
    world.clock.turn(HOUR)
    made = due(world, "a-x", "a-y")
    assert [run.parameters for run in made] == [
        {"id": run.id, "tier": tier} for run, tier in zip(made, "xy", strict=True)
    ]
