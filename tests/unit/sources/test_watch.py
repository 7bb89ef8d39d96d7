"""A change on disk wakes the reconciler; a directory that was replaced is watched again."""

import errno
import resource
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from controller.sources.directory.source import DirectorySource
from controller.sources.git import GitSource
from controller.sources.source import WatchedPath
from controller.sources.watch import RETRY_SECONDS, Watcher, _reason
from tests.conftest import GitRepository, ManualClock, wait_until

WITHIN_SECONDS = 10


@pytest.fixture
def hint() -> threading.Event:
    return threading.Event()


@pytest.fixture
def watcher(hint: threading.Event) -> Iterator[Watcher]:
    watcher = Watcher(hint.set)
    yield watcher
    watcher.close()


def test_a_changed_file_is_reported(tmp_path: Path, watcher: Watcher, hint: threading.Event) -> None:
    (tmp_path / "deep").mkdir()
    watcher.watch([WatchedPath(path=tmp_path, recursive=True)])
    (tmp_path / "deep" / "a.yaml").write_text("1", encoding="utf-8")
    assert hint.wait(WITHIN_SECONDS)


def test_a_replaced_directory_is_watched_again(tmp_path: Path, watcher: Watcher, hint: threading.Event) -> None:
    (tmp_path / "deployments").mkdir()
    source = DirectorySource(tmp_path, path="deployments")
    watcher.watch(source.watched_paths())
    shutil.rmtree(tmp_path / "deployments")
    (tmp_path / "new").mkdir()
    (tmp_path / "new").rename(tmp_path / "deployments")
    assert hint.wait(WITHIN_SECONDS)
    watcher.watch(source.watched_paths())
    hint.clear()
    (tmp_path / "deployments" / "a.yaml").write_text("1", encoding="utf-8")
    assert hint.wait(WITHIN_SECONDS)


def test_a_commit_is_reported(
    tmp_path: Path, repository: GitRepository, watcher: Watcher, hint: threading.Event
) -> None:
    repository.commit({"a": "1"})
    source = GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")
    watcher.watch(source.watched_paths())
    repository.git("commit", "--quiet", "--allow-empty", "--message", "again")
    assert hint.wait(WITHIN_SECONDS)


def test_reading_a_file_is_not_a_change(tmp_path: Path, watcher: Watcher, hint: threading.Event) -> None:
    (tmp_path / "a.yaml").write_text("1", encoding="utf-8")
    watcher.watch([WatchedPath(path=tmp_path, recursive=True)])
    assert (tmp_path / "a.yaml").read_text(encoding="utf-8") == "1"
    assert not hint.wait(0.2)


def test_watching_the_same_directories_again_starts_no_thread(tmp_path: Path, watcher: Watcher) -> None:
    watcher.watch([WatchedPath(path=tmp_path, recursive=True)])
    before = threading.enumerate()
    watcher.watch([WatchedPath(path=tmp_path, recursive=True)])
    assert threading.enumerate() == before


def test_a_missing_directory_is_skipped(tmp_path: Path, watcher: Watcher, hint: threading.Event) -> None:
    watcher.watch([WatchedPath(path=tmp_path / "missing", recursive=True), WatchedPath(path=tmp_path, recursive=False)])
    (tmp_path / "missing").mkdir()
    assert hint.wait(WITHIN_SECONDS)


def test_close_stops_all_threads(tmp_path: Path, watcher: Watcher) -> None:
    before = set(threading.enumerate())
    watcher.watch([WatchedPath(path=tmp_path, recursive=True)])
    watcher.close()
    watcher.close()
    assert set(threading.enumerate()) <= before


def test_without_directories_no_thread_is_started(watcher: Watcher) -> None:
    before = threading.enumerate()
    watcher.watch([])
    assert threading.enumerate() == before


def after_watching(watcher: Watcher, places: list[WatchedPath]) -> Watcher:
    """Watch these directories, as a pass does, and return the watcher."""
    watcher.watch(places)
    return watcher


class TurnedClock(ManualClock):
    """A manual clock whose monotonic time advances as well."""

    def monotonic(self) -> float:
        return self.elapsed()


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Let the kernel refuse every file descriptor, and so every inotify instance, in this context."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_watching_is_retried_a_minute_after_the_kernel_refused_it(tmp_path: Path, hint: threading.Event) -> None:
    clock = TurnedClock()
    watcher = Watcher(hint.set, clock)
    places = [WatchedPath(path=tmp_path, recursive=True)]
    with no_descriptor_left():
        watcher.watch(places)
    assert "fs.inotify.max_user_instances" in str(watcher.problem)
    assert "fs.inotify.max_user_instances" in str(after_watching(watcher, places).problem)
    clock.turn(timedelta(seconds=RETRY_SECONDS))
    assert after_watching(watcher, places).problem is None
    (tmp_path / "a.yaml").write_text("1", encoding="utf-8")
    assert hint.wait(WITHIN_SECONDS)
    watcher.close()


def test_a_failed_attempt_to_watch_leaves_no_thread_behind(tmp_path: Path, watcher: Watcher) -> None:
    before = set(threading.enumerate())
    with no_descriptor_left():
        watcher.watch([WatchedPath(path=tmp_path, recursive=True)])
    assert watcher.problem is not None
    assert set(threading.enumerate()) <= before


def test_an_exception_in_the_callback_ends_no_thread_and_is_reported(tmp_path: Path) -> None:
    called = threading.Event()
    clock = TurnedClock()

    def fail() -> None:
        called.set()
        raise ValueError("not today")

    watcher = Watcher(fail, clock)
    places = [WatchedPath(path=tmp_path, recursive=True)]
    watcher.watch(places)
    (tmp_path / "a.yaml").write_text("1", encoding="utf-8")
    assert called.wait(WITHIN_SECONDS)
    wait_until(lambda: after_watching(watcher, places).problem == "a change could not be processed: not today")
    clock.turn(timedelta(seconds=RETRY_SECONDS))
    assert after_watching(watcher, places).problem is None
    called.clear()
    (tmp_path / "a.yaml").write_text("2", encoding="utf-8")
    assert called.wait(WITHIN_SECONDS)
    watcher.close()


def test_watching_restarts_when_one_of_its_threads_has_ended(
    tmp_path: Path, watcher: Watcher, hint: threading.Event
) -> None:
    places = [WatchedPath(path=tmp_path, recursive=True)]
    watcher.watch(places)
    assert watcher._observer is not None
    for emitter in watcher._observer.emitters:
        emitter.stop()
        emitter.join(WITHIN_SECONDS)
    watcher.watch(places)
    assert watcher.problem is None
    (tmp_path / "a.yaml").write_text("1", encoding="utf-8")
    assert hint.wait(WITHIN_SECONDS)


def test_a_new_directory_restarts_watching_so_that_an_exhausted_limit_is_noticed(
    tmp_path: Path, watcher: Watcher
) -> None:
    places = [WatchedPath(path=tmp_path, recursive=True)]
    watcher.watch(places)
    before = watcher._observer
    assert before is not None
    (tmp_path / "new").mkdir()
    wait_until(lambda: after_watching(watcher, places)._observer is not before)
    assert watcher.problem is None


def test_the_message_names_the_exhausted_limit() -> None:
    assert "max_user_watches" in _reason(OSError(errno.ENOSPC, "inotify watch limit reached"))
    assert "max_user_instances" in _reason(OSError(errno.EMFILE, "inotify instance limit reached"))
    assert _reason(PermissionError(errno.EACCES, "Permission denied", "/r/.git")) == "/r/.git: Permission denied"
    assert _reason(RuntimeError("can't start new thread")) == "can't start new thread"
