"""Differences of a run from the last successful one: files of any content, and parameters."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from controller.model.runs import Run, RunId, RunState, Trigger
from controller.queries.run_diff import MOST_BYTES, MOST_FILES, MOST_LINES, CodeChanges, code_changes, diff_runs
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


def changes(repository: GitRepository, tmp_path: Path, old: str, new: str) -> CodeChanges:
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
