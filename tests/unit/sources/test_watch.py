"""A change on disk is a hint to look; a directory that was replaced is watched anew."""

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
    made = Watcher(hint.set)
    yield made
    made.close()


def test_a_changed_file_is_a_hint(tmp_path: Path, watcher: Watcher, hint: threading.Event) -> None:
    (tmp_path / "deep").mkdir()
    watcher.arm([WatchedPath(path=tmp_path, recursive=True)])
    (tmp_path / "deep" / "a.yaml").write_text("1", encoding="utf-8")
    assert hint.wait(WITHIN_SECONDS)


def test_a_directory_that_was_replaced_is_watched_anew(tmp_path: Path, watcher: Watcher, hint: threading.Event) -> None:
    (tmp_path / "deployments").mkdir()
    source = DirectorySource(tmp_path, path="deployments")
    watcher.arm(source.watched())
    shutil.rmtree(tmp_path / "deployments")
    (tmp_path / "new").mkdir()
    (tmp_path / "new").rename(tmp_path / "deployments")
    assert hint.wait(WITHIN_SECONDS)
    watcher.arm(source.watched())
    hint.clear()
    (tmp_path / "deployments" / "a.yaml").write_text("1", encoding="utf-8")
    assert hint.wait(WITHIN_SECONDS)


def test_a_commit_is_a_hint(tmp_path: Path, repository: GitRepository, watcher: Watcher, hint: threading.Event) -> None:
    repository.commit({"a": "1"})
    source = GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")
    watcher.arm(source.watched())
    repository.git("commit", "--quiet", "--allow-empty", "--message", "again")
    assert hint.wait(WITHIN_SECONDS)


def test_reading_is_no_hint(tmp_path: Path, watcher: Watcher, hint: threading.Event) -> None:
    (tmp_path / "a.yaml").write_text("1", encoding="utf-8")
    watcher.arm([WatchedPath(path=tmp_path, recursive=True)])
    assert (tmp_path / "a.yaml").read_text(encoding="utf-8") == "1"
    assert not hint.wait(0.2)


def test_arming_again_for_the_same_places_starts_nothing(tmp_path: Path, watcher: Watcher) -> None:
    watcher.arm([WatchedPath(path=tmp_path, recursive=True)])
    before = threading.enumerate()
    watcher.arm([WatchedPath(path=tmp_path, recursive=True)])
    assert threading.enumerate() == before


def test_a_place_that_is_not_there_is_passed_over(tmp_path: Path, watcher: Watcher, hint: threading.Event) -> None:
    watcher.arm([WatchedPath(path=tmp_path / "missing", recursive=True), WatchedPath(path=tmp_path, recursive=False)])
    (tmp_path / "missing").mkdir()
    assert hint.wait(WITHIN_SECONDS)


def test_closing_ends_its_threads(tmp_path: Path, watcher: Watcher) -> None:
    before = set(threading.enumerate())
    watcher.arm([WatchedPath(path=tmp_path, recursive=True)])
    watcher.close()
    watcher.close()
    assert set(threading.enumerate()) <= before


def test_where_nothing_is_to_be_watched_nothing_is_started(watcher: Watcher) -> None:
    before = threading.enumerate()
    watcher.arm([])
    assert threading.enumerate() == before


def armed(watcher: Watcher, places: list[WatchedPath]) -> Watcher:
    """The watcher, as a pass leaves it."""
    watcher.arm(places)
    return watcher


class TurnedClock(ManualClock):
    """One whose monotonic time is turned too."""

    def monotonic(self) -> float:
        return self.elapsed()


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Within, the kernel gives out no file descriptor, and so no inotify instance either."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_where_the_kernel_refuses_polling_has_to_do_and_watching_is_tried_again_later(
    tmp_path: Path, hint: threading.Event
) -> None:
    clock = TurnedClock()
    watcher = Watcher(hint.set, clock)
    places = [WatchedPath(path=tmp_path, recursive=True)]
    with no_descriptor_left():
        watcher.arm(places)
    assert "fs.inotify.max_user_instances" in str(watcher.problem)
    assert "fs.inotify.max_user_instances" in str(armed(watcher, places).problem)
    clock.turn(timedelta(seconds=RETRY_SECONDS))
    assert armed(watcher, places).problem is None
    (tmp_path / "a.yaml").write_text("1", encoding="utf-8")
    assert hint.wait(WITHIN_SECONDS)
    watcher.close()


def test_a_failure_to_watch_leaves_no_thread_behind(tmp_path: Path, watcher: Watcher) -> None:
    before = set(threading.enumerate())
    with no_descriptor_left():
        watcher.arm([WatchedPath(path=tmp_path, recursive=True)])
    assert watcher.problem is not None
    assert set(threading.enumerate()) <= before


def test_a_receiver_that_fails_ends_no_thread_and_is_told(tmp_path: Path) -> None:
    called = threading.Event()
    clock = TurnedClock()

    def fail() -> None:
        called.set()
        raise ValueError("not today")

    watcher = Watcher(fail, clock)
    places = [WatchedPath(path=tmp_path, recursive=True)]
    watcher.arm(places)
    (tmp_path / "a.yaml").write_text("1", encoding="utf-8")
    assert called.wait(WITHIN_SECONDS)
    wait_until(lambda: armed(watcher, places).problem == "a change could not be passed on: not today")
    clock.turn(timedelta(seconds=RETRY_SECONDS))
    assert armed(watcher, places).problem is None
    called.clear()
    (tmp_path / "a.yaml").write_text("2", encoding="utf-8")
    assert called.wait(WITHIN_SECONDS)
    watcher.close()


def test_a_watch_whose_thread_has_ended_is_replaced(tmp_path: Path, watcher: Watcher, hint: threading.Event) -> None:
    places = [WatchedPath(path=tmp_path, recursive=True)]
    watcher.arm(places)
    assert watcher._observer is not None
    for emitter in watcher._observer.emitters:
        emitter.stop()
        emitter.join(WITHIN_SECONDS)
    watcher.arm(places)
    assert watcher.problem is None
    (tmp_path / "a.yaml").write_text("1", encoding="utf-8")
    assert hint.wait(WITHIN_SECONDS)


def test_after_a_new_directory_the_whole_tree_is_watched_anew_so_that_a_limit_is_noticed(
    tmp_path: Path, watcher: Watcher
) -> None:
    places = [WatchedPath(path=tmp_path, recursive=True)]
    watcher.arm(places)
    before = watcher._observer
    assert before is not None
    (tmp_path / "new").mkdir()
    wait_until(lambda: armed(watcher, places)._observer is not before)
    assert watcher.problem is None


def test_the_limit_that_is_reached_is_named() -> None:
    assert "max_user_watches" in _reason(OSError(errno.ENOSPC, "inotify watch limit reached"))
    assert "max_user_instances" in _reason(OSError(errno.EMFILE, "inotify instance limit reached"))
    assert _reason(PermissionError(errno.EACCES, "Permission denied", "/r/.git")) == "/r/.git: Permission denied"
    assert _reason(RuntimeError("can't start new thread")) == "can't start new thread"
