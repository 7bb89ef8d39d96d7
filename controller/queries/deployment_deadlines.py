"""The deadlines that a deployment declares with `expect`: when the next one passes, and which was missed.

The page of a deployment shows them. `notify.deadlines` evaluates them and records which were missed.
"""

from datetime import datetime, timedelta

from controller.model.deployments import Deployment
from controller.model.notifications import DeadlineKind, MissedDeadline
from controller.records import dataclass
from controller.store import Transaction, deadlines


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineView:
    """One deadline of a deployment.

    - `length`: the declared duration. `next_at`: when it is missed, unless a run starts, ends or succeeds before; None
      if no run is due, or if it is missed already.
    - `miss`: the deadline that was missed and is not met yet.
    """

    kind: DeadlineKind
    length: timedelta
    next_at: datetime | None
    miss: MissedDeadline | None


def list_deadlines(tx: Transaction, deployment: Deployment, next_due: datetime | None) -> list[DeadlineView]:
    """Return the deadlines of an active deployment. `next_due` is its next fire time."""
    records = {record.kind: record for record in deadlines.find_all(tx, [deployment.name])}
    declared = {kind: getattr(deployment.expect, kind.value) for kind in DeadlineKind}
    views = []
    for kind, length in declared.items():
        if length is None:
            continue
        record = records.get(kind)
        base = next_due
        if kind is DeadlineKind.SUCCESS_EVERY:
            base = None if record is None or record.miss is not None else record.checked_at
        views.append(
            DeadlineView(
                kind=kind,
                length=length,
                next_at=None if base is None else base + length,
                miss=None if record is None else record.miss,
            )
        )
    return views
