"""`run --drain`: after SIGTERM the controller waits for running flows and launches nothing; a second signal ends it."""

import signal

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, until

pytestmark = pytest.mark.acceptance

WAITING = """
- name: waits
  command: [sh, -c, 'echo here; while [ ! -e go ]; do sleep 0.05; done']
  working_directory: .
- {name: other, command: ['true']}
"""


@pytest.fixture
def waiting(repository: Repository) -> Repository:
    repository.write("deployments/all.yaml", WAITING.replace("-e go", f"-e {repository.root}/go"))
    repository.commit()
    return repository


def test_draining_waits_for_running_flows_and_launches_nothing(waiting: Repository, running: Start) -> None:
    controller = running(waiting, "--drain", "--max-running", "1")
    waiting.wait_for_revision(None)
    first = waiting.tell("trigger", "waits")["run_id"]
    waiting.wait_for_output(first)
    second = waiting.tell("trigger", "other")["run_id"]
    controller.process.send_signal(signal.SIGTERM)
    until(lambda: "Waiting for running flows" in controller.output, "the controller to drain")
    assert controller.process.poll() is None
    late = waiting.ask("trigger", "other")
    assert (late.code, late.out.split()[1]) == (0, "pending")
    assert late.err == "The controller is stopping and starts no more runs; the next controller will start this run.\n"
    waiting.write("go", "")
    until(lambda: controller.process.poll() is not None, "the controller to end")
    assert controller.process.returncode == 0
    states = {run["id"]: run["state"] for run in waiting.tell("runs", "list")}
    assert states == {first: "succeeded", second: "pending", late.out.split()[0]: "pending"}


def test_a_second_signal_ends_the_controller_without_waiting(waiting: Repository, running: Start) -> None:
    controller = running(waiting, "--drain")
    waiting.wait_for_revision(None)
    run = waiting.tell("trigger", "waits")["run_id"]
    waiting.wait_for_output(run)
    controller.process.send_signal(signal.SIGTERM)
    until(lambda: "Waiting for running flows" in controller.output, "the controller to drain")
    controller.stop()
    assert waiting.tell("runs", "show", run)["state"] == "running"
    waiting.write("go", "")
    running(waiting)
    assert waiting.wait_for_end(run)["state"] == "succeeded"
