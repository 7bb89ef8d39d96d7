"""A fixture that creates sources of a local repository."""

from collections.abc import Callable
from pathlib import Path

import pytest

from controller.sources.git import GitSource
from controller.sources.source import Source
from tests.conftest import GitRepository

Follow = Callable[..., GitSource]


@pytest.fixture
def follow(tmp_path: Path, repository: GitRepository) -> Follow:
    """`follow(ref=…, path=…, repo=…)` creates a source of the repository."""

    def make(*, ref: str | None = None, path: str = "deployments", repo: Path | None = None) -> GitSource:
        return GitSource(repo or repository.path, ref=ref, path=path, exports=tmp_path / "exports")

    return make


def paths(source: Source) -> list[str]:
    return [file.path for file in source.read(source.observe()).files]
