"""A source follows a repository behind a URL like a local one."""

import shutil
from pathlib import Path

import pytest

from controller.errors import EmptyRepositoryError, PathNotFoundError, RefNotFoundError, RepositoryNotFoundError
from tests.conftest import GitRepository
from tests.servers import HttpServer
from tests.unit.sources.remote.conftest import Follow, contents


def test_a_remote_repository_is_followed_by_every_transport(
    repository: GitRepository, follow: Follow, url: str
) -> None:
    first = repository.commit({"deployments/a.yaml": "1", "flows/a.py": "pass"})
    repository.git("tag", "--annotate", "--message", "one", "v1")
    source = follow(url)
    revision = source.observe()
    assert revision == f"main@sha1:{first}"
    assert contents(source) == [b"1"]
    assert source.code(revision).read("flows/a.py") == b"pass"
    assert source.read_file(revision, "flows/a.py") == b"pass"
    assert (source.checkout(revision) / "flows" / "a.py").read_text(encoding="utf-8") == "pass"
    second = repository.commit({"deployments/a.yaml": "2"})
    assert source.observe() == f"main@sha1:{second}"
    assert contents(source) == [b"2"]
    assert source.is_descendant(f"sha1:{second}", revision) is True
    assert follow(url, ref="HEAD").observe() == f"main@sha1:{second}"
    assert follow(url, ref="refs/heads/main").observe() == f"main@sha1:{second}"
    assert follow(url, ref="v1").observe() == f"v1@sha1:{first}"
    assert follow(url, ref=first).observe() == f"sha1:{first}"
    assert contents(follow(url, ref=first)) == [b"1"]
    assert source.watched_paths() == ()


def test_ssh_runs_with_strict_options_and_no_option_from_the_url(
    repository: GitRepository, follow: Follow, ssh_log: Path
) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    follow(f"ssh://git@localhost:2222{repository.path}").observe()
    arguments = ssh_log.read_text(encoding="utf-8").splitlines()
    assert {"-oBatchMode=yes", "-oStrictHostKeyChecking=yes", "-oPermitLocalCommand=no", "git@localhost"} <= set(
        arguments
    )
    assert arguments[-1] == f"git-upload-pack '{repository.path}'"


def test_without_changes_one_ref_is_listed_and_nothing_is_fetched(
    repository: GitRepository, follow: Follow, server: HttpServer
) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    source = follow(f"{server.url}/repo/.git")
    revision = source.observe()
    server.requests.clear()
    processes = source.work.processes
    assert [source.observe() for _ in range(3)] == [revision] * 3
    assert source.work.processes - processes == 3
    assert len(server.requests) == 6
    assert source.requests == {("ls-remote", "success"): 4, ("fetch", "success"): 1}
    assert not any("fetch" in request for request in server.requests)
    # A new controller uses the mirror of the previous one.
    again = follow(f"{server.url}/repo/.git")
    server.requests.clear()
    assert again.observe() == revision
    assert len(server.requests) == 2


def test_a_fetched_commit_is_not_fetched_again(repository: GitRepository, follow: Follow) -> None:
    commit = repository.commit({"deployments/a.yaml": "1"})
    source = follow(ref=commit)
    revision = source.observe()
    shutil.rmtree(repository.path)
    assert source.observe() == revision
    assert contents(source) == [b"1"]


def test_rewritten_history_is_followed_and_detected(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    source = follow()
    before = source.observe()
    repository.write("deployments/a.yaml", "2")
    repository.git("commit", "--quiet", "--all", "--amend", "--message", "rewritten")
    after = source.observe()
    assert contents(source) == [b"2"]
    assert source.is_descendant(after, before) is False
    assert source.read_file(before, "deployments/a.yaml") == b"1"


def test_a_moved_tag_is_followed(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    repository.git("tag", "--annotate", "--message", "one", "live")
    source = follow(ref="live")
    source.observe()
    second = repository.commit({"deployments/a.yaml": "2"})
    repository.git("tag", "--force", "--annotate", "--message", "two", "live")
    assert source.observe() == f"live@sha1:{second}"


def test_another_head_on_the_server_is_followed(repository: GitRepository, follow: Follow) -> None:
    first = repository.commit({"deployments/a.yaml": "1"})
    source = follow()
    assert source.observe() == f"main@sha1:{first}"
    repository.git("checkout", "--quiet", "-b", "release/next")
    second = repository.commit({"deployments/a.yaml": "2"})
    assert source.observe() == f"release/next@sha1:{second}"
    repository.git("checkout", "--quiet", "--detach", first)
    assert source.observe() == f"sha1:{first}"


def test_a_repository_with_sha256_is_followed(tmp_path: Path, follow: Follow) -> None:
    (tmp_path / "modern").mkdir()
    modern = GitRepository(tmp_path / "modern")
    modern.git("init", "--quiet", "--initial-branch=main", "--object-format=sha256")
    commit = modern.commit({"deployments/a.yaml": "1"})
    source = follow(f"file://{modern.path}")
    assert source.observe() == f"main@sha256:{commit}"
    assert contents(source) == [b"1"]


def test_each_failure_has_a_reason_and_the_source_recovers_from_it(
    repository: GitRepository, follow: Follow, url: str
) -> None:
    source = follow(url)
    with pytest.raises(EmptyRepositoryError, match="no commits yet"):
        source.observe()
    repository.commit({"other": "1"})
    with pytest.raises(PathNotFoundError):
        source.read(source.observe())
    repository.commit({"deployments/a.yaml": "1"})
    assert contents(source) == [b"1"]
    branch = follow(url, ref="release")
    with pytest.raises(RefNotFoundError, match="no branch or tag release"):
        branch.observe()
    repository.git("branch", "release")
    assert branch.observe().startswith("release@sha1:")
    repository.git("branch", "--delete", "--force", "release")
    with pytest.raises(RefNotFoundError):
        branch.observe()
    away = repository.path.with_name("away")
    repository.path.rename(away)
    with pytest.raises(RepositoryNotFoundError):
        source.observe()
    assert source.requests["ls-remote", "failure"] > 0
    away.rename(repository.path)
    assert contents(source) == [b"1"]


def test_a_broken_head_and_a_short_commit_id_are_explained(repository: GitRepository, follow: Follow) -> None:
    commit = repository.commit({"deployments/a.yaml": "1"})
    repository.git("symbolic-ref", "HEAD", "refs/heads/nowhere")
    with pytest.raises(RefNotFoundError, match="names a branch that does not exist"):
        follow().observe()
    with pytest.raises(RefNotFoundError) as short:
        follow(ref=commit[:10]).observe()
    assert short.value.hint is not None
    assert "full ID" in short.value.hint
    with pytest.raises(RefNotFoundError):
        follow(ref="0" * 40).observe()
    blob = repository.git("rev-parse", "main:deployments/a.yaml")
    repository.git("tag", "blob", blob)
    with pytest.raises(RefNotFoundError, match="does not lead to a commit"):
        follow(ref="blob").observe()
