"""What every source can do. `reconcile` and `runs` see only this."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from controller.model.snapshots import Code, ManifestFile, RefusedFile, Snapshot

MAX_MANIFEST_BYTES = 1 << 20
MAX_CODE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedPath:
    """A directory in which a change means: look again."""

    path: Path
    recursive: bool


class Change(StrEnum):
    """What became of a file between two revisions."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Source(Protocol):
    """A repository that is followed. Every method raises SourceError when it can't be read."""

    is_pinned: bool
    """Whether a revision, once named, always gives the same files (git), or only what is there now (a directory)."""

    def observe(self) -> str:
        """The present revision."""
        ...

    def read(self, revision: str) -> Snapshot:
        """All manifests of this revision, and its project."""
        ...

    def code(self, revision: str) -> Code:
        """The files of this revision that flows are read from."""
        ...

    def read_file(self, revision: str, path: str) -> bytes:
        """One file of this revision, by its path from the repository root."""
        ...

    def read_project(self, revision: str) -> ManifestFile | RefusedFile | None:
        """The project of this revision, None if it has none."""
        ...

    def checkout(self, revision: str) -> Path:
        """The root directory of this revision's code, made if need be."""
        ...

    def is_descendant(self, revision: str, earlier: str) -> bool | None:
        """Whether `earlier` is in the history of `revision`; None where it can't be told."""
        ...

    def changed_files(self, revision: str, earlier: str) -> dict[str, Change] | None:
        """The paths that differ between these two revisions, sorted, and how; None where it can't be told."""
        ...

    def files_with_words(self, revision: str, words: Collection[str]) -> list[str]:
        """The Python files of this revision in which one of these words stands; none where there is no history."""
        ...

    def has_checkout(self, revision: str) -> bool:
        """Whether `checkout` would return at once."""
        ...

    def collect(self, keep: Collection[str]) -> None:
        """Forget the checkouts of all other revisions."""
        ...

    def interrupt(self) -> None:
        """End an `observe` that may wait long, and let none begin: both raise StoppingError. From any thread."""
        ...

    def watched(self) -> tuple[WatchedPath, ...]:
        """Where a change would show first."""
        ...


def is_text(path: str) -> bool:
    """Whether a file name, as the system gives it, is UTF-8."""
    return not any("\ud800" <= char <= "\udfff" for char in path)


def printable(path: str) -> str:
    """A file name that is not UTF-8, as text."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def as_text(path: str | os.PathLike[str]) -> str:
    """What the system gave us, a path or a variable, as UTF-8 whatever the locale; `native` is the way back."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def native(path: str) -> str:
    """A path of a revision, which is UTF-8 whatever the locale, as Python's own functions take it here."""
    return os.fsdecode(path.encode("utf-8", "surrogateescape"))
