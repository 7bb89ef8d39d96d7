"""The comparison of a run with the last successful run before it: parameters, declaration, and files in git.

The dashboard shows it on the page of a run. Parameters and declaration come from the state. Files are read from the
source on request only, and their number and size are limited.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from controller.errors import ControllerError
from controller.model.runs import Run, RunState
from controller.sources.source import Change, Source, printable
from controller.store import Transaction
from controller.store.run_search import RunFilter, runs_page

MOST_FILES = 50
MOST_LINES = 2000
MOST_BYTES = 200_000
_MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterChange:
    """One parameter before and now. `is_new` and `is_gone` distinguish a missing parameter from one that is None."""

    name: str
    before: Any
    after: Any
    is_new: bool
    is_gone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDiff:
    """The differences of a run from `earlier`, the last successful run before it.

    `same_document` is set if the manifest declared the deployment identically.
    """

    earlier: Run
    same_revision: bool
    same_document: bool
    parameters: tuple[ParameterChange, ...]

    @property
    def is_same(self) -> bool:
        """Whether both runs had the same revision, declaration and parameters."""
        return self.same_revision and self.same_document and not self.parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a unified diff. `kind` is `add`, `del` or `same`, or `place` for a hunk header (`@@ …`)."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One file that differs. `note` says why lines are missing, None if all are there."""

    path: str
    kind: Change
    lines: tuple[Line, ...]
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeChanges:
    """The files that differ; `left_out` more are not listed. `problem` says why the comparison failed."""

    files: tuple[FileChange, ...] = ()
    left_out: int = 0
    problem: str | None = None


def diff_runs(tx: Transaction, run: Run) -> RunDiff | None:
    """Compare a run with the last successful run before it; None if there is none."""
    succeeded = RunFilter(deployment=run.deployment, states=(RunState.SUCCEEDED,))
    matches = runs_page(tx, succeeded, limit=1, before=run.id).runs
    if not matches:
        return None
    earlier = matches[0]
    return RunDiff(
        earlier=earlier,
        same_revision=earlier.revision == run.revision,
        same_document=earlier.spec_digest == run.spec_digest,
        parameters=tuple(_parameters(earlier.parameters, run.parameters)),
    )


def code_changes(source: Source, revision: str, earlier: str) -> CodeChanges:
    """Return the files that differ between the two revisions. Errors of the source are returned as `problem`."""
    try:
        paths = source.changed_files(revision, earlier)
    except ControllerError as error:
        return CodeChanges(problem=error.message)
    if paths is None:
        return CodeChanges(problem="The repository no longer has the earlier revision.")
    listed = islice(paths.items(), MOST_FILES)
    files = tuple(_file(source, path, kind, revision=revision, earlier=earlier) for path, kind in listed)
    return CodeChanges(files=files, left_out=max(0, len(paths) - MOST_FILES))


def _parameters(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[ParameterChange]:
    for name in {**before, **after}:
        old, new = before.get(name, _MISSING), after.get(name, _MISSING)
        if old is _MISSING or new is _MISSING or _canonical(old) != _canonical(new):
            yield ParameterChange(
                name=name,
                before=before.get(name),
                after=after.get(name),
                is_new=old is _MISSING,
                is_gone=new is _MISSING,
            )


def _canonical(value: Any) -> str:
    """Return JSON text by which values are compared: for Python 1, 1.0 and True are equal, even within a list."""
    return json.dumps(value, sort_keys=True)


def _file(source: Source, path: str, kind: Change, *, revision: str, earlier: str) -> FileChange:
    """Compare one file. `kind` comes from git, since symbolic links and submodules have no content to compare."""
    old, new = _content(source, earlier, path), _content(source, revision, path)
    old_lines, new_lines = _lines(old), _lines(new)
    if old_lines is None or new_lines is None:
        return FileChange(path=printable(path), kind=kind, lines=(), note="large or binary file")
    lines = [_line(text) for text in list(difflib.unified_diff(old_lines, new_lines, lineterm="", n=3))[2:]]
    note = None if lines else "no lines differ: an empty file, a link or submodule, or only the mode or last line break"
    if len(lines) > MOST_LINES:
        note = f"{len(lines) - MOST_LINES} more lines are not shown"
    return FileChange(path=printable(path), kind=kind, lines=tuple(lines[:MOST_LINES]), note=note)


def _content(source: Source, revision: str, path: str) -> bytes | None:
    """Return the content of a file; None if there is none, or it can't be read."""
    try:
        return source.read_file(revision, path)
    except (ControllerError, OSError):
        return None


def _lines(content: bytes | None) -> list[str] | None:
    """Split text into lines; None for content that is too large or binary."""
    if content is None:
        return []
    if len(content) > MOST_BYTES or b"\0" in content:
        return None
    lines = content.decode("utf-8", "replace").split("\n")
    return lines if lines[-1] else lines[:-1]


def _line(text: str) -> Line:
    kind = {"+": "add", "-": "del", "@": "place"}.get(text[:1], "same")
    return Line(kind=kind, text=text if kind == "place" else text[1:])
