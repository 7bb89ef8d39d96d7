"""Resolves the deployment that a run is pinned to, as declared at the run's revision.

In a source with revisions, the document is read from the source again and must have the digest that the run is pinned
to, so that write access to the database is not enough to execute code. A plain directory has no revisions: there, the
recorded last valid document with that digest is used.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime

from controller.errors import SourceError
from controller.manifests.active_deployments import ActiveDeployments
from controller.manifests.build import build_deployment
from controller.manifests.calendar_files import CalendarFiles
from controller.manifests.project_file import find_calendar_files
from controller.manifests.reader import ManifestReader
from controller.model.deployments import Deployment
from controller.model.runs import Run
from controller.model.snapshots import ManifestFile, RefusedFile
from controller.records import dataclass
from controller.sources.source import Source
from controller.store import Store, inventory

_CACHE_SIZE = 16_384
"""How many parsed deployments, and how many locations of files, are cached."""

_FileKey = tuple[str, str, str]
"""A file: its path, the digest of its content, and the digest of the project that its documents inherit from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Project:
    """The project file of a revision, its calendar files, and the digest of all of them."""

    revision: str
    file: ManifestFile | RefusedFile | None
    calendar_files: CalendarFiles
    digest: str


class PinnedDeployments:
    """Resolves pinned deployments, with a cache. Used by the engine's thread only.

    `active` has the deployments that a pass has read from the source at the run's revision. Any other file is parsed
    once for all its deployments. The cache is keyed by content, not by revision, so a file is parsed again only when it
    or the project file changes. `parsed` counts the files that were parsed.
    """

    def __init__(
        self, source: Source, store: Store, environment: str | None = None, active: ActiveDeployments | None = None
    ) -> None:
        self.parsed = 0
        self.source = source
        self._environment = environment
        self._store = store
        self._active_deployments = ActiveDeployments() if active is None else active
        self._project: _Project | None = None
        self._read: OrderedDict[tuple[str, str], _FileKey] = OrderedDict()
        self._declared: OrderedDict[_FileKey, Mapping[str, Deployment]] = OrderedDict()
        self._cached = 0
        self._built: OrderedDict[tuple[str, str, str], Deployment] = OrderedDict()

    def resolve(self, run: Run, now: datetime) -> Deployment:
        """Return the deployment that this run is pinned to. Raises SourceError if it is no longer available."""
        if not self.source.is_pinned:
            return self._active(run)
        read = self._active_deployments.find_declared(run.revision, run.deployment, run.file, run.spec_digest)
        if read is not None:
            return read
        # Find it by digest: the deployment may have had another name at that revision.
        deployment = self._declared_in(run.revision, run.file, now).get(run.spec_digest)
        if deployment is None:
            pin = f"{run.deployment} with the digest {run.spec_digest}"
            raise SourceError(f"{run.file} at {run.revision} does not declare {pin}.")
        return deployment

    def _declared_in(self, revision: str, path: str, now: datetime) -> Mapping[str, Deployment]:
        """Return the deployments that the file declares at this revision, by digest."""
        key = self._read.get((revision, path))
        if key is not None and key in self._declared:
            self._declared.move_to_end(key)
            return self._declared[key]
        content = self.source.read_file(revision, path)
        project = self._project_at(revision)
        key = (path, hashlib.sha256(content).hexdigest(), project.digest)
        self._read[revision, path] = key
        if len(self._read) > _CACHE_SIZE:
            self._read.popitem(last=False)
        if key not in self._declared:
            self._cache(key, self._parse(ManifestFile(path=path, content=content, digest=key[1]), project, now))
        self._declared.move_to_end(key)
        return self._declared[key]

    def _parse(self, file: ManifestFile, project: _Project, now: datetime) -> Mapping[str, Deployment]:
        self.parsed += 1
        reader = ManifestReader(self._environment, is_whole=False)
        state = reader.read([file], now, project.file, calendar_files=project.calendar_files)
        deployments = state.deployments.values()
        return {deployment.spec_digest: deployment for deployment in deployments}

    def _cache(self, key: _FileKey, declared: Mapping[str, Deployment]) -> None:
        self._declared[key] = declared
        self._cached += len(declared) + 1
        while self._cached > _CACHE_SIZE and len(self._declared) > 1:
            _, evicted = self._declared.popitem(last=False)
            self._cached -= len(evicted) + 1

    def _project_at(self, revision: str) -> _Project:
        """Return the project at this revision. It is read once for consecutive runs of a revision."""
        if self._project is None or self._project.revision != revision:
            file = self.source.read_project(revision)
            calendars = find_calendar_files(file, self.source.code(revision))
            digest = _digest(file, calendars)
            self._project = _Project(revision=revision, file=file, calendar_files=calendars, digest=digest)
        return self._project

    def _active(self, run: Run) -> Deployment:
        key = (run.spec_digest, run.revision, run.file)
        deployment = self._built.get(key)
        if deployment is None:
            deployment = self._built[key] = self._recorded(run)
            if len(self._built) > _CACHE_SIZE:
                self._built.popitem(last=False)
        return deployment

    def _recorded(self, run: Run) -> Deployment:
        with self._store.read() as tx:
            entry = inventory.find(tx, run.deployment)
        if entry is not None:
            deployment = build_deployment(entry.document, entry.file, entry.line)
            if deployment.spec_digest == run.spec_digest:
                return deployment
        raise SourceError(f"{run.deployment} has changed since this run was created, and a directory has no history.")


def _digest(project: ManifestFile | RefusedFile | None, calendar_files: CalendarFiles) -> str:
    if project is None:
        return ""
    content = project.content if isinstance(project, ManifestFile) else project.message.encode()
    total = hashlib.sha256(content)
    for path, calendar in calendar_files.items():
        total.update(f"{path}\0".encode() + hashlib.sha256(calendar or b"").digest())
    return total.hexdigest()
