"""`controller plan` shows the fire times that move with another version of the `holidays` package."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from controller.clock import SystemClock
from controller.schedules.holiday_data import data_version
from controller.settings import default_state_directory
from controller.store import Store, holiday_records
from tests.conftest import GitRepository, new_repository
from tests.unit.cli.conftest import Command

DAILY = "command: ['true']\nschedule: {cron: 30 7 * * *, timezone: Europe/Berlin, except: [de-by]}\n"


@pytest.fixture
def applied(command: Command, tmp_path: Path) -> GitRepository:
    """A commit that was applied with an older version, which had one holiday more in the coming year."""
    repository = new_repository(tmp_path / "r")
    files = {f"deployments/{name}.yaml": f"name: {name}\n{DAILY}" for name in ("daily", "gone")}
    files["deployments/plain.yaml"] = "name: plain\ncommand: ['true']\nschedule: {interval: 1d}\n"
    repository.commit({"controller.yaml": "calendars: {de-by: {holidays: DE-BY}}\n", **files})
    command("run", "--once", "--repo", str(repository.path))
    store = Store.open(default_state_directory(repository.path) / "state.db", project="default")
    with store.write() as tx:
        data = holiday_records.find(tx)
        assert data is not None
        [(code, days)] = data.days.items()
        extra = {date(SystemClock().now().year + 1, 7, 7): "Old Day"}
        holiday_records.save(tx, replace(data, version="0.1", days={code: {**days, **extra}}))
    store.close()
    return repository


def test_plan_shows_the_fire_times_that_move_and_why(command: Command, applied: GitRepository) -> None:
    year = SystemClock().now().year + 1
    options = ("plan", "--repo", str(applied.path))
    answer = command(*options)
    assert answer.code == 1
    for name in ("daily", "gone"):
        assert (
            f"~ fire times of {name} move: holidays 0.1 -> {data_version()}\n"
            f"    calendar de-by: - {year}-07-07 Old Day\n"
            "    fires before: not at these times\n"
            f"    fires after:  {year}-07-07 07:30:00+02:00\n"
        ) in answer.out
    assert "plain" not in answer.out
    assert "Plan: 2 deployments' holidays changed, 3 unchanged." in answer.out
    lines = command(*options, "-o", "markdown").out.splitlines()
    assert f"- ~ fire times of daily move: holidays 0.1 -\\> {data_version()}" in lines
    assert f"  - calendar de-by: - {year}-07-07 Old Day" in lines
    [first, _] = command(*options, "-o", "json").json["holidays"]
    assert first == {
        "deployment": "daily",
        "before": "0.1",
        "after": data_version(),
        "days": [{"action": "removed", "calendar": "de-by", "day": f"{year}-07-07", "name": "Old Day"}],
        "fire_times": {"before": [], "after": [f"{year}-07-07T05:30:00Z"]},
    }


def test_a_deleted_deployment_is_not_listed(command: Command, applied: GitRepository) -> None:
    (applied.path / "deployments/gone.yaml").unlink()
    applied.commit({})
    answer = command("plan", "--repo", str(applied.path), "-o", "json").json
    assert [each["deployment"] for each in answer["holidays"]] == ["daily"]


def test_after_the_pass_with_the_new_version_plan_shows_nothing_more(command: Command, applied: GitRepository) -> None:
    command("run", "--once", "--repo", str(applied.path))
    assert command("plan", "--repo", str(applied.path)).code == 0
    assert "Due times move because of holidays 0.1" in command("events", "--repo", str(applied.path)).out
