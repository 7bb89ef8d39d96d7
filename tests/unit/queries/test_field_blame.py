"""The commit that last changed each field of a deployment."""

from pathlib import Path

import pytest

from controller.clock import SystemClock
from controller.manifests.field_locations import SourceLocation
from controller.queries.field_blame import MAX_BYTES, FieldBlame, field_lines
from controller.queries.field_locations import FieldLocations
from controller.sources.git import GitSource
from tests.conftest import GitRepository
from tests.unit.store.test_records import entry

FILE = "deployments/a.yaml"
PROJECT = "defaults:\n  timeout: 1h\n"
FIRST = """\
name: other
command: [echo]
---
name: nightly
command: [echo]
tags:
- a
# the parameters
parameters:
  region: eu
"""
SECOND = FIRST.replace("region: eu", "region: us")
THIRD = SECOND.replace("name: other", "name: others").replace("- a\n", "- a\n- b\n")
DOCUMENT = {"name": "nightly", "command": ["echo"], "tags": [], "parameters": {}, "timeout": "1h"}


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("a: 1\nb: 2\n", 1, 1),
        ("a:\n  x: 1\n\n  y: 2\n\n# of b\nb: 2\n", 1, 4),
        ("a:\n- 1\n- 2\nb: 3\n", 1, 3),
        ("- a: 1\n  b: 2\n- a: 3\n", 2, 2),
        ("- a: 1\n  b:\n  - 3\n- a: 3\n", 2, 3),
        ('{\n  "a": [\n    1\n  ],\n  "b": 2\n}\n', 2, 4),
        ("a: |\n  text\n---\nb: 2\n", 1, 2),
    ],
)
def test_a_field_has_the_lines_of_its_value(text: str, first: int, last: int) -> None:
    assert field_lines(text.splitlines(), first) == range(first, last + 1)
    assert not field_lines(text.splitlines(), 99)


def make_source(repository: GitRepository, tmp_path: Path) -> GitSource:
    return GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")


def subjects(source: GitSource, locations: FieldLocations) -> dict[str, str | None]:
    """Return the subject of the commit that changed each field."""
    fields = locations.locate(entry(file=FILE, line=4, document=DOCUMENT), source.observe())
    return {field.name: field.changed_in.subject if field.changed_in else None for field in fields}


def test_each_field_has_the_commit_that_last_changed_one_of_its_lines(
    repository: GitRepository, tmp_path: Path
) -> None:
    repository.commit({FILE: FIRST, "controller.yaml": PROJECT}, message="Add")
    repository.commit({FILE: SECOND}, message="Move to the US\n\nBecause.")
    repository.commit({FILE: THIRD}, message="Tag\x1b[31m it")
    source = make_source(repository, tmp_path)
    locations = FieldLocations(source, None, SystemClock())
    expected = {
        "name": "Add",
        "command": "Add",
        "tags": "Tag\\x1b[31m it",
        "parameters": "Move to the US",
        "timeout": "Add",
    }
    assert subjects(source, locations) == expected
    before = source.work.processes
    assert subjects(source, locations) == expected
    assert source.work.processes == before
    repository.commit({"README": "x"}, message="Unrelated")
    source.checkout(source.observe())
    before = source.work.processes
    assert subjects(source, locations) == expected
    assert source.work.processes == before, "an unchanged file is not blamed again"


def test_a_file_that_is_too_large_or_unreadable_is_not_blamed(repository: GitRepository, tmp_path: Path) -> None:
    repository.commit({FILE: FIRST + "# " + "x" * MAX_BYTES, "deployments/b.yaml": "name: b\n"})
    source = make_source(repository, tmp_path)
    blame = FieldBlame(source)
    places = [SourceLocation(FILE, 4), SourceLocation("deployments/b.yaml", 1), SourceLocation("none.yaml", 1)]
    assert list(blame.find_changes(source.observe(), places)) == [places[1]]


def test_lines_older_than_a_shallow_clone_have_no_commit(repository: GitRepository, tmp_path: Path) -> None:
    repository.commit({FILE: FIRST}, message="Add")
    repository.commit({FILE: SECOND}, message="Move")
    repository.commit({FILE: THIRD}, message="Tag")
    clone = GitRepository(path=tmp_path / "clone")
    repository.git("clone", "--quiet", "--depth", "2", f"file://{repository.path}", str(clone.path))
    source = make_source(clone, tmp_path)
    assert {commit.subject for commit in source.blame(source.observe(), FILE, range(1, 11)).values()} == {"Tag"}
