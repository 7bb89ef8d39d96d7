"""A directory without git is followed as it is on disk."""

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Folder, Repository

pytestmark = pytest.mark.acceptance

ONLY_HINTS = ("--interval", "1h")

FLOW = "def work() -> str:\n    return 'first'\n"
GOOD = "name: work\nflow: flows/work.py:work\nschedule: {interval: 1s}\n"


@pytest.fixture
def plain(folder: Folder) -> Folder:
    """One deployment, every second."""
    folder.write("flows/work.py", FLOW)
    folder.write("deployments/work.yaml", GOOD)
    return folder


def sync(folder: Folder, name: str) -> str | None:
    row = folder.deployment(name)
    return None if row is None else str(row["sync"])


def test_a_changed_file_is_applied_and_a_removed_one_is_pruned(plain: Folder, running: Start) -> None:
    running(plain, *ONLY_HINTS)
    run = plain.wait_for_run("work")
    assert run["result"] == "first"
    assert run["revision"].startswith("dir@sha256:")
    assert sync(plain, "work") == "Synced"

    plain.write("deployments/deep/er/more.json", '{"name": "more", "command": ["true"]}\n')
    plain.wait_for_status(lambda: sync(plain, "more") == "Synced", "a new file to be noticed")
    plain.write("flows/work.py", FLOW.replace("first", "second"))
    assert plain.trigger("work")["result"] == "second"
    plain.write("deployments/work.yaml", GOOD + "description: changed\n")
    plain.wait_for_status(
        lambda: plain.tell("deployments", "show", "work")["description"] == "changed", "a change to be noticed"
    )
    plain.remove("deployments/deep")
    plain.wait_for_status(lambda: sync(plain, "more") is None, "a removed file to be noticed")


def test_a_broken_file_keeps_its_last_valid_version_after_a_restart(plain: Folder, running: Start) -> None:
    first = running(plain, *ONLY_HINTS)
    plain.wait_for_run("work")
    plain.write("deployments/work.yaml", GOOD.replace("interval", "intervall"))
    plain.wait_for_status(lambda: sync(plain, "work") == "Invalid", "the broken file to be noticed")
    plain.wait_for_run("work", more=2)
    first.stop()

    running(plain, *ONLY_HINTS)
    assert plain.wait_for_run("work", more=2)["result"] == "first"
    assert sync(plain, "work") == "Invalid"
    assert plain.trigger("work")["state"] == "succeeded"
    plain.write("deployments/work.yaml", GOOD)
    plain.wait_for_status(lambda: sync(plain, "work") == "Synced", "the repair to be noticed")


def test_a_missing_deployments_directory_prunes_nothing(plain: Folder, running: Start) -> None:
    first = running(plain, *ONLY_HINTS)
    plain.wait_for_run("work")
    plain.move("deployments", "elsewhere")
    plain.wait_for_status(lambda: sync(plain, "work") == "Unknown", "the missing directory to be noticed")
    condition = plain.status()["source"]["conditions"][0]
    assert (condition["status"], condition["reason"]) == ("False", "SourceUnavailable")
    assert "deployments" in condition["message"]
    plain.wait_for_run("work", more=2)
    first.stop()
    running(plain, *ONLY_HINTS)
    plain.wait_for_run("work", more=2)
    assert sync(plain, "work") == "Unknown"
    plain.move("elsewhere", "deployments")
    plain.wait_for_status(lambda: sync(plain, "work") == "Synced", "its return to be noticed")


def test_working_tree_follows_uncommitted_files_of_a_repository(plain: Folder, running: Start) -> None:
    tree = Repository(plain.root, plain.machine)
    running(tree, *ONLY_HINTS, "--working-tree")
    assert tree.wait_for_run("work")["revision"].startswith("dir@")
    tree.write("deployments/work.yaml", GOOD + "description: uncommitted\n")
    tree.wait_for_status(
        lambda: tree.deployment("work")["description"] == "uncommitted", "the uncommitted edit to be in force"
    )
