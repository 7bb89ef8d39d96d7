"""Follows a directory as it is on disk: a plain directory, or the working tree of a repository.

Its revision is a digest of its manifests and of the files that were requested through `code`. A run uses the files as
they are when it starts: nothing is pinned.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

from controller.clock import Clock, SystemClock
from controller.errors import SourceError, shortage
from controller.model.commits import Commit, ListedCommit
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
_LINK = "A manifest must be a regular file, not a link: git stores only the target of a link."


class DirectorySource:
    """The deployments path (a directory or a file) below `root`. A file is read again only when its stat has changed.

    Links to files inside `root` are followed, unless `follow_links` is false: as in a commit, they are rejected then.
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
        """The number of files read so far."""
        return self._files.reads + self._code.reads

    def observe(self) -> str:
        """Return `dir@sha256:<digest>`, from the paths and contents of the manifests and of the requested files."""
        snapshot, digest = self._scan()
        has_code_changed = self._code.refresh()
        if self._last is None or digest != self._digest or has_code_changed:
            revision = f"dir@sha256:{self._code.digest(digest)}"
        else:
            revision = self._last.revision
        self._last, self._digest = replace(snapshot, revision=revision), digest
        return revision

    def read(self, revision: str) -> Snapshot:
        """Return the snapshot of the last `observe`. Raises SourceError if that had another revision."""
        if self._last is None or self._last.revision != revision:
            raise SourceError(f"{self._root} has changed since {revision}.")
        return self._last

    def code(self, revision: str) -> Code:  # noqa: ARG002
        """Return the files as they are now. A change of a requested file is a change of the revision."""
        return self._code

    def read_file(self, revision: str, path: str) -> bytes:  # noqa: ARG002
        """Return the current content of the file, whatever the revision."""
        return self._code.read(path)

    def read_project(self, revision: str) -> ManifestFile | RefusedFile | None:  # noqa: ARG002
        """Return the current project file, whatever the revision."""
        return self._project()

    def checkout(self, revision: str) -> Path:  # noqa: ARG002
        """Return the directory itself."""
        return self._root

    def committed_at(self, revision: str) -> None:  # noqa: ARG002
        """Return None: a directory has no commits."""
        return None

    def commits(self, revision: str, since: str | None, limit: int) -> list[ListedCommit]:  # noqa: ARG002
        """Return nothing: a directory has no commits."""
        return []

    def blame(self, revision: str, path: str, lines: range) -> dict[int, Commit]:  # noqa: ARG002
        """Return nothing: a directory has no commits."""
        return {}

    def is_descendant(self, revision: str, earlier: str) -> bool | None:  # noqa: ARG002
        """Return None, because a directory has no history."""
        return None

    def changed_files(self, revision: str, earlier: str) -> dict[str, Change] | None:  # noqa: ARG002
        """Return None, because earlier versions of the files are not stored."""
        return None

    def files_with_words(self, revision: str, words: Collection[str]) -> list[str]:  # noqa: ARG002
        """Return an empty list. It is needed only for the changes between two revisions, which are unknown here."""
        return []

    def has_checkout(self, revision: str) -> bool:  # noqa: ARG002
        """Return True, because the directory itself is the checkout."""
        return True

    def collect(self, find_needed: Callable[[], Collection[str]]) -> None:
        """Do nothing, because there are no exports."""

    def interrupt(self) -> None:
        """Do nothing, because no method waits for long."""

    def watched_paths(self) -> tuple[WatchedPath, ...]:
        """Return the deployments path, its parent (to notice when the path is replaced), and the root for the project.

        The directories of the requested files are included if there are at most 64. If there are more, changes of these
        files are found by polling.
        """
        top = self._root / self._path
        places = [WatchedPath(path=top, recursive=True)] if top.is_dir() else []
        above = {top.parent if top.parent.is_dir() else self._root, self._root} if self._path else set()
        folders = {self._root / native(path).rpartition("/")[0] for path in self._code.requested}
        folders = {path for path in folders if not path.is_relative_to(top) and path.is_dir()}
        above |= folders if len(folders) <= _MAX_WATCHED else set()
        return (*places, *(WatchedPath(path=path, recursive=False) for path in sorted(above)))

    def _scan(self) -> tuple[Snapshot, str]:
        top = self._root / self._path
        link = None if self._follow_links else self._link()
        if link is not None:
            snapshot = Snapshot(revision="", files=(), refused=(link,), project=self._project())
            return snapshot, _digest(snapshot)
        if not top.exists():
            raise SourceError(f"There is no directory {top}.", hint="Create it, or set --path to another one.")
        try:
            single = [] if self._path == PROJECT_FILE else [self._path]
            with self._files.scan():
                entries = [self._manifest(path) for path in (sorted(self._walk(top, 0)) if top.is_dir() else single)]
            project = self._project()
        except OSError as error:
            raise SourceError(f"{error.filename or top} can't be read: {error.strerror}.") from error
        files = tuple(file for file in entries if isinstance(file, ManifestFile))
        refused = tuple(file for file in entries if isinstance(file, RefusedFile) and not is_python(file.path))
        self._manifests = {file.path: file for file in (*files, project) if isinstance(file, ManifestFile)}
        self._files.retain(set(self._manifests))
        snapshot = Snapshot(revision="", files=files, refused=refused, project=project)
        return snapshot, _digest(snapshot)

    def _link(self) -> RefusedFile | None:
        """Return a refusal of the first part of the deployments path that is a link."""
        parts = self._path.split("/")
        for end in range(1, len(parts) + 1):
            path = "/".join(parts[:end])
            if path and not is_manifest(path) and (self._root / path).is_symlink():
                target = str((self._root / path).readlink())
                if not (self._root / path).exists():
                    message = f"{path} is a symbolic link to {target}, which does not exist."
                    return RefusedFile(path=path, message=message)
                return RefusedFile(path=path, message=link_message(self._path, path, target))
        return None

    def _project(self) -> ManifestFile | RefusedFile | None:
        return self._manifest(PROJECT_FILE) if os.path.lexists(self._root / PROJECT_FILE) else None

    def _walk(self, directory: Path, depth: int) -> Iterator[str]:
        folder = as_text(directory.relative_to(self._root).as_posix())
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if depth < _MAX_DEPTH:
                        yield from self._walk(Path(entry.path), depth + 1)
                    continue
                path = as_text(entry.name) if folder == "." else f"{folder}/{as_text(entry.name)}"
                if is_manifest(entry.name) and path != PROJECT_FILE:
                    yield path

    def _manifest(self, path: str) -> ManifestFile | RefusedFile:
        if not is_text(path):
            return RefusedFile(path=printable(path), message="The file name of a manifest must be UTF-8.")
        previous = self._manifests.get(path)
        try:
            version = self._files.check(path)
            if version.content is None and (previous is None or previous.digest != version.digest):
                self._files.invalidate(path)
                version = self._files.check(path)
        except OSError as error:
            if not self._follow_links and os.path.islink(f"{self._root}/{native(path)}"):  # noqa: PTH114, never raises
                return RefusedFile(path=path, message=_LINK)
            if (missing_resource := shortage(error, with_disk=False)) is not None:
                raise SourceError(f"{path} can't be read: {missing_resource}.") from error
            return RefusedFile(path=path, message=_refusal(error))
        except TooLargeError as error:
            message = f"A manifest can have up to 1 MiB; this one has {error.size} bytes."
            return RefusedFile(path=path, message=message)
        except UnstableError:
            # The previous content is used until the file stops changing. The next pass reads it again.
            return previous or RefusedFile(path=path, message="The file is being written.")
        if previous is not None and previous.digest == version.digest:
            return previous
        assert version.content is not None
        return ManifestFile(path=path, content=version.content, digest=version.digest)


def _digest(snapshot: Snapshot) -> str:
    digest = hashlib.sha256()
    for entry in snapshot.files:
        digest.update(f"{entry.path}\0{entry.digest}\0".encode())
    for refusal in snapshot.refused:
        digest.update(f"{refusal.path}\0{refusal.message}\0".encode())
    project = snapshot.project
    if project is not None:
        content = project.digest if isinstance(project, ManifestFile) else project.message
        digest.update(f"{project.path}\0\0{content}\0".encode())
    return digest.hexdigest()


def _refusal(error: OSError) -> str:
    if error.errno == errno.EXDEV:
        return "The link leads outside the repository."
    if error.errno in (errno.ENXIO, errno.EISDIR):
        return "A manifest must be a regular file."
    return f"The file can't be read: {error.strerror}."
