"""A shortage of resources in this process or in git is never reported as a missing or empty repository."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.errors import EmptyRepositoryError, RepositoryNotFoundError, SourceError, shortage
from controller.sources.directory.source import DirectorySource
from controller.sources.git import GitSource
from controller.sources.source import Source
from tests.conftest import GitRepository

pytestmark = pytest.mark.integration

LIMIT = 64


@pytest.fixture
def taken() -> Iterator[list[int]]:
    """Use up all file descriptors of this process in this context."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = max(int(name.name) for name in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + LIMIT, before[1]))
    descriptors: list[int] = []
    try:
        while True:
            descriptors.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    yield descriptors
    for descriptor in descriptors:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(("kind", "free"), [("git", 0), ("git", 1), ("git", 2), ("directory", 0), ("directory", 1)])
def test_without_file_descriptors_a_source_is_unavailable_not_missing_or_empty(
    repository: GitRepository, tmp_path: Path, request: pytest.FixtureRequest, free: int, kind: str
) -> None:
    repository.write("deployments/a.yaml", "name: a\ncommand: ['true']\n")
    source: Source = GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")
    if kind == "directory":
        source = DirectorySource(repository.path, path="deployments")
    taken: list[int] = request.getfixturevalue("taken")
    for _ in range(free):
        os.close(taken.pop())
    with pytest.raises(SourceError) as caught:
        source.observe()
    assert not isinstance(caught.value, RepositoryNotFoundError | EmptyRepositoryError)
    assert shortage(caught.value) == "no file descriptors"


def test_git_without_descriptors_does_not_report_an_empty_repository(
    repository: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'fatal: open .git/HEAD: Too many open files' >&2\nexit 128\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    source = GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")
    with pytest.raises(SourceError) as caught:
        source.observe()
    assert not isinstance(caught.value, EmptyRepositoryError)
    assert shortage(caught.value) == "no file descriptors"
