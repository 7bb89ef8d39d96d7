"""Immutable copies of a revision's code: `<directory>/<commit>/tree`, beside the bytecode that Python makes of it.

`GitSource` writes them from blobs, never through a checkout: no hooks, no filters, no attributes. Links are kept only
where they can't lead out of the tree. `<commit>` holds:

| name | what |
|---|---|
| `tree` | the files, read-only |
| `complete` | the list of everything in `tree`, written once that is on disk |
| `doubt` | the runs that could have changed `tree` since it was last compared with its list, if there are any |
| `lock` | held by the supervisors of the runs that execute it |
| `pycache` | bytecode |

A copy appears whole, by a rename, or not at all. It is compared with its list when a process first uses it, and again
when there is doubt. One that is not as it was written is made anew and takes the place of the old one, which stays
beside it for as long as a run uses it. docs/adr/0010 says why.
"""

import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from controller.errors import SourceError
from controller.sources import export_listing
from controller.sources.durability import exchange, sync, sync_file_system
from controller.sources.source import native, printable

log = logging.getLogger(__name__)

_COMPLETE = "complete"
_DOUBT = "doubt"
_LOCK = "lock"
_REPLACED = ".replaced-"
_NAMED_RUNS = 5
_MAX_DOUBT_BYTES = 1 << 16


class Kind(StrEnum):
    """What an entry of a tree becomes."""

    FILE = "file"
    EXECUTABLE = "executable"
    LINK = "link"


_PERMISSIONS = {Kind.FILE: 0o444, Kind.EXECUTABLE: 0o555}

_Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a revision, by its path with `/` from the root; a link's content is its target."""

    path: str
    kind: Kind
    content: bytes


class Exports:
    """The exported revisions of one state directory. May be used by several threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._own_prefix = f".{secrets.token_hex(4)}-"
        self._verified: dict[str, _Stamp] = {}
        self._lock = threading.RLock()
        self.compared = 0

    def root(self, commit: str) -> Path:
        """Where this commit's tree is, or would be."""
        return self._directory / commit / "tree"

    def has(self, commit: str) -> bool:
        """Whether this commit has a tree that was once complete."""
        return _stamp(self._directory / commit) is not None

    def is_ready(self, commit: str) -> bool:
        """Whether its tree was compared with its list by this object, and nothing can have changed it since."""
        known = self._verified.get(commit)
        folder = self._directory / commit
        return known is not None and known == _stamp(folder) and not os.path.lexists(folder / _DOUBT)

    def verify(self, commit: str) -> bool:
        """Compare the tree with its list unless it is ready. False: it has to be written."""
        with self._lock:
            folder = self._directory / commit
            if self.is_ready(commit):
                return True
            if not os.path.lexists(folder):
                return False
            # Before the comparison: a run that begins meanwhile raises the doubt again.
            suspects = _take_doubt(folder)
            stamp = _stamp(folder)
            fault = self._fault(folder)
            if fault is None and stamp is not None:
                self._verified[commit] = stamp
                return True
            self._verified.pop(commit, None)
            fields = {"commit": commit, "fault": fault, "runs": suspects}
            log.warning("The exported code of a commit is not as it was written; it is exported again", extra=fields)
            return False

    def read(self, commit: str, path: str) -> bytes:
        """One regular file of an exported commit. Raises OSError."""
        found = self.root(commit) / native(path)
        if found.is_symlink() or not found.is_file():
            raise FileNotFoundError(path)
        return found.read_bytes()

    def write(self, commit: str, entries: Iterable[Entry]) -> Path:
        """Write this commit's tree, in place of any that is not ready; returns its root. Raises SourceError."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not os.access(self._directory, os.R_OK | os.W_OK | os.X_OK):
                self._directory.chmod(0o700)
            with self._workplace() as work:
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

    def collect(self, keep: Collection[str]) -> None:
        """Remove what is not to be kept, half-written copies of a dead controller included. Raises SourceError.

        What a run still executes stays until the next time.
        """
        failed: OSError | None = None
        for child in self._directory.iterdir() if self._directory.is_dir() else ():
            if child.name in keep or child.name.startswith(self._own_prefix) or _is_used(child, keep):
                continue
            self._verified.pop(child.name, None)
            try:
                self._discard(child)
            except OSError as error:
                failed = error
        if failed is not None:
            raise SourceError(f"Code could not be removed from {self._directory}: {failed.strerror}.") from failed

    def _fault(self, folder: Path) -> str | None:
        """What is wrong with the tree of this folder, None if it is as its list says."""
        try:
            recorded = export_listing.decode((folder / _COMPLETE).read_bytes())
            if recorded is None:
                return "its list of files is damaged"
            return export_listing.first_difference(recorded, self._counted(folder / "tree"))
        except OSError as error:
            name = Path(os.fsdecode(error.filename)).name if error.filename else folder.name
            return f"{name}: {error.strerror}"

    def _counted(self, tree: Path) -> Iterator[bytes]:
        for line in export_listing.list_tree(os.fsencode(tree)):
            self.compared += 1
            yield line

    def _install(self, work: Path, commit: str) -> None:
        """Give a whole copy its name. What had that name before goes aside, and is removed when no run uses it."""
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
        for left in self._directory.glob(f"{_REPLACED}{commit}-*"):
            if not _is_used(left, (commit,)):
                with contextlib.suppress(OSError):
                    self._discard(left)

    def _discard(self, child: Path) -> None:
        gone = child.with_name(f"{self._own_prefix}{child.name}")
        child.rename(gone)
        _remove(gone)

    @contextmanager
    def _workplace(self) -> Iterator[Path]:
        """A new directory beside the exports, gone afterwards unless it was given their name."""
        work = Path(tempfile.mkdtemp(prefix=self._own_prefix, dir=self._directory))
        try:
            yield work
        finally:
            _remove(work)


def _stamp(folder: Path) -> _Stamp | None:
    """What would change if the tree or its list were replaced, or something at the top of the tree changed."""
    try:
        tree, complete = (folder / "tree").stat(), (folder / _COMPLETE).stat()
    except OSError:
        return None
    return (tree.st_dev, tree.st_ino, tree.st_mode, tree.st_mtime_ns, complete.st_ino, complete.st_mtime_ns)


def _take_doubt(folder: Path) -> list[str]:
    """Remove the mark that runs have left; returns the runs that it names, the last of them."""
    path = folder / _DOUBT
    try:
        with path.open("rb") as stream:
            names = stream.read(_MAX_DOUBT_BYTES).decode("ascii", "replace").split()
        path.unlink()
    except OSError:
        return []
    return list(dict.fromkeys(names))[-_NAMED_RUNS:]


def _is_used(folder: Path, keep: Collection[str]) -> bool:
    """Whether a run executes what is in this folder, or may do so."""
    if not (folder / "tree").is_dir():
        return False
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        # It was written before supervisors held locks, or is no export: runs of a commit that is needed may use it.
        return folder.name.startswith(_REPLACED) and any(commit in folder.name for commit in keep)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _complete(work: Path) -> None:
    """Record what is in the tree, once it is on disk; the record is on disk afterwards too."""
    (work / _LOCK).touch(0o600)
    sync_file_system(work)
    content = export_listing.encode(list(export_listing.list_tree(os.fsencode(work / "tree"))))
    (work / _COMPLETE).write_bytes(content)
    sync(work / _COMPLETE)
    sync(work)


def _write(root: Path, entry: Entry) -> None:
    parts = PurePosixPath(entry.path).parts
    if not parts or entry.path.startswith("/") or any(part in ("..", ".git") for part in parts):
        raise SourceError(f"{printable(entry.path)!r} can't be exported: the path leaves the tree.")
    target = root.joinpath(*map(native, parts))
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


def _remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    _open_up(os.fspath(path))
    shutil.rmtree(path, ignore_errors=True)


def _open_up(directory: str) -> None:
    """Let everything below be removed, whatever its modes have become."""
    with contextlib.suppress(OSError):
        os.chmod(directory, 0o700)  # noqa: PTH101
        with os.scandir(directory) as entries:
            below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        for path in below:
            _open_up(path)
