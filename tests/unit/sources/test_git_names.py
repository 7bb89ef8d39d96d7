"""Names of branches and commits are accepted if git accepts them, and if they can't be mistaken for an option."""

import subprocess

import pytest

from controller.errors import RefNotFoundError, SourceError
from controller.sources.git import NamedCommit
from controller.sources.git.revisions import is_ref_name
from tests.conftest import GitRepository
from tests.unit.sources.conftest import Follow

FILES = {"deployments/a.yaml": "name: a\ncommand: ['true']\n"}
NAMES = [
    "main",
    "feat/żółć",
    "fix(scope)",
    "a#b",
    "it's",
    "a@b",
    "@x",
    "+x",
    "x,y;z&w",
    "v1.0",
    "a-",
    "中/文",
    "ab!",
    "%x",
]
OTHERS = ["", "@", "-x", "--upload-pack=x", "a..b", "a.lock", "a.lock/b", ".a", "a/.b", "a.", "a//b", "/a", "a/", "a b"]
OTHERS += ["a~1", "a^", "a:b", "ext::sh", "a?", "a*", "a[", "a\\b", "a\x7f", "a\nb", "x@{1}", "a\udcff"]


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
def test_a_valid_ref_is_a_name_that_git_accepts_for_a_branch(name: str) -> None:
    if name not in ("@", "a\udcff"):  # git expands the first to HEAD, and accepts the bytes of the second
        arguments = ["git", "check-ref-format", "--branch", name]
        is_accepted = subprocess.run(arguments, capture_output=True, check=False).returncode == 0
        assert is_ref_name(name) is is_accepted
    assert is_ref_name(name) is (name in NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "main"])
def test_every_valid_branch_name_is_followed(repository: GitRepository, follow: Follow, name: str) -> None:
    commit = repository.commit(FILES)
    repository.git("branch", name)
    assert follow(ref=name).observe() == f"{name}@sha1:{commit}"
    assert NamedCommit(repository.path, name, path="deployments").observe() == f"{name}@sha1:{commit}"
    repository.git("pack-refs", "--all")
    assert follow(ref=name).observe() == f"{name}@sha1:{commit}"


@pytest.mark.parametrize("name", OTHERS)
def test_invalid_branch_names_are_rejected(repository: GitRepository, follow: Follow, name: str) -> None:
    repository.commit(FILES)
    with pytest.raises(SourceError, match="can't be the name of a branch"):
        follow(ref=name)


@pytest.mark.parametrize(
    "name",
    ["HEAD^", "HEAD~1", "@~1", "main@{1}", "v1.0^{commit}", "v1.0~0", "fix(scope)", "fix(scope)^{}", "HEAD^{/one}"],
)
def test_a_commit_can_be_named_in_the_notation_of_git(repository: GitRepository, name: str) -> None:
    first = repository.commit(FILES, message="one")
    repository.git("tag", "--annotate", "--message=x", "v1.0")
    repository.git("branch", "fix(scope)")
    repository.commit({"b": "b"}, message="two")
    assert NamedCommit(repository.path, name, path="deployments").observe().endswith(f"sha1:{first}")


@pytest.mark.parametrize(
    "name",
    ["", "-x", "--output=x", "HEAD..main", "^HEAD", ":/one", "HEAD:deployments", "ext::sh", "a\0b", "HEAD^{tree}"],
)
def test_a_name_that_is_not_a_single_commit_is_rejected(repository: GitRepository, name: str) -> None:
    repository.commit(FILES, message="one")
    with pytest.raises(RefNotFoundError):
        NamedCommit(repository.path, name, path="deployments").observe()
