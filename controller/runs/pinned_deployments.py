"""What exactly a run executes: its deployment as declared at its revision, never as the database tells it.

In a source with revisions the document is read from the source again and must have the digest that the run is
pinned to, so that whoever writes to the database can't have code executed. A plain directory has no revisions: there
the recorded last good document of that digest counts.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime

from controller.errors import SourceError
from controller.manifests import ManifestReader, build_deployment
from controller.model.deployments import Deployment
from controller.model.runs import Run
from controller.model.snapshots import ManifestFile, RefusedFile
from controller.sources.source import Source
from controller.store import Store, inventory

_REMEMBERED = 16_384
"""Deployments of the files that were parsed last, and places where a file was read last."""

_Parsed = tuple[str, str, str]
"""A file by its path, the digest of its content, and that of the project that its documents were merged with."""


class PinnedDeployments:
    """Answers from memory for runs of the same file. Used by the engine's thread only.

    A file is parsed once for all its deployments, and not again while neither it nor the project changes: memory goes
    by content, not by revision. `parsed` counts the files that were parsed.
    """

    def __init__(self, source: Source, store: Store, environment: str | None = None) -> None:
        self.parsed = 0
        self.source = source
        self._environment = environment
        self._store = store
        self._project: tuple[str, ManifestFile | RefusedFile | None] | None = None
        self._read: OrderedDict[tuple[str, str], _Parsed] = OrderedDict()
        self._declared: OrderedDict[_Parsed, Mapping[str, Deployment]] = OrderedDict()
        self._remembered = 0
        self._built: OrderedDict[tuple[str, str, str], Deployment] = OrderedDict()

    def resolve(self, run: Run, now: datetime) -> Deployment:
        """The deployment that this run is pinned to. Raises SourceError when it can't be had any more."""
        if not self.source.is_pinned:
            return self._in_force(run)
        # By digest: it may have had another name then.
        found = self._file(run.revision, run.file, now).get(run.spec_digest)
        if found is None:
            pin = f"{run.deployment} with the digest {run.spec_digest}"
            raise SourceError(f"{run.file} at {run.revision} does not declare {pin}.")
        return found

    def _file(self, revision: str, path: str, now: datetime) -> Mapping[str, Deployment]:
        """What the file declares at this revision, by digest."""
        key = self._read.get((revision, path))
        if key is not None and key in self._declared:
            self._declared.move_to_end(key)
            return self._declared[key]
        content = self.source.read_file(revision, path)
        project = self._project_at(revision)
        key = (path, hashlib.sha256(content).hexdigest(), _digest(project))
        self._read[revision, path] = key
        if len(self._read) > _REMEMBERED:
            self._read.popitem(last=False)
        if key not in self._declared:
            self._remember(key, self._parse(ManifestFile(path=path, content=content, digest=key[1]), project, now))
        self._declared.move_to_end(key)
        return self._declared[key]

    def _parse(
        self, file: ManifestFile, project: ManifestFile | RefusedFile | None, now: datetime
    ) -> Mapping[str, Deployment]:
        self.parsed += 1
        reader = ManifestReader(self._environment, is_whole=False)
        return {one.spec_digest: one for one in reader.read([file], now, project).deployments.values()}

    def _remember(self, key: _Parsed, declared: Mapping[str, Deployment]) -> None:
        self._declared[key] = declared
        self._remembered += len(declared) + 1
        while self._remembered > _REMEMBERED and len(self._declared) > 1:
            _, forgotten = self._declared.popitem(last=False)
            self._remembered -= len(forgotten) + 1

    def _project_at(self, revision: str) -> ManifestFile | RefusedFile | None:
        """The project at this revision, read once for many runs."""
        if self._project is None or self._project[0] != revision:
            self._project = revision, self.source.read_project(revision)
        return self._project[1]

    def _in_force(self, run: Run) -> Deployment:
        key = (run.spec_digest, run.revision, run.file)
        found = self._built.get(key)
        if found is None:
            found = self._built[key] = self._recorded(run)
            if len(self._built) > _REMEMBERED:
                self._built.popitem(last=False)
        return found

    def _recorded(self, run: Run) -> Deployment:
        with self._store.read() as tx:
            entry = inventory.find(tx, run.deployment)
        if entry is not None:
            found = build_deployment(entry.document, entry.file, entry.line)
            if found.spec_digest == run.spec_digest:
                return found
        raise SourceError(f"{run.deployment} has changed since this run was created, and a directory has no history.")


def _digest(project: ManifestFile | RefusedFile | None) -> str:
    if project is None:
        return ""
    said = project.content if isinstance(project, ManifestFile) else project.message.encode()
    return hashlib.sha256(said).hexdigest()
