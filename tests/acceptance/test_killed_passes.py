"""A controller killed at any stage of a pass has applied all of a revision or nothing, and the next one continues."""

import json
from typing import Any

import pytest

from controller.crashpoints import PASS
from tests.acceptance.harness import Repository

pytestmark = pytest.mark.acceptance


def document(name: str, extra: str = "") -> str:
    return f"name: {name}\ncommand: ['true']\nschedule: {{cron: '0 * * * *'}}\n{extra}"


def in_force(repository: Repository) -> dict[str, Any]:
    return {
        name: json.loads(text)
        for name, text in repository.select(
            "SELECT name, document FROM inventory WHERE removed_at IS NULL ORDER BY name"
        )
    }


@pytest.mark.parametrize("stage", PASS)
def test_a_killed_pass_applies_a_revision_completely_or_not_at_all(repository: Repository, stage: str) -> None:
    for name in ("a", "b", "c", "d"):
        repository.write(f"deployments/{name}.yaml", document(name))
    first = repository.commit()
    assert repository.ask("run", "--once").code == 0
    before = in_force(repository)
    repository.write("deployments/a.yaml", document("a", "description: new\n"))
    repository.remove("deployments/b.yaml")
    repository.remove("deployments/c.yaml")
    repository.write("deployments/moved.yaml", document("moved", "renamed_from: c\n"))
    repository.write("deployments/e.yaml", document("e"))
    second = repository.commit()
    killed = repository.ask("run", "--once", CONTROLLER_CRASHPOINT=f"pass:{stage}")
    assert killed.code == -9
    applied = repository.select("SELECT last_applied_revision FROM source")[0][0]
    assert applied == (second if stage in ("apply", "project", "garbage") else first)
    if applied == first:
        assert in_force(repository) == before
    assert repository.ask("run", "--once").code == 0
    found = in_force(repository)
    assert set(found) == {"a", "d", "e", "moved"}
    assert found["a"]["description"] == "new"
    told = repository.select("SELECT about, reason FROM events WHERE about != 'source' ORDER BY id")
    assert sorted(told[4:]) == [("a", "Updated"), ("b", "Pruned"), ("e", "Created"), ("moved", "Renamed")]
    assert repository.ask("doctor").code == 0
