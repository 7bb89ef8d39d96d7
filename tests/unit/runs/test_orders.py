"""The order that a runner gets: the description of the flow, without anything of the controller's machine."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from controller.errors import UsageError
from controller.model.deployments import CommandTarget, Deployment
from controller.model.policies import EnvSecret, FileSecret, Resources
from controller.model.python_environments import PythonRuntime
from controller.model.runs import Attempt, Run, RunId, RunState, Trigger, UpstreamRun
from controller.model.triggers import After, Upstream
from controller.runs.executors.executor import Launchable
from controller.runs.executors.remote.order import LOCK, Order, make_order, read_order, read_python, write_order
from tests.conftest import NOW
from tests.unit.runs.environments import deployment_of

RUN = Run(
    id=RunId("01a20a24-34e0-7000-97e2-82f65b2a00a9"),
    deployment="a",
    file="a.yaml",
    state=RunState.LAUNCHING,
    trigger=Trigger.SCHEDULE,
    scheduled_for=NOW,
    created_at=NOW,
    attempt=1,
    revision="abc",
    spec_digest="d",
    parameters={"region": "eu"},
)
ATTEMPT = Attempt(run_id=RUN.id, number=1, nonce="c0ffee00", boot_id="b", state=RunState.LAUNCHING)
ROOT = "/controller-code-c0ffee00"


def order_of(deployment: Deployment, run: Run = RUN) -> Order:
    launchable = Launchable(run=run, deployment=deployment, root=Path("/export/tree"), pycache=Path("/export/pycache"))
    variables = {"TRACEPARENT": "00"}
    return make_order(
        launchable, ATTEMPT, code="c" * 64, runner="r" * 64, variables=variables, grace=timedelta(seconds=10)
    )


@pytest.mark.parametrize("flow", [["run.sh", "now"], "flows/a.py:main", "package.flows:main"])
def test_an_order_has_no_path_of_the_machine(flow: str | list[str]) -> None:
    deployment = deployment_of(flow, import_paths=("src",), working_directory="flows")
    order = order_of(deployment)["order"]
    assert "/export" not in json.dumps(order)
    assert order["spec"]["cwd"] == f"{ROOT}/flows"
    assert order["code"] == {"digest": "c" * 64, "root": ROOT}
    assert order["spec"]["env"].keys() <= {
        "TRACEPARENT",
        "PYTHONPATH",
        "CONTROLLER_RUN_ID",
        "CONTROLLER_DEPLOYMENT",
        "CONTROLLER_ATTEMPT",
        "CONTROLLER_SCHEDULED_FOR",
        "CONTROLLER_REVISION",
    }


def test_a_flow_is_called_and_a_command_executed() -> None:
    flow, command = order_of(deployment_of("flows/a.py:main"))["order"], order_of(deployment_of(["run.sh"]))["order"]
    assert flow["argv"] is None
    assert (flow["call"]["root"], flow["call"]["path"], flow["call"]["name"]) == (ROOT, "flows/a.py", "main")
    assert "parameters" not in flow["call"]
    assert (command["argv"], command["call"]) == (["run.sh"], None)


def test_limits_and_declared_variables_are_those_of_the_deployment() -> None:
    deployment = replace(
        deployment_of(["true"], env={"REGION": "eu", "TMPDIR": "/scratch"}, timeout=timedelta(minutes=1)),
        target=CommandTarget(argv=("true",), skip_exit_code=99),
        resources=Resources(memory=1 << 30, cpu_seconds=60.0),
    )
    spec = order_of(deployment)["order"]["spec"]
    assert (spec["timeout"], spec["grace"], spec["skip_exit_code"]) == (60.0, 10.0, 99)
    assert spec["resources"] == {"memory": 1 << 30, "cpu_seconds": 60.0, "processes": None}
    assert spec["env"]["REGION"] == "eu"
    assert spec["tmp"] is None
    assert order_of(deployment_of(["true"]))["order"]["spec"]["tmp"] == []


def test_secrets_are_named_and_their_places_stay_here() -> None:
    secrets = {"TOKEN": EnvSecret(env="KEY"), "FILE": FileSecret(file="/etc/secret")}
    order = order_of(deployment_of(["true"], secrets=secrets))
    assert order["order"]["spec"]["secrets"]["TOKEN"] == {"env": "KEY"}
    assert order["order"]["spec"]["secrets"]["FILE"]["missing"] == (
        "the file /etc/secret can't be read on the controller's machine"
    )
    assert order["start"]["secrets"] == {"TOKEN": {"env": "KEY"}, "FILE": {"file": "/etc/secret"}}


def test_upstream_runs_come_with_the_leave_to_start() -> None:
    upstream = UpstreamRun(deployment="b", run_id=RUN.id, due_time=NOW, state=RunState.SUCCEEDED, result=7)
    start = order_of(deployment_of(["true"]), replace(RUN, upstream=(upstream,)))["start"]
    assert start["upstream"]["b"]["result"] == 7
    assert start["upstream"]["b"]["due_time"] == "2026-06-01T12:00:00Z"
    waits = replace(deployment_of(["true"]), after=After(upstreams=(Upstream(deployment="b"),)))
    assert order_of(waits)["start"]["upstream"] == {}
    assert order_of(deployment_of(["true"]))["start"]["upstream"] is None


def test_an_order_is_read_as_it_was_written(tmp_path: Path) -> None:
    order = order_of(deployment_of(["true"]))
    write_order(tmp_path, order)
    assert read_order(tmp_path) == order
    assert (tmp_path / "order.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"order": {}}', b"\xff", b"[" * 100_000])
def test_a_damaged_order_is_none(tmp_path: Path, content: bytes) -> None:
    assert read_order(tmp_path) is None
    (tmp_path / "order.json").write_bytes(content)
    assert read_order(tmp_path) is None


def test_a_node_builds_the_environment_of_the_controller_from_its_lock(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 64)
    directory.mkdir()
    (directory / LOCK).write_text("sums==1.0 --hash=sha256:00\n")
    runtime = PythonRuntime(executable=str(directory / "bin/python"), digest=directory.name, version="3.12.1")
    lock = "sums==1.0 --hash=sha256:00\n"
    order = {"digest": "d" * 64, "requirements": lock, "lock": lock, "version": "3.12", "allows_source_builds": False}
    assert read_python(runtime) == order
    assert read_python(runtime, allows_source_builds=True) == {**order, "allows_source_builds": True}
    assert read_python(None) is None


def test_an_interpreter_of_the_controllers_machine_is_none_of_a_node() -> None:
    runtime = PythonRuntime(executable="/opt/venvs/etl/bin/python", digest="d" * 64)
    with pytest.raises(UsageError, match="a node may not have it"):
        read_python(runtime)
