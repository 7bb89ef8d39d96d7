"""Plans a commit against the active deployments, without applying it. For `controller plan` and the HTTP API."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from controller.errors import SourceError
from controller.manifests.build import build_deployment
from controller.manifests.flow_references import Flows, ModuleCache
from controller.manifests.python_requests import RequirementsError, read_request
from controller.manifests.reader import DesiredState, ManifestReader
from controller.manifests.rendered_specs import unexecuted_specs
from controller.model.python_environments import PythonRequest
from controller.model.queues import EVERYTHING
from controller.model.snapshots import Code
from controller.model.status import InventoryEntry, SourceStatus
from controller.reconcile.changed_code import code_changes
from controller.reconcile.holiday_changes import holiday_changes
from controller.reconcile.plan import make_plan
from controller.reconcile.preview import Preview, preview
from controller.reconcile.project_changes import project_changes, queue_changes
from controller.reconcile.python_changes import PythonChange, python_changes
from controller.reconcile.spec_changes import changed_specs
from controller.sources.source import Source, find_commit
from controller.state_url import StateUrl
from controller.store import Store, holiday_records, inventory, queues, runs, source_status


def plan_against_state(store: Store, source: Source, environment: str | None, now: datetime) -> Preview:
    """Return the plan from the active deployments to the current revision of `source`.

    Without an `environment` the plan is for the one that is applied. A `controller.yaml` of another project than that
    of the state has an error. Raises SourceError, and UsageError for an environment that is not declared.
    """
    with store.read() as tx:
        status, recorded, in_flight = source_status.find(tx), inventory.entries(tx), runs.active_counts(tx)
        holidays = holiday_records.find(tx)
        limits = {name: limit for name, limit in queues.limits(tx).items() if name != EVERYTHING}
    if environment is None and status is not None:
        environment = status.environment
    revision = source.observe()
    snapshot = source.read(revision)
    reader = ManifestReader(environment, project_name=_project_of(store, status))
    desired = reader.read(snapshot.files, now, snapshot.project, source.code(revision))
    desired.check_environment()
    applied = None if status is None else status.last_applied_revision
    approved = None if status is None else status.approved
    plan = make_plan(snapshot, desired, recorded, approved=approved)
    result = preview(plan, base=applied, now=now, in_flight=in_flight, environment=environment)
    deleted = {entry.name for entry in plan.delete}
    staying = [entry for name, entry in recorded.items() if name not in deleted]
    moved = holiday_changes(holidays, staying, now)
    result = replace(result, commit=find_commit(source, revision), holidays=moved)
    result = _with_specs(result, source, applied, recorded)
    if applied is None:
        return result
    if desired.limits is not None:
        result = replace(result, queues=queue_changes(limits, desired.limits))
    return _with_code(result, source, desired, applied, recorded) if source.is_pinned else result


def _project_of(store: Store, status: SourceStatus | None) -> str | None:
    """Return the project whose state it is; None if a file has no name yet."""
    if isinstance(store.place, StateUrl):
        return store.place.project
    return None if status is None else status.project_name


def _with_specs(
    result: Preview, source: Source, applied: str | None, recorded: Mapping[str, InventoryEntry]
) -> Preview:
    """Add the Python specs that change. The deployments of unchanged specs are unchanged."""
    specs = unexecuted_specs(result.findings)
    if not specs:
        return result
    try:
        is_same = applied is None or result.head == applied
        changed = () if is_same else source.changed_files(result.head, str(applied))
    except SourceError:
        changed = None
    changes = changed_specs(specs, None if applied is None else changed, {entry.file for entry in recorded.values()})
    files = {name: entry.file for name, entry in recorded.items()}
    kept = tuple(kept for kept in result.kept if files[kept.deployment] not in specs)
    differing = {change.file for change in changes}
    unchanged = sum(files[kept.deployment] in specs - differing for kept in result.kept)
    summary = replace(result.summary, unchanged=result.summary.unchanged + unchanged)
    return replace(result, specs=changes, kept=kept, summary=summary)


def _with_code(
    result: Preview, source: Source, desired: DesiredState, applied: str, recorded: Mapping[str, InventoryEntry]
) -> Preview:
    """Add the changes of code and project since the applied revision, if git still has that revision."""
    staying = [deployment for name, deployment in desired.deployments.items() if name in recorded]
    head = result.head
    try:
        changed = None if head == applied else source.changed_files(head, applied)
        code = code_changes(source, source.code(head), changed, head=head, base=applied, deployments=staying)
        project = project_changes(source.read_project(applied), source.read_project(head))
        python = tuple(_python_changes(source, desired, applied, recorded))
    except SourceError:
        return result
    return replace(result, project=project, code=code.deployments, unread=code.unread, python=python)


def _python_changes(
    source: Source, desired: DesiredState, applied: str, recorded: Mapping[str, InventoryEntry]
) -> Iterator[PythonChange]:
    """Yield the deployments whose packages change. Raises SourceError.

    The files are read only of those that ask for another Python environment than the active version.
    """
    after = desired.python_requests
    changed = [
        entry
        for name, entry in recorded.items()
        if name in desired.deployments and entry.python != (after[name].digest if name in after else None)
    ]
    before = {}
    for entry in changed:
        request = None if entry.python is None else _request(source.code(entry.pinned or applied), entry)
        if request is not None:
            before[entry.name] = request
    return python_changes(before, after, {entry.name for entry in changed})


def _request(code: Code, entry: InventoryEntry) -> PythonRequest | None:
    """Return what the active version of a deployment asks for; None if that can't be read."""
    try:
        deployment = build_deployment(entry.document, entry.file, entry.line)
        return read_request(deployment, Flows(code, ModuleCache()).read)
    except RequirementsError:
        return None
