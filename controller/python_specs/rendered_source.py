"""A source in which Python specs are replaced by rendered documents. `app` follows it like any other source.

A spec is executed again only when it changes, or a file of the repository that it loaded. This is also true for a spec
that failed: one that hangs would otherwise delay every pass. A spec is executed in the checkout of its revision, so
that a commit always gives the same documents.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from controller.errors import SourceError
from controller.model.commits import Commit, ListedCommit
from controller.model.snapshots import Code, ManifestFile, RefusedFile, Snapshot, is_spec, python_files
from controller.python_specs.render_process import Renderer, Rendering
from controller.records import dataclass
from controller.sources.git import RemoteSource
from controller.sources.source import Change, Source, WatchedPath

_MAX_CACHED = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class _CachedFile:
    """A rendered file, with the digests of the spec and of the files that it loaded.

    If the loaded files are unknown, the entry is valid for the revision `only_at` alone.
    """

    file: ManifestFile
    spec_digest: str
    dependencies: tuple[tuple[str, str | None], ...]
    only_at: str | None = None


class RenderedSource:
    """Wraps `source`. One thread may call `read`; all other methods can be called from any thread."""

    def __init__(self, source: Source, renderer: Renderer) -> None:
        self.is_pinned = source.is_pinned
        self._source = source
        self._renderer = renderer
        self._lock = threading.Lock()
        self._is_stopping = threading.Event()
        self._newest: dict[str, _CachedFile] = {}
        self._pinned: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    @property
    def git_requests(self) -> Mapping[tuple[str, str], int]:
        """The requests to the server of a remote repository, by git command and result (`success` or `failure`)."""
        return self._source.requests if isinstance(self._source, RemoteSource) else {}

    def observe(self) -> str:
        """Return the current revision."""
        return self._source.observe()

    def read(self, revision: str) -> Snapshot:
        """Return all manifests of this revision, after executing the Python specs among them."""
        snapshot = self._source.read(revision)
        if not any(is_spec(file.path, file.content) for file in python_files(snapshot.files)):
            return snapshot
        files = [
            self._render_cached(file, revision) if is_spec(file.path, file.content) else file for file in snapshot.files
        ]
        return replace(snapshot, files=tuple(files))

    def read_file(self, revision: str, path: str) -> bytes:
        """Return the content of one file of this revision; a Python spec is rendered."""
        content = self._source.read_file(revision, path)
        if not is_spec(path, content):
            return content
        rendered = self._pinned.get((revision, path))
        return rendered if rendered is not None else self._render(revision, path).content

    def code(self, revision: str) -> Code:
        """Return the files of this revision from which flows are read."""
        return self._source.code(revision)

    def read_project(self, revision: str) -> ManifestFile | RefusedFile | None:
        """Return the project file of this revision."""
        return self._source.read_project(revision)

    def checkout(self, revision: str) -> Path:
        """Return the root directory of this revision's code."""
        return self._source.checkout(revision)

    def committed_at(self, revision: str) -> datetime | None:
        """Return when this revision was committed."""
        return self._source.committed_at(revision)

    def is_descendant(self, revision: str, earlier: str) -> bool | None:
        """Return whether `earlier` is in the history of `revision`."""
        return self._source.is_descendant(revision, earlier)

    def commits(self, revision: str, since: str | None, limit: int) -> list[ListedCommit]:
        """Return the commits after an earlier revision."""
        return self._source.commits(revision, since, limit)

    def blame(self, revision: str, path: str, lines: range) -> dict[int, Commit]:
        """Return the commit that last changed each of these lines."""
        return self._source.blame(revision, path, lines)

    def changed_files(self, revision: str, earlier: str) -> dict[str, Change] | None:
        """Return the paths that differ between these two revisions."""
        return self._source.changed_files(revision, earlier)

    def files_with_words(self, revision: str, words: Collection[str]) -> list[str]:
        """Return the Python files of this revision that contain one of these words."""
        return self._source.files_with_words(revision, words)

    def has_checkout(self, revision: str) -> bool:
        """Return whether `checkout` would return immediately."""
        return self._source.has_checkout(revision)

    def collect(self, find_needed: Callable[[], Collection[str]]) -> None:
        """Remove the checkouts of all other revisions."""
        self._source.collect(find_needed)

    def interrupt(self) -> None:
        """Interrupt a long `observe` or the execution of a spec. No spec is executed from now on."""
        self._is_stopping.set()
        self._source.interrupt()

    def watched_paths(self) -> tuple[WatchedPath, ...]:
        """Return the paths to watch for changes."""
        return self._source.watched_paths()

    def _render_cached(self, file: ManifestFile, revision: str) -> ManifestFile:
        code = self._source.code(revision)
        cached = self._newest.pop(file.path, None)
        is_same = cached is not None and cached.spec_digest == file.digest and cached.only_at in (None, revision)
        if cached is not None and is_same and _is_current(code, cached):
            self._store_pinned(revision, file.path, cached.file.content)
        else:
            rendering = self._render(revision, file.path)
            digest = hashlib.sha256(rendering.content).hexdigest()
            rendered = ManifestFile(path=file.path, content=rendering.content, digest=digest)
            if rendering.is_passing:
                return rendered
            digests = tuple((path, _digest(code, path)) for path in rendering.files or ())
            only_at = revision if rendering.files is None else None
            cached = _CachedFile(file=rendered, spec_digest=file.digest, dependencies=digests, only_at=only_at)
        self._newest[file.path] = cached
        return cached.file

    def _render(self, revision: str, path: str) -> Rendering:
        root = self._source.checkout(revision)
        try:
            rendering = self._renderer.render(root, path, self._is_stopping.is_set)
        except OSError as error:
            raise SourceError(f"{path} can't be rendered: {error.strerror}.") from error
        self._store_pinned(revision, path, rendering.content)
        return rendering

    def _store_pinned(self, revision: str, path: str, content: bytes) -> None:
        with self._lock:
            self._pinned[revision, path] = content
            if len(self._pinned) > _MAX_CACHED:
                self._pinned.popitem(last=False)


def _is_current(code: Code, cached: _CachedFile) -> bool:
    """Return whether the dependencies of the file are unchanged."""
    return all(_digest(code, path) == digest for path, digest in cached.dependencies)


def _digest(code: Code, path: str) -> str | None:
    file = code.find([path]).get(path)
    return None if file is None else file.digest
