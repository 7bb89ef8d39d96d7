"""`controller run --once` applies a revision and starts nothing."""

from datetime import datetime

import pytest

from controller.scheduler.schedule_trigger import ScheduleTrigger
from tests.conftest import GitRepository, new_repository
from tests.unit.cli.conftest import Command


def test_a_single_pass_computes_no_fire_times(
    command: Command, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository: GitRepository = new_repository(tmp_path_factory.mktemp("once") / "r")
    repository.commit({"deployments/a.yaml": "name: a\ncommand: ['true']\nschedule: {interval: 1h}\n"})
    computed: list[datetime] = []
    monkeypatch.setattr(ScheduleTrigger, "first_after", lambda _, after: computed.append(after))
    assert command("run", "--once", "--repo", str(repository.path)).code == 0
    assert "a" in command("deployments", "list", "--repo", str(repository.path)).out
    assert computed == []
