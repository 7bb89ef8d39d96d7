"""Immutable exports of the code of a commit, in `<directory>/<commit>/tree`, next to Python's bytecode for it.

`CommitReader` writes them from blobs, never through a git checkout, so that no hooks, filters or attributes apply.
Links are exported only if they can't lead outside the tree. `<commit>` contains:

| name | content |
|---|---|
| `tree` | the files, read-only |
| `complete` | the list of everything in `tree`, written once `tree` is on disk |
| `doubt` | the runs that could have changed `tree` since the last comparison with its list, if there are any |
| `lock` | locked by the supervisors of the runs that execute the code |
| `pycache` | bytecode |

An export appears by a rename, so it is always complete. It is compared with its list when a process first uses it, and
again after runs that could have changed it. A modified export is replaced by a new one. The old one is set aside, and
stays for as long as a run uses it. docs/adr/0010 gives the reasons.
"""

import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path, PurePosixPath

from controller.errors import SourceError
from controller.records import dataclass
from controller.sources import export_listing
from controller.sources.durability import exchange, sync, sync_file_system
from controller.sources.source import native, printable

log = logging.getLogger(__name__)

_COMPLETE = "complete"
_SUSPECTS = "doubt"
_LOCK = "lock"
_REPLACED = ".replaced-"
_NAMED_RUNS = 5
_MAX_SUSPECTS_BYTES = 1 << 16


class Kind(StrEnum):
    """How an entry of a git tree is exported."""

    FILE = "file"
    EXECUTABLE = "executable"
    LINK = "link"


_PERMISSIONS = {Kind.FILE: 0o444, Kind.EXECUTABLE: 0o555}

_Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a commit, by its path from the root, separated with `/`. The content of a link is its target."""

    path: str
    kind: Kind
    content: bytes


class Exports:
    """The exports in one state directory. Safe to use from several threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._own_prefix = f".{secrets.token_hex(4)}-"
        self._verified: dict[str, _Stamp] = {}
        self._lock = threading.RLock()
        self.compared = 0

    def root(self, commit: str) -> Path:
        """Return the path of this commit's tree, whether it exists or not."""
        return self._directory / commit / "tree"

    def has(self, commit: str) -> bool:
        """Whether this commit has been exported. The export may have been modified since."""
        return _stamp(self._directory / commit) is not None

    def is_ready(self, commit: str) -> bool:
        """Whether this object has compared the tree with its list, and nothing can have changed the tree since then."""
        stamp = self._verified.get(commit)
        folder = self._directory / commit
        return stamp is not None and stamp == _stamp(folder) and not os.path.lexists(folder / _SUSPECTS)

    def verify(self, commit: str) -> bool:
        """Compare the tree with its list, unless it is ready. Return False if the export must be written."""
        with self._lock:
            folder = self._directory / commit
            if self.is_ready(commit):
                return True
            if not os.path.lexists(folder):
                return False
            # Removed before the comparison: a run that starts during the comparison writes the mark again.
            suspects = _take_suspects(folder)
            stamp = _stamp(folder)
            fault = self._fault(folder)
            if fault is None and stamp is not None:
                self._verified[commit] = stamp
                return True
            self._verified.pop(commit, None)
            fields = {"commit": commit, "fault": fault, "runs": suspects}
            log.warning("The exported code of a commit was modified; exporting it again", extra=fields)
            return False

    def read(self, commit: str, path: str) -> bytes:
        """Return the content of a regular file of an exported commit. Raises OSError."""
        file = self.root(commit) / native(path)
        if file.is_symlink() or not file.is_file():
            raise FileNotFoundError(path)
        return file.read_bytes()

    def write(self, commit: str, entries: Iterable[Entry]) -> Path:
        """Write this commit's tree, replacing one that is not ready, and return its root. Raises SourceError."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not os.access(self._directory, os.R_OK | os.W_OK | os.X_OK):
                self._directory.chmod(0o700)
            with self._work_directory() as work:
                (work / "tree").mkdir()
                for entry in entries:
                    _write(work / "tree", entry)
                _seal(work / "tree")
                _complete(work)
                with self._lock:
                    if not self.is_ready(commit):
                        self._install(work, commit)
        except OSError as error:
            where = printable(os.fspath(self._directory))
            raise SourceError(
                f"The code of {commit[:12]} could not be exported to {where}: {error.strerror}."
            ) from error
        return self.root(commit)

    def collect(self, find_needed: Callable[[], Collection[str]]) -> None:
        """Remove all exports except the needed ones, also incomplete ones that a crashed controller left.

        Exports that a run still executes stay. No export is verified between the call of `find_needed` and the removal.
        So an export that was verified for a run stays, provided that `find_needed` includes those of waiting runs.

        Raises:
            SourceError: an export could not be removed.
        """
        failed: OSError | None = None
        discarded: list[Path] = []
        with self._lock:
            needed = find_needed()
            for child in self._directory.iterdir() if self._directory.is_dir() else ():
                if child.name in needed or child.name.startswith(self._own_prefix) or _is_used(child, needed):
                    continue
                self._verified.pop(child.name, None)
                try:
                    discarded.append(self._set_aside(child))
                except OSError as error:
                    failed = error
        for path in discarded:
            try:
                _remove(path)
            except OSError as error:
                failed = error
        if failed is not None:
            raise SourceError(f"Exports could not be removed from {self._directory}: {failed.strerror}.") from failed

    def _fault(self, folder: Path) -> str | None:
        """Return how the tree in this folder differs from its list; None if it does not differ."""
        try:
            recorded = export_listing.decode((folder / _COMPLETE).read_bytes())
            if recorded is None:
                return "its list of files is damaged"
            return export_listing.first_difference(recorded, self._count_lines(folder / "tree"))
        except OSError as error:
            name = Path(os.fsdecode(error.filename)).name if error.filename else folder.name
            return f"{name}: {error.strerror}"

    def _count_lines(self, tree: Path) -> Iterator[bytes]:
        for line in export_listing.list_tree(os.fsencode(tree)):
            self.compared += 1
            yield line

    def _install(self, work: Path, commit: str) -> None:
        """Rename a complete export to its final name. An older one is set aside, and removed when no run uses it."""
        target = self._directory / commit
        if os.path.lexists(target):
            aside = self._directory / f"{_REPLACED}{commit}-{secrets.token_hex(4)}"
            if exchange(work, target):
                work.rename(aside)
            else:
                target.rename(aside)
                work.rename(target)
        else:
            work.rename(target)
        sync(self._directory)
        stamp = _stamp(target)
        if stamp is not None:
            self._verified[commit] = stamp
        for replaced in self._directory.glob(f"{_REPLACED}{commit}-*"):
            if not _is_used(replaced, (commit,)):
                with contextlib.suppress(OSError):
                    _remove(self._set_aside(replaced))

    def _set_aside(self, child: Path) -> Path:
        """Rename an export before its removal: if that is interrupted, no incomplete tree has this name."""
        return child.rename(child.with_name(f"{self._own_prefix}{child.name}"))

    @contextmanager
    def _work_directory(self) -> Iterator[Path]:
        """Create a directory next to the exports, and remove it afterwards unless it was renamed."""
        work = Path(tempfile.mkdtemp(prefix=self._own_prefix, dir=self._directory))
        try:
            yield work
        finally:
            _remove(work)


def _stamp(folder: Path) -> _Stamp | None:
    """Return values that change if the tree or its list is replaced, or an entry at the top of the tree changes."""
    try:
        tree, complete = (folder / "tree").stat(), (folder / _COMPLETE).stat()
    except OSError:
        return None
    return (tree.st_dev, tree.st_ino, tree.st_mode, tree.st_mtime_ns, complete.st_ino, complete.st_mtime_ns)


def _take_suspects(folder: Path) -> list[str]:
    """Remove the list of runs that could have changed the tree, and return the last few of them."""
    path = folder / _SUSPECTS
    try:
        with path.open("rb") as stream:
            names = stream.read(_MAX_SUSPECTS_BYTES).decode("ascii", "replace").split()
        path.unlink()
    except OSError:
        return []
    return list(dict.fromkeys(names))[-_NAMED_RUNS:]


def _is_used(folder: Path, keep: Collection[str]) -> bool:
    """Whether a run executes the code in this folder, or may do so."""
    if not (folder / "tree").is_dir():
        return False
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        # It has no lock file: an older version wrote it, or it is something else. A run of a kept commit may use it.
        return folder.name.startswith(_REPLACED) and any(commit in folder.name for commit in keep)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _complete(work: Path) -> None:
    """Write the list of the tree, after the tree itself is on disk; then flush the list, too."""
    (work / _LOCK).touch(0o600)
    sync_file_system(work)
    content = export_listing.encode(list(export_listing.list_tree(os.fsencode(work / "tree"))))
    (work / _COMPLETE).write_bytes(content)
    sync(work / _COMPLETE)
    sync(work)


def _write(root: Path, entry: Entry) -> None:
    parts = PurePosixPath(entry.path).parts
    if not parts or entry.path.startswith("/") or any(part in ("..", ".git") for part in parts):
        raise SourceError(f"{printable(entry.path)!r} can't be exported: the path leads outside the tree.")
    target = root.joinpath(*map(native, parts))
    target.parent.mkdir(parents=True, exist_ok=True)
    if entry.kind is Kind.LINK:
        if _stays_inside(parts, entry.content):
            target.symlink_to(os.fsdecode(entry.content))
        return
    target.write_bytes(entry.content)
    target.chmod(_PERMISSIONS[entry.kind])


def _stays_inside(parts: tuple[str, ...], content: bytes) -> bool:
    """Whether a link can't lead outside the tree: it is relative, and has `..` only at its beginning.

    A later `..` would follow the parent of another link's target.
    """
    target = os.fsdecode(content)
    steps = target.split("/")
    ups = next((index for index, step in enumerate(steps) if step != ".."), len(steps))
    return not target.startswith("/") and ups < len(parts) and ".." not in steps[ups:]


def _seal(tree: Path) -> None:
    for directory, _, _ in os.walk(tree):
        Path(directory).chmod(0o555)


def _remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    _open_up(os.fspath(path))
    shutil.rmtree(path, ignore_errors=True)


def _open_up(directory: str) -> None:
    """Make all directories below writable, so that everything can be removed."""
    with contextlib.suppress(OSError):
        os.chmod(directory, 0o700)  # noqa: PTH101
        with os.scandir(directory) as entries:
            below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        for path in below:
            _open_up(path)
