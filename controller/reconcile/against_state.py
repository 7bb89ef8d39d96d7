"""What would a commit change of what is applied? For `controller plan` and the HTTP API; it changes nothing."""

from datetime import datetime

from controller.manifests import ManifestReader
from controller.reconcile.plan import make_plan
from controller.reconcile.preview import Preview, preview
from controller.sources.source import Source
from controller.store import Store, inventory, runs, sources


def plan_against_state(store: Store, source: Source, environment: str | None, now: datetime) -> Preview:
    """From what is applied to the present revision of `source`. Raises SourceError, UsageError."""
    with store.read() as tx:
        status, recorded, in_flight = sources.find(tx), inventory.entries(tx), runs.active_counts(tx)
    revision = source.observe()
    snapshot = source.read(revision)
    desired = ManifestReader(environment).read(snapshot.files, now, snapshot.project, source.code(revision))
    desired.check_environment()
    applied = None if status is None else status.last_applied_revision
    approved = None if status is None else status.approved
    plan = make_plan(snapshot, desired, recorded, approved=approved)
    return preview(plan, base=applied, now=now, in_flight=in_flight, environment=environment)
