"""`controller plan` shows what starts or holds back what, before and after, and warns about changed upstreams."""

from pathlib import Path

import pytest

from tests.conftest import GitRepository, new_repository
from tests.unit.cli.conftest import Command

INGEST = "name: ingest\ncommand: ['true']\nschedule: {interval: 1h}\n"
REPORT = "name: report\ncommand: ['true']\nschedule: {interval: 1d}\n"
ALERT = "name: alert\ncommand: ['true']\n"


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    """A commit in which `report` waits for `ingest`, and `alert` starts when it has failed."""
    repository = new_repository(tmp_path / "r")
    files = {"ingest": INGEST, "report": REPORT + "after: ingest\n"}
    files["alert"] = ALERT + "after: {deployment: ingest, on: failed}\n"
    repository.commit({f"deployments/{name}.yaml": text for name, text in files.items()})
    return repository


def plan(command: Command, repository: GitRepository, *arguments: str) -> list[str]:
    answer = command("plan", "--repo", str(repository.path), "--base", "HEAD~1", *arguments)
    return [line.strip() for line in answer.out.splitlines()]


def test_added_and_removed_dependencies_are_listed(command: Command, repository: GitRepository) -> None:
    extra = "name: extra\ncommand: ['true']\nafter: {deployments: [ingest, report], any: true}\n"
    repository.commit({"deployments/alert.yaml": ALERT, "deployments/extra.yaml": extra})
    lines = plan(command, repository)
    assert [line for line in lines if "dependency" in line] == [
        "- dependency: alert starts when ingest has failed",
        "+ dependency: extra starts whenever ingest has succeeded",
        "+ dependency: extra starts whenever report has succeeded",
    ]
    assert "Plan: 3 dependencies changed, 1 to update, 1 to create, 2 unchanged." in lines
    answer = command("plan", "--repo", str(repository.path), "--base", "HEAD~1", "-o", "json")
    assert answer.json["graph"][0] == {
        "action": "removed",
        "edge": {"from": "ingest", "to": "alert", "kind": "event", "on": "failed", "any": False},
    }
    assert "- - dependency: alert starts when ingest has failed" in plan(command, repository, "-o", "markdown")


def test_a_schedule_turns_an_event_into_a_gate(command: Command, repository: GitRepository) -> None:
    repository.commit({"deployments/alert.yaml": ALERT + "after: ingest\nschedule: {interval: 1d}\n"})
    assert [line for line in plan(command, repository) if "dependency" in line] == [
        "- dependency: alert starts when ingest has failed",
        "+ dependency: alert waits until ingest has succeeded",
    ]


def test_suspending_an_upstream_warns_about_its_dependants(command: Command, repository: GitRepository) -> None:
    repository.commit({"deployments/ingest.yaml": INGEST + "suspend: true\n"})
    warning = "warning: alert and report wait for it under `after`, and its schedules are suspended"
    assert warning in plan(command, repository)


def test_deleting_an_upstream_warns_about_its_dependants(command: Command, repository: GitRepository) -> None:
    repository.git("rm", "--quiet", "deployments/ingest.yaml")
    repository.commit({"deployments/alert.yaml": ALERT})
    lines = plan(command, repository)
    assert "warning: report waits for it under `after`, and can't be released any more" in lines
    assert any("there is no deployment named ingest [UnknownUpstream]" in line for line in lines)


def test_renaming_an_upstream_warns_about_those_that_still_name_it(command: Command, repository: GitRepository) -> None:
    repository.commit({"deployments/ingest.yaml": INGEST.replace("ingest", "load") + "renamed_from: ingest\n"})
    assert "warning: alert and report still name ingest under `after`" in plan(command, repository)
