"""Each failure of a server has a reason and is recovered from; credentials are sent to the right server only."""

import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from controller.errors import AuthenticationError, SourceTimeoutError, StoppingError, UnreachableError
from controller.remotes import Access
from tests.conftest import GitRepository
from tests.leftovers import children
from tests.servers import CERTIFICATE, HttpServer, http_server
from tests.unit.sources.remote.conftest import PASSWORD, SHORT, Follow, contents


def test_a_missing_server_is_unreachable_until_it_starts(
    tmp_path: Path, repository: GitRepository, follow: Follow
) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    with http_server(tmp_path) as server:
        source = follow(f"{server.url}/repo/.git")
        assert contents(source) == [b"1"]
        server.behaviour.status = 503
        with pytest.raises(UnreachableError):
            source.observe()
        server.behaviour.status = None
        assert contents(source) == [b"1"]
    messages = set()
    for _ in range(3):
        with pytest.raises(UnreachableError) as refused:
            source.observe()
        messages.add(refused.value.message)
    assert len(messages) == 1
    # Fetched commits stay readable in the meantime.
    commit = repository.head()
    assert source.read(f"main@sha1:{commit}").files[0].content == b"1"


def test_credentials_are_required_used_and_never_shown(
    tmp_path: Path, repository: GitRepository, follow: Follow, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("git")
    arguments = tmp_path / "arguments"
    shim = tmp_path / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nprintf "%s " "$0" "$@" >> {arguments}\nexec {real} "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}{os.pathsep}{os.defpath}")
    repository.commit({"deployments/a.yaml": "1"})
    server.behaviour.credentials = ("ada", PASSWORD)
    address = f"{server.url}/repo/.git"
    with pytest.raises(AuthenticationError):
        follow(address).observe()
    with pytest.raises(AuthenticationError) as wrong:
        follow(address, access=Access(username="ada", password="wrong-and-secret")).observe()
    assert "wrong-and-secret" not in f"{wrong.value.message} {wrong.value.hint}"
    source = follow(address, access=Access(username="ada", password=PASSWORD))
    assert contents(source) == [b"1"]
    server.behaviour.status = 403
    with pytest.raises(AuthenticationError):
        source.observe()
    state_files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert not [path for path in (*state_files, arguments) if PASSWORD.encode() in path.read_bytes()]
    assert "ls-remote" in arguments.read_text(encoding="utf-8")
    assert PASSWORD not in repr(Access(password=PASSWORD))


def test_a_password_file_may_be_replaced_at_any_time(
    tmp_path: Path, repository: GitRepository, follow: Follow, server: HttpServer
) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    server.behaviour.credentials = ("ada", PASSWORD)
    file = tmp_path / "password"
    source = follow(f"{server.url}/repo/.git", access=Access(username="ada", password_file=file))
    with pytest.raises(AuthenticationError, match="can't be read"):
        source.observe()
    file.write_text("old\n", encoding="utf-8")
    with pytest.raises(AuthenticationError):
        source.observe()
    file.write_text(f"{PASSWORD}\n", encoding="utf-8")
    assert contents(source) == [b"1"]
    file.write_text("two\nlines\n", encoding="utf-8")
    with pytest.raises(AuthenticationError, match="one line"):
        source.observe()


def test_a_redirect_is_followed_but_credentials_do_not_go_with_it(
    tmp_path: Path, repository: GitRepository, follow: Follow, server: HttpServer
) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    with http_server(tmp_path) as other:
        server.behaviour.redirect_to = other.url
        assert contents(follow(f"{server.url}/repo/.git")) == [b"1"]
        other.behaviour.credentials = ("ada", PASSWORD)
        with pytest.raises(AuthenticationError):
            follow(f"{server.url}/repo/.git", access=Access(username="ada", password=PASSWORD)).observe()
        assert other.authorizations == []


def test_an_https_server_needs_a_trusted_certificate(tmp_path: Path, repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    with http_server(tmp_path, certificate=CERTIFICATE) as server:
        server.behaviour.credentials = ("ada", PASSWORD)
        access = Access(username="ada", password=PASSWORD)
        with pytest.raises(AuthenticationError):
            follow(f"{server.url}/repo/.git", access=access).observe()
        assert server.requests == []
        trusting = replace(access, ca_file=CERTIFICATE)
        assert contents(follow(f"{server.url}/repo/.git", access=trusting)) == [b"1"]
        server.behaviour.redirect_to = server.url.replace("https", "http")
        with pytest.raises(UnreachableError):
            follow(f"{server.url}/repo/.git", access=trusting).observe()


@pytest.mark.parametrize("where", ["refs", "pack"])
def test_a_stalled_server_times_out_and_is_retried(
    repository: GitRepository, follow: Follow, server: HttpServer, where: str
) -> None:
    repository.commit({"deployments/a.yaml": "1", "big": os.urandom(200_000).hex()})
    server.behaviour.stall_at_refs = where == "refs"
    server.behaviour.stall_in_pack = where == "pack"
    source = follow(f"{server.url}/repo/.git", timeouts=SHORT)
    before = children()
    with pytest.raises(SourceTimeoutError):
        source.observe()
    assert server.stalled.is_set()
    assert children() <= before
    server.behaviour.stall_at_refs = server.behaviour.stall_in_pack = False
    patient = follow(f"{server.url}/repo/.git")
    assert contents(patient) == [b"1"]
    assert not list((patient.mirror / "objects" / "pack").glob("tmp_*"))


def test_waiting_for_a_server_can_be_interrupted(repository: GitRepository, follow: Follow, server: HttpServer) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    server.behaviour.stall_at_refs = True
    source = follow(f"{server.url}/repo/.git")
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            source.observe()
        except StoppingError as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert server.stalled.wait(60)
    source.interrupt()
    thread.join(60)
    assert len(ended) == 1
    with pytest.raises(StoppingError):
        source.observe()
