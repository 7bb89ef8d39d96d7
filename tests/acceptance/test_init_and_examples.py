"""The first steps of a new user: the repository that `init` creates, and the examples of this repository."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.cli.init import DEPLOYMENT
from controller.manifests.reader import ManifestReader
from controller.model.snapshots import ManifestFile
from controller.schedules import next_fire_times
from tests.acceptance.conftest import Start
from tests.acceptance.harness import Machine, Repository, until

pytestmark = pytest.mark.acceptance

OURS = Path(__file__).parents[2]


def test_init_creates_a_working_repository_and_overwrites_nothing(
    machine: Machine, running: Start, tmp_path: Path
) -> None:
    answer = machine.controller("init", "demo")
    assert answer.code == 0
    root = machine.home / "demo"
    assert machine.run("git", "status", "--porcelain", cwd=root).out == ""
    assert machine.run("git", "log", "--oneline", cwd=root).out.count("\n") == 1
    assert "controller validate" in (root / ".github" / "workflows" / "validate.yml").read_text()
    assert (root / "deployments" / "hello.yaml").read_text().startswith("# yaml-language-server: $schema=../schemas/")
    checked = machine.controller("validate", cwd=root)
    assert (checked.code, "warning:" in checked.out) == (0, False)

    again = machine.controller("init", "demo")
    assert (again.code, again.out) == (2, "")
    assert "already exists" in again.err
    assert machine.run("git", "status", "--porcelain", cwd=root).out == ""
    inside = machine.controller("init", cwd=root)
    assert inside.code == 2
    blocked = machine.controller("init", "demo/deployments/hello.yaml")
    assert blocked.code == 2

    root.rename(tmp_path / "demo")
    demo = Repository(tmp_path / "demo", machine)
    running(demo)
    demo.wait_for_revision(None)
    run = demo.trigger("hello", "--param", "name=you", "--param", "excited=true")
    assert run["result"] == "Hello, you!"
    assert len(demo.tell("next", "hello", "-n", "3")["fire_times"]) == 3


def test_at_nine_the_cron_of_the_first_deployment_takes_precedence_over_its_interval() -> None:
    file = ManifestFile(path="deployments/hello.yaml", content=DEPLOYMENT.encode(), digest="1")
    desired = ManifestReader().read([file], datetime(2026, 6, 1, 6, tzinfo=UTC))
    assert desired.findings == ()
    schedules = desired.deployments["hello"].schedules
    ((due, counts),) = next_fire_times(schedules, datetime(2026, 6, 1, 6, 59, 59, tzinfo=UTC), 1)
    assert (due, counts.parameters) == (datetime(2026, 6, 1, 7, tzinfo=UTC), {"excited": True})


def test_init_in_an_existing_repository_does_not_commit(repository: Repository) -> None:
    repository.write("README", "mine\n")
    before = repository.commit()
    answer = repository.machine.controller("init", cwd=repository.root)
    assert answer.code == 0
    assert before.endswith(repository.git("rev-parse", "HEAD"))
    assert "?? deployments/" in repository.git("status", "--porcelain")
    assert repository.ask("validate").code == 0


def test_the_examples_in_this_repository_fire_and_only_the_broken_one_fails(
    repository: Repository, running: Start
) -> None:
    for name in ("deployments", "flows", "schemas"):
        shutil.copytree(OURS / name, repository.root / name, ignore=shutil.ignore_patterns("__pycache__"))
    repository.commit("Copy the examples")
    assert repository.ask("validate").code == 0
    running(repository)
    status = repository.status_at(None)
    names = {row["name"] for row in status["deployments"]}
    assert {"heartbeat", "import-broken", "my-first-deployment", "sales-eu", "sales-us", "disk-space"} <= names
    assert {row["sync"] for row in status["deployments"]} == {"Synced"}
    for name in sorted(names):
        run = repository.trigger(name)
        assert run["state"] == ("failed" if name == "import-broken" else "succeeded"), run
        assert (run["reason"] is not None) == (name == "import-broken")
    until(
        lambda: [run for run in repository.tell("runs", "--state", "succeeded") if run["trigger"] == "schedule"],
        "an example to fire by itself",
        35,
    )
