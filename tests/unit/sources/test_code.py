"""Access to code files, tested with commits and with directories; only changed files are read."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from controller.errors import SourceError
from controller.model.snapshots import Code
from controller.sources.directory.source import DirectorySource
from controller.sources.git import GitSource
from controller.sources.source import Source
from tests.conftest import GitRepository, new_repository

Make = Callable[[], Source]


@pytest.fixture(params=["git", "directory"])
def make(request: pytest.FixtureRequest, tmp_path: Path, repository: GitRepository) -> Make:
    """Commits the files on disk, and creates a source of the commit or of the files."""
    if request.param == "directory":
        return lambda: DirectorySource(repository.path, path="deployments")

    def from_commit() -> Source:
        repository.commit()
        return GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")

    return from_commit


def code_of(source: Source) -> Code:
    return source.code(source.observe())


def test_find_returns_the_digest_and_size_of_regular_files_only(repository: GitRepository, make: Make) -> None:
    repository.write("deployments/a.yaml", "")
    repository.write("flows/a.py", "one")
    repository.write("flows/same.py", "one")
    repository.write("flows/b.py", "three")
    code = code_of(make())
    requested = ["flows/a.py", "flows/same.py", "flows/b.py", "flows", "flows/c.py", "flows/a.py/x", "", "/etc/passwd"]
    files = code.find([*requested, "../repo/flows/a.py", "flows/\0", "flows/a.py\n"])
    assert {path: file.size for path, file in files.items()} == {"flows/a.py": 3, "flows/same.py": 3, "flows/b.py": 5}
    assert files["flows/a.py"].digest == files["flows/same.py"].digest != files["flows/b.py"].digest
    assert [code.read(path) for path in files] == [b"one", b"one", b"three"]
    for path in ("flows", "flows/c.py", "../repo/flows/a.py", "/etc/passwd"):
        with pytest.raises(SourceError):
            code.read(path)


def test_links_inside_are_followed_and_links_to_the_outside_find_nothing(repository: GitRepository, make: Make) -> None:
    repository.write("deployments/a.yaml", "")
    repository.write("flows/deep/a.py", "one")
    (repository.path.parent / "secret.py").write_text("secret", encoding="utf-8")
    links = {
        "file.py": "deep/a.py",
        "directory": "deep",
        "again": "./directory",
        "up/up.py": "../deep/a.py",
        "out.py": "../../secret.py",
        "absolute.py": "/etc/passwd",
        "loop": "loop",
        "nowhere.py": "missing.py",
    }
    for name, target in links.items():
        (repository.path / "flows" / name).parent.mkdir(exist_ok=True)
        (repository.path / "flows" / name).symlink_to(target)
    code = code_of(make())
    inside = ["flows/file.py", "flows/directory/a.py", "flows/again/a.py", "flows/up/up.py"]
    outside = ["flows/out.py", "flows/absolute.py", "flows/loop", "flows/loop/a.py", "flows/nowhere.py"]
    assert list(code.find([*inside, *outside])) == inside
    assert {code.read(path) for path in inside} == {b"one"}


def test_a_link_is_resolved_again_when_any_entry_on_its_way_changes(repository: GitRepository, make: Make) -> None:
    repository.write("deployments/a.yaml", "")
    repository.write("one/a.py", "1")
    repository.write("two/a.py", "2")
    (repository.path / "way").symlink_to("one")
    source = make()
    requested = ["way/a.py", "later/a.py"]

    def read() -> list[bytes]:
        repository.commit()
        code = code_of(source)
        return [code.read(path) for path in code.find(requested)]

    assert read() == [b"1"]
    repository.write("one/a.py", "new")
    assert read() == [b"new"]
    (repository.path / "way").unlink()
    (repository.path / "way").symlink_to("two")
    assert read() == [b"2"]
    (repository.path / "later").symlink_to("one")
    assert read() == [b"2", b"new"]
    (repository.path / "later").unlink()
    repository.write("later/a.py", "3")
    assert read() == [b"2", b"3"]
    (repository.path / "later" / "a.py").unlink()
    (repository.path / "later").rmdir()
    repository.write("later", "a file now")
    assert read() == [b"2"]
    repository.git("rm", "--quiet", "two/a.py")
    assert read() == []


def test_a_submodule_in_a_commit_is_not_a_file(tmp_path: Path, repository: GitRepository) -> None:
    repository.commit({"deployments/a.yaml": ""})
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{repository.head()},module")
    repository.git("commit", "--quiet", "--message", "module")
    source = GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")
    assert code_of(source).find(["module", "module/a.py"]) == {}


@pytest.fixture
def many(tmp_path: Path) -> tuple[GitRepository, GitSource, list[str]]:
    repository = new_repository(tmp_path / "many")
    for number in range(2000):
        repository.write(f"deployments/{number}.yaml", f"name: n{number}")
        repository.write(f"flows/{number}.py", f"# {number}")
    repository.commit()
    source = GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")
    return repository, source, [f"flows/{number}.py" for number in range(2000)]


def test_a_commit_that_changes_one_flow_of_two_thousand_costs_one_blob_and_one_entry(
    many: tuple[GitRepository, GitSource, list[str]],
) -> None:
    repository, source, paths = many
    code = code_of(source)
    for path in code.find(paths):
        code.read(path)
    assert source.work.blobs == 2000
    assert source.work.processes < 20
    repository.commit({"flows/7.py": "changed"})
    revision = source.observe()
    entries, blobs, trees, processes = (
        getattr(source.work, name) for name in ("entries", "blobs", "trees", "processes")
    )
    code = source.code(revision)
    files = code.find(paths)
    assert len(files) == 2000
    assert code.read("flows/7.py") == b"changed"
    assert (source.work.entries - entries, source.work.blobs - blobs, source.work.trees - trees) == (1, 1, 0)
    assert source.work.processes - processes == 3
    code.find(paths)
    assert source.work.processes - processes == 3


def test_paths_are_resolved_again_after_the_last_commit_was_lost(tmp_path: Path, repository: GitRepository) -> None:
    repository.commit({"deployments/a.yaml": "", "flows/a.py": "1", "flows/b.py": "b"})
    source = GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")
    assert len(code_of(source).find(["flows/a.py", "flows/b.py"])) == 2
    repository.write("flows/a.py", "2")
    repository.git("rm", "--quiet", "flows/b.py")
    repository.git("commit", "--quiet", "--all", "--amend", "--message", "rewritten")
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "--quiet", "--prune=now")
    code = code_of(source)
    assert list(code.find(["flows/a.py", "flows/b.py"])) == ["flows/a.py"]
    assert code.read("flows/a.py") == b"2"


def test_pipes_sockets_and_devices_are_ignored_without_waiting(tmp_path: Path) -> None:
    (tmp_path / "deployments").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "zero.py").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket.py"))
        code = code_of(DirectorySource(tmp_path, path="deployments"))
        assert code.find(["pipe.py", "zero.py", "socket.py"]) == {}
    with pytest.raises(SourceError):
        code.read("pipe.py")


def test_a_change_of_a_requested_flow_gives_a_directory_a_new_revision(tmp_path: Path) -> None:
    (tmp_path / "deployments").mkdir()
    (tmp_path / "a.py").write_text("1", encoding="utf-8")
    source = DirectorySource(tmp_path, path="deployments")
    first = source.observe()
    source.code(first).find(["a.py", "later.py"])
    assert source.observe() == first
    (tmp_path / "a.py").write_text("2", encoding="utf-8")
    second = source.observe()
    (tmp_path / "later.py").write_text("", encoding="utf-8")
    third = source.observe()
    (tmp_path / "other.py").write_text("", encoding="utf-8")
    assert len({first, second, third}) == 3
    assert source.observe() == third
    assert source.read(third).revision == third


def test_the_directories_of_flows_are_watched(tmp_path: Path) -> None:
    (tmp_path / "deployments").mkdir()
    (tmp_path / "flows").mkdir()
    source = DirectorySource(tmp_path, path="deployments")
    code_of(source).find(["flows/a.py", "missing/a.py"])
    assert {place.path for place in source.watched_paths()} == {tmp_path, tmp_path / "deployments", tmp_path / "flows"}


def test_an_oversized_file_is_found_but_not_read(repository: GitRepository, make: Make) -> None:
    repository.write("deployments/a.yaml", "")
    giant = repository.write("giant.py", "")
    os.truncate(giant, (16 << 20) + 1)
    code = code_of(make())
    assert code.find(["giant.py"])["giant.py"].size == (16 << 20) + 1
    with pytest.raises(SourceError, match="the limit is"):
        code.read("giant.py")


PLACES = ["a", "b", "a/b", "a/x.py", "b/x.py", "a/b/x.py", "x.py", "b/c/y.py"]
TARGETS = [
    "x.py",
    "b",
    "a",
    "../a/x.py",
    "../b",
    "../x.py",
    "b/x.py",
    "a/b",
    ".",
    "../../out",
    "/etc/passwd",
    "nowhere",
]
ASKED = [*PLACES, "a/b/b/x.py", "b/a/x.py", "a/a/x.py", "x.py/x.py", "b/b", "a/b/c/y.py"]


def change(top: Path, chance: Random) -> None:
    """Replace one of the paths by a file, by a link, or by nothing."""
    target = top / chance.choice(PLACES)
    for above in reversed(target.relative_to(top).parents):
        if (top / above).is_symlink() or (top / above).is_file():
            (top / above).unlink()
    if target.is_symlink() or target.is_file():
        target.unlink()
    elif target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    match chance.choice(["file", "file", "link", "link", "nothing"]):
        case "file":
            target.write_text(chance.choice(["one", "two", "three"]), encoding="utf-8")
        case "link":
            target.symlink_to(chance.choice(TARGETS))


@pytest.mark.parametrize("seed", [1, 3])
def test_after_any_changes_three_kinds_of_sources_find_the_same(
    tmp_path: Path, repository: GitRepository, seed: int
) -> None:
    """Compare a source that moves from commit to commit, a new one for each commit, and one of the files on disk."""
    chance = Random(seed)
    repository.write("deployments/a.yaml", "")
    moving = GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")
    revisions = []
    results = {}
    for _ in range(30):
        for _ in range(chance.randint(1, 3)):
            change(repository.path, chance)
        repository.commit()
        new = GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")
        answers = []
        for source in (moving, new, DirectorySource(repository.path, path="deployments")):
            code = code_of(source)
            requested = chance.sample(ASKED, len(ASKED) // 2) if source is moving else ASKED
            code.find(requested)
            answers.append({path: code.read(path) for path in code.find(ASKED)})
        assert answers[0] == answers[1] == answers[2]
        revisions.append(moving.observe())
        results[revisions[-1]] = answers[0]
    for revision in chance.sample(revisions, 20):
        code = moving.code(revision)
        assert {path: code.read(path) for path in code.find(ASKED)} == results[revision]


def test_a_path_that_ends_with_a_slash_means_a_directory(repository: GitRepository, make: Make) -> None:
    repository.write("deployments/a.yaml", "")
    repository.write("reports/deep/a.py", "one")
    (repository.path / "link").symlink_to("reports")
    (repository.path / "out").symlink_to("..")
    source = make()
    requested = ["reports/", "reports/deep/", "reports/deep/a.py/", "link/deep/", "out/", "gone/", "later/on/", "../"]

    def files() -> list[str]:
        repository.commit()
        return list(code_of(source).find(requested))

    assert files() == ["reports/", "reports/deep/", "link/deep/"]
    repository.write("later/on/x", "")
    assert "later/on/" in files()
    repository.git("rm", "--quiet", "reports/deep/a.py")
    repository.write("reports/other", "")
    assert files() == ["reports/", "later/on/"]
