"""Fixtures for remote sources: a server, the transports to reach it, and sources that follow it."""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from controller.remotes import Access, parse_url
from controller.sources.git import RemoteSource
from controller.sources.git.transport import Timeouts
from tests.conftest import GitRepository
from tests.servers import HttpServer, http_server, install_ssh

Follow = Callable[..., RemoteSource]
SHORT = Timeouts(list_refs=timedelta(seconds=1), fetch=timedelta(seconds=1))
PASSWORD = "correct-horse-battery"


@pytest.fixture
def server(tmp_path: Path, repository: GitRepository) -> Iterator[HttpServer]:
    """An HTTP server with the repository at `/repo/.git`."""
    assert repository.path.is_relative_to(tmp_path)
    with http_server(tmp_path) as http:
        yield http


@pytest.fixture
def ssh_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log with the arguments of the fake `ssh` that is first on PATH."""
    log = tmp_path / "ssh.log"
    install_ssh(tmp_path / "bin", log)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.defpath}")
    return log


@pytest.fixture
def follow(tmp_path: Path, repository: GitRepository) -> Follow:
    """`follow(url)` creates a source of the repository, by default through `file://`."""

    def make(
        url: str | None = None,
        *,
        ref: str | None = None,
        access: Access | None = None,
        timeouts: Timeouts | None = None,
    ) -> RemoteSource:
        return RemoteSource(
            parse_url(url or f"file://{repository.path}"),
            ref=ref,
            path="deployments",
            mirror=tmp_path / "state" / "mirror",
            exports=tmp_path / "state" / "exports",
            access=access,
            timeouts=timeouts,
        )

    return make


@pytest.fixture(params=["file", "http", "ssh", "scp"])
def url(request: pytest.FixtureRequest, repository: GitRepository, server: HttpServer, ssh_log: Path) -> str:
    assert ssh_log.parent.is_dir()
    return {
        "file": f"file://{repository.path}",
        "http": f"{server.url}/repo/.git",
        "ssh": f"ssh://git@localhost{repository.path}",
        "scp": f"git@localhost:{repository.path}",
    }[request.param]


def contents(source: RemoteSource) -> list[bytes]:
    return [file.content for file in source.read(source.observe()).files]
