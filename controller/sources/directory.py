"""A directory that is followed as it is on disk: a plain one, or a repository's working tree.

Its revision is a digest of its manifests. A run uses the files that are there when it starts: nothing is pinned.
"""

import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from controller.errors import SourceError
from controller.model.snapshots import PROJECT_FILE, ManifestFile, RefusedFile, Snapshot, is_manifest
from controller.sources.source import MAX_MANIFEST_BYTES, Watched, is_text, visible

_MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class _Known:
    stamp: tuple[int, int, int, int]
    file: ManifestFile


class DirectorySource:
    """The deployments path (a directory or one file) below `root`. A file is read again only when its stat changed.

    Links to files inside `root` are followed unless told otherwise: a commit would refuse them.
    """

    is_pinned = False

    def __init__(self, root: Path, *, path: str, follow_links: bool = True) -> None:
        self._root = root
        self._path = path
        self._follow_links = follow_links
        self._known: dict[str, _Known] = {}
        self._last: Snapshot | None = None

    def observe(self) -> str:
        """`dir@sha256:<digest>` of the manifests' paths and contents, and the project's."""
        self._last = self._scan()
        return self._last.revision

    def read(self, revision: str) -> Snapshot:
        """What the last `observe` saw, if that was this revision."""
        if self._last is None or self._last.revision != revision:
            raise SourceError(f"{self._root} has changed since {revision}.")
        return self._last

    def read_file(self, revision: str, path: str) -> bytes:  # noqa: ARG002
        """The file as it is now, whatever the revision."""
        try:
            return self._open_regular(self._root / path)
        except OSError as error:
            raise SourceError(f"{path} can't be read: {error.strerror}.") from error

    def read_project(self, revision: str) -> ManifestFile | RefusedFile | None:  # noqa: ARG002
        """The project as it is now, whatever the revision."""
        return self._project()

    def checkout(self, revision: str) -> Path:  # noqa: ARG002
        """The directory itself."""
        return self._root

    def has_checkout(self, revision: str) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def collect(self, keep: Collection[str]) -> None:
        """Nothing was made."""

    def watched(self) -> tuple[Watched, ...]:
        """The deployments path, the directory above it, which tells when the path is replaced, and the project's."""
        top = self._root / self._path
        places = [Watched(path=top, recursive=True)] if top.is_dir() else []
        if self._path:
            above = {top.parent if top.parent.is_dir() else self._root, self._root}
            places += [Watched(path=path, recursive=False) for path in sorted(above)]
        return tuple(places)

    def _scan(self) -> Snapshot:
        top = self._root / self._path
        if not top.exists():
            raise SourceError(f"There is no directory {top}.", hint="Create it, or name another with --path.")
        files: list[ManifestFile] = []
        refused: list[RefusedFile] = []
        try:
            single = [] if self._path == PROJECT_FILE else [self._path]
            for path in sorted(self._walk(top, 0)) if top.is_dir() else single:
                file = self._manifest(path)
                if isinstance(file, ManifestFile):
                    files.append(file)
                else:
                    refused.append(file)
            project = self._project()
        except OSError as error:
            raise SourceError(f"{error.filename or top} can't be read: {error.strerror}.") from error
        self._known = {
            file.path: self._known[file.path] for file in (*files, project) if isinstance(file, ManifestFile)
        }
        digest = hashlib.sha256()
        for entry in files:
            digest.update(f"{entry.path}\0{entry.digest}\0".encode())
        for refusal in refused:
            digest.update(f"{refusal.path}\0{refusal.message}\0".encode())
        if project is not None:
            said = project.digest if isinstance(project, ManifestFile) else project.message
            digest.update(f"{project.path}\0\0{said}\0".encode())
        return Snapshot(
            revision=f"dir@sha256:{digest.hexdigest()}", files=tuple(files), refused=tuple(refused), project=project
        )

    def _project(self) -> ManifestFile | RefusedFile | None:
        return self._manifest(PROJECT_FILE) if os.path.lexists(self._root / PROJECT_FILE) else None

    def _walk(self, directory: Path, depth: int) -> Iterator[str]:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if depth < _MAX_DEPTH:
                        yield from self._walk(Path(entry.path), depth + 1)
                    continue
                path = Path(entry.path).relative_to(self._root).as_posix()
                if is_manifest(entry.name) and path != PROJECT_FILE:
                    yield path

    def _manifest(self, path: str) -> ManifestFile | RefusedFile:
        if not is_text(path):
            return RefusedFile(path=visible(path), message="The name of a manifest must be UTF-8.")
        target = self._root / path
        if not self._follow_links and target.is_symlink():
            return RefusedFile(
                path=path, message="A manifest must be a regular file, not a link: git keeps only its text."
            )
        try:
            if not target.resolve().is_relative_to(self._root.resolve()):
                return RefusedFile(path=path, message="The link leads out of the repository.")
            found = target.stat()
        except (OSError, RuntimeError) as error:
            return RefusedFile(path=path, message=f"The file can't be read: {_reason(error)}.")
        if not stat.S_ISREG(found.st_mode):
            return RefusedFile(path=path, message="A manifest must be a regular file.")
        if found.st_size > MAX_MANIFEST_BYTES:
            return RefusedFile(path=path, message=f"A manifest may have 1 MiB; this one has {found.st_size} bytes.")
        stamp = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
        known = self._known.get(path)
        if known is None or known.stamp != stamp:
            try:
                content = self._open_regular(target)
            except OSError as error:
                return RefusedFile(path=path, message=f"The file can't be read: {_reason(error)}.")
            digest = hashlib.sha256(content).hexdigest()
            known = _Known(stamp, ManifestFile(path=path, content=content, digest=digest))
            self._known[path] = known
        return known.file

    @staticmethod
    def _open_regular(path: Path) -> bytes:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(0, "not a regular file")
            return stream.read(MAX_MANIFEST_BYTES + 1)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "it is a loop of links"
