"""A source follows the commits of a git repository of any kind."""

import os
from pathlib import Path

import pytest

from controller.errors import SourceError
from controller.sources.git import commit_of
from tests.conftest import GitRepository
from tests.unit.sources.conftest import Follow, paths


def test_the_revision_is_the_commit_regardless_of_the_working_tree(repository: GitRepository, follow: Follow) -> None:
    commit = repository.commit({"deployments/a.yaml": "name: a\n", "deployments/b.json": "{}", "x.yaml": "no"})
    repository.write("deployments/a.yaml", "changed on disk")
    repository.write("deployments/c.yaml", "not committed")
    source = follow()
    assert source.observe() == f"main@sha1:{commit}"
    snapshot = source.read(source.observe())
    assert [(file.path, file.content) for file in snapshot.files] == [
        ("deployments/a.yaml", b"name: a\n"),
        ("deployments/b.json", b"{}"),
    ]


@pytest.mark.parametrize("packed", [False, True])
def test_a_branch_a_tag_and_a_commit_can_be_followed(repository: GitRepository, follow: Follow, packed: bool) -> None:
    first = repository.commit({"deployments/a.yaml": "1"})
    repository.git("tag", "v1")
    repository.git("tag", "--annotate", "--message", "one", "v1.0")
    repository.git("branch", "release/x")
    second = repository.commit({"deployments/a.yaml": "2"})
    if packed:
        repository.git("pack-refs", "--all")
        repository.git("gc", "--quiet")
    assert follow().observe() == f"main@sha1:{second}"
    assert follow(ref="main").observe() == f"main@sha1:{second}"
    assert follow(ref="v1").observe() == f"v1@sha1:{first}"
    assert follow(ref="v1.0").observe() == f"v1.0@sha1:{first}"
    assert follow(ref="release/x").observe() == f"release/x@sha1:{first}"
    assert follow(ref=first).observe() == f"sha1:{first}"
    assert follow(ref=first[:10]).observe() == f"sha1:{first}"
    assert follow(ref="v1").read(f"v1@sha1:{first}").files[0].content == b"1"


def test_head_is_the_checked_out_branch_and_a_full_name_of_a_branch_its_short_one(
    repository: GitRepository, follow: Follow
) -> None:
    commit = repository.commit({"deployments/a.yaml": "1"})
    source = follow(ref="HEAD")
    assert source.observe() == f"main@sha1:{commit}"
    repository.git("checkout", "--quiet", "-b", "next/1")
    assert source.observe() == f"next/1@sha1:{commit}"
    assert follow(ref="refs/heads/next/1").observe() == f"next/1@sha1:{commit}"
    repository.git("checkout", "--quiet", "--detach")
    assert source.observe() == f"sha1:{commit}"


def test_a_moved_branch_is_a_new_revision(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    source = follow(ref="main")
    before = source.observe()
    after = repository.commit({"deployments/a.yaml": "2"})
    assert source.observe() == f"main@sha1:{after}" != before
    assert source.read(before).files[0].content == b"1"


def test_a_detached_head_is_followed_by_its_commit(repository: GitRepository, follow: Follow) -> None:
    commit = repository.commit({"deployments/a.yaml": "1"})
    repository.git("checkout", "--quiet", "--detach")
    assert follow().observe() == f"sha1:{commit}"


def test_a_branch_called_head_or_like_a_hash_is_a_branch(repository: GitRepository, follow: Follow) -> None:
    first = repository.commit({"deployments/a.yaml": "1"})
    repository.git("branch", "abcdef1")
    repository.commit({"deployments/a.yaml": "2"})
    assert follow(ref="abcdef1").observe() == f"abcdef1@sha1:{first}"


def test_a_repository_without_commits_is_reported_as_empty(follow: Follow) -> None:
    with pytest.raises(SourceError, match="no commits yet"):
        follow().observe()


def test_a_directory_without_a_repository_is_not_found(tmp_path: Path, follow: Follow) -> None:
    (tmp_path / "plain").mkdir()
    for path in (tmp_path / "plain", tmp_path / "missing"):
        with pytest.raises(SourceError, match="not a readable git repository"):
            follow(repo=path).observe()


def test_a_damaged_repository_is_a_source_error(repository: GitRepository, follow: Follow) -> None:
    commit = repository.commit({"deployments/a.yaml": "1"})
    blob = repository.git("rev-parse", "HEAD:deployments/a.yaml")
    (repository.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    source = follow()
    with pytest.raises(SourceError, match="git could not read"):
        source.read(source.observe())
    with pytest.raises(SourceError):
        source.checkout(f"sha1:{commit}")
    assert not source.has_checkout(f"sha1:{commit}")


@pytest.mark.parametrize("ref", ["-h", "--upload-pack=touch x", "", "a..b", "a b", "main@{1}", "a\nb", "a:b", "^main"])
def test_an_invalid_ref_is_rejected_before_git_gets_it(follow: Follow, ref: str) -> None:
    with pytest.raises(SourceError, match="can't be the name of"):
        follow(ref=ref)


def test_a_missing_ref_is_not_found(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    for ref in ("nope", "deadbeef", "head", "main@x"):
        with pytest.raises(SourceError, match=f"no branch, tag or commit {ref}"):
            follow(ref=ref).observe()


@pytest.mark.parametrize("revision", ["", "main", "sha1:xyz", "main@sha1:--all", "sha1:" + "A" * 40])
def test_a_revision_without_a_commit_id_is_rejected(revision: str) -> None:
    with pytest.raises(SourceError, match="does not name a commit"):
        commit_of(revision)


def test_a_bare_repository_is_followed(tmp_path: Path, repository: GitRepository, follow: Follow) -> None:
    commit = repository.commit({"deployments/a.yaml": "1"})
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
    source = follow(repo=tmp_path / "bare.git")
    assert source.observe() == f"main@sha1:{commit}"
    assert paths(source) == ["deployments/a.yaml"]
    assert (source.checkout(source.observe()) / "deployments" / "a.yaml").read_text(encoding="utf-8") == "1"


def test_a_worktree_is_followed_at_its_own_branch(tmp_path: Path, repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    repository.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    side = GitRepository(tmp_path / "side")
    commit = side.commit({"deployments/b.yaml": "2"})
    source = follow(repo=side.path)
    assert source.observe() == f"side@sha1:{commit}"
    assert paths(source) == ["deployments/a.yaml", "deployments/b.yaml"]
    watched = {place.path.resolve() for place in source.watched_paths()}
    assert {repository.path / ".git" / "worktrees" / "side", repository.path / ".git" / "refs"} <= watched


def test_a_repository_with_sha256_is_followed(tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "modern"
    path.mkdir()
    modern = GitRepository(path)
    modern.git("init", "--quiet", "--initial-branch=main", "--object-format=sha256")
    commit = modern.commit({"deployments/a.yaml": "1"})
    source = follow(repo=path)
    assert source.observe() == f"main@sha256:{commit}"
    assert paths(source) == ["deployments/a.yaml"]
    code = source.code(source.observe())
    assert code.find(["deployments/a.yaml"])["deployments/a.yaml"].size == 1
    assert code.read("deployments/a.yaml") == b"1"
    assert (source.checkout(source.observe()) / "deployments" / "a.yaml").read_text(encoding="utf-8") == "1"


def test_links_submodules_and_oversized_files_are_refused_and_the_rest_is_read(
    repository: GitRepository, follow: Follow
) -> None:
    repository.write("deployments/good.yaml", "1")
    repository.write("deployments/giant.yaml", "#" * ((1 << 20) + 1))
    (repository.path / "deployments" / "link.yaml").symlink_to("/etc/passwd")
    repository.git("add", "--all")
    module = repository.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=b"x")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{module},deployments/module.yaml")
    repository.git("commit", "--quiet", "--message", "mixed")
    source = follow()
    snapshot = source.read(source.observe())
    assert [file.path for file in snapshot.files] == ["deployments/good.yaml"]
    assert {refusal.path: refusal.message.split(";")[0] for refusal in snapshot.refused} == {
        "deployments/giant.yaml": "A manifest can have up to 1 MiB",
        "deployments/link.yaml": "A manifest must be a regular file, not a link or a submodule.",
        "deployments/module.yaml": "A manifest must be a regular file, not a link or a submodule.",
    }


def test_a_name_that_is_not_utf8_is_refused_and_shown_escaped(repository: GitRepository, follow: Follow) -> None:
    (repository.path / "deployments").mkdir()
    Path(os.fsdecode(os.fsencode(repository.path / "deployments") + b"/a\xff.yaml")).write_text("1", encoding="utf-8")
    repository.commit()
    source = follow()
    [refusal] = source.read(source.observe()).refused
    assert refusal.path == "deployments/a\\xff.yaml"


NAMES = ["with space", "grüße", "a[b]", "star*", "q?", ":(top)x", "back\\slash", "quote'\"", "-dash", "tab\tx"]


@pytest.mark.parametrize("name", NAMES)
def test_unusual_file_names_are_read(repository: GitRepository, follow: Follow, name: str) -> None:
    repository.commit({f"{name}/{name}.yaml": "1", "other/x.yaml": "2", "a/b.yaml": "3"})
    source = follow(path=name)
    assert paths(source) == [f"{name}/{name}.yaml"]
    assert source.read_file(source.observe(), f"{name}/{name}.yaml") == b"1"


def test_the_path_can_be_the_whole_repository_or_one_file(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"a.yaml": "1", "d/b.yml": "2", ".github/c.yaml": "3", "d/.hidden/e.yaml": "4", "f.txt": "5"})
    assert paths(follow(path="")) == ["a.yaml", "d/b.yml"]
    assert paths(follow(path="d/b.yml")) == ["d/b.yml"]


def test_a_path_missing_from_the_commit_is_an_error_not_empty(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"a.yaml": "1"})
    source = follow(path="nowhere")
    with pytest.raises(SourceError, match="nowhere"):
        source.read(source.observe())


def test_only_what_changed_is_read_again(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1", "deployments/b.yaml": "1"})
    source = follow()
    before = source.read(source.observe()).files
    repository.commit({"deployments/b.yaml": "2", "other": "3"})
    after = source.read(source.observe()).files
    assert after[0] is before[0]
    assert after[1] is not before[1]
    assert after[1].digest != before[1].digest


def test_a_file_of_a_revision_is_read_as_it_was(repository: GitRepository, follow: Follow) -> None:
    first = repository.commit({"flows/a.py": "one"})
    repository.commit({"flows/a.py": "two"})
    source = follow()
    assert source.read_file(f"main@sha1:{first}", "flows/a.py") == b"one"
    for path in ("flows", "flows/b.py", "flows/*"):
        with pytest.raises(SourceError, match="not a regular file"):
            source.read_file(f"main@sha1:{first}", path)
    with pytest.raises(SourceError):
        source.read_file(f"main@sha1:{first}", "../x")


def test_a_missing_commit_is_a_source_error(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    with pytest.raises(SourceError):
        follow().read("main@sha1:" + "0" * 40)
