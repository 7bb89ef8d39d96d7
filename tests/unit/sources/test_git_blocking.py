"""A FIFO, a socket or a device in place of a file of the repository gives an error that names it, without blocking."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from controller.errors import SourceError, StoppingError
from controller.sources.git import GitSource
from controller.sources.git.commit_source import NamedCommit
from controller.sources.git.repository import Repository, read_regular
from tests.conftest import GitRepository, wait_until
from tests.leftovers import children

READ = ["HEAD", "refs/heads/main", "packed-refs", "config", "config.worktree", "commondir", "objects/info/alternates"]


def replace_with_fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def source_of(repository: GitRepository, ref: str | None = None) -> GitSource:
    exports = repository.path.parent / "exports"
    return GitSource(repository.path, ref=ref, path="deployments", exports=exports)


@pytest.mark.parametrize(
    ("name", "is_known"), [*((name, False) for name in READ), *((name, True) for name in READ[:2])]
)
def test_the_error_names_a_fifo_without_waiting_for_it(repository: GitRepository, name: str, *, is_known: bool) -> None:
    repository.commit({"a": "1"})
    source = source_of(repository)
    if is_known:
        source.observe()
    replace_with_fifo(repository.path / ".git" / name)
    with pytest.raises(SourceError, match=f"{name} is a FIFO; git needs a regular file there"):
        source.observe()
    with pytest.raises(SourceError, match=f"{name} is a FIFO"):
        NamedCommit(repository.path, "HEAD", path="deployments").observe()


@pytest.mark.parametrize("kind", ["heads", "tags"])
def test_a_fifo_in_place_of_the_followed_ref_is_named(repository: GitRepository, kind: str) -> None:
    repository.commit({"a": "1"})
    os.mkfifo(repository.path / f".git/refs/{kind}/other")
    with pytest.raises(SourceError, match=f"refs/{kind}/other is a FIFO"):
        source_of(repository, "other").observe()
    assert source_of(repository).observe().startswith("main@")


def test_a_fifo_or_a_socket_in_place_of_the_git_directory_is_named(repository: GitRepository) -> None:
    repository.commit({"a": "1"})
    dot_git = repository.path / ".git"
    dot_git.rename(repository.path / "away")
    os.mkfifo(dot_git)
    with pytest.raises(SourceError, match="is a FIFO"):
        source_of(repository).observe()
    dot_git.unlink()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(dot_git))
        with pytest.raises(SourceError, match="is a socket"):
            source_of(repository).observe()


def test_a_link_to_a_device_in_place_of_the_configuration_is_named(repository: GitRepository) -> None:
    repository.commit({"a": "1"})
    (repository.path / ".git/config").unlink()
    (repository.path / ".git/config").symlink_to("/dev/zero")
    with pytest.raises(SourceError, match="config is a character device"):
        source_of(repository).observe()


def test_a_fifo_included_by_the_configuration_is_not_opened_in_this_process(
    repository: GitRepository, tmp_path: Path
) -> None:
    repository.commit({"a": "1"})
    os.mkfifo(tmp_path / "included")
    config = repository.path / ".git" / "config"
    content = config.read_text(encoding="utf-8")
    config.write_text(f"{content}[include]\n\tpath = {tmp_path / 'included'}\n", encoding="utf-8")
    with Repository(repository.path, expand_vars=False) as opened:
        assert not opened.bare


def test_irregular_and_oversized_files_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(bytes((1 << 20) + 1))
    for name in ("fifo", "large"):
        with pytest.raises(ValueError, match=name):
            read_regular(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "missing")


def test_interrupt_ends_a_git_that_waits_for_a_fifo(repository: GitRepository) -> None:
    repository.commit({"deployments/a.yaml": "name: a"})
    source = source_of(repository)
    revision = source.observe()
    commit = revision.rpartition(":")[2]
    replace_with_fifo(repository.path / f".git/objects/{commit[:2]}/{commit[2:]}")

    before = children()
    processes = source.work.processes
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(source.read, revision)
        wait_until(lambda: source.work.processes > processes and children() - before)
        source.interrupt()
        assert isinstance(reading.exception(60), StoppingError)
    assert children() <= before
