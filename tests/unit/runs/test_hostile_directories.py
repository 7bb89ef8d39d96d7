"""With any content of its directory, a run gets an outcome with the true reason, and other runs continue."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.model.runs import RunState
from controller.runs.retention import Sweeper
from tests.conftest import wait_until
from tests.unit.runs.conftest import World, command, gated
from tests.unit.runs.test_adoption import claim
from tests.unit.runs.test_retention import ended, sweeper

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("start", ["warm"])]


def replace_by_directory(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def replace_by_fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def replace_by_link(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


def replace_by_loop(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(path)


def replace_attempt_by_file(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_text("a file", encoding="utf-8")


def replace_run_by_file(path: Path) -> None:
    shutil.rmtree(path.parents[1])
    path.parents[1].write_text("a file", encoding="utf-8")


def replace_attempt_by_loop(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.symlink_to(path.parent)


Spoil = Callable[[Path], None]
NOT_A_FILE = "can't be read: not a regular file"
STATES: dict[str, tuple[str, Spoil, str]] = {
    "lock is a directory": ("lock", replace_by_directory, f"lock in the run directory {NOT_A_FILE}"),
    "lock is a FIFO": ("lock", replace_by_fifo, f"lock in the run directory {NOT_A_FILE}"),
    "lock is a link to a device": ("lock", replace_by_link, f"lock in the run directory {NOT_A_FILE}"),
    "lock is a link to itself": ("lock", replace_by_loop, f"lock in the run directory {NOT_A_FILE}"),
    "started is a directory": ("started", replace_by_directory, f"started in the run directory {NOT_A_FILE}"),
    "exit is a FIFO": ("exit", replace_by_fifo, f"exit in the run directory {NOT_A_FILE}"),
    "exit is a link to a device": ("exit", replace_by_link, f"exit in the run directory {NOT_A_FILE}"),
    "the attempt is a file": ("lock", replace_attempt_by_file, "can't be read: Not a directory"),
    "the attempt is a link to itself": ("lock", replace_attempt_by_loop, "can't be read: "),
    "the run is a file": ("lock", replace_run_by_file, "can't be read: Not a directory"),
}


@pytest.mark.parametrize("name", STATES)
def test_a_run_with_an_unreadable_directory_is_crashed_at_the_next_start(world: World, name: str) -> None:
    file, spoil, reason = STATES[name]
    world.declare(a=command("a", "echo again"), good=command("good", "exit 0"))
    run = claim(world, state=RunState.RUNNING, marks={"run.json": "{}", "started": '{"nonce": "aa"}'})
    spoil(world.runs_directory / run.id / "1-aa" / file)
    engine = world.start()
    found = world.wait(run)
    assert found.state is RunState.CRASHED
    assert reason in str(found.reason)
    assert world.run("good").state is RunState.SUCCEEDED
    assert engine.failure is None


@pytest.mark.parametrize("name", [name for name in STATES if "exit" not in name and "started" not in name])
def test_a_run_directory_damaged_during_its_run_affects_no_other_run(world: World, name: str) -> None:
    file, spoil, reason = STATES[name]
    gate = gated(world, "---\n" + command("good", "exit 0"))
    engine = world.start()
    run = world.trigger("slow")
    wait_until(lambda: world.log(run))
    [lock] = (world.runs_directory / run.id).glob("*/lock")
    spoil(lock.with_name(file))
    engine.notify_due("slow")
    assert world.run("good").state is RunState.SUCCEEDED
    gate.touch()
    found = world.wait(run)
    assert found.state is RunState.CRASHED
    assert reason in str(found.reason)
    assert world.run("good").state is RunState.SUCCEEDED
    assert engine.failure is None


@pytest.mark.parametrize("spoil", [Path.mkdir, os.mkfifo])
def test_a_run_json_that_is_not_a_file_is_ignored(world: World, spoil: Spoil) -> None:
    world.declare(a=command("a", "echo again"))
    run = claim(world, state=RunState.RUNNING, marks={})
    spoil(world.runs_directory / run.id / "1-aa" / "run.json")
    world.start()
    found = world.wait(run)
    assert (found.state, found.reason) == (
        RunState.CRASHED,
        "outcome unknown: run.json in the run directory is not a regular file",
    )


def test_a_run_without_a_recorded_attempt_is_crashed(world: World) -> None:
    world.declare(a=command("a", "echo again"))
    run = claim(world, state=RunState.RUNNING, marks={"run.json": "{}"})
    with world.store.write() as tx:
        tx.connection.exec_driver_sql("DELETE FROM attempts")
    world.start()
    assert world.wait(run).state is RunState.CRASHED


def test_only_the_run_whose_directory_cannot_be_created_fails(world: World) -> None:
    world.declare(a=command("a", "exit 0"), good=command("good", "exit 0"))
    run = claim(world, state=RunState.LAUNCHING)
    (world.runs_directory / run.id).write_text("a file", encoding="utf-8")
    world.start()
    assert world.wait(run).state in (RunState.CRASHED, RunState.FAILED)
    assert world.run("good").state is RunState.SUCCEEDED


def test_a_file_in_place_of_a_run_directory_is_removed(world: World) -> None:
    world.declare(a="name: a\ncommand: ['true']\nretention: {runs: 1}\n")
    gone, kept = ended(world), ended(world)
    shutil.rmtree(world.runs_directory / gone.id)
    (world.runs_directory / gone.id).write_text("a file", encoding="utf-8")
    sweeper(world).sweep()
    assert [path.name for path in world.runs_directory.iterdir()] == [kept.id]


def test_the_sweeper_continues_if_the_runs_directory_cannot_be_listed(world: World) -> None:
    world.declare(a="name: a\ncommand: ['true']\nretention: {runs: 1}\n")
    first, last = ended(world), ended(world)
    cleaner: Sweeper = sweeper(world)
    shutil.rmtree(world.runs_directory)
    world.runs_directory.write_text("a file", encoding="utf-8")
    cleaner.sweep()
    assert [run.id for run in world.all_runs()] == [last.id]
    assert first.id != last.id
    world.runs_directory.unlink()
    world.runs_directory.mkdir()
