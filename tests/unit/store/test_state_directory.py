"""Who holds the state directory: one controller at a time, until it ends in whatever way."""

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.errors import AlreadyRunningError, StateError, StateLostError
from controller.store import Store
from controller.store.state_directory import StateDirectory
from tests.conftest import NOW, wait_until

HOLDER = """
import sys, threading
from datetime import UTC, datetime
from pathlib import Path
from controller.store.state_directory import StateDirectory
StateDirectory(Path(sys.argv[1])).hold(version="7", now=datetime(2026, 6, 1, tzinfo=UTC), pause=threading.Event().wait)
print("held", flush=True)
sys.stdin.read()
"""


def hold(directory: StateDirectory) -> None:
    directory.hold(version="1", now=NOW, pause=lambda _: None)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds `tmp_path / "state"`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "state")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    directory = StateDirectory(tmp_path / "state")
    with pytest.raises(AlreadyRunningError, match=f"pid {holder.pid} on .*, since 2026-06-01"):
        hold(directory)
    found = directory.holder()
    assert found is not None
    assert (found.pid, found.version) == (holder.pid, "7")


def test_a_lock_that_is_no_regular_file_is_refused_and_blocks_nobody(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    os.mkfifo(tmp_path / "state" / "controller.lock")
    directory = StateDirectory(tmp_path / "state")
    assert directory.holder() is None
    with pytest.raises(StateError, match=r"controller\.lock is not a regular file"):
        hold(directory)


def test_the_same_process_can_not_hold_it_twice(tmp_path: Path) -> None:
    first, second = StateDirectory(tmp_path / "state"), StateDirectory(tmp_path / "state")
    hold(first)
    with pytest.raises(AlreadyRunningError, match=f"pid {os.getpid()}"):
        hold(second)
    first.release()
    hold(second)
    second.release()
    assert second.holder() is None


def test_a_killed_holder_leaves_it_free(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    directory = StateDirectory(tmp_path / "state")
    assert directory.holder() is None
    hold(directory)
    found = directory.holder()
    assert found is not None
    assert found.pid == os.getpid()
    directory.release()


def test_looking_does_not_get_in_the_way_of_holding(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "state")
    hold(directory)
    directory.release()
    stop = threading.Event()

    def look_all_the_time() -> None:
        while not stop.is_set():
            StateDirectory(tmp_path / "state").holder()

    looker = threading.Thread(target=look_all_the_time)
    looker.start()
    try:
        for _ in range(20):
            directory.hold(version="1", now=NOW, pause=threading.Event().wait)
            directory.release()
    finally:
        stop.set()
        looker.join()
    assert directory.holder() is None


@pytest.mark.parametrize("content", [b"", b"nonsense", b"{}", b"[]", b'{"pid": 1}', b'{"started_at": 5}'])
def test_a_lock_file_that_says_nothing_names_nobody(tmp_path: Path, content: bytes) -> None:
    directory, other = StateDirectory(tmp_path / "state"), StateDirectory(tmp_path / "state")
    hold(directory)
    (tmp_path / "state" / "controller.lock").write_bytes(content)
    assert other.holder() is None
    with pytest.raises(AlreadyRunningError):
        hold(other)
    directory.release()


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_it_is_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        directory = StateDirectory(tmp_path / "state")
        hold(directory)
    finally:
        os.umask(before)
    directory.release()
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (directory.path, directory.runs, directory.path / "controller.lock")
    }
    assert modes == {"state": 0o700, "runs": 0o700, "controller.lock": 0o600}


def test_it_ignores_itself_in_git_and_leaves_a_changed_rule_alone(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "state")
    hold(directory)
    directory.release()
    assert (tmp_path / "state" / ".gitignore").read_text(encoding="utf-8") == "*\n"
    (tmp_path / "state" / ".gitignore").write_text("mine\n", encoding="utf-8")
    hold(directory)
    directory.release()
    assert (tmp_path / "state" / ".gitignore").read_text(encoding="utf-8") == "mine\n"


def test_a_place_that_can_not_be_a_directory_is_an_error_of_the_state(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StateError, match="can't be used"):
        hold(StateDirectory(tmp_path / "file" / "state"))
    assert StateDirectory(tmp_path / "file" / "state").holder() is None


def test_a_child_of_the_holder_does_not_hold_it(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "state")
    hold(directory)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False) as child:
        directory.release()
        wait_until(lambda: directory.holder() is None)
        hold(directory)
        directory.release()
        assert child.poll() is None


@pytest.fixture
def in_use(tmp_path: Path) -> Iterator[StateDirectory]:
    """A state directory that this process holds, with its database open."""
    directory = StateDirectory(tmp_path / "state")
    hold(directory)
    store = Store.open(directory.database, check=directory.check)
    directory.remember()
    directory.check()
    yield directory
    store.close()
    directory.release()


@pytest.mark.parametrize("name", ["", "controller.lock", "state.db", "state.db-wal", "runs"])
def test_a_removed_part_of_the_state_is_noticed(in_use: StateDirectory, tmp_path: Path, name: str) -> None:
    (in_use.path / name).rename(tmp_path / "removed")
    with pytest.raises(StateLostError, match=r"removed or replaced while the controller was running: .* is missing"):
        in_use.check()


@pytest.mark.parametrize("name", ["controller.lock", "state.db", "state.db-wal"])
def test_a_replaced_file_of_the_state_is_noticed(in_use: StateDirectory, tmp_path: Path, name: str) -> None:
    (tmp_path / "copy").write_bytes((in_use.path / name).read_bytes())
    (tmp_path / "copy").rename(in_use.path / name)
    with pytest.raises(StateLostError, match=f"{name} is a different file"):
        in_use.check()


def test_nothing_is_written_to_a_database_that_was_removed(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "state")
    hold(directory)
    store = Store.open(directory.database, check=directory.check)
    directory.remember()
    directory.database.unlink()
    with pytest.raises(StateLostError), store.write():
        raise AssertionError("the transaction began")
    store.close()
    directory.release()


def test_closing_a_replaced_database_leaves_the_log_of_the_new_one_alone(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "state")
    hold(directory)
    first = Store.open(directory.database)
    (tmp_path / "state").rename(tmp_path / "removed")
    (tmp_path / "state").mkdir()
    second = Store.open(directory.database)
    log = tmp_path / "state" / "state.db-wal"
    before = log.stat().st_ino
    first.close()
    assert log.stat().st_ino == before
    second.close()
    directory.release()
