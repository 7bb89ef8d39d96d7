"""A run cannot change the code of another one, for any user that runs flows and any support by the kernel."""

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from controller.model.runs import RunState
from controller.runs.export_protection import Protection, find_protection
from controller.sources.git import GitSource
from tests.conftest import GitRepository, wait_until
from tests.unit.runs.conftest import PATH, Supervise, World, command, gated, one_start

pytestmark = pytest.mark.integration

FLOW = """
import os, pathlib

def main(do: str = "read") -> str:
    data = pathlib.Path("flows/data.txt")
    folder = data.parent
    try:
        if do == "change":
            data.write_text("changed")
        if do == "remove":
            data.unlink()
        if do == "force":
            folder.chmod(0o755)
            data.chmod(0o644)
            data.write_text("changed")
            (folder / "more.py").touch()
    except OSError as error:
        print(error.strerror)
        if do == "force":
            raise
    pathlib.Path(os.environ["TMPDIR"], "x").touch()
    return data.read_text()
"""


@pytest.fixture
def pinned(world: World) -> World:
    """A world that follows commits."""
    repository = GitRepository(world.root)
    repository.git("init", "--quiet", "--initial-branch=main")
    world.write("flows/a.py", FLOW)
    world.write("flows/data.txt", "good")
    world.write("deployments/flow.yaml", "name: flow\nflow: flows/a.py:main\n")
    script = "rm -f flows/data.txt; echo bad > flows/a.py; touch $TMPDIR/x new; cat flows/data.txt"
    world.write("deployments/command.yaml", command("command", script))
    repository.commit()
    world.source = GitSource(world.root, ref=None, path="deployments", exports=world.state / "exports")
    world.declare()
    return world


def export(world: World) -> Path:
    [folder] = (world.state / "exports").glob("[0-9a-f]*")
    return folder


def test_a_run_that_changes_its_code_does_not_affect_the_next_run(pinned: World) -> None:
    pinned.start()
    for do in ("change", "remove", "force"):
        pinned.run("flow", do=do)
        after = pinned.run("flow")
        assert (after.state, after.result) == (RunState.SUCCEEDED, "good")
    pinned.run("command")
    after = pinned.run("flow")
    assert (after.state, after.result) == (RunState.SUCCEEDED, "good")


@one_start
def test_bytecode_is_cached_beside_the_export_and_removed_with_it(pinned: World) -> None:
    pinned.start()
    assert pinned.run("flow").state is RunState.SUCCEEDED
    assert list((export(pinned) / "pycache").rglob("a.*.pyc"))
    stale = export(pinned) / "pycache" / "stale"
    stale.touch()
    (export(pinned) / "complete").unlink()
    assert pinned.run("flow").state is RunState.SUCCEEDED
    assert not stale.exists()


@one_start
def test_an_export_that_has_lost_its_tree_is_written_again(pinned: World) -> None:
    pinned.start()
    assert pinned.run("flow").state is RunState.SUCCEEDED
    folder = export(pinned)
    (folder / "tree").rename(pinned.state / "elsewhere")
    assert (folder / "pycache").is_dir()
    after = pinned.run("flow")
    assert (after.state, after.result) == (RunState.SUCCEEDED, "good")


@one_start
def test_an_export_is_compared_again_after_a_failed_run(pinned: World) -> None:
    pinned.start()
    assert pinned.run("flow").result == "good"
    folder = export(pinned)
    (folder / "tree" / "flows").chmod(0o755)
    (folder / "tree" / "flows" / "data.txt").unlink()
    assert pinned.run("flow").state is RunState.FAILED
    assert pinned.run("flow").result == "good"


def test_an_export_is_in_use_until_its_run_ends(supervise: Supervise, tmp_path: Path) -> None:
    folder = tmp_path / "exports" / "commit"
    (folder / "tree").mkdir(parents=True)
    (folder / "lock").touch()
    one = supervise(["cat"], export=str(folder), cwd=folder / "tree")
    one.say(b"GO\n")
    one.end()
    try_lock = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    script = f"{sys.executable} -c '{try_lock}' {folder}/lock 2> /dev/null && echo free || echo held"
    two = supervise(["sh", "-c", script], export=str(folder), cwd=folder / "tree")
    two.say(b"GO\n")
    two.end()
    assert two.log() == "held\n"


@one_start
@pytest.mark.parametrize("outcome", ["true", "false"])
def test_an_unprotected_or_failed_run_marks_its_export_as_unverified(
    supervise: Supervise, tmp_path: Path, outcome: str
) -> None:
    folder = tmp_path / "exports" / "commit"
    (folder / "tree").mkdir(parents=True)
    env = {"CONTROLLER_RUN_ID": "the-run"}
    one = supervise([outcome], export=str(folder), env=env)
    one.say(b"GO\n")
    one.end()
    is_protected = find_protection() is Protection.MOUNT
    assert (folder / "doubt").exists() is (outcome == "false" or not is_protected)
    # Where the bytecode should go is a link into nothing: it can't be mounted, so nothing can be protected.
    other = tmp_path / "others" / "commit"
    (other / "tree").mkdir(parents=True)
    (other / "pycache").symlink_to("nowhere")
    two = supervise([outcome], export=str(other), env=env)
    two.say(b"GO\n")
    two.end()
    assert set((other / "doubt").read_text(encoding="ascii").split()) == {"the-run"}


def test_mounts_of_a_run_are_invisible_outside_of_it(supervise: Supervise, tmp_path: Path) -> None:
    folder = tmp_path / "exports" / "commit"
    (folder / "tree").mkdir(parents=True)
    one = supervise(
        ["sh", "-c", "touch $0/exports/commit/pycache/x && cat /proc/self/mountinfo", str(tmp_path)], export=str(folder)
    )
    one.say(b"GO\n")
    one.end()
    is_mounted = find_protection() is Protection.MOUNT
    assert (str(folder) in one.log()) is is_mounted
    assert str(folder) not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    assert (folder / "pycache" / "x").exists() or not is_mounted


SEAL = """
import json, os, sys
from controller.runs.executors.local.supervisor.export_mount import make_read_only
place = sys.argv[1]
before = os.statvfs(place).f_flag
is_sealed = make_read_only(place + "/exports/commit")
after = os.statvfs(place + "/exports").f_flag
print(json.dumps([is_sealed, before, after]))
"""


def test_the_read_only_mount_keeps_the_other_restrictions(tmp_path: Path) -> None:
    (tmp_path / "exports" / "commit").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", SEAL, str(tmp_path)], env={"PATH": PATH}, capture_output=True, check=True
    )
    is_sealed, before, after = json.loads(done.stdout)
    assert is_sealed is (find_protection() is Protection.MOUNT)
    assert after == before | (os.ST_RDONLY if is_sealed else 0)


@one_start
def test_code_is_exported_before_the_first_run_needs_it(pinned: World) -> None:
    engine = pinned.start()
    assert not list((pinned.state / "exports").glob("[0-9a-f]*/complete"))
    engine.prepare_code()
    wait_until(lambda: bool(list((pinned.state / "exports").glob("[0-9a-f]*/complete"))))
    assert pinned.all_runs() == []
    assert pinned.run("flow").state is RunState.SUCCEEDED


@one_start
def test_code_that_was_exported_ahead_is_compared_again_if_a_run_has_changed_it(pinned: World) -> None:
    engine = pinned.start()
    engine.prepare_code()
    wait_until(lambda: bool(list((pinned.state / "exports").glob("[0-9a-f]*/complete"))))
    (export(pinned) / "tree/flows").chmod(0o755)
    (export(pinned) / "tree/flows/data.txt").chmod(0o644)
    (export(pinned) / "tree/flows/data.txt").write_text("changed")
    (export(pinned) / "doubt").touch()
    assert pinned.run("flow").result == "good"


class HeldSource(GitSource):
    """A source whose export of one revision takes until `release` is set."""

    held: str | None = None
    release: Event

    def checkout(self, revision: str) -> Path:
        if revision == self.held:
            self.release.wait()
        return super().checkout(revision)


@one_start
@pytest.mark.parametrize("must_compare", [False, True])
def test_a_run_whose_code_is_exported_does_not_wait_for_the_export_of_another_revision(
    pinned: World, *, must_compare: bool
) -> None:
    pinned.source = source = HeldSource(pinned.root, ref=None, path="deployments", exports=pinned.state / "exports")
    source.release = Event()
    gate = gated(pinned)
    GitRepository(pinned.root).commit()
    pinned.declare()
    pinned.start(max_running=1)
    slow = pinned.wait(pinned.trigger("slow"), RunState.RUNNING)
    earlier = pinned.trigger("flow")
    pinned.write("deployments/command.yaml", command("command", "cat flows/data.txt", "priority: 9\n"))
    GitRepository(pinned.root).commit()
    pinned.declare()
    source.held = source.observe()
    later = [pinned.trigger("command"), pinned.trigger("command")]
    if must_compare:
        (export(pinned) / "doubt").touch()
    gate.touch()
    try:
        assert pinned.wait(earlier).state is RunState.SUCCEEDED
        assert {pinned.find(run).state for run in later} == {RunState.PENDING}
    finally:
        source.release.set()
    assert earlier.revision == slow.revision
    assert [pinned.wait(run).revision for run in later] == [source.held] * 2
