"""What does one commit change of another, in each environment? For `controller plan --base`; it changes nothing.

Both commits are read once. Each environment has a reader of its own, which reads again only what differs between them.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from controller.errors import PathNotFoundError
from controller.manifests import DesiredState, ManifestReader, ParsedFiles
from controller.model.deployments import Deployment
from controller.model.snapshots import Code, ManifestFile, RefusedFile, Snapshot
from controller.model.status import InventoryEntry
from controller.reconcile.changed_code import code_changes
from controller.reconcile.plan import make_plan
from controller.reconcile.preview import EnvironmentPlan, Preview, preview
from controller.reconcile.project_changes import declared_queues, project_changes, queue_changes
from controller.sources.source import Source

MOST_CHANGED = 1000
"""Changed files whose names are looked for in every manifest."""


@dataclass(frozen=True, slots=True)
class _Commit:
    """What one side holds; `snapshot` is None where it has no deployments path, and so declares nothing."""

    revision: str
    snapshot: Snapshot | None
    code: Code

    @property
    def project(self) -> ManifestFile | RefusedFile | None:
        """The project file."""
        return None if self.snapshot is None else self.snapshot.project


def plan_between(base: Source, head: Source, environment: str | None, now: datetime) -> Preview:
    """From one commit to another: in `environment` alone, or outside of all and in every one that is declared.

    Raises SourceError, and UsageError for an environment that nothing declares.
    """
    before, after = _read_base(base), _read(head)
    is_same = before.revision.rpartition(":")[2] == after.revision.rpartition(":")[2]
    changed = {} if is_same else head.changed_files(after.revision, before.revision)
    commits = _Commits(before, after, changed, now)
    chosen = commits.plan(environment)
    environments = tuple(commits.environments()) if environment is None else ()
    code = code_changes(
        head, after.code, changed, head=after.revision, base=before.revision, deployments=commits.staying
    )
    old, new = before.project, after.project
    queues = (declared_queues(old), declared_queues(new))
    return replace(
        chosen,
        environments=environments,
        queues=() if queues[0] is None or queues[1] is None else queue_changes(queues[0], queues[1]),
        project=project_changes(old, new),
        code=code.deployments,
        unread=code.unread,
    )


class _Commits:
    """Two commits, compared in one environment after the other; `changed` are the files that differ, None if unknown.

    In the environments after the first, only the manifests that the commit can change are read again. The others stand
    for themselves as they were read first: they are the same on both sides.
    """

    def __init__(self, base: _Commit, head: _Commit, changed: Collection[str] | None, now: datetime) -> None:
        self._base = base
        self._head = head
        self._now = now
        self._files = ParsedFiles()
        self._first: ManifestReader | None = None
        self._same = _same_files(base, head, changed)
        self._declared: frozenset[str] = frozenset()
        self.staying: list[Deployment] = []
        """Those that both commits declare, as the head declares them, in each environment that was planned."""

    def plan(self, environment: str | None) -> Preview:
        """The plan in this environment. Raises UsageError if the head does not declare it."""
        before, after = self._desired(environment)
        after.check_environment()
        self._declared = before.environments | after.environments
        return self._preview(before, after, environment)

    def environments(self) -> Iterator[EnvironmentPlan]:
        """Of each environment that either commit declares, the plan, if it changes anything there."""
        for name in sorted(self._declared):
            before, after = self._desired(name)
            found = self._preview(before, after, name)
            if not found.is_empty:
                yield found.as_environment(name)

    def _desired(self, environment: str | None) -> tuple[DesiredState, DesiredState]:
        """What the two declare; before an environment is declared, it has no overlays."""
        reader = self._reader(environment)
        before = self._read(reader, self._base)
        if before.lacks_environment:
            before = self._read(self._reader(environment, is_whole=False), self._base)
        after = self._read(reader, self._head)
        self._first = self._first or reader
        return before, after

    def _reader(self, environment: str | None, *, is_whole: bool = True) -> ManifestReader:
        reader = ManifestReader(environment, is_whole=is_whole, files=self._files)
        if self._first is not None:
            reader.reuse_results(self._first, self._same)
        return reader

    def _read(self, reader: ManifestReader, commit: _Commit) -> DesiredState:
        snapshot = commit.snapshot
        if snapshot is None:
            return DesiredState()
        return reader.read(snapshot.files, self._now, snapshot.project, commit.code)

    def _preview(self, before: DesiredState, after: DesiredState, environment: str | None) -> Preview:
        assert self._head.snapshot is not None
        self.staying += [one for name, one in after.deployments.items() if name in before.deployments]
        plan = make_plan(self._head.snapshot, after, _recorded(before, self._base.revision, self._now))
        return preview(plan, base=self._base.revision, now=self._now, environment=environment)


def _same_files(base: _Commit, head: _Commit, changed: Collection[str] | None) -> frozenset[str]:
    """The manifests that declare the same at both commits, whatever the environment.

    Neither they nor the project differ, and they name no changed file: an overlay may name a flow of its own.
    """
    if changed is None or len(changed) > MOST_CHANGED or base.project != head.project:
        return frozenset()
    names = [name for path in changed if (name := path.rpartition("/")[2].encode("utf-8", "surrogateescape"))]
    before = {} if base.snapshot is None else {file.path: file.digest for file in base.snapshot.files}
    return frozenset(
        file.path
        for file in (() if head.snapshot is None else head.snapshot.files)
        if before.get(file.path) == file.digest and not any(name in file.content for name in names)
    )


def _read(source: Source) -> _Commit:
    revision = source.observe()
    return _Commit(revision, source.read(revision), source.code(revision))


def _read_base(source: Source) -> _Commit:
    """A base without the deployments path declares nothing."""
    revision = source.observe()
    try:
        return _Commit(revision, source.read(revision), source.code(revision))
    except PathNotFoundError:
        return _Commit(revision, None, source.code(revision))


def _recorded(desired: DesiredState, revision: str, now: datetime) -> Mapping[str, InventoryEntry]:
    """What the base alone would apply."""
    return {
        name: InventoryEntry(
            name=name,
            file=found.file,
            line=found.line,
            document=found.document,
            spec_digest=found.spec_digest,
            revision=revision,
            cursor=now,
        )
        for name, found in desired.deployments.items()
    }
