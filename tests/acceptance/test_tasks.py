"""Flows of tasks, declared in Python: the tree of what ran is the same whether or not the controller was killed."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, until

pytestmark = pytest.mark.acceptance

FLOW = """
import os
import threading
from pathlib import Path
from controller import flow, task

tries = {}
lock = threading.Lock()


@task(retries=1)
def step(number: int) -> int:
    with lock:
        tries[number] = tries.get(number, 0) + 1
    if number % 50 == 0 and tries[number] == 1:
        raise OSError("away")
    if number == 99:
        raise ValueError("no such row")
    return number


@task
def wait(gate: str) -> None:
    Path(gate + ".reached").touch()
    while not os.path.exists(gate):
        os.stat(".")


@flow(concurrency=8)
def main(gate: str) -> int:
    first = step.map(range(100))
    waited = wait.submit(gate)
    second = step.map(range(100, 200), wait_for=[waited])
    return sum(one.result() for one in (*first[:99], *second))
"""
SPEC = """
from controller import DeploymentSpec
from flows.many import main

DeploymentSpec(name="many", flow=main, parameters={{"gate": "{gate}"}}, tags=["python"])
"""


@pytest.mark.parametrize("is_killed", [False, True])
def test_two_hundred_tasks_run_on_eight_threads(
    repository: Repository, running: Start, tmp_path: Path, *, is_killed: bool
) -> None:
    gate = tmp_path / "gate"
    repository.write("flows/many.py", FLOW)
    repository.write("deployments/many.py", SPEC.format(gate=gate))
    repository.commit()
    controller = running(repository)
    repository.wait_for_revision(None)
    run_id = repository.tell("trigger", "many")["run_id"]
    until(gate.with_name("gate.reached").exists, "the flow to be in the middle")
    during = until(lambda: begun(repository, run_id), "what the flow tells to be on disk")
    assert (during["state"], during["tasks"][0]["state"]) == ("running", "running")
    if is_killed:
        controller.kill()
    gate.touch()
    if is_killed:
        running(repository)
    run = until(lambda: ended(repository, run_id), "the run to end")
    assert run["state"] == "failed"
    assert run["reason"].startswith("step-100: ValueError: no such row")
    main, *tasks = run["tasks"]
    assert (main["label"], main["state"], main["parent"]) == ("main-1", "failed", None)
    assert {one["parent"] for one in tasks} == {main["id"]}
    steps = [one for one in tasks if one["name"] == "step"]
    assert Counter((one["state"], one["attempt"]) for one in steps) == {
        ("succeeded", 1): 195,
        ("succeeded", 2): 4,
        ("failed", 2): 1,
    }
    shown = repository.ask("runs", "show", run_id).out
    assert "step-100 failed" in shown
    assert "more step succeeded" in shown


def begun(repository: Repository, run_id: str) -> Any:
    found = repository.tell("runs", "show", run_id)
    return found if found["tasks"] else None


def ended(repository: Repository, run_id: str) -> Any:
    found = repository.tell("runs", "show", run_id)
    return found if found["finished_at"] is not None else None
