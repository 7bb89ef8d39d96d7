"""`controller plan` executes no Python spec, and says which specs change, so that it never hides their deployments."""

from collections.abc import Callable

import pytest

from tests.conftest import GitRepository
from tests.unit.cli.conftest import Answer, Command

SPEC = "from controller import DeploymentSpec\nDeploymentSpec(name='a', command=['true'], tags=['{}'])\n"
WHY = "its deployments are not compared, because plan executes no specs"

Plan = Callable[..., Answer]


@pytest.fixture
def plan(command: Command, repository: GitRepository) -> Plan:
    repository.commit({"deployments/a.py": SPEC.format(1), "deployments/b.yaml": "name: b\ncommand: ['true']\n"})
    return lambda *arguments: command("plan", "--repo", str(repository.path), *arguments)


def test_a_changed_spec_is_a_change(repository: GitRepository, plan: Plan) -> None:
    repository.commit({"deployments/a.py": SPEC.format(2), "deployments/lib.py": "X = 1\n"})
    answer = plan("--base", "HEAD~1")
    assert answer.code == 1
    assert answer.out.startswith(f"! Python spec deployments/a.py changed: {WHY}\n")
    assert "Plan: 1 Python spec changed, 1 unchanged." in answer.out
    assert "Python spec deployments/a.py changed" in plan("--base", "HEAD~1", "-o", "markdown").out.replace("\\", "")
    report = plan("--base", "HEAD~1", "-o", "json").json
    assert (report["specs"], report["environments"]) == ([{"action": "changed", "file": "deployments/a.py"}], [])
    assert plan("--base", "HEAD").code == 0


def test_a_spec_that_is_moved_is_added_and_removed(repository: GitRepository, plan: Plan) -> None:
    repository.git("mv", "deployments/a.py", "deployments/c.py")
    repository.commit({})
    specs = plan("--base", "HEAD~1", "-o", "json").json["specs"]
    assert specs == [
        {"action": "removed", "file": "deployments/a.py"},
        {"action": "added", "file": "deployments/c.py"},
    ]


def test_an_active_deployment_of_an_unchanged_spec_is_unchanged(
    command: Command, repository: GitRepository, plan: Plan
) -> None:
    command("run", "--once", "--listen", "none", "--repo", str(repository.path))
    answer = plan()
    assert (answer.code, answer.out.splitlines()[0]) == (0, "Plan: no changes, 2 unchanged.")
    repository.commit({"deployments/a.py": SPEC.format(2), "deployments/n.py": SPEC.replace("'a'", "'n'")})
    lines = plan().out.splitlines()
    assert lines[:2] == [
        f"! Python spec deployments/a.py changed: {WHY}",
        f"! Python spec deployments/n.py added: {WHY}",
    ]
    assert "Plan: 2 Python specs changed, 1 unchanged." in lines


@pytest.mark.parametrize("arguments", [("execute", "a"), ("render", "a"), ("next", "a"), ("graph", "a")])
def test_a_name_that_a_spec_may_declare_names_the_spec(
    command: Command, repository: GitRepository, plan: Plan, arguments: tuple[str, str]
) -> None:
    assert plan("--base", "HEAD").code == 0
    answer = command(*arguments, "--repo", str(repository.path))
    assert answer.code == 2
    assert "deployments/a.py was not executed" in answer.err
