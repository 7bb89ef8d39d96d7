"""The comparison of a run with another one: parameters, declaration, and the commits and files between them in git.

The dashboard and the HTTP API show it. The other run is by default the last successful one before it. Parameters and
declaration come from the state. Commits and files are read from the source on request only; their number is limited.
"""

import difflib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import fields, replace
from functools import lru_cache, partial
from typing import Any

from controller.errors import ControllerError, NotFoundError
from controller.model.commits import Commit
from controller.model.runs import Run, RunId, RunState
from controller.queries.runs import find_run
from controller.records import dataclass
from controller.sources.source import Change, Source, printable
from controller.store import Transaction
from controller.store.run_search import RunFilter, runs_page

MOST_FILES = 50
MOST_COMMITS = 50
MOST_LINES = 2000
MOST_LINES_OF_ALL = 6000
MOST_BYTES = 200_000
_MAX_CACHED = 256
_UNREADABLE = "large or binary file"
_MISSING = object()

FindOwn = Callable[[Mapping[str, Change]], Collection[str]]


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
    """The differences of a run from `earlier`: the last successful run before it, or any other run.

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
class DiffLine:
    """A line of a unified diff. `kind` is `add`, `del` or `same`, or `place` for a hunk header (`@@ …`)."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One file that was `added`, `removed` or `changed`, which is its `kind`.

    `is_own`: it declares the deployment, or the run loads it. `note` says why lines are missing, None if all are there.
    """

    path: str
    kind: str
    is_own: bool
    lines: tuple[DiffLine, ...]
    note: str | None

    @property
    def added(self) -> int:
        """The number of added lines, among those that are there."""
        return sum(line.kind == "add" for line in self.lines)

    @property
    def removed(self) -> int:
        """The number of removed lines, among those that are there."""
        return sum(line.kind == "del" for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChanges:
    """The files that differ, the run's own first; `left_out` more are not listed. `problem`: why that is unknown."""

    files: tuple[FileChange, ...] = ()
    left_out: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRange:
    """The commits between two revisions, newest first.

    `new` are those that only the run's revision contains, `missing` those that only the other revision contains, for
    example because the branch was reset. At most 50 of each are listed; `has_more` tells that there are more.
    """

    new: tuple[Commit, ...] = ()
    missing: tuple[Commit, ...] = ()
    has_more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """The differences of a run from another one, from the other to this one.

    `commits` is None if they are unknown, or if both runs had the same revision.
    """

    run_id: RunId
    other_id: RunId
    same_revision: bool
    same_document: bool
    parameters: tuple[ParameterChange, ...]
    commits: CommitRange | None
    files: FileChanges


def diff_runs(tx: Transaction, run: Run, other: Run | None = None) -> RunDiff | None:
    """Compare a run with another one, by default the last successful run before it; None if there is none."""
    if other is None:
        succeeded = RunFilter(deployment=run.deployment, states=(RunState.SUCCEEDED,))
        other = next(iter(runs_page(tx, succeeded, limit=1, before=run.id).runs), None)
    if other is None:
        return None
    return RunDiff(
        earlier=other,
        same_revision=other.revision == run.revision,
        same_document=other.spec_digest == run.spec_digest,
        parameters=tuple(parameter_changes(other.parameters, run.parameters)),
    )


def find_other_run(tx: Transaction, run: Run, text: str) -> Run:
    """Return the run to compare with by its id, or a unique beginning or end of it. Raises NotFoundError."""
    other = find_run(tx, text)
    if other.id == run.id:
        raise NotFoundError("A run cannot be compared with itself.", hint="Pass the id of another run.")
    return other


class CommitRanges:
    """Lists the commits between two revisions of a source. Results are cached, since commits never change."""

    def __init__(self, source: Source) -> None:
        self._list = lru_cache(maxsize=_MAX_CACHED)(partial(_list_between, source))

    def between(self, revision: str, earlier: str) -> CommitRange | None:
        """Return the commits between two revisions; None for a source without history, or if git can't list them."""
        try:
            return self._list(revision, earlier)
        except (ControllerError, OSError):  # it may work the next time
            return None


def _list_between(source: Source, revision: str, earlier: str) -> CommitRange | None:
    """List the commits; None if git has lost the earlier revision. Raises SourceError."""
    if not source.commits(earlier, None, 1):
        return None
    new = source.commits(revision, earlier, MOST_COMMITS + 1)
    missing = source.commits(earlier, revision, MOST_COMMITS + 1)
    return CommitRange(
        new=tuple(map(_plain_commit, new[:MOST_COMMITS])),
        missing=tuple(map(_plain_commit, missing[:MOST_COMMITS])),
        has_more=max(len(new), len(missing)) > MOST_COMMITS,
    )


def code_changes(source: Source, revision: str, earlier: str, find_own: FindOwn | None = None) -> FileChanges:
    """Return the files that differ between the two revisions, the run's own first.

    `find_own` returns those of the changed files that declare the deployment or that its run loads. Errors of the
    source are returned as `problem`.
    """
    try:
        paths = source.changed_files(revision, earlier)
    except ControllerError as error:
        return FileChanges(problem=error.message)
    if paths is None:
        return FileChanges(problem="The repository no longer has the earlier revision.")
    own = find_own(paths) if find_own is not None and paths else ()
    listed = sorted(paths, key=lambda path: path not in own)[:MOST_FILES]
    files: list[FileChange] = []
    room = MOST_LINES_OF_ALL
    for path in listed:
        file = _file(source, path, paths[path].value, revision=revision, earlier=earlier, is_own=path in own)
        if len(file.lines) > room:
            note = f"{len(file.lines) - room} more lines are not shown, because the comparison is too long"
            file = replace(file, lines=file.lines[:room], note=note)
        room -= len(file.lines)
        files.append(file)
    return FileChanges(files=tuple(files), left_out=len(paths) - len(listed))


def parameter_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[ParameterChange]:
    """Yield the parameters that differ, or that only one of the two has."""
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


def _plain_commit(commit: Commit) -> Commit:
    return Commit(**{key.name: getattr(commit, key.name) for key in fields(Commit)})


def _file(source: Source, path: str, kind: str, *, revision: str, earlier: str, is_own: bool) -> FileChange:
    """Compare one file. `kind` comes from git, since symbolic links and submodules have no content to compare."""
    old, new = _content(source, earlier, path), _content(source, revision, path)
    old_lines, new_lines = _lines(old), _lines(new)
    if old_lines is None or new_lines is None:
        return FileChange(path=printable(path), kind=kind, is_own=is_own, lines=(), note=_UNREADABLE)
    lines = [_line(text) for text in list(difflib.unified_diff(old_lines, new_lines, lineterm="", n=3))[2:]]
    note = None if lines else "no lines differ: an empty file, a link or submodule, or only the mode or last line break"
    if len(lines) > MOST_LINES:
        note = f"{len(lines) - MOST_LINES} more lines are not shown"
    return FileChange(path=printable(path), kind=kind, is_own=is_own, lines=tuple(lines[:MOST_LINES]), note=note)


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


def _line(text: str) -> DiffLine:
    kind = {"+": "add", "-": "del", "@": "place"}.get(text[:1], "same")
    return DiffLine(kind=kind, text=text if kind == "place" else text[1:])
