"""Status, deployments, doctor, the log and plans show which environment is applied."""

import pytest

from tests.conftest import GitRepository
from tests.unit.cli.conftest import Command

FILES = {
    "deployments/a.yaml": (
        "name: a\ncommand: ['true']\nschedule: {cron: '0 * * * *'}\nenvironments: {prod: {description: live}}\n"
    )
}


@pytest.fixture
def where(repository: GitRepository) -> tuple[str, str]:
    repository.commit(FILES)
    return "--repo", str(repository.path)


@pytest.mark.parametrize("name", ["prod", None])
def test_the_active_environment_is_shown(command: Command, where: tuple[str, str], name: str | None) -> None:
    chosen = ("--environment", name) if name else ()
    assert command("run", "--once", *where, *chosen).code == 0
    assert command("status", "-o", "json", *where).json["source"]["environment"] == name
    assert f"environment  {name or 'none'}" in command("status", *where).out
    assert command("deployments", "show", "a", "-o", "json", *where).json["environment"] == name
    assert f"environment  {name or 'none'}" in command("deployments", "show", "a", *where).out
    checks = {one["name"]: one for one in command("doctor", "-o", "json", *where).json}
    assert checks["environment"]["status"] == "ok"
    assert checks["environment"]["message"] == (name or "none: no overlays are applied")


def test_without_a_base_a_plan_is_made_for_the_active_environment(command: Command, where: tuple[str, str]) -> None:
    assert command("run", "--once", *where, "--environment", "prod").code == 0
    answer = command("plan", *where, "-o", "json")
    assert (answer.code, answer.json["environment"], answer.json["changes"]) == (0, "prod", [])
    text = command("plan", *where).out
    assert text.startswith("Plan in environment prod: no changes, 1 unchanged.\n")
    assert "Base and head are the same revision: main@sha1:" in text


def test_another_environment_is_applied_and_shown_after_a_restart(command: Command, where: tuple[str, str]) -> None:
    assert command("run", "--once", *where, "--environment", "prod").code == 0
    assert command("run", "--once", *where).code == 0
    assert command("status", "-o", "json", *where).json["source"]["environment"] is None
