"""The upstream runs that a flow and a command get from a real controller."""

import json

import pytest

from controller.model.runs import RunState, Trigger
from controller.runs.executors.local.users import find_user, grant_traversal
from controller.store import inventory, runs
from tests.conftest import wait_until
from tests.unit.runs.conftest import World, one_start
from tests.unit.runs.test_users import NOBODY, needs_root
from tests.unit.runs.test_users import tmp_path as tmp_path  # one that another user can get to
from tests.unit.runs.upstreams import of

pytestmark = pytest.mark.integration

FLOWS = """
from controller import get_run_context, flow

def ingest():
    return {"path": "/data/a", "rows": 3}

@flow
def load(path):
    upstream = get_run_context().upstream["ingest"]
    return [path, upstream.deployment, upstream.run_id, upstream.due_time, upstream.state, upstream.result["rows"]]
"""
PARAMETERS = "parameters: {path: {from: ingest.result.path}}\n"
COMMAND = (
    "command: [sh, -c, 'cat $CONTROLLER_UPSTREAM $CONTROLLER_PARAMETERS_FILE; stat -c %U:%a $CONTROLLER_UPSTREAM']\n"
)


def test_a_flow_and_a_command_get_the_upstream_run(world: World) -> None:
    world.write("flows/a.py", FLOWS)
    world.declare(
        ingest="name: ingest\nflow: flows/a.py:ingest\n",
        load=f"name: load\nflow: flows/a.py:load\nafter: ingest\n{PARAMETERS}",
        shell=f"name: shell\n{COMMAND}after: ingest\n{PARAMETERS}",
    )
    world.start()
    ingest = world.run("ingest")
    wait_until(lambda: len(of(world, "load") + of(world, "shell")) == 2)
    [load], [shell] = of(world, "load"), of(world, "shell")
    assert world.wait(load).result == ["/data/a", "ingest", ingest.id, None, "succeeded", 3]
    assert world.wait(shell).state is RunState.SUCCEEDED
    upstream, end = json.JSONDecoder().raw_decode(world.log(shell))
    assert upstream == {
        "ingest": {
            "run_id": ingest.id,
            "due_time": None,
            "state": "succeeded",
            "result": {"path": "/data/a", "rows": 3},
        }
    }
    assert world.log(shell)[end:].startswith('{"path": "/data/a"}')


@one_start
def test_a_run_starts_the_next_ones_without_waiting_for_a_tick(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.runs.engine.TICK_SECONDS", 3600.0)
    world.declare(
        ingest="name: ingest\ncommand: ['true']\n",
        shell="name: shell\ncommand: ['true']\nafter: ingest\n",
        refused="name: refused\ncommand: ['true']\nafter: shell\nsecrets: {A: {env: NOT_SET}}\n",
        alert="name: alert\ncommand: ['true']\nafter: {deployment: refused, on: failed}\n",
    )
    world.start()
    for count in range(1, 4):
        world.run("ingest")
        wait_until(lambda: len(of(world, "alert")) == count)  # noqa: B023 (called before the next round)


@one_start
def test_a_run_without_its_upstream_run_is_not_launched(world: World) -> None:
    gated = f"{COMMAND}after: ingest\n{PARAMETERS}schedule: {{cron: '0 0 1 1 *'}}\n"
    world.declare(ingest="name: ingest\ncommand: ['true']\n", shell=f"name: shell\n{gated}")
    with world.store.write() as tx:
        entry = inventory.find(tx, "shell")
        assert entry is not None
        unreleased = world.admission.triggered_run(tx, entry, Trigger.UPSTREAM)
        runs.insert_all(tx, [unreleased])
    world.start()
    reference = "parameter path: 'ingest.result.path': this run has no upstream run of ingest"
    assert world.wait(unreleased).reason == f"not launched: {reference}"


@needs_root
def test_only_the_user_of_the_flow_can_read_the_upstream_runs(world: World) -> None:
    user = find_user(NOBODY)
    world.declare(ingest="name: ingest\ncommand: ['true']\n", shell=f"name: shell\n{COMMAND}after: ingest\n")
    grant_traversal(user, world.state, world.runs_directory)
    world.start(user=user, base=user.environment)
    world.run("ingest")
    wait_until(lambda: bool(of(world, "shell")))
    run = world.wait(of(world, "shell")[0])
    assert run.state is RunState.SUCCEEDED, world.log(run)
    assert world.log(run).splitlines()[-1].endswith(f"{NOBODY}:600")
