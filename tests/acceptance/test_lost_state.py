"""The controller when its state directory is cleaned away, removed or replaced while it runs."""

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Folder, Repository, Running, is_alive, until

pytestmark = pytest.mark.acceptance

EVERY_SECOND = """
    name: tick
    command: [sh, -c, 'echo "$CONTROLLER_SCHEDULED_FOR" >> {starts}']
    schedules: [{{interval: 1s}}]
"""
RESTING = "name: resting\ncommand: [sh, -c, 'echo up; sleep 600']\n"


def starts(folder: Folder) -> Path:
    return folder.root.parent / "starts"


def follow_every_second(folder: Repository) -> None:
    folder.write("deployments/tick.yaml", EVERY_SECOND.format(starts=starts(folder)))
    folder.write("deployments/resting.yaml", RESTING)
    folder.commit()


def use_the_old_place(folder: Repository) -> Path:
    """A repository whose state was begun by a version that kept it in the work tree."""
    old = folder.root / ".controller"
    assert folder.ask("run", "--once", "--state-dir", str(old)).code == 0
    return old


def count_starts(folder: Folder) -> int:
    found = starts(folder)
    return len(found.read_text(encoding="utf-8").split()) if found.exists() else 0


def wait_for_starts(folder: Folder, more: int) -> None:
    wanted = count_starts(folder) + more
    until(lambda: count_starts(folder) >= wanted, f"{wanted} starts")


def ended_with_one_error(controller: Running, state: Path) -> None:
    until(lambda: controller.process.poll() is not None, "the controller to end")
    assert controller.process.returncode == 2, controller.output
    errors = [line for line in controller.output.splitlines() if line.startswith(("error:", "hint:"))]
    assert errors[0].startswith(
        f"error: The state directory {state} was removed or replaced while the controller was running"
    )
    assert [line.partition(":")[0] for line in errors] == ["error", "hint"], controller.output
    assert "CRITICAL" not in controller.output


@pytest.mark.parametrize("cleaning", [("clean", "-ffdx"), ("stash", "--all")], ids=" ".join)
def test_cleaning_the_work_tree_does_not_touch_the_state(
    repository: Repository, running: Start, cleaning: tuple[str, ...]
) -> None:
    follow_every_second(repository)
    controller = running(repository)
    assert f"state={repository.state}" in controller.output
    wait_for_starts(repository, 1)
    repository.write("junk.txt", "not committed\n")
    repository.git(*cleaning)
    wait_for_starts(repository, 2)
    assert repository.status()["controller"]["pid"] == controller.process.pid
    assert repository.git("status", "--porcelain", "--ignored") in ("", "?? junk.txt")
    controller.stop()


def test_every_command_finds_state_in_the_old_location(repository: Repository, running: Start) -> None:
    follow_every_second(repository)
    old = use_the_old_place(repository)
    controller = running(repository, "--interval", "1h")
    assert f"state={old}" in controller.output
    assert repository.status()["controller"]["pid"] == controller.process.pid
    assert not repository.state.exists()
    controller.stop()


def test_a_second_controller_never_repeats_runs_that_the_first_has_started(
    repository: Repository, running: Start
) -> None:
    follow_every_second(repository)
    old = use_the_old_place(repository)
    first = running(repository)
    wait_for_starts(repository, 1)
    repository.git("clean", "-ffdx")
    second = running(repository)
    assert f"state={repository.state}" in second.output
    ended_with_one_error(first, old)
    wait_for_starts(repository, 3)
    again = Counter(starts(repository).read_text(encoding="utf-8").split())
    assert {due: count for due, count in again.items() if count > 1} == {}
    assert repository.status()["controller"]["pid"] == second.process.pid


def test_a_stopping_controller_keeps_the_socket_of_its_successor(repository: Repository, running: Start) -> None:
    follow_every_second(repository)
    first = running(repository)
    wait_for_starts(repository, 1)
    repository.state.rename(repository.root.parent / "removed")
    second = running(repository)
    ended_with_one_error(first, repository.state)
    until((repository.state / "control.sock").is_socket, "the socket of the second controller")
    assert repository.ask("reconcile", "--wait").code == 0
    second.stop()
    assert not (repository.state / "control.sock").exists()


@pytest.mark.parametrize("what", ["", "state.db"])
def test_a_controller_exits_when_part_of_its_state_is_removed(
    repository: Repository, running: Start, what: str
) -> None:
    follow_every_second(repository)
    controller = running(repository)
    repository.wait_for_revision(None)
    run = repository.ask("trigger", "resting", "-o", "json").json()["run_id"]
    until(lambda: repository.count_runs("resting", "running"), "the flow to run")
    assert repository.wait_for_output(run) == ["up"]
    holder = next((repository.state / "runs" / run).glob("*/lock")).read_text(encoding="ascii").split()[0]
    removed = repository.root.parent / "removed"
    (repository.state / what).rename(removed)  # in one step, because the controller keeps writing there
    ended_with_one_error(controller, repository.state)
    assert is_alive(int(holder))
    os.kill(int(holder), 9)
