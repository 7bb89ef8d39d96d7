"""A source never writes to a git repository, and never executes anything from it."""

import os
from pathlib import Path

import pytest

from controller.errors import SourceError
from controller.model.snapshots import ManifestFile, RefusedFile
from tests.conftest import GitRepository, new_repository
from tests.leftovers import open_files
from tests.unit.sources.conftest import Follow, paths


def listing(top: Path) -> dict[str, tuple[int, int, int]]:
    states = {}
    for directory, directories, files in os.walk(top):
        for name in [*directories, *files]:
            status = (Path(directory) / name).lstat()
            states[f"{directory}/{name}"] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return states


def test_the_repository_is_never_written_to(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1", "flows/a.py": "pass"})
    # An outdated index and loose objects, which git would normally refresh and pack.
    repository.write("flows/a.py", "changed")
    before = listing(repository.path)
    source = follow()
    revision = source.observe()
    source.read(revision)
    source.read_file(revision, "flows/a.py")
    source.checkout(revision)
    source.watched_paths()
    source.collect(lambda: [])
    assert listing(repository.path) == before


HOSTILE = """
[core]
    fsmonitor = "touch {canary}-fsmonitor"
    hooksPath = {hooks}
    pager = "touch {canary}-pager"
    editor = "touch {canary}-editor"
    sshCommand = "touch {canary}-ssh"
    attributesFile = {attributes}
    worktree = {elsewhere}
[filter "evil"]
    smudge = "touch {canary}-smudge"
    clean = "touch {canary}-clean"
    process = "touch {canary}-process"
    required = true
[diff "evil"]
    textconv = "touch {canary}-textconv"
    command = "touch {canary}-diff"
[alias]
    rev-parse = "!touch {canary}-alias"
    ls-tree = "!touch {canary}-alias"
    cat-file = "!touch {canary}-alias"
[extensions]
    partialClone = evil
[remote "evil"]
    url = "ext::sh -c 'touch {canary}-ext'"
    promisor = true
    partialCloneFilter = blob:none
[uploadpack]
    packObjectsHook = "touch {canary}-pack"
"""


def make_hostile(repository: GitRepository, canary: Path) -> None:
    """Configure everything that git can execute to touch a file whose path begins with that of the canary."""
    top = canary.parent
    hooks, attributes, elsewhere = top / "hooks", top / "attributes", top / "elsewhere"
    hooks.mkdir()
    elsewhere.mkdir()
    attributes.write_text("* filter=evil diff=evil\n", encoding="utf-8")
    for name in ("post-checkout", "post-index-change", "reference-transaction", "fsmonitor-watchman"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {canary}-hook\n", encoding="utf-8")
        (hooks / name).chmod(0o755)
    with (repository.path / ".git" / "config").open("a", encoding="utf-8") as config:
        config.write(HOSTILE.format(canary=canary, hooks=hooks, attributes=attributes, elsewhere=elsewhere))


def test_nothing_that_a_hostile_repository_configures_is_executed(
    tmp_path: Path, repository: GitRepository, follow: Follow
) -> None:
    files = {"deployments/a.yaml": "1", "flows/a.py": "pass", ".gitattributes": "* filter=evil diff=evil ident\n"}
    first = repository.commit(files)
    gone = repository.git("rev-parse", "HEAD:flows/a.py")
    repository.commit({"flows/a.py": "new"})
    canary = tmp_path / "hostile" / "canary"
    canary.parent.mkdir()
    make_hostile(repository, canary)
    source = follow()
    revision = source.observe()
    assert paths(source) == ["deployments/a.yaml"]
    assert (source.checkout(revision) / "flows" / "a.py").read_text(encoding="utf-8") == "new"
    assert list(source.blame(revision, "deployments/a.yaml", range(1, 2))) == [1]
    source.watched_paths()
    # A missing blob would make git fetch from the promisor remote, which must not happen either.
    (repository.path / ".git" / "objects" / gone[:2] / gone[2:]).unlink()
    with pytest.raises(SourceError):
        source.checkout(f"main@sha1:{first}")
    assert [path.name for path in canary.parent.glob("canary*")] == []


def test_variables_of_a_calling_git_do_not_redirect_the_source(
    tmp_path: Path, repository: GitRepository, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.commit({"deployments/a.yaml": "1"})
    other = new_repository(tmp_path / "other")
    other.commit({"deployments/other.yaml": "2"})
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.path / ".git" / "objects"))
    monkeypatch.setenv("GIT_REPLACE_REF_BASE", "refs/evil/")
    from controller.settings import drop_git_variables

    drop_git_variables()
    source = follow()
    assert source.observe() == f"main@sha1:{commit}"
    assert paths(source) == ["deployments/a.yaml"]


def test_replacement_objects_are_ignored(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "good"})
    blob = repository.git("rev-parse", "HEAD:deployments/a.yaml")
    other = repository.git("hash-object", "-w", "--stdin", stdin=b"evil")
    repository.git("replace", blob, other)
    source = follow()
    assert source.read(source.observe()).files[0].content == b"good"


def test_each_observation_releases_its_processes_and_files(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    source = follow()
    source.read(source.observe())
    before = open_files()
    for _ in range(3):
        source.read(source.observe())
        source.watched_paths()
    assert open_files() <= before


def test_exported_files_can_be_read_after_history_was_rewritten(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "good"})
    source = follow()
    revision = source.observe()
    source.checkout(revision)
    repository.write("deployments/a.yaml", "bad")
    repository.git("commit", "--quiet", "--all", "--amend", "--message", "rewritten")
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "--quiet", "--prune=now")
    assert source.read_file(revision, "deployments/a.yaml") == b"good"
    assert source.read_project(revision) is None
    with pytest.raises(SourceError):
        source.read_file(revision, "deployments/none.yaml")


def test_the_project_comes_from_the_commit_and_is_not_a_manifest(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1", "deployments/controller.yaml": "2"})
    before = follow().observe()
    repository.commit({"controller.yaml": "project: a"})
    repository.write("controller.yaml", "changed on disk")
    for path in ("deployments", ""):
        source = follow(path=path)
        assert source.read(before).project is None
        assert source.read_project(before) is None
        revision = source.observe()
        snapshot = source.read(revision)
        assert isinstance(snapshot.project, ManifestFile)
        assert snapshot.project.content == b"project: a"
        assert source.read_project(revision) == snapshot.project
        assert [file.path for file in snapshot.files] == ["deployments/a.yaml", "deployments/controller.yaml"]


def test_a_project_that_is_a_link_is_refused_not_missing(repository: GitRepository, follow: Follow) -> None:
    (repository.path / "controller.yaml").symlink_to("deployments/a.yaml")
    repository.commit({"deployments/a.yaml": "1"})
    source = follow()
    assert isinstance(source.read(source.observe()).project, RefusedFile)
