"""The code files of one commit, updated to the next commit by the differences between the two.

`CodeIndex` caches what the requested paths resolve to. `GitCode` gives the reconciler access to files of a revision.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from controller.errors import SourceError
from controller.model.snapshots import DIRECTORY, CodeFile
from controller.sources.git.cat_file import contents, in_chunks, sizes
from controller.sources.git.commands import OpenRepository
from controller.sources.git.symlinks import TreePath, resolve
from controller.sources.git.tree_diff import Difference, list_changes
from controller.sources.source import MAX_CODE_BYTES

_AHEAD = 256
_AHEAD_BYTES = 1 << 20

Open = Callable[[], AbstractContextManager[OpenRepository]]


@dataclass(slots=True)
class _Resolved:
    """The paths that were resolved at one commit.

    `dependents` maps each entry to the paths that were resolved through it, and `directories` are the parents of all
    these entries.
    """

    commit: str
    places: dict[str, TreePath] = field(default_factory=dict)
    files: dict[str, CodeFile] = field(default_factory=dict)
    dependents: dict[str, set[str]] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)

    def add(self, path: str, place: TreePath) -> None:
        self.places[path] = place
        if place.is_directory and path.endswith("/"):
            self.files[path] = DIRECTORY
        for visited in place.visited:
            self.dependents.setdefault(visited, set()).add(path)
            above = visited.rpartition("/")[0]
            while above and above not in self.directories:
                self.directories.add(above)
                above = above.rpartition("/")[0]

    def remove_directories(self) -> None:
        """Remove all directories: they are few, and a change of any file in one can create or remove it."""
        for path in [path for path in self.places if path.endswith("/")]:
            del self.places[path]
            self.files.pop(path, None)

    def apply(self, change: Difference) -> bool:
        """Update or remove the paths that depend on a changed entry; return False if too many may depend on it."""
        if change.path in self.directories:
            return False
        for path in tuple(self.dependents.get(change.path, ())):
            place = self.places.pop(path, None)
            self.files.pop(path, None)
            is_plain = place is not None and place.visited == (path,) and path == change.path
            if is_plain and (change.now is None or change.now.is_regular):
                self.places[path] = TreePath(None if change.now is None else change.now.object_id, (path,))
        return True


class CodeIndex:
    """A cache of what all requested paths resolve to. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._resolved: _Resolved | None = None

    def find(
        self, open_repository: Open, commit: str, paths: Iterable[str]
    ) -> tuple[dict[str, CodeFile], dict[str, int]]:
        """Return the files and directories at these paths, and the sizes of their new contents by object id.

        New contents are those that this cache did not have before. Their sizes are in bytes.
        """
        requested = list(paths)
        with self._lock:
            resolved = self._resolved
            new: dict[str, int] = {}
            if resolved is None or resolved.commit != commit or any(path not in resolved.places for path in requested):
                with open_repository() as repo:
                    resolved = self._resolved = self._resolve(repo, commit, requested)
            unsized = _without_size(resolved, requested)
            if unsized:
                with open_repository() as repo:
                    new = sizes(repo, unsized.values())
                resolved.files |= {
                    path: CodeFile(digest=object_id, size=new[object_id]) for path, object_id in unsized.items()
                }
            return {path: resolved.files[path] for path in requested if path in resolved.files}, new

    def _resolve(self, repo: OpenRepository, commit: str, paths: Iterable[str]) -> _Resolved:
        resolved = self._update(repo, commit)
        missing = [path for path in paths if path not in resolved.places]
        if missing:
            for path, place in resolve(repo, commit, missing).items():
                resolved.add(path, place)
        return resolved

    def _update(self, repo: OpenRepository, commit: str) -> _Resolved:
        resolved = self._resolved
        if resolved is None or resolved.commit == commit:
            return resolved or _Resolved(commit)
        self._resolved = None
        changes = list_changes(repo, resolved.commit, commit)
        if changes is None or not all(resolved.apply(change) for change in changes):
            return _Resolved(commit)
        resolved.remove_directories()
        resolved.commit = commit
        return resolved


def _without_size(resolved: _Resolved, paths: Iterable[str]) -> dict[str, str]:
    """Return the object ids of those paths whose size is unknown."""
    places = {path: resolved.places[path].object_id for path in paths if path not in resolved.files}
    return {path: object_id for path, object_id in places.items() if object_id is not None}


class GitCode:
    """The files of one commit. New files that `find` returns are read ahead, many with one process."""

    def __init__(self, open_repository: Open, index: CodeIndex, commit: str) -> None:
        self._open = open_repository
        self._index = index
        self._commit = commit
        self._ahead: dict[str, int] = {}
        self._read: dict[str, bytes] = {}

    def find(self, paths: Iterable[str]) -> Mapping[str, CodeFile]:
        """Return those paths that are regular files, or directories if they end with `/`.

        The digest of a file is the id of its blob.
        """
        files, new = self._index.find(self._open, self._commit, paths)
        self._ahead |= {object_id: size for object_id, size in new.items() if size <= _AHEAD_BYTES}
        return files

    def read_ahead(self, paths: Iterable[str]) -> None:
        """Let `read` of one of these files read them all, in chunks that fit into memory."""
        files = self.find(paths).values()
        self._ahead |= {file.digest: file.size for file in files if file.size <= _AHEAD_BYTES}

    def read(self, path: str) -> bytes:
        """Return the content of a file. Raises SourceError."""
        file = self.find([path]).get(path)
        if file is None:
            raise SourceError(f"{path} is not a regular file at {self._commit[:12]}.")
        if file.size > MAX_CODE_BYTES:
            raise SourceError(f"{path} has {file.size} bytes; the limit is {MAX_CODE_BYTES}.")
        if file.digest not in self._read:
            self._read = self._fetch(file)
        return self._read[file.digest]

    def _fetch(self, file: CodeFile) -> dict[str, bytes]:
        size_of = {file.digest: file.size}
        if self._ahead.pop(file.digest, None) is not None:
            size_of |= dict(list(self._ahead.items())[: _AHEAD - 1])
        chunk = next(in_chunks(size_of))
        for object_id in chunk:
            self._ahead.pop(object_id, None)
        with self._open() as repo:
            return contents(repo, chunk)
