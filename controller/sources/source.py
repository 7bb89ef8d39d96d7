"""The protocol of all sources. Other packages depend on this protocol, not on the kinds of sources."""

import os
from collections.abc import Callable, Collection
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from controller.errors import SourceError
from controller.model.commits import Commit, ListedCommit
from controller.model.snapshots import Code, ManifestFile, RefusedFile, Snapshot
from controller.records import dataclass

MAX_MANIFEST_BYTES = 1 << 20
MAX_CODE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedPath:
    """A directory to watch: a change in it starts a pass."""

    path: Path
    recursive: bool


class Change(StrEnum):
    """How a file differs between two revisions."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Source(Protocol):
    """A repository or directory that is followed. Every method raises SourceError if it can't be read."""

    is_pinned: bool
    """Whether a revision always gives the same files (git), or only the files as they are now (a directory)."""

    def observe(self) -> str:
        """Return the current revision."""
        ...

    def read(self, revision: str) -> Snapshot:
        """Return all manifests of this revision, and its project file."""
        ...

    def code(self, revision: str) -> Code:
        """Return access to the files of this revision that declare flows."""
        ...

    def read_file(self, revision: str, path: str) -> bytes:
        """Return the content of a file of this revision, by its path from the root of the repository."""
        ...

    def read_project(self, revision: str) -> ManifestFile | RefusedFile | None:
        """Return the project file of this revision, or None if it has none."""
        ...

    def checkout(self, revision: str) -> Path:
        """Return the root directory of the code of this revision; export the code if necessary."""
        ...

    def is_descendant(self, revision: str, earlier: str) -> bool | None:
        """Whether `earlier` is in the history of `revision`; None if that is unknown."""
        ...

    def committed_at(self, revision: str) -> datetime | None:
        """Return when this revision was committed; None for a source without history."""
        ...

    def commits(self, revision: str, since: str | None, limit: int) -> list[ListedCommit]:
        """Return at most `limit` commits up to this revision, newest first; none for a source without history.

        With `since`, an earlier revision, only the commits after it.
        """
        ...

    def blame(self, revision: str, path: str, lines: range) -> dict[int, Commit]:
        """Return the commit that last changed each of these lines (from 1) of a file; unknown ones are left out."""
        ...

    def changed_files(self, revision: str, earlier: str) -> dict[str, Change] | None:
        """Return the sorted paths that differ between two revisions, and how they differ; None if that is unknown."""
        ...

    def files_with_words(self, revision: str, words: Collection[str]) -> list[str]:
        """Return the Python files of this revision that contain one of the words; none for a source without history."""
        ...

    def has_checkout(self, revision: str) -> bool:
        """Whether `checkout` would return at once."""
        ...

    def collect(self, find_needed: Callable[[], Collection[str]]) -> None:
        """Remove the exports of all revisions except the needed ones. Meanwhile, no checkout is returned to a run."""
        ...

    def interrupt(self) -> None:
        """Abort the current `observe`; this one and all later ones raise StoppingError. Called from any thread."""
        ...

    def watched_paths(self) -> tuple[WatchedPath, ...]:
        """Return the directories in which a change shows first."""
        ...


def find_commit(source: Source, revision: str) -> Commit | None:
    """Return the commit of a revision; None for a directory, or if git can't read it."""
    try:
        listed = source.commits(revision, None, 1)
    except (SourceError, OSError):
        return None
    return Commit(**{key.name: getattr(listed[0], key.name) for key in fields(Commit)}) if listed else None


def is_text(path: str) -> bool:
    """Whether a file name, as returned by the system, is valid UTF-8."""
    return path.isascii() or not any("\ud800" <= char <= "\udfff" for char in path)


def printable(path: str) -> str:
    """Return a file name in which bytes that are not UTF-8 are escaped."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def as_text(path: str | os.PathLike[str]) -> str:
    """Decode a path or variable from the system as UTF-8, whatever the locale. `native` is the inverse."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def native(path: str) -> str:
    """Convert a path of a revision, which is UTF-8 whatever the locale, to the encoding that Python uses for paths."""
    return os.fsdecode(path.encode("utf-8", "surrogateescape"))
