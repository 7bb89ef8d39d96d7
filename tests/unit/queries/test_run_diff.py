"""Differences of a run from the last successful one: files of any content, and parameters."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from controller.app.own_files import own_files
from controller.errors import NotFoundError
from controller.manifests.reader import ManifestReader
from controller.model.runs import Run, RunId, RunState, Trigger
from controller.queries.run_diff import (
    MOST_BYTES,
    MOST_FILES,
    MOST_LINES,
    MOST_LINES_OF_ALL,
    CommitRange,
    CommitRanges,
    FileChanges,
    code_changes,
    diff_runs,
    find_other_run,
)
from controller.settings import Location
from controller.sources.directory.source import DirectorySource
from controller.sources.git import GitSource
from controller.store import Store, runs
from tests.conftest import NOW, GitRepository, new_repository


def run(number: int, value: Any) -> Run:
    return Run(
        id=RunId(f"0000-{number:04}"),
        deployment="a",
        state=RunState.SUCCEEDED,
        trigger=Trigger.MANUAL,
        created_at=NOW,
        revision="r1",
        file="f",
        spec_digest="sha256:1",
        parameters={"x": value},
    )


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return new_repository(tmp_path / "repo")


def changes(repository: GitRepository, tmp_path: Path, old: str, new: str) -> FileChanges:
    source = GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")
    return code_changes(source, f"main@sha1:{new}", f"main@sha1:{old}")


def test_changed_files_have_a_unified_diff_with_context(repository: GitRepository, tmp_path: Path) -> None:
    old = repository.commit({"deployments/a.yaml": "name: a\n", "flows/f.py": "one\ntwo\nthree\n"})
    new = repository.commit({"flows/f.py": "one\n2\nthree\n", "flows/new.py": "hello\n"})
    diff = changes(repository, tmp_path, old, new)
    assert [(file.path, file.kind) for file in diff.files] == [("flows/f.py", "changed"), ("flows/new.py", "added")]
    changed, added = diff.files
    assert [(line.kind, line.text) for line in changed.lines[1:]] == [
        ("same", "one"),
        ("del", "two"),
        ("add", "2"),
        ("same", "three"),
    ]
    assert [(line.kind, line.text) for line in added.lines[1:]] == [("add", "hello")]
    back = changes(repository, tmp_path, new, old)
    assert [file.kind for file in back.files] == ["changed", "removed"]


def test_large_and_binary_files_have_no_lines_and_lists_are_cut(repository: GitRepository, tmp_path: Path) -> None:
    old = repository.commit({"deployments/a.yaml": "name: a\n"})
    many = {f"many/{number:03}.txt": "x\n" for number in range(MOST_FILES)}
    new = repository.commit(
        {"a.bin": "\0\1", "b.txt": "x" * (MOST_BYTES + 1), "c.txt": "x\n" * (MOST_LINES + 10), **many}
    )
    diff = changes(repository, tmp_path, old, new)
    assert [bool(file.lines) for file in diff.files[:3]] == [False, False, True]
    assert diff.files[0].note == diff.files[1].note == "large or binary file"
    assert len(diff.files[2].lines) == MOST_LINES
    assert (len(diff.files), diff.left_out) == (MOST_FILES, 3)


def test_a_missing_earlier_commit_is_reported(repository: GitRepository, tmp_path: Path) -> None:
    new = repository.commit({"deployments/a.yaml": "name: a\n"})
    diff = changes(repository, tmp_path, "0" * 40, new)
    assert diff.problem == "The repository no longer has the earlier revision."
    folder = DirectorySource(repository.path, path="deployments")
    assert code_changes(folder, "dir@sha256:1", "dir@sha256:2").problem == diff.problem


def test_the_files_of_the_run_come_first_and_are_marked(repository: GitRepository, tmp_path: Path) -> None:
    old = repository.commit({"deployments/a.yaml": "name: a\n", "flows/f.py": "1\n", "z/lib.py": "1\n"})
    many = {f"deployments/{number:02}.yaml": "x\n" for number in range(MOST_FILES)}
    new = repository.commit({"deployments/a.yaml": "name: b\n", "flows/f.py": "2\n", "z/lib.py": "2\n", **many})
    source = GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")
    own = {"deployments/a.yaml", "flows/f.py", "z/lib.py", "unchanged.py"}
    diff = code_changes(source, f"main@sha1:{new}", f"main@sha1:{old}", lambda _: own)
    assert [(file.path, file.is_own, file.added, file.removed) for file in diff.files[:4]] == [
        ("deployments/a.yaml", True, 1, 1),
        ("flows/f.py", True, 1, 1),
        ("z/lib.py", True, 1, 1),
        ("deployments/00.yaml", False, 1, 0),
    ]
    assert (len(diff.files), diff.left_out) == (MOST_FILES, 3)


def test_all_files_together_have_a_limited_number_of_lines(repository: GitRepository, tmp_path: Path) -> None:
    old = repository.commit({"deployments/a.yaml": "name: a\n"})
    count = MOST_LINES_OF_ALL // MOST_LINES + 1
    new = repository.commit({f"{number}.txt": "x\n" * MOST_LINES for number in range(count)})
    diff = changes(repository, tmp_path, old, new)
    assert sum(len(file.lines) for file in diff.files) == MOST_LINES_OF_ALL
    assert diff.files[-1].note == "2000 more lines are not shown, because the comparison is too long"


def test_the_files_of_a_run_are_its_manifest_and_what_its_flow_imports(
    repository: GitRepository, tmp_path: Path, store: Store
) -> None:
    old = repository.commit(
        {
            "deployments/a.yaml": "name: a\nflow: flows/f.py:main\n",
            "flows/f.py": "import rules\ndef main(): rules.check()\n",
            "flows/rules.py": "def check(): pass\n",
            "flows/other.py": "def main(): pass\n",
        }
    )
    files = {"flows/rules.py": "def check(): return 1\n", "flows/other.py": "def main(): return 1\n", "README": "x"}
    new = repository.commit(files)
    source = GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")
    snapshot = source.read(f"main@sha1:{new}")
    [deployment] = ManifestReader().read(snapshot.files, NOW, None).deployments.values()
    pinned = replace(
        run(1, 1), file="deployments/a.yaml", revision=f"main@sha1:{new}", spec_digest=deployment.spec_digest
    )
    changed = source.changed_files(f"main@sha1:{new}", f"main@sha1:{old}")
    assert changed is not None
    location = Location(repo=repository.path, ref=None, path="deployments", environment=None, state_dir=tmp_path)
    own = own_files(location, store, pinned, f"main@sha1:{old}", changed, NOW)
    assert own == {"deployments/a.yaml", "controller.yaml", "flows/rules.py"}
    unknown = replace(pinned, spec_digest="sha256:0")
    assert own_files(location, store, unknown, f"main@sha1:{old}", changed, NOW) == own - {"flows/rules.py"}


def between(repository: GitRepository, tmp_path: Path, old: str, new: str) -> CommitRange | None:
    source = GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")
    return CommitRanges(source).between(f"main@sha1:{new}", f"main@sha1:{old}")


def test_the_commits_between_two_runs_are_listed_newest_first(repository: GitRepository, tmp_path: Path) -> None:
    old = repository.commit({"a.txt": "1\n"}, message="one")
    repository.commit({"a.txt": "2\n"}, message="two")
    new = repository.commit({"a.txt": "3\n"}, message="three")
    forward = between(repository, tmp_path, old, new)
    assert forward is not None
    assert [(commit.subject, commit.author) for commit in forward.new] == [("three", "Ada"), ("two", "Ada")]
    assert (forward.missing, forward.has_more) == ((), False)
    back = between(repository, tmp_path, new, old)
    assert back == CommitRange(missing=forward.new)
    assert between(repository, tmp_path, "0" * 40, new) is None
    folder = DirectorySource(repository.path, path="deployments")
    assert CommitRanges(folder).between("dir@sha256:1", "dir@sha256:2") is None


def test_a_run_is_compared_with_any_other_run(store: Store) -> None:
    first, second = run(1, 1), replace(run(2, 2), state=RunState.FAILED)
    with store.write() as tx:
        runs.insert_all(tx, [first, second])
    with store.read() as tx:
        diff = diff_runs(tx, first, find_other_run(tx, first, "0002"))
        assert diff is not None
        assert [(change.before, change.after) for change in diff.parameters] == [(2, 1)]
        assert diff_runs(tx, first) is None
        for text in ("nothing", first.id):
            with pytest.raises(NotFoundError):
                find_other_run(tx, first, text)


def test_symbolic_links_have_the_kind_of_change_that_git_reports(repository: GitRepository, tmp_path: Path) -> None:
    link = repository.path / "link"
    commits = [repository.commit({"a.txt": "a\n", "b.txt": "b\n"})]
    for target in ("a.txt", "b.txt", None):
        link.unlink(missing_ok=True)
        if target is not None:
            link.symlink_to(target)
        commits.append(repository.commit())
    for (old, new), kind in zip(pairwise(commits), ("added", "changed", "removed"), strict=True):
        [diff] = changes(repository, tmp_path, old, new).files
        assert (diff.path, diff.kind) == ("link", kind)


@pytest.mark.parametrize(
    ("before", "after", "differ"),
    [
        ([1], [True], True),
        ({"a": [0]}, {"a": [False]}, True),
        ([1], [1.0], True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
        (None, None, False),
    ],
)
def test_parameters_are_compared_as_json(store: Store, before: Any, after: Any, differ: bool) -> None:
    runs_of = [run(1, before), run(2, after)]
    with store.write() as tx:
        runs.insert_all(tx, runs_of)
    with store.read() as tx:
        diff = diff_runs(tx, runs_of[1])
    assert diff is not None
    assert bool(diff.parameters) is differ
