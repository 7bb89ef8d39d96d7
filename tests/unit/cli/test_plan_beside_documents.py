"""`controller plan` of a commit that changes no document: queues, the project, and code are changes too."""

from collections.abc import Callable

import pytest

from controller.cli.main import run
from tests.conftest import GitRepository
from tests.unit.cli.conftest import Command

FLOW = "def main():\n    pass\n"
FILES = {
    "controller.yaml": "queues: {x: {limit: 2}, old: {limit: 4}}\n",
    "deployments/load.yaml": "name: load-orders\nflow: flows/load.py:main\n",
    "deployments/idle.yaml": "name: idle\ncommand: [sh, run.sh]\n",
    "flows/load.py": f"from lib import heavy\n{FLOW}",
    "lib/heavy.py": "X = 1\n",
    "run.sh": "true\n",
}

Plan = Callable[..., tuple[int, str]]


@pytest.fixture
def plan(command: Command, repository: GitRepository) -> Plan:
    repository.commit(FILES)

    def call(*arguments: str) -> tuple[int, str]:
        answer = command("plan", "--repo", str(repository.path), *(arguments or ("--base", "HEAD~1")))
        assert not answer.err
        return answer.code, answer.out

    return call


def test_the_limit_of_a_queue_is_a_change(command: Command, repository: GitRepository, plan: Plan) -> None:
    repository.commit({"controller.yaml": "queues: {x: {limit: 1}, new: {limit: 3}}\n"})
    code, text = plan()
    assert code == 1
    assert text.startswith(
        "~ queue new: added, limit 3\n~ queue old: removed\n~ queue x: 2 → 1\n\nPlan: 3 queues changed, 2 unchanged."
    )
    found = command("plan", "--repo", str(repository.path), "--base", "HEAD~1", "-o", "json").json
    assert found["queues"] == [
        {"action": "added", "queue": "new", "before": None, "after": 3},
        {"action": "removed", "queue": "old", "before": 4, "after": None},
        {"action": "changed", "queue": "x", "before": 2, "after": 1},
    ]
    assert (found["changes"], found["summary"]["unchanged"]) == ([], 2)
    assert "~ queue x: 2 → 1" in plan("--base", "HEAD~1", "-o", "markdown")[1]


def test_changed_defaults_are_planned_and_changed_comments_are_not(repository: GitRepository, plan: Plan) -> None:
    repository.commit({"controller.yaml": FILES["controller.yaml"] + "# a comment\n"})
    assert plan()[0] == 0
    repository.commit({"controller.yaml": FILES["controller.yaml"] + "project: sales\ndefaults: {priority: 0}\n"})
    code, text = plan()
    assert code == 1
    assert '~ controller.yaml $.project: not set -> "sales"' in text
    assert "~ controller.yaml $.defaults: not set -> " in text


def test_the_code_of_a_flow_is_a_change(command: Command, repository: GitRepository, plan: Plan) -> None:
    repository.commit({"lib/heavy.py": "X = 2\n", "README": "x\n"})
    code, text = plan()
    assert (code, text.splitlines()[0]) == (1, "~ code of load-orders changed: lib/heavy.py")
    found = command("plan", "--repo", str(repository.path), "--base", "HEAD~1", "-o", "json").json
    assert found["code"] == [{"deployment": "load-orders", "files": ["lib/heavy.py"]}]
    repository.commit({"README": "y\n"})
    assert plan()[0] == 0


def test_deployments_with_the_same_changed_code_are_named_together(repository: GitRepository, plan: Plan) -> None:
    names = [f"d{number:02}" for number in range(30)]
    repository.commit({f"deployments/{name}.yaml": f"name: {name}\ncommand: [sh, run.sh]\n" for name in names})
    repository.commit({"run.sh": "false\n"})
    [line] = [line for line in plan()[1].splitlines() if "code of" in line]
    assert line == f"~ code of {', '.join(names[:10])} and 21 more changed: run.sh"


def test_a_plan_against_the_applied_state_includes_queues_and_code(repository: GitRepository, plan: Plan) -> None:
    assert run(["run", "--once", "--repo", str(repository.path)]) == 0
    assert plan("--head", "HEAD")[0] == 0
    repository.commit({"controller.yaml": "queues: {x: {limit: 1}, old: {limit: 4}}\n", "lib/heavy.py": "X = 2\n"})
    code, text = plan("--head", "HEAD")
    assert (code, text.splitlines()[:2]) == (
        1,
        ["~ queue x: 2 → 1", "~ code of load-orders changed: lib/heavy.py"],
    )
