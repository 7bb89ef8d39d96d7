"""The seed's tutorial: a function, a YAML file beside it, a commit, a trigger."""

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository

pytestmark = pytest.mark.acceptance


@pytest.fixture
def tutorial(repository: Repository) -> Repository:
    """`my_flow.py` and its deployment in a file beside it, committed."""
    repository.write(
        "deployments/my_flow.py",
        """
        from typing import List


        def calculator(nums: List[int]) -> int:
            return sum(nums)
        """,
    )
    repository.write(
        "deployments/my_deployment.yaml",
        """
        name: my-first-deployment
        flow_location: ./my_flow.py
        flow_name: calculator
        parameters:
          nums: [1, 2, 3, 4]
        """,
    )
    repository.commit("Add my first deployment")
    return repository


@pytest.mark.parametrize("commands", [None], ids=["installed script"])
def test_the_tutorial_deployment_runs_by_name(tutorial: Repository, running: Start) -> None:
    running(tutorial)
    tutorial.wait_for_revision(None)

    answer = tutorial.ask("trigger", "my-first-deployment", "--wait", "-o", "json")
    assert answer.code == 0
    run = answer.json()
    assert (run["state"], run["result"], run["trigger"]) == ("succeeded", 10, "manual")
    assert run["parameters"] == {"nums": [1, 2, 3, 4]}
    assert run["scheduled_for"] is None
    assert tutorial.tell("runs", "show", run["run_id"])["result"] == 10

    other = tutorial.ask("trigger", "my-first-deployment", "--wait", "-o", "json", "--param", "nums=[5,6]").json()
    assert (other["state"], other["result"]) == ("succeeded", 11)
    whole = tutorial.trigger("my-first-deployment", "--params", '{"nums": [7]}')
    assert whole["result"] == 7

    same = [tutorial.tell("trigger", "my-first-deployment", "--idempotency-key", "monday")["run_id"] for _ in "ab"]
    assert same[0] == same[1]
    assert len(tutorial.runs("my-first-deployment")) == 4


def test_trigger_explains_why_a_deployment_cannot_run(tutorial: Repository, running: Start) -> None:
    alone = tutorial.ask("trigger", "my-first-deployment")
    assert alone.code == 2
    assert "`controller run`" in alone.err
    assert alone.out == ""

    controller = running(tutorial)
    tutorial.wait_for_revision(None)
    unknown = tutorial.ask("trigger", "my-frist-deployment", "--wait")
    assert unknown.code == 2
    assert "my-frist-deployment" in unknown.err
    assert "Did you mean my-first-deployment?" in unknown.err

    broken = tutorial.ask("trigger", "my-first-deployment", "--params", "[1]")
    assert broken.code == 2
    assert "JSON object" in broken.err
    misspelt = tutorial.ask("trigger", "my-first-deployment", "--wait", "--param", "number=1")
    assert misspelt.code == 2
    assert "no parameter number" in misspelt.err
    assert tutorial.runs("my-first-deployment") == []

    controller.stop()
    stopped = tutorial.ask("trigger", "my-first-deployment")
    assert stopped.code == 2
    assert "No controller is running" in stopped.err
