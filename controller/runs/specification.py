"""What exactly a run executes: its deployment as declared at its revision, never as the database tells it.

In a source with revisions the document is read from the source again and must have the digest that the run is
pinned to, so that whoever writes to the database can't have code executed. A plain directory has no revisions: there
the recorded last good document of that digest counts.
"""

from collections import OrderedDict
from datetime import datetime

from controller.errors import SourceError
from controller.manifests import ManifestReader, build_deployment
from controller.model.deployments import Deployment
from controller.model.runs import Run
from controller.model.snapshots import ManifestFile
from controller.sources.source import Source
from controller.store import Store, inventory

_REMEMBERED = 2048


class Specifications:
    """Answers from memory for runs of the same document. Used by the engine's thread only."""

    def __init__(self, source: Source, store: Store, environment: str | None = None) -> None:
        self._environment = environment
        self.source = source
        self._store = store
        self._memory: OrderedDict[tuple[str, str, str], Deployment] = OrderedDict()

    def resolve(self, run: Run, now: datetime) -> Deployment:
        """The deployment that this run is pinned to. Raises SourceError when it can't be had any more."""
        key = (run.spec_digest, run.revision, run.file)
        found = self._memory.get(key)
        if found is None:
            found = self._declared(run, now) if self.source.is_pinned else self._recorded(run)
            self._memory[key] = found
            if len(self._memory) > _REMEMBERED:
                self._memory.popitem(last=False)
        return found

    def _declared(self, run: Run, now: datetime) -> Deployment:
        content = self.source.read_file(run.revision, run.file)
        file = ManifestFile(path=run.file, content=content, digest=run.spec_digest)
        reader = ManifestReader(self._environment, is_whole=False)
        project = self.source.read_project(run.revision)
        declared = reader.read([file], now, project).deployments.values()
        # By digest: it may have had another name then.
        found = next((one for one in declared if one.spec_digest == run.spec_digest), None)
        if found is None:
            raise SourceError(f"{run.file} at {run.revision} does not declare {run.deployment} as {run.spec_digest}.")
        return found

    def _recorded(self, run: Run) -> Deployment:
        with self._store.read() as tx:
            entry = inventory.find(tx, run.deployment)
        if entry is not None:
            found = build_deployment(entry.document, entry.file, entry.line)
            if found.spec_digest == run.spec_digest:
                return found
        raise SourceError(f"{run.deployment} has changed since this run was made, and a directory keeps no history.")
