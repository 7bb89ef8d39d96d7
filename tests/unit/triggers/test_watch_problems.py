"""What keeps files from starting runs is an event when it begins and ends, and a recorded problem meanwhile."""

from datetime import timedelta
from pathlib import Path

import pytest

from controller.model.status import EventSeverity
from controller.triggers import settling_files
from tests.unit.triggers.conftest import LOAD, World


def test_a_folder_outside_of_the_watch_roots_is_not_read(world: World, tmp_path: Path) -> None:
    world.start(roots=[tmp_path / "other"])
    world.declare(LOAD)
    world.write("a.csv", age=3600)
    world.pass_time(60)
    assert world.runs() == []
    [problem] = world.problems()
    assert (problem.deployment, problem.reason) == ("load", "WatchNotAllowed")
    assert problem.message == (
        f"{world.inbox} is not below a folder of --watch-root, so the operator does not allow to watch it."
    )
    [event] = world.events()
    assert (event.severity, event.reason, event.message) == (EventSeverity.WARNING, problem.reason, problem.message)


def test_a_symbolic_link_does_not_lead_out_of_the_watch_roots(world: World, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "a.csv").write_text("1")
    world.declare(LOAD)
    world.pass_time(20)
    world.inbox.rmdir()
    world.inbox.symlink_to(tmp_path / "private")
    world.pass_time(60)
    assert world.runs() == []
    assert world.reasons() == ["WatchNotAllowed"]


def test_a_watch_root_may_be_a_symbolic_link(world: World, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(world.folder)
    world.start(roots=[tmp_path / "link"])
    world.declare(LOAD)
    world.write("a.csv", age=3600)
    world.watcher.turn()
    assert world.files() == ["a.csv"]


def test_the_state_directory_is_not_watched(world: World) -> None:
    document = LOAD.replace("path: INBOX", f"path: {world.folder}")
    (world.folder / "state").mkdir()
    world.declare(document.replace("*.csv", "**/*"))
    world.pass_time(20)
    assert world.reasons() == ["WatchNotAllowed"]
    world.declare(document)
    world.pass_time(20)
    assert world.reasons() == []


def test_a_folder_that_does_not_exist_is_watched_when_it_appears(world: World) -> None:
    world.inbox.rmdir()
    world.declare(LOAD)
    world.pass_time(60)
    assert world.reasons() == ["FolderMissing"]
    world.write("a.csv")
    world.pass_time(60)
    assert world.problems() == []
    assert world.files() == ["a.csv"]
    assert [event.reason for event in world.events()] == ["FolderMissing", "FolderWatched", "FilesArrived"]


def test_a_problem_is_recorded_once_and_keeps_its_time_after_a_restart(world: World) -> None:
    world.inbox.rmdir()
    world.declare(LOAD)
    world.pass_time(60)
    before = world.problems()
    world.start()
    world.pass_time(60)
    assert world.problems() == before
    assert len(world.events()) == 1


def test_a_problem_ends_with_the_trigger(world: World) -> None:
    world.inbox.rmdir()
    world.declare(LOAD)
    world.pass_time(20)
    world.declare("name: load\ncommand: [cat]\n")
    world.pass_time(20)
    assert world.problems() == []
    assert [event.reason for event in world.events()] == ["FolderMissing"]


def test_a_file_that_never_settles_is_reported_and_starts_a_run_in_the_end(world: World) -> None:
    world.declare(LOAD.replace("parameter", "settle: 6m, parameter"))
    for _ in range(20):
        world.write("a.csv")
        world.pass_time(400)
    assert world.runs() == []
    [problem] = world.problems()
    assert problem.reason == "FileUnsettled"
    assert problem.message == f"{world.inbox}/a.csv did not stop changing within 2h."
    world.pass_time(600)
    assert world.files() == ["a.csv"]
    assert world.problems() == []


def test_a_file_that_cannot_be_read_starts_a_run_when_it_can(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    readable = {"b.csv"}  # tests may run as root, who can read every file
    monkeypatch.setattr(settling_files, "can_read", lambda path: Path(path).name in readable)
    world.declare(LOAD)
    for name in ("a.csv", "b.csv", "c.csv"):
        world.write(name)
    world.pass_time(60)
    assert world.files() == ["b.csv"]
    [problem] = world.problems()
    assert problem.reason == "FileUnreadable"
    assert problem.message == f"{world.inbox}/a.csv and 1 other file can't be read: permission denied."
    readable.update(("a.csv", "c.csv"))
    world.pass_time(60)
    assert sorted(world.files()) == ["a.csv", "b.csv", "c.csv"]
    assert world.problems() == []


def test_files_that_vanish_before_they_are_ready_are_one_event_a_minute(world: World) -> None:
    world.declare(LOAD.replace("parameter", "settle: 1h, parameter"))
    for round_number in range(2):
        for name in ("a.csv", "b.csv"):
            world.write(f"{round_number}{name}")
        world.pass_time(2)
        for name in ("a.csv", "b.csv"):
            (world.inbox / f"{round_number}{name}").unlink()
        world.pass_time(20)
    world.pass_time(60)
    first, second = world.events()
    assert {first.reason, second.reason} == {"FileVanished"}
    assert "2 new files vanished before they were ready" in first.message
    assert second.time - first.time >= timedelta(seconds=60)
    assert world.runs() == []


def test_a_file_that_is_renamed_when_it_is_complete_has_not_vanished(world: World) -> None:
    world.declare(LOAD.replace("*.csv", "*"))
    path = world.write("a.csv.part")
    world.pass_time(2)
    path.rename(world.inbox / "a.csv")
    world.pass_time(60)
    assert world.files() == ["a.csv"]
    assert [event.reason for event in world.events()] == ["FilesArrived"]


def test_a_fault_in_one_folder_does_not_affect_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.declare(LOAD, LOAD.replace("name: load", "name: copy").replace("'*.csv'", "'*'"))
    world.watcher.turn()
    broken = next(watch for watch in world.watcher._watches.values() if watch.deployment.name == "copy")
    monkeypatch.setattr(broken, "_scan", lambda: 1 / 0)
    world.write("a.csv")
    world.pass_time(60)
    assert world.files() == ["a.csv"]
    assert world.reasons() == ["FolderUnreadable"]
