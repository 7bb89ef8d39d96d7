"""A controller that starts with a copy of a state directory leaves the running flows to the original."""

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, processes, until

pytestmark = pytest.mark.acceptance

COPIED = "outcome unknown: this state directory is a copy, and the flow was started from the original"


def test_a_copied_state_does_not_affect_the_flows_of_the_original(repository: Repository, running: Start) -> None:
    repository.write("flows/rest.py", "import time\n\ndef rest():\n    print('up')\n    time.sleep(600)\n")
    repository.write("deployments/python.yaml", "name: python\nflow: flows/rest.py:rest\n")
    repository.write("deployments/shell.yaml", "name: shell\ncommand: [sh, -c, 'echo up; sleep 600']\n")
    repository.commit()
    first = running(repository)
    repository.wait_for_revision(None)
    runs = [repository.ask("trigger", name, "-o", "json").json()["run_id"] for name in ("python", "shell")]
    for run in runs:
        assert repository.wait_for_output(run) == ["up"]
    first.stop()
    marks = tuple(f"CONTROLLER_RUN_ID={run}" for run in runs)
    before = processes(marks)
    assert len(before) >= 3
    elsewhere = repository.root.parent / "copy"
    repository.machine.run("cp", "-a", str(repository.state), str(elsewhere))
    second = running(repository, "--state-dir", str(elsewhere))

    def told() -> list[tuple[str, str]]:
        answer = repository.ask("runs", "list", "--state", "crashed", "-o", "json", CONTROLLER_STATE_DIR=str(elsewhere))
        return [(run["id"], run["reason"]) for run in answer.json()]

    until(lambda: len(told()) == 2, "a verdict on both copied runs")
    assert sorted(told()) == sorted((run, COPIED) for run in runs)
    second.stop()
    assert processes(marks) == before
    running(repository)
    for run in runs:
        assert repository.tell("runs", "show", run)["state"] == "running"
        assert repository.ask("runs", "cancel", run).code == 0
        assert repository.wait_for_end(run)["state"] == "cancelled"
