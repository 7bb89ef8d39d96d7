"""Every kind of change in a repository is noticed, and unchanged files cost nothing."""

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from controller.errors import RefNotFoundError, RepositoryNotFoundError, SourceError
from tests.conftest import GitRepository
from tests.leftovers import open_files
from tests.unit.sources.conftest import Follow, paths

LAYOUTS = ["plain", "packed", "detached", "worktree", "bare", "git-file", "branch", "tag", "commit"]


def laid_out(layout: str, repository: GitRepository, top: Path) -> tuple[Path, str | None]:
    """Create a repository of this kind with a commit; return it with the ref to follow."""
    repository.commit({"deployments/a.yaml": "1"})
    if layout == "packed":
        repository.git("pack-refs", "--all", "--prune")
        assert not (repository.path / ".git" / "refs" / "heads" / "main").exists()
    elif layout == "detached":
        repository.git("checkout", "--quiet", "--detach")
    elif layout == "worktree":
        repository.git("worktree", "add", "--quiet", "-b", "side", str(top / "side"))
        return top / "side", None
    elif layout == "bare":
        repository.git("clone", "--quiet", "--bare", ".", str(top / "bare.git"))
        return top / "bare.git", None
    elif layout == "git-file":
        repository.git("clone", "--quiet", "--separate-git-dir", str(top / "elsewhere"), ".", str(top / "clone"))
        return top / "clone", None
    elif layout == "tag":
        repository.git("tag", "--annotate", "--message", "one", "v1")
        return repository.path, "v1"
    return repository.path, {"branch": "main", "commit": repository.head()}.get(layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_observing_without_changes_starts_no_process(
    tmp_path: Path, repository: GitRepository, follow: Follow, layout: str
) -> None:
    path, ref = laid_out(layout, repository, tmp_path)
    source = follow(repo=path, ref=ref)
    revision = source.observe()
    before = source.work.processes
    assert {source.observe() for _ in range(3)} == {revision}
    source.watched_paths()
    assert source.work.processes == before


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout not in ("bare", "tag", "commit")])
def test_a_commit_is_noticed_after_observations_without_a_process(
    tmp_path: Path, repository: GitRepository, follow: Follow, layout: str
) -> None:
    path, ref = laid_out(layout, repository, tmp_path)
    source = follow(repo=path, ref=ref)
    source.observe()
    for number in range(20):
        assert source.observe() == source.observe()
        commit = GitRepository(path).commit({"deployments/a.yaml": str(number)})
        assert source.observe().endswith(commit)


def test_every_kind_of_ref_update_is_noticed(repository: GitRepository, follow: Follow) -> None:
    first = repository.commit({"deployments/a.yaml": "1"})
    second = repository.commit({"deployments/a.yaml": "2"})
    head, main = follow(), follow(ref="main")

    def both() -> list[str]:
        assert [head.observe(), main.observe()] == [follow().observe(), follow(ref="main").observe()]
        return [head.observe(), main.observe()]

    assert both() == [f"main@sha1:{second}"] * 2
    repository.git("pack-refs", "--all", "--prune")
    assert both() == [f"main@sha1:{second}"] * 2
    repository.git("update-ref", "refs/heads/main", first)
    assert both() == [f"main@sha1:{first}"] * 2
    repository.git("update-ref", "refs/heads/other", second)
    repository.git("symbolic-ref", "HEAD", "refs/heads/other")
    assert both() == [f"other@sha1:{second}", f"main@sha1:{first}"]
    repository.git("symbolic-ref", "refs/heads/main", "refs/heads/other")
    assert both() == [f"other@sha1:{second}", f"main@sha1:{second}"]
    repository.git("update-ref", "refs/heads/other", first)
    assert both() == [f"other@sha1:{first}", f"main@sha1:{first}"]
    repository.git("update-ref", "--no-deref", "-d", "refs/heads/main")
    repository.git("tag", "main", second)
    assert main.observe() == f"main@sha1:{second}"
    repository.git("update-ref", "refs/heads/main", first)
    assert main.observe() == f"main@sha1:{first}"


def test_a_deleted_branch_or_repository_is_an_error_until_it_is_back(
    tmp_path: Path, repository: GitRepository, follow: Follow
) -> None:
    commit = repository.commit({"deployments/a.yaml": "1"})
    repository.git("branch", "release")
    source = follow(ref="release")
    assert source.observe() == source.observe()
    repository.git("branch", "--delete", "--force", "release")
    with pytest.raises(RefNotFoundError):
        source.observe()
    repository.git("branch", "release")
    assert source.observe() == source.observe() == f"release@sha1:{commit}"
    repository.path.rename(tmp_path / "away")
    with pytest.raises(RepositoryNotFoundError):
        source.observe()
    (tmp_path / "away").rename(repository.path)
    assert source.observe() == f"release@sha1:{commit}"


def test_a_commit_that_changes_one_of_two_thousand_manifests_costs_one_blob_and_one_entry(
    repository: GitRepository, follow: Follow
) -> None:
    repository.commit({f"deployments/{number}.yaml": f"name: n{number}" for number in range(2000)})
    source = follow()
    before = source.read(source.observe()).files
    assert (source.work.entries, source.work.blobs) == (2000, 2000)
    repository.commit({"deployments/1234.yaml": "changed", "flows/a.py": "not asked for"})
    processes = source.work.processes
    after = source.read(source.observe()).files
    assert (source.work.entries, source.work.blobs) == (2001, 2001)
    # rev-parse, diff-tree, and cat-file twice, for the size and the content
    assert source.work.processes - processes == 4
    assert [new.path for old, new in zip(before, after, strict=True) if new is not old] == ["deployments/1234.yaml"]


def test_reading_commit_by_commit_gives_the_same_as_reading_the_last_one(
    repository: GitRepository, follow: Follow
) -> None:
    """After each kind of change, forwards and backwards, a long-lived source reads the same as a new one."""
    source = follow()
    revisions = []

    def step(*commands: tuple[str, ...], files: dict[str, str] | None = None) -> None:
        for command in commands:
            repository.git(*command)
        repository.commit(files)
        revisions.append(source.observe())

    step(files={"deployments/a.yaml": "1", "deployments/b.yaml": "2", "deployments/d/c.yaml": "3", "x.yaml": "4"})
    step(("mv", "deployments/a.yaml", "deployments/z.yaml"), ("rm", "--quiet", "deployments/d/c.yaml"))
    step(files={"deployments/d.yaml": "5", "deployments/.hidden.yaml": "6", "controller.yaml": "a: 1"})
    (repository.path / "deployments" / "b.yaml").unlink()
    (repository.path / "deployments" / "b.yaml").symlink_to("d.yaml")
    step(files={"controller.yaml": "a: 2"})
    (repository.path / "deployments" / "b.yaml").unlink()
    step(
        ("rm", "--quiet", "controller.yaml"),
        files={"deployments/b.yaml/c.yaml": "7", "deployments/giant.yaml": "#" * 2**21},
    )
    step(("rm", "--quiet", "-r", "deployments"))
    step(files={"deployments/a.yaml": "1"})
    for revision in (*revisions, *reversed(revisions), *revisions[::2]):
        assert source.read(revision) == follow().read(revision)
    assert source.read(revisions[5]).files == ()


def test_a_deployments_path_replaced_by_a_link_or_file_is_refused_not_empty(
    repository: GitRepository, follow: Follow
) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    source = follow()
    source.read(source.observe())
    repository.git("mv", "deployments", "moved")
    (repository.path / "deployments").symlink_to("moved")
    repository.commit()
    for reader in (source, follow()):
        snapshot = reader.read(reader.observe())
        assert [refusal.path for refusal in snapshot.refused] == ["deployments"]
    (repository.path / "deployments").unlink()
    repository.commit({"deployments": "name: x"})
    for reader in (source, follow()):
        snapshot = reader.read(reader.observe())
        assert (snapshot.files, [refusal.path for refusal in snapshot.refused]) == ((), ["deployments"])


def test_the_next_read_recovers_from_a_failed_one(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1", "deployments/b.yaml": "1"})
    source = follow()
    source.read(source.observe())
    repository.commit({"deployments/a.yaml": "2", "deployments/b.yaml": "3"})
    blob = repository.git("rev-parse", "HEAD:deployments/b.yaml")
    stored = repository.path / ".git" / "objects" / blob[:2] / blob[2:]
    stored.rename(repository.path / "aside")
    with pytest.raises(SourceError):
        source.read(source.observe())
    (repository.path / "aside").rename(stored)
    assert [file.content for file in source.read(source.observe()).files] == [b"2", b"3"]


def test_is_descendant_knows_the_history_of_a_commit(tmp_path: Path, repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    source = follow()
    first = source.observe()
    repository.commit({"deployments/a.yaml": "2"})
    second = source.observe()
    assert source.is_descendant(second, first) is True
    assert source.is_descendant(first, first) is True
    assert source.is_descendant(first, second) is False
    repository.write("deployments/a.yaml", "3")
    repository.git("commit", "--quiet", "--all", "--amend", "--message", "rewritten")
    third = source.observe()
    assert source.is_descendant(third, second) is False
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "--quiet", "--prune=now")
    assert source.is_descendant(third, second) is False
    with pytest.raises(SourceError):
        source.is_descendant(second, third)
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.path}", str(tmp_path / "shallow"))
    shallow = follow(repo=tmp_path / "shallow")
    assert shallow.observe() == third
    assert paths(shallow) == ["deployments/a.yaml"]
    assert shallow.is_descendant(third, first) is not True


def test_changed_files_lists_the_differences_between_two_commits(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1", "flows/f.py": "x", "flows/g.py": "y"})
    source = follow()
    first = source.observe()
    repository.git("rm", "--quiet", "flows/g.py")
    repository.commit({"flows/f.py": "z", "flows/h.py": "new"})
    second = source.observe()
    assert source.changed_files(second, first) == {
        "flows/f.py": "changed",
        "flows/g.py": "removed",
        "flows/h.py": "added",
    }
    assert source.changed_files(second, second) == {}
    assert source.changed_files(second, "main@sha1:" + "0" * 40) is None


def test_a_repository_of_another_user_is_read(repository: GitRepository, follow: Follow) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a repository away")
    commit = repository.commit({"deployments/a.yaml": "1"})
    for place in (repository.path, *repository.path.rglob("*")):
        os.chown(place, 12345, 12345, follow_symlinks=False)
    source = follow()
    assert source.observe() == f"main@sha1:{commit}"
    assert paths(source) == ["deployments/a.yaml"]
    assert source.is_descendant(source.observe(), source.observe()) is True


@pytest.mark.parametrize("config", ["[nonsense", "x = 1\n", "[core]\n\trepositoryformatversion = 99\n", "\0", "[a]\nb"])
def test_an_unreadable_configuration_is_a_source_error(repository: GitRepository, follow: Follow, config: str) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    source = follow()
    source.observe()
    (repository.path / ".git" / "config").write_text(config, encoding="utf-8")
    for reader in (source, follow()):
        with suppress(SourceError):
            reader.read(reader.observe())


def test_many_passes_leak_nothing(repository: GitRepository, follow: Follow) -> None:
    source = follow()
    files, threads, after_ten = open_files(), threading.active_count(), 0
    for number in range(100):
        if number % 5 == 0:
            repository.commit({"deployments/a.yaml": str(number), "flows/a.py": str(number)})
        revision = source.observe()
        assert source.read(revision).files[0].content == source.code(revision).read("flows/a.py")
        if number == 10:
            after_ten = len(open_files() - files)
    assert len(open_files() - files) <= after_ten
    assert threading.active_count() < threads + 5
