"""Repositories that git can't read give an error with git's message, and are never reported as empty."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.errors import EmptyRepositoryError, RefNotFoundError, SourceError
from controller.sources.git import NamedCommit
from tests.conftest import GitRepository
from tests.unit.sources.conftest import Follow, paths

FILES = {"deployments/a.yaml": "name: a\ncommand: ['true']\n"}


def _append(name: str, text: str) -> Callable[[Path], None]:
    def damage(git_dir: Path) -> None:
        (git_dir / name).write_text(text, encoding="utf-8")

    return damage


def _object(git_dir: Path) -> Path:
    commit = (git_dir / "refs/heads/main").read_text().strip()
    return git_dir / "objects" / commit[:2] / commit[2:]


def _corrupt(git_dir: Path) -> None:
    _object(git_dir).chmod(0o644)
    _object(git_dir).write_bytes(b"junk")


def _reftable(git_dir: Path) -> None:
    _append("config", "[core]\nrepositoryformatversion = 1\n[extensions]\nrefStorage = unheard-of\n")(git_dir)
    _append("HEAD", "ref: refs/heads/.invalid\n")(git_dir)
    shutil.rmtree(git_dir / "refs/heads")
    _append("refs/heads", "this repository uses another format\n")(git_dir)
    (git_dir / "reftable").mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "another way of storing refs": (_reftable, "refstorage|unheard-of"),
    "an unknown extension": (
        _append("config", "[core]\nrepositoryformatversion = 1\n[extensions]\nfancy = 1\n"),
        "unknown repository extension found: fancy",
    ),
    "a broken configuration": (_append("config", "[core\n"), "bad config line 1 in file"),
    "a corrupt commit": (_corrupt, "inflate|corrupt"),
    "a missing commit": (lambda git_dir: _object(git_dir).unlink(), "not a tree object|missing|damaged|bad object"),
    "a missing HEAD": (lambda git_dir: (git_dir / "HEAD").unlink(), "not a git repository"),
    "a broken HEAD": (_append("HEAD", "junk\n"), "not a git repository"),
    "a broken branch": (_append("refs/heads/main", "junk\n"), "No such ref|damaged"),
}


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("ref", [None, "main"])
def test_a_damaged_repository_is_unavailable_and_not_empty(
    repository: GitRepository, follow: Follow, kind: str, ref: str | None
) -> None:
    repository.commit(FILES)
    damage, words = DAMAGES[kind]
    damage(repository.path / ".git")
    with pytest.raises(SourceError, match=words) as caught:
        paths(follow(ref=ref))
    assert caught.value.reason == "SourceUnavailable"
    assert caught.value.hint
    assert "\n" not in caught.value.message
    with pytest.raises(SourceError, match=words) as caught:
        paths(NamedCommit(repository.path, ref or "HEAD", path="deployments"))
    assert caught.value.reason == "SourceUnavailable"


def test_a_branch_without_a_commit_is_empty(repository: GitRepository, follow: Follow) -> None:
    with pytest.raises(EmptyRepositoryError):
        follow().observe()
    for name in ("HEAD", "HEAD~1", "main", "deadbeef"):
        with pytest.raises(EmptyRepositoryError, match="has no commits yet"):
            NamedCommit(repository.path, name, path="").observe()
    repository.commit(FILES)
    repository.git("checkout", "--orphan", "new")
    with pytest.raises(EmptyRepositoryError):
        follow().observe()
    with pytest.raises(RefNotFoundError):
        NamedCommit(repository.path, "HEAD", path="").observe()


@pytest.mark.parametrize("name", ["nope", "deadbeef", "0" * 40, "a" * 40, "0" * 239, "HEAD~9", "v1^{commit}"])
def test_an_unknown_name_is_not_found_rather_than_damaged(repository: GitRepository, name: str) -> None:
    repository.commit(FILES)
    with pytest.raises(RefNotFoundError, match="has no branch, tag or commit"):
        NamedCommit(repository.path, name, path="deployments").observe()


def test_a_partial_clone_is_refused_with_a_hint_that_works(
    repository: GitRepository, follow: Follow, tmp_path: Path
) -> None:
    repository.commit(FILES)
    repository.git("config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", "--filter=blob:none", "--no-checkout", f"file://{repository.path}", str(clone))
    with pytest.raises(SourceError, match=r"promisor|missing") as caught:
        paths(follow(repo=clone))
    assert caught.value.hint is not None
    subprocess.run(caught.value.hint.partition(" fetch them: ")[2], shell=True, check=True, capture_output=True)
    assert paths(follow(repo=clone)) == ["deployments/a.yaml"]


@pytest.mark.parametrize("how", [("--depth=1",), ("--shared",), ("--sparse",)])
def test_other_kinds_of_clones_are_followed(
    repository: GitRepository, follow: Follow, tmp_path: Path, how: tuple[str, ...]
) -> None:
    repository.commit(FILES)
    clone = tmp_path / "clone"
    where = str(repository.path) if "--shared" in how else f"file://{repository.path}"
    repository.git("clone", "--quiet", *how, where, str(clone))
    assert paths(follow(repo=clone)) == ["deployments/a.yaml"]
