"""Immutable copies of a revision's code: `<directory>/<commit>/tree`, beside the bytecode that Python makes of it.

`GitSource` writes them from blobs, never through a checkout: no hooks, no filters, no attributes. A copy appears
whole, by a rename, or not at all. Links are kept only where they can't lead out of the tree.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from controller.errors import SourceError


class Kind(StrEnum):
    """What an entry of a tree becomes."""

    FILE = "file"
    EXECUTABLE = "executable"
    LINK = "link"


_PERMISSIONS = {Kind.FILE: 0o444, Kind.EXECUTABLE: 0o555}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a revision, by its path with `/` from the root; a link's content is its target."""

    path: str
    kind: Kind
    content: bytes


class Exports:
    """The exported revisions of one state directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._own_prefix = f".{secrets.token_hex(4)}-"

    def root(self, commit: str) -> Path:
        """Where this commit's tree is, or would be."""
        return self._directory / commit / "tree"

    def has(self, commit: str) -> bool:
        """Whether this commit's tree is complete."""
        return self.root(commit).is_dir()

    def read(self, commit: str, path: str) -> bytes:
        """One regular file of an exported commit. Raises OSError."""
        found = self.root(commit) / path
        if found.is_symlink() or not found.is_file():
            raise FileNotFoundError(path)
        return found.read_bytes()

    def write(self, commit: str, entries: Iterable[Entry]) -> Path:
        """Write this commit's tree; returns its root. Raises SourceError."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._workplace() as work:
                (work / "tree").mkdir()
                for entry in entries:
                    _write(work / "tree", entry)
                _seal(work / "tree")
                _sync(work)
                if not self.has(commit):
                    work.rename(self._directory / commit)
            _sync(self._directory)
        except OSError as error:
            raise SourceError(f"The code of {commit[:12]} could not be exported: {error.strerror}.") from error
        return self.root(commit)

    def collect(self, keep: Collection[str]) -> None:
        """Remove what is not to be kept, half-written copies of a dead controller included. Raises SourceError."""
        failed: OSError | None = None
        for child in self._directory.iterdir() if self._directory.is_dir() else ():
            if child.name not in keep and not child.name.startswith(self._own_prefix):
                gone = child.with_name(f"{self._own_prefix}{child.name}")
                try:
                    child.rename(gone)
                    _remove(gone)
                except OSError as error:
                    failed = error
        if failed is not None:
            raise SourceError(f"Code could not be removed from {self._directory}: {failed.strerror}.") from failed

    @contextmanager
    def _workplace(self) -> Iterator[Path]:
        """A new directory beside the exports, gone afterwards unless it was given their name."""
        work = Path(tempfile.mkdtemp(prefix=self._own_prefix, dir=self._directory))
        try:
            yield work
        finally:
            _remove(work)


def _write(root: Path, entry: Entry) -> None:
    parts = PurePosixPath(entry.path).parts
    if not parts or entry.path.startswith("/") or any(part in ("..", ".git") for part in parts):
        raise SourceError(f"{entry.path!r} can't be exported: the path leaves the tree.")
    target = root.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    if entry.kind is Kind.LINK:
        if _stays_inside(parts, entry.content):
            target.symlink_to(os.fsdecode(entry.content))
        return
    target.write_bytes(entry.content)
    target.chmod(_PERMISSIONS[entry.kind])


def _stays_inside(parts: tuple[str, ...], content: bytes) -> bool:
    """Whether a link can't lead out: relative, and `..` only at its beginning, where no other link is passed."""
    target = os.fsdecode(content)
    steps = target.split("/")
    ups = next((index for index, step in enumerate(steps) if step != ".."), len(steps))
    return not target.startswith("/") and ups < len(parts) and ".." not in steps[ups:]


def _seal(tree: Path) -> None:
    for directory, _, _ in os.walk(tree):
        Path(directory).chmod(0o555)


def _remove(directory: Path) -> None:
    for parent, _, _ in os.walk(directory):
        Path(parent).chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
