"""Commands that wait for a run while its controller stops, is killed, or stops as the run finishes."""

import signal
import subprocess
from collections.abc import Callable

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import CONTROLLER, Repository, Running, until

pytestmark = pytest.mark.acceptance


@pytest.fixture
def waiting(repository: Repository) -> Repository:
    script = f"echo here; while [ ! -e {repository.root}/go ]; do sleep 0.05; done"
    repository.write("deployments/waits.yaml", f"name: waits\ncommand: [sh, -c, '{script}']\n")
    repository.commit()
    return repository


def command(repository: Repository, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [CONTROLLER, *arguments, "--repo", repository.address],
        env=repository.machine.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("end", [Running.stop, Running.kill])
def test_a_command_that_waits_reports_that_its_controller_has_ended(
    waiting: Repository, running: Start, end: Callable[[Running], None]
) -> None:
    controller = running(waiting)
    waiting.wait_for_revision(None)
    run = waiting.tell("trigger", "waits")["run_id"]
    waiting.wait_for_output(run)
    with command(waiting, "runs", "watch", run) as watch, command(waiting, "runs", "watch", run, "-o", "json") as wait:
        assert watch.stdout is not None
        assert watch.stdout.readline() == f"{run} running\n"
        end(controller)
        for process in (watch, wait):
            error = process.communicate(timeout=60)[1]
            assert process.returncode == 2
            assert f"No controller is running, and run {run} is running; the next controller continues it" in error
    running(waiting)
    with command(waiting, "runs", "watch", run) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == f"{run} running\n"
        waiting.write("go", "")
        assert (watch.communicate(timeout=60)[0], watch.returncode) == (f"{run} succeeded\n", 0)


def test_a_command_that_waits_reports_a_run_that_finishes_as_its_controller_stops(
    waiting: Repository, running: Start
) -> None:
    controller = running(waiting, "--drain")
    waiting.wait_for_revision(None)
    with command(waiting, "trigger", "waits", "--wait") as wait:
        until(lambda: waiting.count_runs("waits", "running"), "the run to start")
        [run] = waiting.runs("waits")
        controller.process.send_signal(signal.SIGTERM)
        until(lambda: "Waiting for running flows" in controller.output, "the controller to drain")
        waiting.write("go", "")
        assert controller.process.wait(60) == 0
        assert (wait.communicate(timeout=60)[0], wait.returncode) == (f"{run['id']} succeeded\n", 0)
