"""`controller plan` in a repository with environments: every environment that a commit touches is planned."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from controller.app.controller import Controller
from controller.app.stop_signal import StopSignal
from controller.settings import Location, Settings
from tests.conftest import GitRepository, wait_until
from tests.unit.cli.conftest import Command


def declared(name: str, overlay: str = "{prod: {parameters: {n: 2}}}") -> str:
    return f"name: {name}\ncommand: ['true']\nschedule: {{cron: '0 * * * *'}}\nenvironments: {overlay}\n"


@pytest.fixture
def plan(command: Command, repository: GitRepository) -> Callable[..., tuple[int, str]]:
    def call(*arguments: str) -> tuple[int, str]:
        answer = command("plan", "--repo", str(repository.path), "--base", "HEAD~1", *arguments)
        assert not answer.err
        return answer.code, answer.out

    return call


Plan = Callable[..., tuple[int, str]]


def as_json(command: Command, repository: GitRepository, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = command(
        "plan", "--repo", str(repository.path), "--base", "HEAD~1", "-o", "json", *arguments
    ).json
    return found


def test_a_commit_that_changes_only_one_environment_changes_something(
    command: Command, repository: GitRepository, plan: Plan
) -> None:
    repository.commit({"deployments/a.yaml": declared("a"), "deployments/b.yaml": declared("b")})
    repository.commit({"deployments/a.yaml": declared("a", "{prod: {parameters: {n: 3}}}")})
    code, text = plan()
    assert code == 1
    assert "Environment prod: 1 to update, 1 unchanged" in text
    assert "      $.parameters.n: 2 -> 3" in text
    assert "Plan: no changes, 2 unchanged; in prod: 1 to update, 1 unchanged." in text
    assert "#### Environment prod: 1 to update" in plan("-o", "markdown")[1]
    found = as_json(command, repository)
    assert (found["environment"], found["changes"]) == (None, [])
    [prod] = found["environments"]
    assert (prod["name"], [change["deployment"] for change in prod["changes"]]) == ("prod", ["a"])
    chosen = as_json(command, repository, "--environment", "prod")
    assert (chosen["environment"], chosen["environments"]) == ("prod", [])
    assert (chosen["digest"], chosen["changes"]) == (prod["digest"], prod["changes"])


def test_a_change_of_the_defaults_of_one_environment_is_planned_there(repository: GitRepository, plan: Plan) -> None:
    project = "environments:\n  dev: {}\n  prod: {defaults: {timeout: %s}}\n"
    repository.commit({"controller.yaml": project % "1h", "deployments/a.yaml": declared("a", "{}")})
    repository.commit({"controller.yaml": project % "2h"})
    code, text = plan()
    assert (code, "Environment dev" in text) == (1, False)
    assert '      $.timeout: "1h" -> "2h"' in text


def test_the_same_changes_everywhere_are_printed_once(repository: GitRepository, plan: Plan) -> None:
    repository.commit(
        {"controller.yaml": "environments: {dev: {}, prod: {}}\n", "deployments/a.yaml": declared("a", "{}")}
    )
    repository.commit({"deployments/a.yaml": declared("a", "{}").replace("0 *", "5 *")})
    code, text = plan()
    assert (code, text.count("~ update a")) == (1, 1)
    assert "nvironment" not in text


def test_environments_with_the_same_plan_are_shown_together(repository: GitRepository, plan: Plan) -> None:
    both = "{dev: {parameters: {n: %s}}, prod: {parameters: {n: %s}}}"
    repository.commit({"deployments/a.yaml": declared("a", both % (1, 1)), "deployments/b.yaml": declared("b", "{}")})
    repository.commit({"deployments/a.yaml": declared("a", both % (2, 2))})
    text = plan()[1]
    assert "Environments dev, prod: 1 to update, 1 unchanged" in text
    assert text.count("~ update a") == 1


def test_changes_common_to_all_environments_are_not_repeated(repository: GitRepository, plan: Plan) -> None:
    names = ["a", "b", "c"]
    repository.commit({f"deployments/{name}.yaml": declared(name) for name in names})
    repository.commit(
        {
            "deployments/a.yaml": declared("a", "{prod: {parameters: {n: 3}}}"),
            "deployments/b.yaml": "description: new\n" + declared("b"),
        }
    )
    text = plan()[1]
    assert (text.count("~ update a"), text.count("~ update b")) == (1, 1)
    assert "  1 more change as above" in text
    assert "  1 more change as above".strip() in plan("-o", "markdown")[1]


def test_an_error_in_one_environment_is_planned_there(repository: GitRepository, plan: Plan) -> None:
    repository.commit({"deployments/a.yaml": declared("a")})
    repository.commit({"deployments/a.yaml": declared("a", "{prod: {timeout: soon}}")})
    code, text = plan()
    assert code == 1
    assert "Environment prod: 0 unchanged, 1 invalid" in text
    assert "  ! deployments/a.yaml:4:" in text


def test_a_newly_declared_environment_is_compared_with_no_environment(repository: GitRepository, plan: Plan) -> None:
    repository.commit({"deployments/a.yaml": declared("a", "{}"), "deployments/b.yaml": declared("b", "{}")})
    repository.commit({"deployments/a.yaml": declared("a", "{prod: {timeout: 1h}}")})
    code, text = plan()
    assert (code, "Environment prod: 1 to update, 1 unchanged" in text) == (1, True)


def test_an_environment_that_is_no_longer_declared_keeps_its_deployments(repository: GitRepository, plan: Plan) -> None:
    repository.commit({"deployments/a.yaml": declared("a")})
    repository.commit({"deployments/a.yaml": declared("a", "{}")})
    code, text = plan()
    assert code == 1
    assert "environment prod is declared neither" in text
    assert "- delete" not in text


def test_many_environments_still_fit_into_a_comment(repository: GitRepository, plan: Plan) -> None:
    def overlays(value: int) -> str:
        return "{" + ", ".join(f"e{i}: {{description: '{value}{i}{'w' * 200}'}}" for i in range(8)) + "}"

    repository.commit({f"deployments/d{i}.yaml": declared(f"d{i}", overlays(1)) for i in range(100)})
    repository.commit({f"deployments/d{i}.yaml": declared(f"d{i}", overlays(2)) for i in range(100)})
    assert len(plan("-o", "markdown")[1]) < 65_536


def test_a_printed_digest_is_approved_by_the_controller_of_that_environment(
    command: Command, repository: GitRepository
) -> None:
    names = [f"d{number}" for number in range(8)]
    repository.commit({f"deployments/{name}.yaml": declared(name) for name in names})
    location = Location(
        repo=repository.path,
        path="deployments",
        ref=None,
        state_dir=repository.path / ".controller",
        environment="prod",
    )
    controller = Controller(Settings(location=location, grace=timedelta(seconds=0.3)), StopSignal())
    controller.start()
    try:
        where = ("--repo", str(repository.path))
        wait_until(lambda: command("deployments", "show", "d7", *where).code == 0)
        for name in names[:7]:
            (repository.path / f"deployments/{name}.yaml").unlink()
        repository.commit()
        found = as_json(command, repository)
        [prod] = found["environments"]
        text = command("plan", *where, "--base", "HEAD~1").out
        assert f"To approve them in prod: controller approve {prod['withheld']['digest']}" in text
        assert f"them outside of all environments: controller approve {found['withheld']['digest']}" in text
        assert prod["withheld"]["digest"] != found["withheld"]["digest"]
        command("reconcile", "--wait", *where)
        assert command("approve", found["withheld"]["digest"], *where).code == 2
        assert command("approve", prod["withheld"]["digest"], *where).code == 0
        rows = command("deployments", "list", "-o", "json", *where).json
        assert [row["name"] for row in rows] == ["d7"]
    finally:
        controller.stop()


def test_deleting_a_flow_that_only_an_overlay_names_is_an_error_there(repository: GitRepository, plan: Plan) -> None:
    flow = "def main():\n    pass\n"
    text = "name: a\nflow: flows/a.py:main\nenvironments: {prod: {flow: 'flows/live.py:main'}}\n"
    repository.commit({"deployments/a.yaml": text, "flows/a.py": flow, "flows/live.py": flow})
    (repository.path / "flows/live.py").unlink()
    repository.commit()
    code, said = plan()
    assert (code, "Environment prod: 0 unchanged, 1 invalid" in said) == (1, True)
    assert "file flows/live.py does not exist" in said
