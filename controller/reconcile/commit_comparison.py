"""Plans the changes between two commits, in each environment, without applying them. For `controller plan --base`.

Both commits are read once. Each environment has a reader of its own, which parses again only the files that differ.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from controller.errors import PathNotFoundError, SourceError
from controller.manifests.parse_cache import ParsedFiles
from controller.manifests.reader import DesiredState, ManifestReader
from controller.manifests.rendered_specs import unexecuted_specs
from controller.model.deployments import Deployment
from controller.model.names import fold_name
from controller.model.snapshots import Code, ManifestFile, RefusedFile, Snapshot
from controller.model.status import InventoryEntry
from controller.reconcile.changed_code import code_changes
from controller.reconcile.earlier_names import MAX_LISTED, find_active_versions
from controller.reconcile.plan import make_plan
from controller.reconcile.preview import EnvironmentPlan, Preview, preview
from controller.reconcile.project_changes import declared_queues, project_changes, queue_changes
from controller.reconcile.python_changes import PythonChange, python_changes
from controller.reconcile.spec_changes import spec_changes
from controller.records import dataclass
from controller.sources.source import Source, find_commit

MAX_CHANGED_FILES = 1000
"""Maximum number of changed files whose names are searched for in every manifest."""


@dataclass(frozen=True, slots=True)
class _Commit:
    """One side of the comparison. `snapshot` is None if the commit lacks the deployments path, so declares nothing."""

    revision: str
    snapshot: Snapshot | None
    code: Code

    @property
    def project(self) -> ManifestFile | RefusedFile | None:
        """The project file."""
        return None if self.snapshot is None else self.snapshot.project


def plan_between(
    base: Source, head: Source, environment: str | None, now: datetime, *, open_commit: Callable[[str], Source]
) -> Preview:
    """Return the plan from one commit to another.

    It is for `environment`, or else for no environment, with a further plan for each declared environment.
    `open_commit` opens a commit by its name. Commits before the base are read only if the controller may have refused a
    part of the base. Raises SourceError, and UsageError for an environment that is not declared.
    """
    before, after = _read_base(base), _read(head)
    is_same = before.revision.rpartition(":")[2] == after.revision.rpartition(":")[2]
    changed = {} if is_same else head.changed_files(after.revision, before.revision)
    commits = _Commits(before, after, changed, now, base, open_commit)
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
        python=tuple(commits.python_changes),
        commit=find_commit(head, after.revision),
    )


class _Commits:
    """Two commits that are compared in one environment after the other.

    `changed` are the files that differ, None if unknown. In all environments but the first, only the manifests that the
    commit can affect are parsed again. The others are the same on both sides, so the first result is used for them.
    """

    def __init__(
        self,
        base: _Commit,
        head: _Commit,
        changed: Collection[str] | None,
        now: datetime,
        source: Source,
        open_commit: Callable[[str], Source],
    ) -> None:
        self._base = base
        self._source = source
        self._open_commit = open_commit
        self._head = head
        self._now = now
        self._files = ParsedFiles()
        self._first: ManifestReader | None = None
        self._same = _same_files(base, head, changed)
        self._declared: frozenset[str] = frozenset()
        self.staying: list[Deployment] = []
        """The deployments that both commits declare, as in the head, for each environment planned so far."""

        self.python_changes: list[PythonChange] = []
        """The deployments whose packages change, in the first environment planned in which they do."""

    def plan(self, environment: str | None) -> Preview:
        """Return the plan for this environment. Raises UsageError if the head does not declare it."""
        before, after = self._desired_states(environment)
        after.check_environment()
        self._declared = before.environments | after.environments
        return self._preview(before, after, environment)

    def environments(self) -> Iterator[EnvironmentPlan]:
        """Yield the plan for each environment that either commit declares, if the plan is not empty."""
        for name in sorted(self._declared):
            before, after = self._desired_states(name)
            result = replace(self._preview(before, after, name), specs=())
            if not result.is_empty:
                yield result.as_environment(name)

    def _desired_states(self, environment: str | None) -> tuple[DesiredState, DesiredState]:
        """Return what the base and the head declare. A base without this environment is read without overlays."""
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
        self.staying += [new for name, new in after.deployments.items() if name in before.deployments]
        names = (before.deployments.keys() & after.deployments) - {one.deployment for one in self.python_changes}
        self.python_changes += python_changes(before.python_requests, after.python_requests, names)
        applied = self._without_case_renames(before, after, environment)
        recorded = _as_inventory(applied, self._base.revision, self._now)
        # A file that is invalid at both commits has no deployments in the inventory, but is not new either.
        earlier = () if self._base.snapshot is None else [file.path for file in self._base.snapshot.files]
        plan = make_plan(self._head.snapshot, after, recorded, earlier_files=earlier)
        specs = spec_changes(_specs(self._base, before), _specs(self._head, after))
        result = preview(plan, base=self._base.revision, now=self._now, environment=environment)
        return replace(result, specs=specs)

    def _without_case_renames(
        self, before: DesiredState, after: DesiredState, environment: str | None
    ) -> Mapping[str, Deployment]:
        """Return the deployments of the base, without refused renames of case that the head undoes."""
        new_names = {fold_name(name) for name in after.deployments if name not in before.deployments}
        suspects = [
            each
            for name, each in before.deployments.items()
            if name not in after.declared_names and fold_name(name) in new_names
        ]
        if not suspects:
            return before.deployments
        reader, applied = ManifestReader(environment, files=self._files), dict(before.deployments)

        def read_parent(commit: str) -> Mapping[str, Deployment]:
            revision = self._open_commit(f"{commit}~1").observe()
            return self._read(reader, _read_base(self._source, revision)).deployments

        try:
            commits = self._source.commits(self._base.revision, None, MAX_LISTED)
        except SourceError:
            return applied
        for refused, active in find_active_versions(suspects, commits, read_parent):
            del applied[refused.name]
            applied[active.name] = active
        return applied


def _specs(commit: _Commit, state: DesiredState) -> dict[str, str]:
    """Return the digests of the Python specs, which were not executed, by file."""
    specs = unexecuted_specs(state.findings)
    return {file.path: file.digest for file in (commit.snapshot.files if commit.snapshot else ()) if file.path in specs}


def _same_files(base: _Commit, head: _Commit, changed: Collection[str] | None) -> frozenset[str]:
    """Return the manifests that declare the same deployments at both commits in every environment.

    Neither they nor the project differ. They also contain no name of a changed file, since an overlay may name a flow
    of its own.
    """
    if changed is None or len(changed) > MAX_CHANGED_FILES or base.project != head.project:
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


def _read_base(source: Source, revision: str | None = None) -> _Commit:
    """Read the base, or an earlier revision. The deployments path may be missing in it: then it declares nothing."""
    revision = revision or source.observe()
    try:
        return _Commit(revision, source.read(revision), source.code(revision))
    except PathNotFoundError:
        return _Commit(revision, None, source.code(revision))


def _as_inventory(deployments: Mapping[str, Deployment], revision: str, now: datetime) -> Mapping[str, InventoryEntry]:
    """Return the inventory as if the base had been applied to an empty state."""
    return {
        name: InventoryEntry(
            name=name,
            file=deployment.file,
            line=deployment.line,
            document=deployment.document,
            spec_digest=deployment.spec_digest,
            revision=revision,
            cursor=now,
        )
        for name, deployment in deployments.items()
    }
