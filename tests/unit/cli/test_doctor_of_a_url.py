"""`controller doctor` of a repository behind a URL asks its server and changes nothing here."""

from pathlib import Path

import pytest

from tests.conftest import GitRepository
from tests.unit.cli.conftest import Command


@pytest.fixture
def followed(repository: GitRepository) -> GitRepository:
    repository.commit({"deployments/a.yaml": "name: a\ncommand: ['true']\n"})
    return repository


def test_doctor_shows_the_revision_of_the_server_and_creates_no_state(
    followed: GitRepository, tmp_path: Path, command: Command
) -> None:
    state = tmp_path / "state"
    answer = command("doctor", "--repo", f"file://{followed.path}", "--state-dir", str(state))
    assert (answer.code, answer.err) == (0, "")
    assert f"source: main@sha1:{followed.head()}" in answer.out
    assert f"none yet at {state}" in answer.out
    assert not state.exists()


def test_doctor_does_not_change_the_mirror_of_a_controller(
    followed: GitRepository, tmp_path: Path, command: Command
) -> None:
    url, state = f"file://{followed.path}", tmp_path / "state"
    assert command("run", "--once", "--repo", url, "--state-dir", str(state)).code == 0
    before = {path: path.lstat().st_mtime_ns for path in (state / "mirror").rglob("*")}
    followed.commit({"deployments/b.yaml": "name: b\ncommand: ['true']\n"})
    answer = command("doctor", "--repo", url, "--state-dir", str(state))
    assert f"source: main@sha1:{followed.head()}" in answer.out
    assert {path: path.lstat().st_mtime_ns for path in (state / "mirror").rglob("*")} == before


def test_a_branch_that_the_server_lacks_is_an_error(followed: GitRepository, tmp_path: Path, command: Command) -> None:
    url = f"file://{followed.path}"
    answer = command("doctor", "--repo", url, "--ref", "nope", "--state-dir", str(tmp_path / "state"))
    assert answer.code == 1
    assert f"error    source: {url} has no branch or tag nope." in answer.out
