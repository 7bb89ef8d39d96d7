"""What would a commit change of what is applied? For `controller plan` and the HTTP API; it changes nothing."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from controller.errors import SourceError
from controller.manifests import DesiredState, ManifestReader
from controller.model.queues import EVERYTHING
from controller.model.status import InventoryEntry
from controller.reconcile.changed_code import code_changes
from controller.reconcile.plan import make_plan
from controller.reconcile.preview import Preview, preview
from controller.reconcile.project_changes import project_changes, queue_changes
from controller.sources.source import Source
from controller.store import Store, inventory, queues, runs, source_status


def plan_against_state(store: Store, source: Source, environment: str | None, now: datetime) -> Preview:
    """From what is applied to the present revision of `source`. Raises SourceError, UsageError.

    Without an `environment` it is the one that is applied.
    """
    with store.read() as tx:
        status, recorded, in_flight = source_status.find(tx), inventory.entries(tx), runs.active_counts(tx)
        limits = {name: limit for name, limit in queues.limits(tx).items() if name != EVERYTHING}
    if environment is None and status is not None:
        environment = status.environment
    revision = source.observe()
    snapshot = source.read(revision)
    desired = ManifestReader(environment).read(snapshot.files, now, snapshot.project, source.code(revision))
    desired.check_environment()
    applied = None if status is None else status.last_applied_revision
    approved = None if status is None else status.approved
    plan = make_plan(snapshot, desired, recorded, approved=approved)
    found = preview(plan, base=applied, now=now, in_flight=in_flight, environment=environment)
    new = desired.limits
    found = replace(found, queues=() if new is None or applied is None else queue_changes(limits, new))
    return found if applied is None or not source.is_pinned else _with_code(found, source, desired, applied, recorded)


def _with_code(
    found: Preview, source: Source, desired: DesiredState, applied: str, recorded: Mapping[str, InventoryEntry]
) -> Preview:
    """With what differs in git from the applied revision, if git still has that."""
    staying = [one for name, one in desired.deployments.items() if name in recorded]
    try:
        changed = None if found.head == applied else source.changed_files(found.head, applied)
        code = code_changes(
            source, source.code(found.head), changed, head=found.head, base=applied, deployments=staying
        )
        project = project_changes(source.read_project(applied), source.read_project(found.head))
    except SourceError:
        return found
    return replace(found, project=project, code=code.deployments, unread=code.unread)
