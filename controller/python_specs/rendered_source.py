"""A source whose Python specs have been rendered: what `app` follows, and `manifests` reads like any other.

A spec is executed again when it changes, or a file of the repository that it has loaded, also if it has failed: one
that hangs would keep every pass waiting. It is executed in the checkout of its revision, so that one commit always
gives the same documents.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from controller.errors import SourceError
from controller.model.snapshots import Code, ManifestFile, RefusedFile, Snapshot, is_spec
from controller.python_specs.render_process import Renderer, Rendering
from controller.sources.source import Change, Source, WatchedPath

_REMEMBERED = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A rendered file, from which content of its own and of others; where that is not known, at which revision."""

    file: ManifestFile
    made_from: str
    others: tuple[tuple[str, str | None], ...]
    only_at: str | None = None


class RenderedSource:
    """`source` with documents in place of Python specs. `read` is for one thread, everything else for any."""

    def __init__(self, source: Source, renderer: Renderer) -> None:
        self.is_pinned = source.is_pinned
        self._source = source
        self._renderer = renderer
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._newest: dict[str, _Known] = {}
        self._pinned: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def observe(self) -> str:
        """The present revision."""
        return self._source.observe()

    def read(self, revision: str) -> Snapshot:
        """All manifests of this revision; those that are Python have been executed."""
        snapshot = self._source.read(revision)
        if not any(is_spec(file.path, file.content) for file in snapshot.files):
            return snapshot
        files = [
            self._rendered(file, revision) if is_spec(file.path, file.content) else file for file in snapshot.files
        ]
        return replace(snapshot, files=tuple(files))

    def read_file(self, revision: str, path: str) -> bytes:
        """One file of this revision."""
        content = self._source.read_file(revision, path)
        if not is_spec(path, content):
            return content
        known = self._pinned.get((revision, path))
        return known if known is not None else self._render(revision, path).content

    def code(self, revision: str) -> Code:
        """The files of this revision that flows are read from."""
        return self._source.code(revision)

    def read_project(self, revision: str) -> ManifestFile | RefusedFile | None:
        """The project of this revision."""
        return self._source.read_project(revision)

    def checkout(self, revision: str) -> Path:
        """The root directory of this revision's code."""
        return self._source.checkout(revision)

    def is_descendant(self, revision: str, earlier: str) -> bool | None:
        """Whether `earlier` is in the history of `revision`."""
        return self._source.is_descendant(revision, earlier)

    def changed_files(self, revision: str, earlier: str) -> dict[str, Change] | None:
        """The paths that differ between these two revisions."""
        return self._source.changed_files(revision, earlier)

    def files_with_words(self, revision: str, words: Collection[str]) -> list[str]:
        """The Python files of this revision in which one of these words stands."""
        return self._source.files_with_words(revision, words)

    def has_checkout(self, revision: str) -> bool:
        """Whether `checkout` would return at once."""
        return self._source.has_checkout(revision)

    def collect(self, keep: Collection[str]) -> None:
        """Forget the checkouts of all other revisions."""
        self._source.collect(keep)

    def interrupt(self) -> None:
        """End what may wait long, an `observe` or a spec that is executed; nothing is executed from now on."""
        self._over.set()
        self._source.interrupt()

    def watched(self) -> tuple[WatchedPath, ...]:
        """Where a change would show first."""
        return self._source.watched()

    def _rendered(self, file: ManifestFile, revision: str) -> ManifestFile:
        code = self._source.code(revision)
        known = self._newest.pop(file.path, None)
        is_same = known is not None and known.made_from == file.digest and known.only_at in (None, revision)
        if known is not None and is_same and _are(code, known):
            self._remember(revision, file.path, known.file.content)
        else:
            found = self._render(revision, file.path)
            digest = hashlib.sha256(found.content).hexdigest()
            made = ManifestFile(path=file.path, content=found.content, digest=digest)
            if found.is_passing:
                return made
            digests = tuple((path, _digest(code, path)) for path in found.files or ())
            only_at = revision if found.files is None else None
            known = _Known(file=made, made_from=file.digest, others=digests, only_at=only_at)
        self._newest[file.path] = known
        return known.file

    def _render(self, revision: str, path: str) -> Rendering:
        root = self._source.checkout(revision)
        try:
            found = self._renderer.render(root, path, self._over.is_set)
        except OSError as error:
            raise SourceError(f"{path} can't be rendered: {error.strerror}.") from error
        self._remember(revision, path, found.content)
        return found

    def _remember(self, revision: str, path: str, content: bytes) -> None:
        with self._lock:
            self._pinned[revision, path] = content
            if len(self._pinned) > _REMEMBERED:
                self._pinned.popitem(last=False)


def _are(code: Code, known: _Known) -> bool:
    """Whether the files that it was made from are as they were."""
    return all(_digest(code, path) == digest for path, digest in known.others)


def _digest(code: Code, path: str) -> str | None:
    found = code.find([path]).get(path)
    return None if found is None else found.digest
