"""A directory that is followed as it is on disk: a plain one, or a repository's working tree.

Its revision is a digest of its manifests, and of the files that were asked for through `code`. A run uses the files
that are there when it starts: nothing is pinned.
"""

import errno
import hashlib
import os
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from controller.clock import Clock, SystemClock
from controller.errors import SourceError, shortage
from controller.model.snapshots import PROJECT_FILE, Code, ManifestFile, RefusedFile, Snapshot, is_manifest, is_python
from controller.sources.directory.files import Files, TooLargeError, UnstableError
from controller.sources.directory.flow_code import DirectoryCode
from controller.sources.source import (
    MAX_CODE_BYTES,
    MAX_MANIFEST_BYTES,
    Change,
    WatchedPath,
    as_text,
    is_text,
    native,
    printable,
)
from controller.sources.symlink_messages import link_message

_MAX_DEPTH = 32
_MAX_WATCHED = 64
_LINK = "A manifest must be a regular file, not a link: git keeps only its text."


class DirectorySource:
    """The deployments path (a directory or one file) below `root`. A file is read again only when its stat changed.

    Links to files inside `root` are followed unless told otherwise: a commit would refuse them as manifests.
    """

    is_pinned = False

    def __init__(self, root: Path, *, path: str, follow_links: bool = True, clock: Clock | None = None) -> None:
        self._root = root
        self._path = path
        self._follow_links = follow_links
        now = clock or SystemClock()
        self._files = Files(root, now, limit=MAX_MANIFEST_BYTES, follow_links=follow_links)
        self._manifests: dict[str, ManifestFile] = {}
        self._code = DirectoryCode(Files(root, now, limit=MAX_CODE_BYTES))
        self._last: Snapshot | None = None
        self._digest = ""

    @property
    def reads(self) -> int:
        """How many files were read since it was made."""
        return self._files.reads + self._code.reads

    def observe(self) -> str:
        """`dir@sha256:<digest>` of the paths and contents of all that counts."""
        found, digest = self._scan()
        code_changed = self._code.look()
        if self._last is None or digest != self._digest or code_changed:
            revision = f"dir@sha256:{self._code.digest(digest)}"
        else:
            revision = self._last.revision
        self._last, self._digest = replace(found, revision=revision), digest
        return revision

    def read(self, revision: str) -> Snapshot:
        """What the last `observe` saw, if that was this revision."""
        if self._last is None or self._last.revision != revision:
            raise SourceError(f"{self._root} has changed since {revision}.")
        return self._last

    def code(self, revision: str) -> Code:  # noqa: ARG002
        """The files as they are now. A change of one that was asked for is a change of the revision."""
        return self._code

    def read_file(self, revision: str, path: str) -> bytes:  # noqa: ARG002
        """The file as it is now, whatever the revision."""
        return self._code.read(path)

    def read_project(self, revision: str) -> ManifestFile | RefusedFile | None:  # noqa: ARG002
        """The project as it is now, whatever the revision."""
        return self._project()

    def checkout(self, revision: str) -> Path:  # noqa: ARG002
        """The directory itself."""
        return self._root

    def is_descendant(self, revision: str, earlier: str) -> bool | None:  # noqa: ARG002
        """There is no history."""
        return None

    def changed_files(self, revision: str, earlier: str) -> dict[str, Change] | None:  # noqa: ARG002
        """Earlier files are not kept."""
        return None

    def files_with_words(self, revision: str, words: Collection[str]) -> list[str]:  # noqa: ARG002
        """Earlier files are not kept, so nobody asks for what depends on their changes."""
        return []

    def has_checkout(self, revision: str) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def collect(self, keep: Collection[str]) -> None:
        """Nothing was made."""

    def interrupt(self) -> None:
        """Nothing here takes long."""

    def watched(self) -> tuple[WatchedPath, ...]:
        """The deployments path, the directory above it, which tells when the path is replaced, and the project's.

        So are the directories of the files that were asked for, unless they are many: then polling has to do.
        """
        top = self._root / self._path
        places = [WatchedPath(path=top, recursive=True)] if top.is_dir() else []
        above = {top.parent if top.parent.is_dir() else self._root, self._root} if self._path else set()
        beside = {self._root / native(path).rpartition("/")[0] for path in self._code.asked}
        beside = {path for path in beside if not path.is_relative_to(top) and path.is_dir()}
        above |= beside if len(beside) <= _MAX_WATCHED else set()
        return (*places, *(WatchedPath(path=path, recursive=False) for path in sorted(above)))

    def _scan(self) -> tuple[Snapshot, str]:
        top = self._root / self._path
        link = None if self._follow_links else self._link()
        if link is not None:
            snapshot = Snapshot(revision="", files=(), refused=(link,), project=self._project())
            return snapshot, _digest(snapshot)
        if not top.exists():
            raise SourceError(f"There is no directory {top}.", hint="Create it, or name another with --path.")
        try:
            single = [] if self._path == PROJECT_FILE else [self._path]
            found = [self._manifest(path) for path in (sorted(self._walk(top, 0)) if top.is_dir() else single)]
            project = self._project()
        except OSError as error:
            raise SourceError(f"{error.filename or top} can't be read: {error.strerror}.") from error
        files = tuple(file for file in found if isinstance(file, ManifestFile))
        refused = tuple(file for file in found if isinstance(file, RefusedFile) and not is_python(file.path))
        self._manifests = {file.path: file for file in (*files, project) if isinstance(file, ManifestFile)}
        self._files.keep(set(self._manifests))
        snapshot = Snapshot(revision="", files=files, refused=refused, project=project)
        return snapshot, _digest(snapshot)

    def _link(self) -> RefusedFile | None:
        """The first part of the deployments path that is a link, refused."""
        parts = self._path.split("/")
        for end in range(1, len(parts) + 1):
            path = "/".join(parts[:end])
            if path and not is_manifest(path) and (self._root / path).is_symlink():
                target = str((self._root / path).readlink())
                if not (self._root / path).exists():
                    return RefusedFile(path=path, message=f"{path} is a symbolic link to {target}, which is not there.")
                return RefusedFile(path=path, message=link_message(self._path, path, target))
        return None

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
                path = as_text(Path(entry.path).relative_to(self._root).as_posix())
                if is_manifest(entry.name) and path != PROJECT_FILE:
                    yield path

    def _manifest(self, path: str) -> ManifestFile | RefusedFile:
        if not is_text(path):
            return RefusedFile(path=printable(path), message="The name of a manifest must be UTF-8.")
        if not self._follow_links and (self._root / native(path)).is_symlink():
            return RefusedFile(path=path, message=_LINK)
        known = self._manifests.get(path)
        try:
            seen = self._files.look(path)
            if seen.content is None and (known is None or known.digest != seen.digest):
                self._files.forget(path)
                seen = self._files.look(path)
        except OSError as error:
            if (want := shortage(error, with_disk=False)) is not None:
                raise SourceError(f"{path} can't be read: {want}.") from error
            return RefusedFile(path=path, message=_refusal(error))
        except TooLargeError as error:
            return RefusedFile(path=path, message=f"A manifest may have 1 MiB; this one has {error.size} bytes.")
        except UnstableError:
            # As if the write had not begun: whoever writes will have written more by the next look.
            return known or RefusedFile(path=path, message="The file is being written.")
        if known is not None and known.digest == seen.digest:
            return known
        assert seen.content is not None
        return ManifestFile(path=path, content=seen.content, digest=seen.digest)


def _digest(snapshot: Snapshot) -> str:
    digest = hashlib.sha256()
    for entry in snapshot.files:
        digest.update(f"{entry.path}\0{entry.digest}\0".encode())
    for refusal in snapshot.refused:
        digest.update(f"{refusal.path}\0{refusal.message}\0".encode())
    project = snapshot.project
    if project is not None:
        said = project.digest if isinstance(project, ManifestFile) else project.message
        digest.update(f"{project.path}\0\0{said}\0".encode())
    return digest.hexdigest()


def _refusal(error: OSError) -> str:
    if error.errno == errno.EXDEV:
        return "The link leads out of the repository."
    if error.errno in (errno.ENXIO, errno.EISDIR):
        return "A manifest must be a regular file."
    return f"The file can't be read: {error.strerror}."
