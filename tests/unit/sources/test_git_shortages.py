"""A repository is not absent or empty because this process, or git, is short of something."""

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
    """Every descriptor that this process may have is taken."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = max(int(name.name) for name in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + LIMIT, before[1]))
    found: list[int] = []
    try:
        while True:
            found.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    yield found
    for descriptor in found:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(("kind", "free"), [("git", 0), ("git", 1), ("git", 2), ("directory", 0), ("directory", 1)])
def test_without_descriptors_a_source_is_unavailable_and_neither_absent_nor_empty(
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


def test_git_that_lacks_descriptors_itself_tells_of_no_empty_repository(
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
