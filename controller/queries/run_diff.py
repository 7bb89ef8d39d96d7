"""What differs between a run and the last one before it that went well: parameters, declaration, and the files of git.

The page of a run shows it. The first part reads the state alone; the files are read from the source, bounded in number
and size, and only where somebody asks for them.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from controller.errors import ControllerError
from controller.model.runs import Run, RunState
from controller.queries.runs import RunView
from controller.sources.source import Change, Source
from controller.store import Transaction
from controller.store.run_search import RunFilter, runs_page

MOST_FILES = 50
MOST_LINES = 2000
MOST_BYTES = 200_000
_MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterChange:
    """One parameter, before and now; `is_new` and `is_gone` tell None from absent."""

    name: str
    before: Any
    after: Any
    is_new: bool
    is_gone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDiff:
    """A run beside `earlier`, the last one before it that succeeded. `same_document`: git declared the same."""

    earlier: Run
    same_revision: bool
    same_document: bool
    parameters: tuple[ParameterChange, ...]

    @property
    def is_same(self) -> bool:
        """Whether the two were given the very same."""
        return self.same_revision and self.same_document and not self.parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a difference: `kind` is `add`, `del`, `same`, or `place` for where the following lines are."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One file that differs; `note` says why no lines are shown."""

    path: str
    kind: Change
    lines: tuple[Line, ...]
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeChanges:
    """The files that differ; `left_out` are more. `problem` says why nothing can be told."""

    files: tuple[FileChange, ...] = ()
    left_out: int = 0
    problem: str | None = None


def diff_runs(tx: Transaction, run: RunView) -> RunDiff | None:
    """None if no run of this deployment succeeded before."""
    wanted = RunFilter(deployment=run.deployment, states=(RunState.SUCCEEDED,))
    found = runs_page(tx, wanted, limit=1, before=run.id).runs
    if not found:
        return None
    earlier = found[0]
    return RunDiff(
        earlier=earlier,
        same_revision=earlier.revision == run.revision,
        same_document=earlier.spec_digest == run.spec_digest,
        parameters=tuple(_parameters(earlier.parameters, run.parameters)),
    )


def code_changes(source: Source, revision: str, earlier: str) -> CodeChanges:
    """What differs in the repository at `revision` from what it was. Never raises for what can't be read."""
    try:
        paths = source.changed_files(revision, earlier)
    except ControllerError as error:
        return CodeChanges(problem=error.message)
    if paths is None:
        return CodeChanges(problem="The repository does not have the earlier version any more.")
    shown = islice(paths.items(), MOST_FILES)
    files = tuple(_file(source, path, kind, revision=revision, earlier=earlier) for path, kind in shown)
    return CodeChanges(files=files, left_out=max(0, len(paths) - MOST_FILES))


def _parameters(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[ParameterChange]:
    for name in {**before, **after}:
        old, new = before.get(name, _MISSING), after.get(name, _MISSING)
        if old is _MISSING or new is _MISSING or _written(old) != _written(new):
            yield ParameterChange(
                name=name,
                before=before.get(name),
                after=after.get(name),
                is_new=old is _MISSING,
                is_gone=new is _MISSING,
            )


def _written(value: Any) -> str:
    """By this two values are the same: for Python 1, 1.0 and true are equal, also within a list."""
    return json.dumps(value, sort_keys=True)


def _file(source: Source, path: str, kind: Change, *, revision: str, earlier: str) -> FileChange:
    """`kind` is what git says: a link, or a module of another repository, has no content to be read."""
    old, new = _content(source, earlier, path), _content(source, revision, path)
    old_lines, new_lines = _lines(old), _lines(new)
    if old_lines is None or new_lines is None:
        return FileChange(path=_shown(path), kind=kind, lines=(), note="it is large, or no text")
    found = [_line(text) for text in list(difflib.unified_diff(old_lines, new_lines, lineterm="", n=3))[2:]]
    note = None if found else "it is empty, a link, or no file; or only its mode or its last line break differs"
    if len(found) > MOST_LINES:
        note = f"{len(found) - MOST_LINES} more lines are not shown"
    return FileChange(path=_shown(path), kind=kind, lines=tuple(found[:MOST_LINES]), note=note)


def _content(source: Source, revision: str, path: str) -> bytes | None:
    """None if there is no such file, or none that can be read."""
    try:
        return source.read_file(revision, path)
    except (ControllerError, OSError):
        return None


def _lines(content: bytes | None) -> list[str] | None:
    """The lines of a text; None of what is none."""
    if content is None:
        return []
    if len(content) > MOST_BYTES or b"\0" in content:
        return None
    lines = content.decode("utf-8", "replace").split("\n")
    return lines if lines[-1] else lines[:-1]


def _line(text: str) -> Line:
    kind = {"+": "add", "-": "del", "@": "place"}.get(text[:1], "same")
    return Line(kind=kind, text=text if kind == "place" else text[1:])


def _shown(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
