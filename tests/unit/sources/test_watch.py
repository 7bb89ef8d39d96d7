"""A change on disk is a hint to look; a directory that was replaced is watched anew."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.sources.directory import DirectorySource
from controller.sources.git import GitSource
from controller.sources.source import Watched
from controller.sources.watch import Watcher
from tests.conftest import GitRepository

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
    watcher.arm([Watched(path=tmp_path, recursive=True)])
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
    watcher.arm([Watched(path=tmp_path, recursive=True)])
    assert (tmp_path / "a.yaml").read_text(encoding="utf-8") == "1"
    assert not hint.wait(0.2)


def test_arming_again_for_the_same_places_starts_nothing(tmp_path: Path, watcher: Watcher) -> None:
    watcher.arm([Watched(path=tmp_path, recursive=True)])
    before = threading.enumerate()
    watcher.arm([Watched(path=tmp_path, recursive=True)])
    assert threading.enumerate() == before


def test_a_place_that_is_not_there_is_passed_over(tmp_path: Path, watcher: Watcher, hint: threading.Event) -> None:
    watcher.arm([Watched(path=tmp_path / "missing", recursive=True), Watched(path=tmp_path, recursive=False)])
    (tmp_path / "missing").mkdir()
    assert hint.wait(WITHIN_SECONDS)


def test_closing_ends_its_threads(tmp_path: Path, watcher: Watcher) -> None:
    before = set(threading.enumerate())
    watcher.arm([Watched(path=tmp_path, recursive=True)])
    watcher.close()
    watcher.close()
    assert set(threading.enumerate()) <= before


def test_where_nothing_is_to_be_watched_nothing_is_started(watcher: Watcher) -> None:
    before = threading.enumerate()
    watcher.arm([])
    assert threading.enumerate() == before
