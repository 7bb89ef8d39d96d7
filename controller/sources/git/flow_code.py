"""The files of one commit that flows are read from, moved to the next commit by what differs.

`CodeIndex` keeps where the paths led to that were asked for; `GitCode` is what the reconciler gets of one revision.
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
class _Known:
    """What was found out at one commit. `asked` leads back from an entry to the paths that went through it."""

    commit: str
    places: dict[str, TreePath] = field(default_factory=dict)
    files: dict[str, CodeFile] = field(default_factory=dict)
    asked: dict[str, set[str]] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)

    def add(self, path: str, place: TreePath) -> None:
        self.places[path] = place
        if place.is_directory and path.endswith("/"):
            self.files[path] = DIRECTORY
        for visited in place.visited:
            self.asked.setdefault(visited, set()).add(path)
            above = visited.rpartition("/")[0]
            while above and above not in self.directories:
                self.directories.add(above)
                above = above.rpartition("/")[0]

    def forget_directories(self) -> None:
        """They are few, and any file in them can make or remove one."""
        for path in [path for path in self.places if path.endswith("/")]:
            del self.places[path]
            self.files.pop(path, None)

    def apply(self, change: Difference) -> bool:
        """Forget what this changes, or know it anew; False if that is too much to tell."""
        if change.path in self.directories:
            return False
        for path in tuple(self.asked.get(change.path, ())):
            place = self.places.pop(path, None)
            self.files.pop(path, None)
            is_plain = place is not None and place.visited == (path,) and path == change.path
            if is_plain and (change.now is None or change.now.is_regular):
                self.places[path] = TreePath(None if change.now is None else change.now.object_id, (path,))
        return True


class CodeIndex:
    """Where the paths that were ever asked for lead to. May be used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: _Known | None = None

    def find(self, open_look: Open, commit: str, paths: Iterable[str]) -> tuple[dict[str, CodeFile], dict[str, int]]:
        """What these paths are, and the size of each content among them that was not known before, by its id."""
        wanted = list(paths)
        with self._lock:
            known = self._known
            new: dict[str, int] = {}
            if known is None or known.commit != commit or any(path not in known.places for path in wanted):
                with open_look() as look:
                    known = self._known = self._look(look, commit, wanted)
            unsized = _without_size(known, wanted)
            if unsized:
                with open_look() as look:
                    new = sizes(look, unsized.values())
                known.files |= {path: CodeFile(digest=found, size=new[found]) for path, found in unsized.items()}
            return {path: known.files[path] for path in wanted if path in known.files}, new

    def _look(self, look: OpenRepository, commit: str, wanted: Iterable[str]) -> _Known:
        known = self._moved(look, commit)
        missing = [path for path in wanted if path not in known.places]
        if missing:
            for path, place in resolve(look, commit, missing).items():
                known.add(path, place)
        return known

    def _moved(self, look: OpenRepository, commit: str) -> _Known:
        known = self._known
        if known is None or known.commit == commit:
            return known or _Known(commit)
        self._known = None
        changes = list_changes(look, known.commit, commit)
        if changes is None or not all(known.apply(change) for change in changes):
            return _Known(commit)
        known.forget_directories()
        known.commit = commit
        return known


def _without_size(known: _Known, wanted: Iterable[str]) -> dict[str, str]:
    """The contents that these paths lead to and nothing else is known of."""
    places = {path: known.places[path].object_id for path in wanted if path not in known.files}
    return {path: object_id for path, object_id in places.items() if object_id is not None}


class GitCode:
    """The files of one commit. `find` before `read`: what was new is read ahead, many files with one process."""

    def __init__(self, open_look: Open, index: CodeIndex, commit: str) -> None:
        self._open = open_look
        self._index = index
        self._commit = commit
        self._ahead: dict[str, int] = {}
        self._read: dict[str, bytes] = {}

    def find(self, paths: Iterable[str]) -> Mapping[str, CodeFile]:
        """Those that are regular files, or directories if they end with `/`. The digest of a file is its blob's id."""
        found, new = self._index.find(self._open, self._commit, paths)
        self._ahead |= {object_id: size for object_id, size in new.items() if size <= _AHEAD_BYTES}
        return found

    def read_ahead(self, paths: Iterable[str]) -> None:
        """Read these with as few processes as fit into memory, once the first of them is asked for."""
        found = self.find(paths).values()
        self._ahead |= {file.digest: file.size for file in found if file.size <= _AHEAD_BYTES}

    def read(self, path: str) -> bytes:
        """The content of one of them."""
        found = self.find([path]).get(path)
        if found is None:
            raise SourceError(f"{path} is not a regular file at {self._commit[:12]}.")
        if found.size > MAX_CODE_BYTES:
            raise SourceError(f"{path} has {found.size} bytes; at most {MAX_CODE_BYTES} are read.")
        if found.digest not in self._read:
            self._read = self._fetch(found)
        return self._read[found.digest]

    def _fetch(self, file: CodeFile) -> dict[str, bytes]:
        wanted = {file.digest: file.size}
        if self._ahead.pop(file.digest, None) is not None:
            wanted |= dict(list(self._ahead.items())[: _AHEAD - 1])
        chunk = next(in_chunks(wanted))
        for object_id in chunk:
            self._ahead.pop(object_id, None)
        with self._open() as look:
            return contents(look, chunk)
