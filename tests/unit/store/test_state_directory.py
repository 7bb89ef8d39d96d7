"""The state directory: its exclusive lock, its permissions, and the detection of removed or replaced files."""

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
    """Another process that has locked `tmp_path / "state"`."""
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


def test_a_second_controller_is_rejected_with_the_pid_of_the_first(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    directory = StateDirectory(tmp_path / "state")
    with pytest.raises(AlreadyRunningError, match=f"pid {holder.pid} on .*, since 2026-06-01"):
        hold(directory)
    found = directory.holder()
    assert found is not None
    assert (found.pid, found.version) == (holder.pid, "7")


def test_a_fifo_as_lock_file_is_rejected_without_blocking(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    os.mkfifo(tmp_path / "state" / "controller.lock")
    directory = StateDirectory(tmp_path / "state")
    assert directory.holder() is None
    with pytest.raises(StateError, match=r"controller\.lock is not a regular file"):
        hold(directory)


def test_one_process_cannot_lock_the_directory_twice(tmp_path: Path) -> None:
    first, second = StateDirectory(tmp_path / "state"), StateDirectory(tmp_path / "state")
    hold(first)
    with pytest.raises(AlreadyRunningError, match=f"pid {os.getpid()}"):
        hold(second)
    first.release()
    hold(second)
    second.release()
    assert second.holder() is None


def test_a_killed_process_releases_the_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    directory = StateDirectory(tmp_path / "state")
    assert directory.holder() is None
    hold(directory)
    found = directory.holder()
    assert found is not None
    assert found.pid == os.getpid()
    directory.release()


def test_reading_the_holder_does_not_prevent_locking(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "state")
    hold(directory)
    directory.release()
    stop = threading.Event()

    def read_continuously() -> None:
        while not stop.is_set():
            StateDirectory(tmp_path / "state").holder()

    reader = threading.Thread(target=read_continuously)
    reader.start()
    try:
        for _ in range(20):
            directory.hold(version="1", now=NOW, pause=threading.Event().wait)
            directory.release()
    finally:
        stop.set()
        reader.join()
    assert directory.holder() is None


@pytest.mark.parametrize("content", [b"", b"nonsense", b"{}", b"[]", b'{"pid": 1}', b'{"started_at": 5}'])
def test_an_invalid_lock_file_has_no_holder_but_stays_locked(tmp_path: Path, content: bytes) -> None:
    directory, other = StateDirectory(tmp_path / "state"), StateDirectory(tmp_path / "state")
    hold(directory)
    (tmp_path / "state" / "controller.lock").write_bytes(content)
    assert other.holder() is None
    with pytest.raises(AlreadyRunningError):
        hold(other)
    directory.release()


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_the_directory_is_private_with_any_umask(tmp_path: Path, mask: int) -> None:
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


def test_gitignore_is_created_once_and_then_left_unchanged(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "state")
    hold(directory)
    directory.release()
    assert (tmp_path / "state" / ".gitignore").read_text(encoding="utf-8") == "*\n"
    (tmp_path / "state" / ".gitignore").write_text("mine\n", encoding="utf-8")
    hold(directory)
    directory.release()
    assert (tmp_path / "state" / ".gitignore").read_text(encoding="utf-8") == "mine\n"


def test_an_unusable_path_raises_a_state_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StateError, match="can't be used"):
        hold(StateDirectory(tmp_path / "file" / "state"))
    assert StateDirectory(tmp_path / "file" / "state").holder() is None


def test_child_processes_do_not_inherit_the_lock(tmp_path: Path) -> None:
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
    """A state directory that this process has locked, with its database open."""
    directory = StateDirectory(tmp_path / "state")
    hold(directory)
    store = Store.open(directory.database, check=directory.check)
    directory.remember()
    directory.check()
    yield directory
    store.close()
    directory.release()


@pytest.mark.parametrize("name", ["", "controller.lock", "state.db", "state.db-wal", "runs"])
def test_check_detects_removed_files(in_use: StateDirectory, tmp_path: Path, name: str) -> None:
    (in_use.path / name).rename(tmp_path / "removed")
    with pytest.raises(StateLostError, match=r"removed or replaced while the controller was running: .* is missing"):
        in_use.check()


@pytest.mark.parametrize("name", ["controller.lock", "state.db", "state.db-wal"])
def test_check_detects_replaced_files(in_use: StateDirectory, tmp_path: Path, name: str) -> None:
    (tmp_path / "copy").write_bytes((in_use.path / name).read_bytes())
    (tmp_path / "copy").rename(in_use.path / name)
    with pytest.raises(StateLostError, match=f"{name} is a different file"):
        in_use.check()


def test_a_removed_database_is_not_written_to(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "state")
    hold(directory)
    store = Store.open(directory.database, check=directory.check)
    directory.remember()
    directory.file.unlink()
    with pytest.raises(StateLostError), store.write():
        raise AssertionError("the transaction began")
    store.close()
    directory.release()


def test_closing_a_replaced_database_keeps_the_log_of_the_new_one(tmp_path: Path) -> None:
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
