"""Each new version of a file in a watched folder starts one run: exactly one, through restarts, holds and faults."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from controller.model.runs import RunState, Trigger
from controller.model.triggers import SeenFile
from controller.store import inventory, seen_files
from controller.triggers.seen_file_cleanup import KEPT_MISSING
from tests.unit.triggers.conftest import LOAD, World


def test_a_new_file_starts_one_run_with_its_path_after_it_has_settled(world: World) -> None:
    world.declare(LOAD)
    path = world.write("a.csv")
    world.pass_time(4)
    assert world.runs() == []
    world.pass_time(60)
    [run] = world.runs()
    assert (run.trigger, run.state, run.parameters) == (Trigger.FILE, RunState.PENDING, {"path": str(path)})
    assert (run.scheduled_for, run.start_by, run.serial) == (None, None, True)
    [event] = world.events()
    assert (event.reason, event.deployment, event.run_id) == ("FilesArrived", "load", run.id)
    assert event.message == f"The new file {path} started run {run.id}."
    assert world.wakes == 1


def test_files_that_were_there_before_the_deployment_count_as_new(world: World) -> None:
    world.write("a.csv", age=86400)
    world.declare(LOAD)
    world.watcher.turn()
    assert world.files() == ["a.csv"]


def test_runs_are_created_in_the_order_in_which_the_files_were_modified(world: World) -> None:
    for name, age in (("a.csv", 10), ("b.csv", 30), ("c.csv", 20)):
        world.write(name, age=age)
    world.declare(LOAD)
    world.pass_time(20)
    assert world.files() == ["b.csv", "c.csv", "a.csv"]


def test_a_run_fails_if_a_parameter_needs_a_result_that_there_is_not(world: World) -> None:
    world.declare(f"{LOAD}after: ingest\nparameters: {{folder: {{from: ingest.result.folder}}}}\n")
    world.write("a.csv")
    world.pass_time(20)
    [run] = world.runs()
    assert run.state is RunState.FAILED
    assert str(run.reason).startswith("not launched: parameter folder")


def test_a_growing_file_waits_until_it_has_stopped_growing(world: World) -> None:
    world.declare(LOAD)
    for count in range(5):
        world.write("a.csv", "x" * count)
        world.pass_time(4)
        assert world.runs() == []
    world.pass_time(10)
    assert world.files() == ["a.csv"]


def test_every_change_of_a_file_starts_another_run_and_nothing_else_does(world: World) -> None:
    world.declare(LOAD)
    path = world.write("a.csv", "1")
    world.pass_time(60)
    world.write("a.csv", "22")  # written while its run may still be waiting or running
    world.pass_time(60)
    replacement = world.write("upload.tmp", "22")
    os.utime(replacement, ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns))
    replacement.rename(path)  # the same size and time, but another file
    world.pass_time(60)
    assert world.files() == ["a.csv"] * 3
    path.chmod(0o600)
    world.pass_time(60)
    assert world.files() == ["a.csv"] * 3


def test_a_restart_neither_misses_nor_repeats_a_file(world: World) -> None:
    world.declare(LOAD)
    world.write("a.csv")
    world.pass_time(20)
    world.write("b.csv")
    world.pass_time(1)
    world.start()
    world.write("c.csv")
    world.pass_time(60)
    world.start()
    world.pass_time(60)
    assert sorted(world.files()) == ["a.csv", "b.csv", "c.csv"]


def test_a_file_is_not_repeated_if_only_its_run_is_recorded(world: World) -> None:
    world.declare(LOAD)
    world.write("a.csv")
    world.pass_time(20)
    with world.store.write() as tx:
        seen_files.forget(tx, seen_files.page(tx, ("", ""), 10))
    world.start()
    world.pass_time(20)
    assert world.files() == ["a.csv"]


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        ("*.csv", ["a.csv"]),
        ("*", ["a.csv", "b.txt"]),
        ("sub/*", ["sub/c.csv"]),
        ("**/*.csv", ["a.csv", "sub/c.csv", "sub/deep/d.csv"]),
        ("**/deep/*", ["sub/deep/d.csv"]),
        ("**", ["a.csv", "b.txt", "sub/c.csv", "sub/deep/d.csv"]),
        ("[ab].*", ["a.csv", "b.txt"]),
        ("?.csv", ["a.csv"]),
        (".*", [".hidden.csv"]),
    ],
)
def test_a_pattern_selects_files_and_subfolders(world: World, pattern: str, matching: list[str]) -> None:
    for name in ("a.csv", "b.txt", ".hidden.csv", "sub/c.csv", "sub/deep/d.csv", ".git/e.csv"):
        world.write(name, age=3600)
    world.declare(LOAD.replace("*.csv", pattern))
    world.watcher.turn()
    assert sorted(world.files()) == matching


def test_only_regular_files_count_and_symbolic_links_are_not_followed(world: World, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("1")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "d.csv").write_text("1")
    (world.inbox / "a.csv").symlink_to(tmp_path / "secret.csv")
    (world.inbox / "linked").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(world.inbox / "b.csv")
    (world.inbox / "c.csv").mkdir()
    world.declare(LOAD.replace("*.csv", "**/*.csv"))
    world.pass_time(60)
    assert world.runs() == []
    assert world.problems() == []


def test_two_deployments_with_the_same_folder_get_a_run_each(world: World) -> None:
    world.declare(LOAD, LOAD.replace("load", "copy"))
    world.write("a.csv")
    world.pass_time(20)
    assert world.files("load") == world.files("copy") == ["a.csv"]


def test_two_triggers_of_one_deployment_start_one_run_for_a_file(world: World) -> None:
    trigger = "{files: {path: INBOX, pattern: '*.csv', parameter: path}}"
    world.declare(LOAD.replace("on: [", f"on: [{trigger}, ").replace("'*.csv', parameter", "'a*', parameter", 1))
    world.write("a.csv")
    world.pass_time(60)
    assert world.files() == ["a.csv"]


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace", "allow"])
def test_runs_of_files_wait_for_each_other_unless_they_may_overlap(world: World, overlap: str) -> None:
    world.declare(LOAD + f"overlap: {overlap}\nstart_deadline: 1m\n")
    for name in ("a.csv", "b.csv"):
        world.write(name)
    world.pass_time(20)
    assert [run.serial for run in world.runs()] == [overlap != "allow"] * 2
    assert [run.start_by for run in world.runs()] == [None, None]


def test_files_wait_while_the_deployment_is_held(world: World) -> None:
    world.declare(LOAD)
    world.hold()
    world.write("a.csv")
    world.pass_time(60)
    assert world.runs() == []
    world.resume()
    world.pass_time(20)
    assert world.files() == ["a.csv"]


def test_files_that_are_ready_when_the_deployment_is_held_wait_too(world: World) -> None:
    world.declare(LOAD)
    world.write("a.csv")
    world.pass_time(3)
    world.watcher._has_commit = False
    world.watcher._next_refresh = world.clock.monotonic() + 1000  # the watcher does not know of the hold yet
    world.hold()
    world.pass_time(20)
    assert world.runs() == []
    world.watcher._next_refresh = 0.0
    world.resume()
    world.pass_time(20)
    assert world.files() == ["a.csv"]


def test_files_wait_while_the_deployment_is_suspended(world: World) -> None:
    world.declare(LOAD + "suspend: true\n")
    world.write("a.csv")
    world.pass_time(60)
    assert world.runs() == []
    world.declare(LOAD)
    world.pass_time(20)
    assert world.files() == ["a.csv"]


def test_a_deployment_that_is_removed_while_files_settle_starts_nothing(world: World) -> None:
    world.declare(LOAD)
    world.write("a.csv")
    world.pass_time(1)
    with world.store.write() as tx:
        inventory.remove(tx, ["load"], world.clock.now())
    world.pass_time(60)
    assert world.runs() == []


def test_another_pattern_repeats_no_file(world: World) -> None:
    for name in ("a.csv", "b.txt"):
        world.write(name)
    world.declare(LOAD)
    world.pass_time(20)
    world.declare(LOAD.replace("*.csv", "*"))
    world.pass_time(20)
    assert world.files() == ["a.csv", "b.txt"]
    world.declare(LOAD)
    world.pass_time(20)
    assert world.files() == ["a.csv", "b.txt"]


def test_a_renamed_deployment_repeats_no_file(world: World) -> None:
    world.declare(LOAD)
    world.write("a.csv")
    world.pass_time(20)
    with world.store.write() as tx:
        inventory.rename(tx, "load", "load2")
    world.declare(LOAD.replace("load", "load2"))
    world.pass_time(60)
    assert world.files("load2") == ["a.csv"]


def test_a_file_that_is_away_for_a_time_is_not_new_when_it_comes_back(world: World) -> None:
    world.declare(LOAD)
    path = world.write("a.csv")
    world.pass_time(20)
    aside = world.folder / "aside"
    path.rename(aside)
    world.clean_up()
    [file] = _recorded(world)
    assert file.missing_since is not None
    aside.rename(path)
    world.clean_up()
    [file] = _recorded(world)
    assert file.missing_since is None
    assert world.files() == ["a.csv"]


def test_files_that_no_longer_exist_are_forgotten_after_a_week(world: World) -> None:
    world.declare(LOAD)
    world.write("a.csv").with_name("b.csv").touch()
    world.pass_time(20)
    (world.inbox / "a.csv").unlink()
    world.clean_up()
    world.clock.turn(KEPT_MISSING)
    world.clean_up()
    assert [Path(file.version.path).name for file in _recorded(world)] == ["b.csv"]


def test_the_files_of_a_deployment_whose_tombstone_has_expired_are_forgotten(world: World) -> None:
    world.declare(LOAD, LOAD.replace("load", "copy"))
    world.write("a.csv")
    world.pass_time(20)
    with world.store.write() as tx:
        inventory.remove(tx, ["copy"], world.clock.now())
        inventory.delete_removed(tx, world.clock.now() + timedelta(days=1))
    world.clean_up()
    assert [file.deployment for file in _recorded(world)] == ["load"]


def test_looking_up_files_that_have_not_changed_writes_nothing(world: World) -> None:
    world.declare(LOAD)
    world.write("a.csv")
    world.pass_time(20)
    world.clean_up()
    before = world.store.writes.count
    world.clean_up()
    assert world.store.writes.count == before


def _recorded(world: World) -> list[SeenFile]:
    with world.store.read() as tx:
        return seen_files.page(tx, ("", ""), 100)


def test_a_name_that_is_not_utf_8_arrives_as_python_writes_it(world: World) -> None:
    world.declare(LOAD)
    (world.inbox / os.fsdecode(b"b\xff.csv")).write_text("1")
    world.pass_time(20)
    [run] = world.runs()
    assert os.fsencode(run.parameters["path"]).endswith(b"/b\xff.csv")
    assert "b\\udcff.csv" in world.events()[-1].message
    world.start()
    world.pass_time(60)
    assert len(world.runs()) == 1
