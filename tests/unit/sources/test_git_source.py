"""A git repository is followed at its committed state, whatever its shape, and is never written to."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from controller.errors import RefNotFoundError, RepositoryNotFoundError, SourceError
from controller.model.snapshots import ManifestFile, RefusedFile
from controller.sources.git import GitSource, commit_of
from tests.conftest import GitRepository, new_repository

Follow = Callable[..., GitSource]


@pytest.fixture
def follow(tmp_path: Path, repository: GitRepository) -> Follow:
    """`follow(ref=…, path=…, repo=…)` makes a source of the repository."""

    def make(*, ref: str | None = None, path: str = "deployments", repo: Path | None = None) -> GitSource:
        return GitSource(repo or repository.path, ref=ref, path=path, exports=tmp_path / "exports")

    return make


def paths(source: GitSource) -> list[str]:
    return [file.path for file in source.read(source.observe()).files]


def test_a_commit_is_the_revision_and_the_working_tree_does_not_matter(
    repository: GitRepository, follow: Follow
) -> None:
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


def test_a_repository_without_a_commit_says_so(follow: Follow) -> None:
    with pytest.raises(SourceError, match="no commit yet"):
        follow().observe()


def test_what_is_no_repository_says_so(tmp_path: Path, follow: Follow) -> None:
    (tmp_path / "plain").mkdir()
    for path in (tmp_path / "plain", tmp_path / "missing"):
        with pytest.raises(SourceError, match="not a readable git repository"):
            follow(repo=path).observe()


def test_a_repository_that_is_damaged_is_an_error_of_the_source(repository: GitRepository, follow: Follow) -> None:
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
def test_what_can_not_be_a_ref_is_refused_before_git_sees_it(follow: Follow, ref: str) -> None:
    with pytest.raises(SourceError, match="not the name of"):
        follow(ref=ref)


def test_a_ref_that_is_not_there_says_so(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    for ref in ("nope", "deadbeef", "HEAD", "main@x"):
        with pytest.raises(SourceError, match=f"no branch, tag or commit {ref}"):
            follow(ref=ref).observe()


@pytest.mark.parametrize("revision", ["", "main", "sha1:xyz", "main@sha1:--all", "sha1:" + "A" * 40])
def test_a_revision_that_names_no_commit_is_refused(revision: str) -> None:
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
    watched = {place.path.resolve() for place in source.watched()}
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


def test_links_submodules_and_giants_are_refused_and_the_rest_is_read(
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
        "deployments/giant.yaml": "A manifest may have 1 MiB",
        "deployments/link.yaml": "A manifest must be a regular file, not a link or a submodule.",
        "deployments/module.yaml": "A manifest must be a regular file, not a link or a submodule.",
    }


def test_a_name_that_is_not_utf8_is_refused_and_shown(repository: GitRepository, follow: Follow) -> None:
    (repository.path / "deployments").mkdir()
    Path(os.fsdecode(os.fsencode(repository.path / "deployments") + b"/a\xff.yaml")).write_text("1", encoding="utf-8")
    repository.commit()
    source = follow()
    [refusal] = source.read(source.observe()).refused
    assert refusal.path == "deployments/a\\xff.yaml"


NAMES = ["with space", "grüße", "a[b]", "star*", "q?", ":(top)x", "back\\slash", "quote'\"", "-dash", "tab\tx"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_a_name(repository: GitRepository, follow: Follow, name: str) -> None:
    repository.commit({f"{name}/{name}.yaml": "1", "other/x.yaml": "2", "a/b.yaml": "3"})
    source = follow(path=name)
    assert paths(source) == [f"{name}/{name}.yaml"]
    assert source.read_file(source.observe(), f"{name}/{name}.yaml") == b"1"


def test_the_path_can_be_the_whole_repository_or_one_file(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"a.yaml": "1", "d/b.yml": "2", ".github/c.yaml": "3", "d/.hidden/e.yaml": "4", "f.txt": "5"})
    assert paths(follow(path="")) == ["a.yaml", "d/b.yml"]
    assert paths(follow(path="d/b.yml")) == ["d/b.yml"]


def test_a_path_that_is_not_in_the_commit_is_an_error_and_not_empty(repository: GitRepository, follow: Follow) -> None:
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


def test_a_commit_that_is_not_there_is_an_error_of_the_source(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    with pytest.raises(SourceError):
        follow().read("main@sha1:" + "0" * 40)


def listing(top: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for directory, directories, files in os.walk(top):
        for name in [*directories, *files]:
            status = (Path(directory) / name).lstat()
            found[f"{directory}/{name}"] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found


def test_the_repository_is_never_written_to(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1", "flows/a.py": "pass"})
    # An index that is out of date, and loose objects: git would like to tidy both up.
    repository.write("flows/a.py", "changed")
    before = listing(repository.path)
    source = follow()
    revision = source.observe()
    source.read(revision)
    source.read_file(revision, "flows/a.py")
    source.checkout(revision)
    source.watched()
    source.collect([])
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
    """Let everything that git's configuration can execute touch a file that begins with the canary's path."""
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
    source.watched()
    # A missing blob makes git fetch from the promisor: that must not happen either.
    (repository.path / ".git" / "objects" / gone[:2] / gone[2:]).unlink()
    with pytest.raises(SourceError):
        source.checkout(f"main@sha1:{first}")
    assert [path.name for path in canary.parent.glob("canary*")] == []


def test_the_environment_of_a_calling_git_does_not_lead_elsewhere(
    tmp_path: Path, repository: GitRepository, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.commit({"deployments/a.yaml": "1"})
    other = new_repository(tmp_path / "other")
    other.commit({"deployments/other.yaml": "2"})
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.path / ".git" / "objects"))
    monkeypatch.setenv("GIT_REPLACE_REF_BASE", "refs/evil/")
    from controller.settings import forget_git_environment

    forget_git_environment()
    source = follow()
    assert source.observe() == f"main@sha1:{commit}"
    assert paths(source) == ["deployments/a.yaml"]


def test_a_replaced_object_is_not_looked_at(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "good"})
    blob = repository.git("rev-parse", "HEAD:deployments/a.yaml")
    other = repository.git("hash-object", "-w", "--stdin", stdin=b"evil")
    repository.git("replace", blob, other)
    source = follow()
    assert source.read(source.observe()).files[0].content == b"good"


def open_files() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def test_every_look_gives_its_processes_and_files_back(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    source = follow()
    source.read(source.observe())
    before = open_files()
    for _ in range(3):
        source.read(source.observe())
        source.watched()
    assert open_files() == before


def test_what_was_exported_can_be_read_though_history_was_rewritten(repository: GitRepository, follow: Follow) -> None:
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


def test_the_project_is_that_of_the_commit_and_no_manifest(repository: GitRepository, follow: Follow) -> None:
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


def test_a_project_that_is_a_link_is_refused_not_absent(repository: GitRepository, follow: Follow) -> None:
    (repository.path / "controller.yaml").symlink_to("deployments/a.yaml")
    repository.commit({"deployments/a.yaml": "1"})
    source = follow()
    assert isinstance(source.read(source.observe()).project, RefusedFile)


LAYOUTS = ["plain", "packed", "detached", "worktree", "bare", "git-file", "branch", "tag", "commit"]


def laid_out(layout: str, repository: GitRepository, top: Path) -> tuple[Path, str | None]:
    """A repository of this kind with a commit, and the ref to follow it at."""
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
def test_looking_when_nothing_is_new_starts_no_process(
    tmp_path: Path, repository: GitRepository, follow: Follow, layout: str
) -> None:
    path, ref = laid_out(layout, repository, tmp_path)
    source = follow(repo=path, ref=ref)
    revision = source.observe()
    before = source.work.processes
    assert {source.observe() for _ in range(3)} == {revision}
    source.watched()
    assert source.work.processes == before


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout not in ("bare", "tag", "commit")])
def test_no_commit_is_missed_though_no_process_was_started_before(
    tmp_path: Path, repository: GitRepository, follow: Follow, layout: str
) -> None:
    path, ref = laid_out(layout, repository, tmp_path)
    source = follow(repo=path, ref=ref)
    source.observe()
    for number in range(20):
        assert source.observe() == source.observe()
        commit = GitRepository(path).commit({"deployments/a.yaml": str(number)})
        assert source.observe().endswith(commit)


def test_every_way_in_which_a_ref_moves_is_seen(repository: GitRepository, follow: Follow) -> None:
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


def test_a_branch_that_is_deleted_or_a_repository_that_is_gone_is_an_error_and_may_come_back(
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
    # rev-parse, diff-tree, the size, the content
    assert source.work.processes - processes == 4
    assert [new.path for old, new in zip(before, after, strict=True) if new is not old] == ["deployments/1234.yaml"]


def test_what_is_read_step_by_step_is_what_is_read_at_once(repository: GitRepository, follow: Follow) -> None:
    """Every kind of change, forwards and backwards: a source that was there all the time sees what a new one sees."""
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


def test_a_deployments_path_that_became_a_link_or_a_file_is_refused_and_not_empty(
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


def test_a_read_that_failed_is_made_up_for_by_the_next(repository: GitRepository, follow: Follow) -> None:
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


def test_whether_a_commit_descends_from_another_is_told(
    tmp_path: Path, repository: GitRepository, follow: Follow
) -> None:
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
def test_a_configuration_that_can_not_be_read_is_an_error_of_the_source(
    repository: GitRepository, follow: Follow, config: str
) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    source = follow()
    source.observe()
    (repository.path / ".git" / "config").write_text(config, encoding="utf-8")
    for reader in (source, follow()):
        with suppress(SourceError):
            reader.read(reader.observe())


def test_after_three_hundred_passes_everything_was_given_back(repository: GitRepository, follow: Follow) -> None:
    source = follow()
    after_ten: list[str] = []
    for number in range(300):
        if number % 10 == 0:
            repository.commit({"deployments/a.yaml": str(number), "flows/a.py": str(number)})
        revision = source.observe()
        assert source.read(revision).files[0].content == source.code(revision).read("flows/a.py")
        if number == 10:
            after_ten = open_files()
    assert open_files() == after_ten
    assert threading.active_count() < 10
